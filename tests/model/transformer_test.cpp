#include "model/transformer.h"

#include <gtest/gtest.h>

#include <array>

#include "model/initialise.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

ModelConfig gpt2_shape() {
  return {.vocab_size = 40,
          .hidden_size = 16,
          .layers = 2,
          .heads = 2,
          .kv_heads = 2,
          .head_dim = 8,
          .intermediate_size = 32,
          .max_positions = 32};
}

ModelConfig llama_shape() {
  return {.model_type = "llama",
          .vocab_size = 40,
          .hidden_size = 16,
          .layers = 2,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 8,
          .intermediate_size = 24,
          .max_positions = 32,
          .norm = NormKind::RmsNorm,
          .norm_epsilon = 1e-6,
          .positions = PositionKind::Rotary,
          .mlp = MlpKind::SwiGlu,
          .qkv_bias = false,
          .output_bias = false,
          .mlp_bias = false,
          .tied_head = false,
          .embedding_dropout = 0,
          .residual_dropout = 0};
}

ModelConfig llama3_shape() {
  ModelConfig config = llama_shape();
  config.llama3_rope = {.factor = 4, .original_positions = 16};
  return config;
}

ModelConfig mistral_shape() {
  ModelConfig config = llama_shape();
  config.model_type = "mistral";
  config.window = 3;
  return config;
}

ModelConfig qwen2_shape() {
  ModelConfig config = llama_shape();
  config.model_type = "qwen2";
  config.qkv_bias = true;
  config.window = 2;
  config.first_window_layer = 1;
  return config;
}

ModelConfig qwen3_shape() {
  ModelConfig config = llama_shape();
  config.model_type = "qwen3";
  config.qk_norm = true;
  return config;
}

struct NamedShape {
  const char* name;
  ModelConfig (*config)();
};
constexpr std::array kShapes = {NamedShape{"Gpt2", gpt2_shape},     NamedShape{"Llama", llama_shape},
                                NamedShape{"Llama3", llama3_shape}, NamedShape{"Mistral", mistral_shape},
                                NamedShape{"Qwen2", qwen2_shape},   NamedShape{"Qwen3", qwen3_shape}};

/// Weights far from their small initial values, so that every path matters.
Model lively_model(const ModelConfig& config, DType dtype = DType::F64) {
  Model model = random_model(config, 3, {.dtype = dtype, .trainable = true}, Device::cpu());
  const Tensor noise = normal_tensor(model.parameters.values().shape(), dtype, 11, 0.3);
  with_dtype(dtype, [&]<class T>() {
    T* values = model.parameters.values().data<T>();
    for (int64_t i = 0; i < noise.count(); ++i)
      values[i] = static_cast<T>(load(values[i]) + load(noise.data<T>()[i]));
  });
  return model;
}

/// Sequences of the given lengths, packed; the ids of sequence s are those of a stream seeded with first + s.
PackedTokens pack_lengths(const std::vector<int32_t>& lengths, int32_t first = 0) {
  std::vector<int32_t> ids, positions, bounds, examples;
  for (size_t s = 0; s < lengths.size(); ++s) {
    const auto begin = static_cast<int32_t>(ids.size()), end = begin + lengths[s];
    const auto example = first + static_cast<int32_t>(s);
    for (int32_t t = 0; t < lengths[s]; ++t) {
      ids.push_back((example * 17 + t * t * 5 + t) % 40);
      positions.push_back(t);
      examples.push_back(example);
    }
    bounds.insert(bounds.end(), {begin, end, begin, end});
  }
  const Device device = Device::cpu();
  return {Tensor::from(ids, device), Tensor::from(positions, device),
          Tensor::from(bounds, {std::ssize(lengths), 4}, device), Tensor::from(examples, device)};
}

/// sum(hidden * w): a scalar that depends on every output.
double weighted_hidden(const Transformer& transformer, const PackedTokens& tokens,
                       const ForwardOptions& options, bool differentiate) {
  const Variable hidden = transformer.hidden(tokens, options);
  const Tensor weights = normal_tensor(hidden.shape(), DType::F64, 5);
  double sum = 0;
  for (int64_t i = 0; i < weights.count(); ++i)
    sum += hidden.value().data<double>()[i] * weights.data<double>()[i];
  if (differentiate) backward(hidden, weights);
  return sum;
}

class TransformerOf : public testing::TestWithParam<NamedShape> {
 protected:
  ModelConfig config() const { return GetParam().config(); }
};

TEST_P(TransformerOf, GradientOfEveryParameterMatchesFiniteDifferences) {
  const Model model = lively_model(config());
  const Transformer transformer(model);
  const PackedTokens tokens = pack_lengths({5, 3});
  model.parameters.zero_gradients();
  weighted_hidden(transformer, tokens, {}, true);
  model.parameters.complete_gradients();
  constexpr double step = 1e-5;
  for (size_t p = 0; p < model.parameters.specs().size(); ++p) {
    const Tensor& value = model.parameters[p].value();
    // Two elements of each parameter: the ops have their own exhaustive checks, this one is for the wiring.
    for (const int64_t element : {value.count() / 3, value.count() - 1}) {
      double& x = value.data<double>()[element];
      const double kept = x;
      x = kept + step;
      const double above = weighted_hidden(transformer, tokens, {}, false);
      x = kept - step;
      const double below = weighted_hidden(transformer, tokens, {}, false);
      x = kept;
      const double expected = (above - below) / (2 * step);
      // Truncation h^2 |f'''| / 6 with third derivatives of order 100 in this net: 2e-9; roundoff 1e-14 / h.
      EXPECT_NEAR(model.parameters[p].grad().data<double>()[element], expected,
                  1e-6 * std::max(1.0, std::fabs(expected)))
          << model.parameters.specs()[p].name << " element " << element;
    }
  }
}

TEST_P(TransformerOf, PackedSequencesDoNotSeeEachOther) {
  const Model model = lively_model(config());
  const Transformer transformer(model);
  const Tensor packed = transformer.hidden(pack_lengths({5, 9, 1})).value();
  const Tensor alone = transformer.hidden(pack_lengths({9}, 1)).value();
  // The same sums in another blocking of the products: a few hundred roundings of values near 1.
  EXPECT_TRUE(near(packed.rows(5, 14), alone, 1e-13));
}

TEST_P(TransformerOf, RecomputedBlocksGiveTheSameGradient) {
  const Model model = lively_model(config());
  const Transformer transformer(model);
  const PackedTokens tokens = pack_lengths({6, 4});
  const auto gradient = [&](bool recompute_blocks) {
    model.parameters.zero_gradients();
    const ForwardOptions options{
        .dropout = true, .dropout_key = {.seed = 1, .step = 2}, .recompute_blocks = recompute_blocks};
    weighted_hidden(transformer, tokens, options, true);
    model.parameters.complete_gradients();
    return to_doubles(model.parameters.gradients());
  };
  EXPECT_EQ(gradient(true), gradient(false));
}

INSTANTIATE_TEST_SUITE_P(Families, TransformerOf, testing::ValuesIn(kShapes),
                         [](const auto& info) { return info.param.name; });

TEST(Transformer, DropoutChangesWithTheStepOnly) {
  const Model model = lively_model(gpt2_shape());
  const Transformer transformer(model);
  const PackedTokens tokens = pack_lengths({6});
  const auto at_step = [&](int64_t step) {
    const ForwardOptions options{.dropout = true, .dropout_key = {.seed = 1, .step = step}};
    return to_doubles(transformer.hidden(tokens, options).value());
  };
  EXPECT_EQ(at_step(1), at_step(1));
  EXPECT_NE(at_step(1), at_step(2));
  EXPECT_NE(at_step(1), to_doubles(transformer.hidden(tokens).value()));
}

TEST(RandomModel, DependsOnTheSeedAlone) {
  const auto values = [](uint64_t seed) {
    return to_doubles(random_model(gpt2_shape(), seed, {}, Device::cpu()).parameters.values());
  };
  EXPECT_EQ(values(1), values(1));
  EXPECT_NE(values(1), values(2));
}

TEST(RandomModel, MatricesHaveTheirDeviation) {
  const Model model = random_model({}, 1, {}, Device::cpu());
  double squares = 0;
  const auto values = to_doubles(model.parameters["layers.0.attention.qkv.weight"].value());
  for (const double value : values) squares += value * value;
  // 786432 draws: the deviation of the estimate is 0.02 / sqrt(2 n) = 1.6e-5, taken five times.
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(values.size())), 0.02, 8e-5);
  EXPECT_EQ(to_doubles(model.parameters["final_norm.weight"].value()), std::vector<double>(512, 1.0));
  EXPECT_EQ(to_doubles(model.parameters["layers.0.mlp.up.bias"].value()), std::vector<double>(2048, 0.0));
}

}  // namespace
}  // namespace prospect::test
