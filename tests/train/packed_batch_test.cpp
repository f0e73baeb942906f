#include "train/packed_batch.h"

#include <gtest/gtest.h>

#include "kernels/common/error.h"

namespace prospect::test {
namespace {

using Ids = std::vector<int32_t>;

Ids host(const Tensor& tensor) {
  const auto values = tensor.values<int32_t>();
  return {values.begin(), values.end()};
}

TEST(PackedBatch, LeavesOutTheLastTokenAndNamesTheRowsBeforeCompletionTokens) {
  const Ids first_prompt{10, 11, 12}, first_completion{20, 21}, second_prompt{13}, second_completion{22};
  const std::vector<Sequence> sequences{{first_prompt, first_completion, 7},
                                        {second_prompt, second_completion, 3}};
  const PackedBatch batch = pack(sequences, Device::cpu());
  EXPECT_EQ(host(batch.tokens.ids), (Ids{10, 11, 12, 20, 13}));
  EXPECT_EQ(host(batch.tokens.positions), (Ids{0, 1, 2, 3, 0}));
  EXPECT_EQ(host(batch.tokens.examples), (Ids{7, 7, 7, 7, 3}));
  EXPECT_EQ(batch.tokens.bounds.shape(), (Shape{2, 4}));
  EXPECT_EQ(host(batch.tokens.bounds), (Ids{0, 4, 0, 4, 4, 5, 4, 5}));
  EXPECT_EQ(host(batch.rows), (Ids{2, 3, 4}));
  EXPECT_EQ(host(batch.targets), (Ids{20, 21, 22}));
  EXPECT_EQ(host(batch.offsets), (Ids{0, 2, 3}));
  EXPECT_EQ(batch.host_offsets, (std::vector<int32_t>{0, 2, 3}));
}

TEST(PackedBatch, CutsAPartnersCompletionAfterTheOtherPrompt) {
  Example prompt, completion;
  prompt.prompt = {1, 2, 3};
  completion.completion = {4, 5, 6, 7};
  const Sequence cut = mismatched_sequence(prompt, completion, 9, 5);
  EXPECT_EQ(Ids(cut.completion.begin(), cut.completion.end()), (Ids{4, 5}));
  EXPECT_EQ(cut.example, 9);
  EXPECT_EQ(cut.input_tokens(), 4);
  EXPECT_EQ(mismatched_sequence(prompt, completion, 9, 50).completion.size(), 4u);
}

TEST(PackedBatch, LendsWhatItsOwnPromptHadNoRoomFor) {
  Example prompt, completion;
  prompt.prompt = {1};
  completion.completion = {4};
  completion.uncut = {4, 5, 6, 7};
  const Sequence cut = mismatched_sequence(prompt, completion, 9, 4);
  EXPECT_EQ(Ids(cut.completion.begin(), cut.completion.end()), (Ids{4, 5, 6}));
}

TEST(PackedBatch, RefusesASequenceWithoutPromptOrCompletion) {
  const Ids some{1}, none;
  const std::vector<Sequence> without_prompt{{none, some, 0}}, without_completion{{some, none, 0}};
  EXPECT_THROW(pack(without_prompt, Device::cpu()), Error);
  EXPECT_THROW(pack(without_completion, Device::cpu()), Error);
}

}  // namespace
}  // namespace prospect::test
