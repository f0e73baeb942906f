#include "model/config_json.h"

#include <nlohmann/json.hpp>

#include "model/layout.h"
#include "tests/support/errors.h"

namespace prospect {
namespace {

using Json = nlohmann::json;

const Json kGpt2 = {{"model_type", "gpt2"}, {"vocab_size", 500}, {"n_embd", 64},
                    {"n_layer", 3},         {"n_head", 4},       {"n_positions", 128}};
const Json kLlama = {{"model_type", "llama"},   {"vocab_size", 500},        {"hidden_size", 64},
                     {"num_hidden_layers", 2},  {"num_attention_heads", 4}, {"max_position_embeddings", 128},
                     {"intermediate_size", 176}};

ModelConfig read(const Json& json) {
  return config_from_json(json.dump(), "config.json");
}
Json with(Json json, const char* key, const Json& value) {
  json[key] = value;
  return json;
}
testing::AssertionResult refuses(const Json& json, const std::string& words) {
  return test::fails(ExitCode::BadData, words, [&] { read(json); });
}

TEST(ConfigJson, ReadsGpt2WithItsDefaults) {
  const ModelConfig config = read(kGpt2);
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.kv_heads, 4);
  EXPECT_EQ(config.intermediate_size, 256);
  EXPECT_EQ(config.norm, NormKind::LayerNorm);
  EXPECT_EQ(config.gelu, GeluKind::Tanh);
  EXPECT_TRUE(config.tied_head && config.qkv_bias && config.output_bias && config.mlp_bias);
  EXPECT_EQ(config.residual_dropout, 0.1);
  EXPECT_EQ(config.norm_epsilon, 1e-5);
  EXPECT_EQ(config.bos_token, -1);
}

TEST(ConfigJson, ReadsLlamaWithItsDefaults) {
  const ModelConfig config = read(kLlama);
  EXPECT_EQ(config.norm, NormKind::RmsNorm);
  EXPECT_EQ(config.positions, PositionKind::Rotary);
  EXPECT_EQ(config.mlp, MlpKind::SwiGlu);
  EXPECT_EQ(config.kv_heads, 4);
  EXPECT_EQ(config.rope_theta, 10000);
  EXPECT_EQ(config.norm_epsilon, 1e-6);
  EXPECT_FALSE(config.tied_head || config.qkv_bias || config.output_bias || config.mlp_bias);
  EXPECT_EQ(config.residual_dropout, 0);
}

TEST(ConfigJson, ReadsBothFormsOfTheRotaryBase) {
  EXPECT_EQ(read(with(kLlama, "rope_theta", 5e5)).rope_theta, 5e5);
  EXPECT_EQ(read(with(kLlama, "rope_parameters", {{"rope_theta", 1e5}, {"rope_type", "default"}})).rope_theta,
            1e5);
  EXPECT_TRUE(refuses(with(with(kLlama, "rope_theta", 5e5), "rope_parameters", {{"rope_theta", 1e5}}),
                      "config.json: rope_theta: 500000 contradicts rope_parameters.rope_theta 100000"));
  EXPECT_TRUE(
      refuses(with(kLlama, "rope_scaling", {{"type", "linear"}, {"factor", 2}}), "\"linear\" is not"));
  EXPECT_TRUE(refuses(with(kLlama, "rope_parameters", {{"rope_type", "yarn"}}), "\"yarn\" is not supported"));
}

const Json kLlama3Rope = {{"rope_type", "llama3"},  {"factor", 32.0},
                          {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0},
                          {"rope_theta", 500000.0}, {"original_max_position_embeddings", 8192}};

TEST(ConfigJson, ReadsBothFormsOfLlama3Rope) {
  const Llama3Rope expected{.factor = 32};
  const ModelConfig now = read(with(kLlama, "rope_parameters", kLlama3Rope));
  EXPECT_EQ(now.llama3_rope, expected);
  EXPECT_EQ(now.rope_theta, 5e5);
  Json older = kLlama3Rope;
  older.erase("rope_theta");
  older.erase("rope_type");
  older["type"] = "llama3";
  const ModelConfig before = read(with(with(kLlama, "rope_scaling", older), "rope_theta", 5e5));
  EXPECT_EQ(before.llama3_rope, expected);
  EXPECT_EQ(before.rope_theta, 5e5);
  older.erase("original_max_position_embeddings");
  EXPECT_EQ(read(with(kLlama, "rope_scaling", older)).llama3_rope->original_positions, 128);
  EXPECT_EQ(read(with(with(kLlama, "rope_scaling", older), "original_max_position_embeddings", 64))
                .llama3_rope->original_positions,
            64);
  EXPECT_EQ(read(with(kLlama, "rope_scaling", nullptr)).llama3_rope, std::nullopt);
}

TEST(ConfigJson, RefusesLlama3RopeThatContradictsItself) {
  const auto rope = [](const char* key, const Json& value) {
    return with(kLlama, "rope_parameters", with(kLlama3Rope, key, value));
  };
  EXPECT_TRUE(refuses(rope("factor", nullptr), "rope_parameters: factor: missing"));
  EXPECT_TRUE(refuses(rope("factor", 0.5), "factor: must be at least 1"));
  EXPECT_TRUE(refuses(rope("high_freq_factor", 1.0), "high_freq_factor: must be above low_freq_factor 1"));
  EXPECT_TRUE(refuses(rope("low_freq_factor", -1.0), "low_freq_factor: must be positive"));
  EXPECT_TRUE(refuses(rope("partial_rotary_factor", 0.5), "partial_rotary_factor: only 1"));
  const Json both =
      with(with(kLlama, "rope_parameters", kLlama3Rope), "rope_scaling", with(kLlama3Rope, "factor", 8.0));
  EXPECT_TRUE(refuses(both, "rope_scaling: contradicts rope_parameters"));
  EXPECT_TRUE(
      refuses(with(with(kLlama, "rope_parameters", kLlama3Rope), "original_max_position_embeddings", 64),
              "original_max_position_embeddings: 64 contradicts 8192"));
}

Json family(const char* model_type) {
  return with(kLlama, "model_type", model_type);
}

TEST(ConfigJson, ReadsWhatEachFamilyAddsToLlama) {
  const ModelConfig qwen2 = read(with(with(family("qwen2"), "sliding_window", 64), "num_key_value_heads", 2));
  EXPECT_TRUE(qwen2.qkv_bias);
  EXPECT_FALSE(qwen2.output_bias || qwen2.qk_norm || qwen2.tied_head);
  EXPECT_EQ(qwen2.window, 0);

  const ModelConfig qwen3 = read(with(family("qwen3"), "num_key_value_heads", nullptr));
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_FALSE(qwen3.qkv_bias || qwen3.output_bias);
  EXPECT_EQ(qwen3.head_dim, 128);
  EXPECT_EQ(qwen3.kv_heads, 4);

  const Json mistral = with(family("mistral"), "num_key_value_heads", 2);
  EXPECT_EQ(read(mistral).window, 4096);
  EXPECT_EQ(read(with(mistral, "sliding_window", nullptr)).window, 0);
  EXPECT_EQ(read(with(mistral, "sliding_window", 16)).window, 16);
  EXPECT_EQ(read(with(mistral, "sliding_window", 16)).attention_options(0).window, 16);
  EXPECT_TRUE(refuses(with(mistral, "sliding_window", -1), "sliding_window: must be in [1, "));
  EXPECT_TRUE(refuses(family("mistral"), "num_key_value_heads: 8 does not divide the 4 heads"));
}

TEST(ConfigJson, ReadsTheLayersOfQwensWindow) {
  const Json qwen = with(with(with(family("qwen2"), "num_key_value_heads", 2), "sliding_window", 16),
                         "use_sliding_window", true);
  EXPECT_EQ(read(qwen).first_window_layer, 28);
  const ModelConfig upper = read(with(qwen, "max_window_layers", 1));
  EXPECT_EQ(upper.attention_options(0).window, 0);
  EXPECT_EQ(upper.attention_options(1).window, 16);
  const auto listed = [&](const Json& types) { return with(qwen, "layer_types", types); };
  EXPECT_EQ(read(listed({"full_attention", "sliding_attention"})).first_window_layer, 1);
  EXPECT_TRUE(
      refuses(listed({"sliding_attention", "full_attention"}), "layer_types: only full_attention, then"));
  EXPECT_TRUE(refuses(listed({"full_attention"}), "layer_types: must list 2 layers"));
  EXPECT_TRUE(refuses(with(listed({"full_attention", "sliding_attention"}), "use_sliding_window", false),
                      "layer_types: sliding_attention without a window"));
}

TEST(ConfigJson, WritesEveryFamilySoThatItReadsTheSame) {
  const auto same = [](const Json& json) {
    const ModelConfig once = read(json);
    ModelConfig own = once;
    own.source_json.clear();
    for (const ModelConfig& config : {once, own}) {
      const ModelConfig again = config_from_json(config_to_json(config, "F32"), "c");
      EXPECT_EQ(again.model_type, once.model_type);
      EXPECT_EQ(again.llama3_rope, once.llama3_rope);
      EXPECT_EQ(again.rope_theta, once.rope_theta);
      EXPECT_EQ(again.qkv_bias, once.qkv_bias);
      EXPECT_EQ(again.output_bias, once.output_bias);
      EXPECT_EQ(again.qk_norm, once.qk_norm);
      EXPECT_EQ(again.head_dim, once.head_dim);
      EXPECT_EQ(again.kv_heads, once.kv_heads);
      EXPECT_EQ(again.window, once.window);
      EXPECT_EQ(again.attention_options(0).window, once.attention_options(0).window);
      EXPECT_EQ(again.attention_options(1).window, once.attention_options(1).window);
    }
  };
  same(with(kLlama, "rope_parameters", kLlama3Rope));
  same(with(kLlama, "rope_scaling", kLlama3Rope));
  const Json qwen2 = with(family("qwen2"), "num_key_value_heads", 2);
  same(qwen2);
  same(with(with(qwen2, "use_sliding_window", true), "max_window_layers", 1));
  same(with(with(family("qwen3"), "attention_bias", true), "num_key_value_heads", 1));
  for (const Json& window : {Json(nullptr), Json(16)}) {
    same(with(with(family("mistral"), "num_key_value_heads", 2), "sliding_window", window));
  }
  const Json written = Json::parse(config_to_json(read(with(kLlama, "rope_parameters", kLlama3Rope)), "F32"));
  EXPECT_EQ(written["rope_parameters"], written["rope_scaling"]);
  EXPECT_EQ(written["rope_theta"], 5e5);
}

TEST(ConfigJson, ReadsOneStopTokenOrAList) {
  EXPECT_EQ(read(with(kLlama, "eos_token_id", 7)).eos_tokens, std::vector<int32_t>{7});
  EXPECT_EQ(read(with(kLlama, "eos_token_id", {7, 9})).eos_tokens, (std::vector<int32_t>{7, 9}));
  EXPECT_TRUE(refuses(with(kLlama, "eos_token_id", 500), "eos_token_id: 500 is not below vocab_size 500"));
  EXPECT_TRUE(refuses(with(kLlama, "eos_token_id", "x"), "eos_token_id: must be an integer"));
}

TEST(ConfigJson, NamesTheArchitectureItDoesNotHave) {
  EXPECT_TRUE(refuses({{"model_type", "mixtral"}, {"architectures", {"MixtralForCausalLM"}}},
                      R"(model_type: "mixtral" (architectures: ["MixtralForCausalLM"]) is not supported)"));
  EXPECT_TRUE(refuses(with(kLlama, "architectures", {"LlamaForSequenceClassification"}),
                      "LlamaForSequenceClassification"));
}

TEST(ConfigJson, RefusesWhatItCannotComputeOrBelieve) {
  const auto llama = [](const char* key, const Json& value) { return with(kLlama, key, value); };
  const auto gpt2 = [](const char* key, const Json& value) { return with(kGpt2, key, value); };
  EXPECT_TRUE(refuses(llama("quantization_config", {{"bits", 4}}), "quantization_config: "));
  EXPECT_TRUE(refuses(llama("hidden_act", "gelu"), "hidden_act: "));
  EXPECT_TRUE(refuses(llama("num_attention_heads", 5), "num_attention_heads: 5 does not divide"));
  EXPECT_TRUE(refuses(llama("num_key_value_heads", 3), "num_key_value_heads: 3 does not divide"));
  EXPECT_TRUE(refuses(llama("head_dim", 12), "head_dim: must be a multiple of 8"));
  EXPECT_TRUE(refuses(llama("hidden_size", -64), "hidden_size: must be in [1, "));
  EXPECT_TRUE(refuses(llama("vocab_size", 1e12), "vocab_size: must be an integer"));
  EXPECT_TRUE(refuses(llama("vocab_size", 18446744073709551615u), "vocab_size: must be in"));
  EXPECT_TRUE(refuses(llama("num_hidden_layers", nullptr), "num_hidden_layers: missing"));
  EXPECT_TRUE(refuses(llama("rms_norm_eps", "small"), "rms_norm_eps: must be a number"));
  EXPECT_TRUE(refuses(llama("tie_word_embeddings", 1), "tie_word_embeddings: must be true or false"));
  EXPECT_TRUE(refuses(llama("rope_theta", -1), "rope_theta: must be positive"));
  EXPECT_TRUE(refuses(gpt2("activation_function", "relu"), "activation_function: \"relu\""));
  EXPECT_TRUE(refuses(gpt2("scale_attn_weights", false), "scale_attn_weights: only true"));
  EXPECT_TRUE(refuses(gpt2("resid_pdrop", 1), "resid_pdrop: must be in [0, 1)"));
  EXPECT_TRUE(refuses(gpt2("n_head", 3), "n_head: 3 does not divide"));
  EXPECT_TRUE(refuses(Json::array(), "must be a JSON object"));
}

TEST(ConfigJson, RefusesTextThatIsNotSoundJson) {
  const auto refuses_text = [](const std::string& text, const std::string& words) {
    return test::fails(ExitCode::BadData, words, [&] { config_from_json(text, "config.json"); });
  };
  EXPECT_TRUE(refuses_text("{\"model_type\":", "config.json: not valid JSON"));
  EXPECT_TRUE(refuses_text("{\"a\":1,\n\"a\":2}", "\"a\": this key stands twice"));
  EXPECT_TRUE(refuses_text("{\"a\":\"\xff\"}", "not valid JSON"));
  EXPECT_TRUE(refuses_text(std::string(100000, '['), "nested more than"));
  EXPECT_TRUE(refuses_text("\"" + std::string(300000, 'a') + "\"", "larger than"));
}

TEST(ConfigJson, KeepsUnknownKeysAndTheirOrderWhenItWritesAgain) {
  const std::string text =
      R"({"zebra":[1,2.5,"x"],"model_type":"llama","vocab_size":500,"hidden_size":64,"num_hidden_layers":2,)"
      R"("num_attention_heads":4,"max_position_embeddings":128,"intermediate_size":176,"eos_token_id":[1,2],)"
      R"("rope_scaling":null,"rope_theta":130000.0,"apple":{"pie":1e-05}})";
  const auto written = nlohmann::ordered_json::parse(config_to_json(config_from_json(text, "c"), "BF16"));
  auto expected = nlohmann::ordered_json::parse(text);
  expected["rope_parameters"] = {{"rope_theta", 130000.0}, {"rope_type", "default"}};
  expected["torch_dtype"] = "bfloat16";
  expected["dtype"] = "bfloat16";
  EXPECT_EQ(written.dump(), expected.dump());
}

TEST(ConfigJson, WritesWhatChangedIntoTheSource) {
  ModelConfig config = read(kGpt2);
  config.vocab_size = 512;
  config.eos_tokens = {3};
  const Json written = Json::parse(config_to_json(config, "F32"));
  EXPECT_EQ(written["vocab_size"], 512);
  EXPECT_EQ(written["eos_token_id"], 3);
  EXPECT_FALSE(written.contains("n_inner"));
}

TEST(ConfigJson, WritesACompleteConfigForAModelOfOurOwn) {
  ModelConfig config;
  config.eos_tokens = {5};
  ModelConfig again = config_from_json(config_to_json(config, "F32"), "c");
  EXPECT_EQ(again.vocab_size, 32000);
  EXPECT_EQ(again.hidden_size, 512);
  EXPECT_EQ(again.layers, 6);
  EXPECT_EQ(again.heads, 8);
  EXPECT_EQ(again.max_positions, 2048);
  EXPECT_EQ(again.intermediate_size, 2048);
  EXPECT_EQ(again.embedding_dropout, 0.1);
  EXPECT_EQ(again.eos_tokens, config.eos_tokens);

  ModelConfig llama = read(kLlama);
  llama.source_json.clear();
  llama.rope_theta = 130000;
  llama.tied_head = true;
  llama.kv_heads = 2;
  again = config_from_json(config_to_json(llama, "F16"), "c");
  EXPECT_EQ(again.rope_theta, 130000);
  EXPECT_TRUE(again.tied_head);
  EXPECT_EQ(again.kv_heads, 2);
  EXPECT_EQ(again.intermediate_size, 176);
}

TEST(ConfigJson, RefusesObjectsOfManyKeys) {
  std::string text = "{\"0\":0";
  for (int i = 1; i < 20'000; ++i) text += ",\"" + std::to_string(i) + "\":0";
  EXPECT_TRUE(test::fails(ExitCode::BadData, "c: more than 16384 keys in one object",
                          [&] { config_from_json(text + "}", "c"); }));
}

TEST(Layout, NamesGpt2TensorsAndTransposesItsProducts) {
  const auto specs = parameter_layout(read(kGpt2));
  ASSERT_EQ(specs.size(), 2u + 3 * 12 + 2);
  EXPECT_EQ(specs[0].name, "embedding.tokens.weight");
  EXPECT_EQ(specs[0].parts[0].name, "transformer.wte.weight");
  EXPECT_EQ(specs[1].parts[0].name, "transformer.wpe.weight");
  EXPECT_EQ(specs[1].shape, (Shape{128, 64}));
  EXPECT_EQ(specs[4].name, "layers.0.attention.qkv.weight");
  EXPECT_EQ(specs[4].parts[0].name, "transformer.h.0.attn.c_attn.weight");
  EXPECT_EQ(specs[4].shape, (Shape{192, 64}));
  EXPECT_TRUE(specs[4].parts[0].transposed);
  EXPECT_EQ(specs[4].kind, ParameterKind::Matrix);
  EXPECT_EQ(specs.back().name, "final_norm.bias");
  EXPECT_EQ(specs.back().parts[0].name, "transformer.ln_f.bias");
}

TEST(Layout, PutsQueriesKeysAndValuesBelowOneAnother) {
  const auto specs = parameter_layout(read(with(kLlama, "num_key_value_heads", 2)));
  ASSERT_EQ(specs.size(), 1u + 2 * 6 + 2);
  EXPECT_EQ(specs[2].name, "layers.0.attention.qkv.weight");
  EXPECT_EQ(specs[2].shape, (Shape{128, 64}));
  ASSERT_EQ(specs[2].parts.size(), 3u);
  EXPECT_EQ(specs[2].parts[2].name, "model.layers.0.self_attn.v_proj.weight");
  EXPECT_EQ(specs[2].parts[2].shape, (Shape{32, 64}));
  EXPECT_EQ(specs[5].name, "layers.0.mlp.gate_up.weight");
  EXPECT_EQ(specs[5].parts[0].name, "model.layers.0.mlp.gate_proj.weight");
  EXPECT_EQ(specs.back().parts[0].name, "lm_head.weight");
  EXPECT_EQ(parameter_layout(read(with(kLlama, "attention_bias", true))).size(), specs.size() + 4);
}

}  // namespace
}  // namespace prospect
