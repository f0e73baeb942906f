#include "model/config_json.h"
#include "model/model.h"
#include "model/safetensors.h"
#include "model/tokenizer.h"
#include "tests/support/errors.h"
#include "tests/support/random.h"
#include "tests/support/temporary_folder.h"

namespace prospect {
namespace {

const std::filesystem::path kParity = std::filesystem::path(PROSPECT_SOURCE_DIR) / "tests/golden/parity";

Model load(const std::filesystem::path& path, DType dtype = DType::F32) {
  return load_model(path, {.dtype = dtype}, Device::cpu());
}

/// A small model of random weights.
Model small_model(ModelConfig config, const std::string& stored_dtype) {
  std::vector<ParameterSpec> specs = parameter_layout(config);
  Model model{std::move(config), Parameters(std::move(specs), DType::F32, Device::cpu(), false),
              stored_dtype};
  for (size_t i = 0; i < model.parameters.specs().size(); ++i) {
    const Tensor value = model.parameters[i].value();
    value.copy_from(test::normal_tensor(value.shape(), DType::F32, i));
  }
  return model;
}

ModelConfig small_config(const std::string& family) {
  ModelConfig config;
  config.model_type = family;
  config.vocab_size = 50;
  config.hidden_size = 16;
  config.layers = config.heads = config.kv_heads = 2;
  config.head_dim = 8;
  config.intermediate_size = 40;
  config.max_positions = 32;
  if (family == "llama") {
    config.norm = NormKind::RmsNorm;
    config.positions = PositionKind::Rotary;
    config.mlp = MlpKind::SwiGlu;
    config.kv_heads = 1;
    config.qkv_bias = config.output_bias = config.mlp_bias = config.tied_head = false;
    config.embedding_dropout = config.residual_dropout = 0;
  }
  return config;
}

/// Rewrites the model of a folder with one change to its list of tensors.
template <class Change>
void rewrite(const std::filesystem::path& folder, const Change& change) {
  std::vector<TensorSource> sources;
  {
    const SafetensorsFile file(folder / "model.safetensors");
    for (const StoredTensor& tensor : file.tensors()) {
      const std::vector<std::byte> bytes(tensor.bytes.begin(), tensor.bytes.end());
      const size_t row = bytes.size() / static_cast<size_t>(tensor.shape[0]);
      sources.push_back(
          {tensor.name, tensor.type, tensor.shape, [bytes, row](int64_t begin, int64_t end, std::byte* out) {
             std::copy(bytes.begin() + begin * static_cast<int64_t>(row),
                       bytes.begin() + end * static_cast<int64_t>(row), out);
           }});
    }
  }
  change(sources);
  write_safetensors({}, folder / "model.safetensors", sources, {});
}

TensorSource* named(std::vector<TensorSource>& sources, const std::string& name) {
  for (TensorSource& source : sources) {
    if (source.name == name) return &source;
  }
  return nullptr;
}

TEST(ModelFiles, ReadsTheModelsThatTransformersWrote) {
  for (const char* family : {"gpt2", "llama", "smollm", "llama3", "qwen2", "qwen3"}) {
    const Model model = load(kParity / family);
    EXPECT_EQ(model.stored_dtype, "F32");
    const SafetensorsFile file(kParity / family / "model.safetensors");
    int64_t count = 0;
    for (const StoredTensor& tensor : file.tensors()) count += element_count(tensor.shape);
    EXPECT_EQ(model.parameters.count(), count) << family;
  }
}

TEST(ModelFiles, TransposesConv1d) {
  const Model model = load(kParity / "gpt2");
  const SafetensorsFile file(kParity / "gpt2" / "model.safetensors");
  const StoredTensor* stored = file.find("transformer.h.1.attn.c_attn.weight");
  ASSERT_NE(stored, nullptr);
  std::vector<float> expected(64 * 192);
  decode<float>(*stored, 0, expected);
  const Tensor weight = model.parameters["layers.1.attention.qkv.weight"].value();
  for (int64_t out = 0; out < 192; ++out) {
    for (int64_t in = 0; in < 64; ++in) {
      ASSERT_EQ(weight.data<float>()[out * 64 + in], expected[static_cast<size_t>(in * 192 + out)]);
    }
  }
}

TEST(ModelFiles, PutsQueriesKeysAndValuesIntoOneParameter) {
  const Model model = load(kParity / "llama");
  const SafetensorsFile file(kParity / "llama" / "model.safetensors");
  const Tensor weight = model.parameters["layers.2.attention.qkv.weight"].value();
  int64_t row = 0;
  for (const char* part : {"q", "k", "v"}) {
    const StoredTensor* stored = file.find(std::string("model.layers.2.self_attn.") + part + "_proj.weight");
    ASSERT_NE(stored, nullptr);
    EXPECT_EQ(std::memcmp(weight.rows(row, row + stored->shape[0]).bytes(), stored->bytes.data(),
                          stored->bytes.size()),
              0);
    row += stored->shape[0];
  }
  EXPECT_EQ(row, weight.size(0));
}

TEST(ModelFiles, WritesTheSameTensorsThatItRead) {
  for (const char* family : {"gpt2", "llama", "smollm", "qwen2", "qwen3"}) {
    test::TemporaryFolder folder;
    save_model({}, load(kParity / family), folder.path(), kParity / family);
    const SafetensorsFile before(kParity / family / "model.safetensors");
    const SafetensorsFile after(folder.path() / "model.safetensors");
    EXPECT_EQ(after.metadata().at("format"), "pt");
    ASSERT_EQ(before.tensors().size(), after.tensors().size());
    for (const StoredTensor& tensor : before.tensors()) {
      const StoredTensor* again = after.find(tensor.name);
      ASSERT_NE(again, nullptr) << tensor.name;
      EXPECT_EQ(again->shape, tensor.shape);
      EXPECT_TRUE(std::equal(tensor.bytes.begin(), tensor.bytes.end(), again->bytes.begin())) << tensor.name;
    }
  }
}

TEST(ModelFiles, KeepsTheDtypeTheWeightsCameIn) {
  for (const std::string family : {"gpt2", "llama"}) {
    for (const std::string dtype : {"F16", "BF16", "F64"}) {
      if (family == "gpt2" && dtype != "BF16") continue;
      test::TemporaryFolder first, second;
      save_model({}, small_model(small_config(family), dtype), first.path(), "");
      const DType arena = dtype == "F64" ? DType::F64 : DType::F32;
      const Model model = load(first.path(), arena);
      EXPECT_EQ(model.stored_dtype, dtype);
      save_model({}, model, second.path(), first.path());
      EXPECT_EQ(test::read_file(first.path() / "model.safetensors"),
                test::read_file(second.path() / "model.safetensors"));
      EXPECT_EQ(test::read_file(first.path() / "config.json"),
                test::read_file(second.path() / "config.json"));
    }
  }
}

TEST(ModelFiles, ReadsIntoEveryDtype) {
  const Model single = load(kParity / "smollm"), twice = load(kParity / "smollm", DType::F64),
              half = load(kParity / "smollm", DType::BF16);
  for (size_t i = 0; i < single.parameters.specs().size(); ++i) {
    const Tensor value = single.parameters[i].value();
    EXPECT_EQ(to_doubles(value), to_doubles(twice.parameters[i].value()));
    EXPECT_EQ(to_doubles(convert(value, DType::BF16)), to_doubles(half.parameters[i].value()));
  }
}

TEST(ModelFiles, CopiesTheTokenizerByteForByte) {
  test::TemporaryFolder source, folder;
  save_model({}, small_model(small_config("gpt2"), "F32"), source.path(), "");
  const std::string text("{\"odd\": \"\0\xff\r\n\"}  ", 18);
  source.write("tokenizer.json", text);
  source.write("merges.txt", "");
  source.write("secret.txt", "not a model's file");
  save_model({}, load(source.path()), folder.path(), source.path());
  EXPECT_EQ(test::read_file(folder.path() / "tokenizer.json"), text);
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "merges.txt"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "secret.txt"));
}

TEST(ModelFiles, CopiesNoFileFromOutsideTheModelsFolder) {
  namespace fs = std::filesystem;
  const test::TemporaryFolder root;
  const fs::path source = root.path() / "repository/snapshots/1", blobs = root.path() / "repository/blobs";
  for (const fs::path& folder : {source, blobs, root.path() / "out"}) fs::create_directories(folder);
  const Model model = small_model(small_config("gpt2"), "F32");
  save_model({}, model, source, "");
  root.write("secret", "mine");
  root.write("repository/blobs/0123", "{{ messages }}");
  const fs::path link = source / "chat_template.jinja";
  const auto save_with = [&](const fs::path& target) {
    fs::remove(link);
    fs::create_symlink(target, link);
    require_side_files(source);
    save_model({}, model, root.path() / "out", source);
  };
  save_with("../../blobs/0123");
  EXPECT_EQ(test::read_file(root / "out/chat_template.jinja"), "{{ messages }}");
  EXPECT_FALSE(fs::is_symlink(root / "out/chat_template.jinja"));
  fs::remove_all(root.path() / "out");
  for (const fs::path& target : {fs::path("../../../secret"), root.path() / "secret"}) {
    EXPECT_TRUE(test::fails(ExitCode::BadData, "chat_template.jinja: is a link that leads out of this folder",
                            [&] { save_with(target); }));
  }
  EXPECT_TRUE(test::fails(ExitCode::BadData, "chat_template.jinja: is a link",
                          [&] { save_model({}, model, root.path() / "out", source); }));
  fs::remove(link);
  fs::create_directory(link);
  EXPECT_TRUE(
      test::fails(ExitCode::BadData, "jinja: not a regular file", [&] { require_side_files(source); }));
}

TEST(ModelFiles, WritesTheTokenizerOfAGgufSource) {
  const test::TemporaryFolder folder;
  save_model({}, small_model(small_config("llama"), "F32"), folder.path(),
             kParity / "../tokenizer/smollm.gguf");
  const std::string text = "The coffee, 1998's best<|end|>\n \U0001f600";
  EXPECT_EQ(Tokenizer::load(folder.path()).encode(text), Tokenizer::load(kParity / "smollm").encode(text));
}

TEST(ModelFiles, ReadsGpt2WithoutPrefixAndPassesOverItsBuffers) {
  test::TemporaryFolder folder;
  const Model model = small_model(small_config("gpt2"), "F32");
  save_model({}, model, folder.path(), "");
  rewrite(folder.path(), [](std::vector<TensorSource>& sources) {
    for (TensorSource& source : sources) source.name = source.name.substr(std::string("transformer.").size());
    sources.push_back({"h.0.attn.bias", StoredType::F32, {1, 1}, [](int64_t, int64_t, std::byte* out) {
                         std::fill_n(out, 4, std::byte{0});
                       }});
  });
  const Model again = load(folder.path());
  EXPECT_EQ(to_doubles(model.parameters.values()), to_doubles(again.parameters.values()));
}

TEST(ModelFiles, RefusesWeightsThatContradictTheConfig) {
  const auto refuses = [](const char* family, const std::string& words, const auto& change) {
    test::TemporaryFolder folder;
    save_model({}, small_model(small_config(family), "F32"), folder.path(), "");
    rewrite(folder.path(), change);
    return test::fails(ExitCode::BadData, words, [&] { load(folder.path()); });
  };
  using Sources = std::vector<TensorSource>;
  const std::string up = "model.layers.1.mlp.up_proj.weight";
  EXPECT_TRUE(refuses("llama", up + ": missing", [&](Sources& sources) {
    std::erase_if(sources, [&](const TensorSource& source) { return source.name == up; });
  }));
  EXPECT_TRUE(refuses("llama", "extra.weight: is no part of this llama model", [&](Sources& sources) {
    TensorSource extra = *named(sources, up);
    extra.name = "extra.weight";
    sources.push_back(extra);
  }));
  EXPECT_TRUE(
      refuses("llama", up + ": has shape [16, 40], the config makes it [40, 16]", [&](Sources& sources) {
        TensorSource& tensor = *named(sources, up);
        tensor.shape = {16, 40};
        tensor.rows = [](int64_t begin, int64_t end, std::byte* out) {
          std::fill_n(out, (end - begin) * 160, std::byte{0});
        };
      }));
  const auto add_head = [](Sources& sources, std::byte difference) {
    TensorSource head = *named(sources, "transformer.wte.weight");
    head.name = "lm_head.weight";
    head.rows = [rows = head.rows, difference](int64_t begin, int64_t end, std::byte* out) {
      rows(begin, end, out);
      out[0] ^= difference;
    };
    sources.push_back(head);
  };
  EXPECT_TRUE(refuses("gpt2", "lm_head.weight: differs from transformer.wte.weight",
                      [&](Sources& sources) { add_head(sources, std::byte{1}); }));
  EXPECT_FALSE(refuses("gpt2", "", [&](Sources& sources) { add_head(sources, std::byte{0}); }));
}

TEST(ModelFiles, NamesWhatIsMissing) {
  test::TemporaryFolder folder;
  const auto missing = [&](const std::string& words) {
    return test::fails(ExitCode::MissingInput, words, [&] { load(folder.path()); });
  };
  EXPECT_TRUE(test::fails(ExitCode::MissingInput, "no such model", [&] { load(folder.path() / "none"); }));
  EXPECT_TRUE(missing("config.json: cannot open"));
  folder.write("config.json", config_to_json(ModelConfig(), "F32"));
  EXPECT_TRUE(missing("neither model.safetensors nor model.safetensors.index.json"));
}

TEST(ModelFiles, LeavesNoModelWhereItCannotWrite) {
  const Model model = small_model(small_config("gpt2"), "F32");
  EXPECT_TRUE(test::fails(ExitCode::IoFailure, "model.safetensors: cannot write",
                          [&] { save_model({}, model, "/nonexistent/folder", ""); }));
}

}  // namespace
}  // namespace prospect
