// The emulator against what devices did (golden/*.golden), as far as that is recorded; and the comparison
// itself against references on the CPU.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <fstream>
#include <regex>

#include "engine/files.h"
#include "kernels/common/bf16.h"
#include "kernels/common/error.h"
#include "tests/emulator/device.h"
#include "tests/emulator/golden/cases.h"
#include "tests/support/temporary_folder.h"

namespace prospect::emulator::golden {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::filesystem::path kSource = PROSPECT_SOURCE_DIR;

// --- What instructions do, from the text of the PTX manual alone.

float number(uint32_t word) {
  return std::bit_cast<float>(word);
}
uint32_t word(float value) {
  return std::bit_cast<uint32_t>(value);
}
float half(uint32_t word, size_t which) {
  return number(which == 0 ? word << 16 : word & 0xffff0000u);
}

Words exp2_reference(const Words& in) {
  Words out(2 * kThreads);
  for (size_t t = 0; t < kThreads; ++t) {
    const float x = std::fpclassify(number(in[t])) == FP_SUBNORMAL ? 0 : number(in[t]);
    const float y = std::exp2(x);
    out[t] = word(y < FLT_MIN ? 0 : y);
  }
  return out;
}
Words permute_reference(const Words& in) {
  Words out(2 * kThreads);
  for (size_t t = 0; t < kThreads; ++t) {
    const uint64_t bytes = uint64_t{in[kThreads + t]} << 32 | in[t];
    for (uint32_t i = 0; i < 4; ++i) {
      out[t] |= static_cast<uint32_t>(bytes >> 8 * (in[2 * kThreads + t] >> 4 * i & 7) & 0xff) << 8 * i;
    }
  }
  return out;
}
Words butterfly_reference(const Words& in) {
  Words out(kThreads);
  for (uint32_t t = 0; t < kThreads; ++t) {
    const uint32_t width = 32 >> t / 32, lane = t % 32, other = lane ^ in[kThreads + t] % 32;
    const bool in_range = other / width <= lane / width;  // no further than the segment's end
    out[t] = in[in_range ? t / 32 * 32 + other : t] << 1 | (in_range ? 1 : 0);
  }
  return out;
}
/// Lane 4 g + t holds rows g and g + 8 of a and columns g of b.
Words product_reference(const Words& in) {
  Words out(128);
  for (size_t lane = 0; lane < 32; ++lane) {
    for (size_t r = 0; r < 4; ++r) {
      const size_t row = lane / 4 + 8 * (r / 2), column = 2 * (lane % 4) + r % 2;
      double sum = half(in[192 + 4 * lane + r], 0);
      for (size_t k = 0; k < 16; ++k) {
        const uint32_t a = in[4 * (row % 8 * 4 + k % 8 / 2) + row / 8 + k / 8 * 2],
                       b = in[128 + 2 * (column * 4 + k % 8 / 2) + k / 8];
        sum += static_cast<double>(half(a, k % 2)) * static_cast<double>(half(b, k % 2));
      }
      out[4 * lane + r] = word(static_cast<float>(sum));
    }
  }
  return out;
}
/// Row i of the four matrices is what lane i points at; lane l gets two elements of row l / 4 of each.
Words load_reference(const Words& in) {
  Words out(128);
  for (size_t lane = 0; lane < 32; ++lane) {
    for (size_t matrix = 0; matrix < 4; ++matrix) {
      const size_t row = (8 * matrix + lane / 4) * 11 % 32;
      out[4 * lane + matrix] = in[4 * row + lane % 4];
    }
  }
  return out;
}

struct Reference {
  const char* name;
  Words (*compute)(const Words&);
};
constexpr Reference kReferences[] = {{"exp2_approximate", exp2_reference},
                                     {"byte_perm", permute_reference},
                                     {"shfl.sync.bfly.b32", butterfly_reference},
                                     {"multiply_add", product_reference},
                                     {"load_matrices", load_reference}};

class Golden : public testing::Test {
 protected:
  ~Golden() override { EXPECT_EQ(Device::instance().take_report(), ""); }
  /// As if a device had done what the references say.
  void write_references() const {
    for (const Case& each : cases()) {
      for (const Reference& reference : kReferences) {
        if (each.name != reference.name) continue;
        write_vector(path_of(folder_.path(), each.name),
                     {each.name, "a reference", each.input, reference.compute(each.input)});
      }
    }
  }
  void change(const std::string& name, size_t index, uint32_t bits) const {
    Vector vector = read_vector(path_of(folder_.path(), name));
    vector.output.at(index) ^= bits;
    write_vector(path_of(folder_.path(), name), vector);
  }
  std::vector<std::string> wrong() const { return compare_with(folder_.path()).wrong; }

  const test::TemporaryFolder folder_;
};

TEST_F(Golden, TheEmulatorDoesWhatDevicesDid) {
  const std::filesystem::path folder = kSource / "tests/emulator/golden";
  const Comparison found = compare_with(folder);
  EXPECT_THAT(found.wrong, IsEmpty());
  for (const Case& each : cases()) {
    const auto path = path_of(folder, each.name);
    if (!std::filesystem::exists(path)) continue;
    EXPECT_THAT(read_vector(path).device, testing::Not(HasSubstr("emulator"))) << path;
  }
  fmt::print("{} cases agree with a device.\n", found.agree);
  if (!found.missing.empty()) fmt::print("not recorded yet: {}\n", fmt::join(found.missing, ", "));
}

TEST_F(Golden, ReferencesAgree) {
  write_references();
  const Comparison found = compare_with(folder_.path());
  EXPECT_THAT(found.wrong, IsEmpty());
  EXPECT_EQ(found.agree, static_cast<int>(std::size(kReferences)));
  EXPECT_EQ(found.missing.size(), cases().size() - std::size(kReferences));
}

TEST_F(Golden, AChangedWordIsNamed) {
  write_references();
  change("byte_perm", 7, 1);
  EXPECT_THAT(wrong(),
              ElementsAre(AllOf(HasSubstr("byte_perm: word 7 was "), HasSubstr(" on the device, is "))));
  change("byte_perm", 7, 1);
  change("load_matrices", 127, 0x80000000u);
  EXPECT_THAT(wrong(), ElementsAre(HasSubstr("load_matrices: word 127 was ")));
}

TEST_F(Golden, SumsAndApproximationsMayDifferInTheirLastBitsOnly) {
  write_references();
  change("multiply_add", 5, 1);
  change("exp2_approximate", 8, 1);
  EXPECT_THAT(wrong(), IsEmpty());
  change("multiply_add", 5, 1u << 23);
  EXPECT_THAT(wrong(), ElementsAre(HasSubstr("multiply_add: word 5 was ")));
  change("exp2_approximate", 8, 1u << 10);
  EXPECT_EQ(wrong().size(), 2u);
}

TEST_F(Golden, SmallResultsMayDifferByAnAbsoluteError) {
  const Words small = {word(0x1p-10f)}, near = {word(0x1p-10f + 0x1p-23f)}, far = {word(0x1p-10f + 0x1p-21f)};
  const Tolerance relative{Agreement::Relative, 0x1p-22}, either{Agreement::Relative, 0x1p-22, 0x1p-22};
  EXPECT_EQ(difference(small, near, either), "");
  EXPECT_NE(difference(small, near, relative), "");
  EXPECT_NE(difference(small, far, either), "");
}

TEST_F(Golden, DamagedAndForeignFilesAreNamed) {
  write_references();
  const auto path = path_of(folder_.path(), "byte_perm");
  const std::string text = read_text(path);
  std::ofstream(path) << text.substr(0, text.size() / 2);
  EXPECT_THAT(wrong(), ElementsAre(HasSubstr("byte_perm.golden:")));
  std::ofstream(path) << "case byte_perm\ndevice none\ninput 99999999999\n";
  EXPECT_THAT(wrong(), ElementsAre(HasSubstr("byte_perm.golden:3 has no number")));
  std::ofstream(path) << text;
  std::filesystem::rename(path_of(folder_.path(), "multiply_add"), path_of(folder_.path(), "division"));
  EXPECT_THAT(wrong(), ElementsAre("division: is recorded, and no case"));
}

TEST_F(Golden, WordsComeBackAsTheyWereWritten) {
  Words words(20, 5);
  for (uint32_t i = 0; i < 40; ++i) words.push_back(i / 3 * 0x01234567u);
  const Vector vector{"some", "PTX emulator, capability 9.0", words, {}};
  write_vector(folder_ / "some.golden", vector);
  const Vector read = read_vector(folder_ / "some.golden");
  EXPECT_EQ(read.input, words);
  EXPECT_THAT(read.output, IsEmpty());
  EXPECT_EQ(read.device, vector.device);
}

TEST_F(Golden, HoppersCasesRunOnNoOtherDevice) {
  const std::vector<Case> all = cases();
  const auto portable =
      std::count_if(all.begin(), all.end(), [](const Case& c) { return c.capability == 80; });
  EXPECT_LT(portable, std::ssize(all));
  EXPECT_EQ(record(folder_.path(), "a newer device", 100), portable);
  EXPECT_EQ(record(folder_.path(), "an older device", 75), 0);
}

TEST_F(Golden, WhatIsRecordedHereAgreesHere) {
  EXPECT_EQ(record(folder_.path(), "PTX emulator", 90), static_cast<int>(cases().size()));
  const Comparison found = compare_with(folder_.path());
  EXPECT_THAT(found.wrong, IsEmpty());
  EXPECT_THAT(found.missing, IsEmpty());
}

/// The names of the functions around single instructions.
std::vector<std::string> wrappers() {
  std::vector<std::string> names;
  const std::regex declaration(R"(__device__ inline [a-z0-9_]+ ([a-z0-9_]+)\()");
  for (const char* file : {"ptx.cuh", "hopper.cuh", "tma.cuh", "wgmma.cuh", "wgmma_products.cuh"}) {
    const std::string text = read_text(kSource / "kernels/common" / file);
    for (std::sregex_iterator at(text.begin(), text.end(), declaration), end; at != end; ++at) {
      names.push_back((*at)[1]);
    }
  }
  return names;
}

/// Whether cases run what a file holds: of tests/emulator/kernels, only the layouts; others have planted
/// mistakes.
bool is_recorded(const std::filesystem::path& file) {
  if (file.extension() != ".cu") return false;
  return file.parent_path().filename() == "golden" || file.filename().string().starts_with("layouts");
}

TEST_F(Golden, EveryWrapperIsInSomeCase) {
  std::string kernels;
  for (const char* folder : {"tests/emulator/golden", "tests/emulator/kernels"}) {
    for (const auto& entry : std::filesystem::directory_iterator(kSource / folder)) {
      if (is_recorded(entry.path())) kernels += read_text(entry.path());
    }
  }
  const std::vector<std::string> names = wrappers();
  EXPECT_GT(names.size(), 60u);
  for (const std::string& name : names) {
    EXPECT_TRUE(kernels.find("ptx::" + name + "(") != std::string::npos ||
                kernels.find("ptx::" + name + "<") != std::string::npos)
        << name << " is in no case of tests/emulator/golden";
  }
}

}  // namespace
}  // namespace prospect::emulator::golden
