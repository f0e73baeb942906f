#include <fmt/core.h>

#include <optional>

#include <nlohmann/json.hpp>

#include "engine/files.h"
#include "model/generate.h"
#include "model/tokenizer.h"
#include "train/commands.h"
#include "train/progress.h"
#include "train/rows.h"

namespace prospect {

namespace {

void check_generate_options(const GenerateOptions& options) {
  if (options.prompt.empty() == options.data.empty()) {
    fail(ExitCode::Usage,
         "generate: give either --prompt TEXT or --data FILE with rows that have a \"prompt\"");
  }
  if (options.max_new_tokens <= 0) fail(ExitCode::BadConfig, "--max-new-tokens: must be above 0");
  if (!(options.temperature >= 0)) fail(ExitCode::BadConfig, "--temperature: must not be negative");
  if (options.top_k < 0) fail(ExitCode::BadConfig, "--top-k: must not be negative");
  if (!(options.top_p > 0 && options.top_p <= 1)) fail(ExitCode::BadConfig, "--top-p: must be in (0, 1]");
  if (options.batch_size <= 0) fail(ExitCode::BadConfig, "--batch-size: must be above 0");
}

/// Every prompt is known to have a continuation before the first one is written.
void check_prompts(const std::vector<Prompt>& prompts, const std::vector<std::vector<int32_t>>& ids,
                   const ModelConfig& config, const GenerateOptions& options) {
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::string place =
        options.data.empty() ? "--prompt" : fmt::format("{}:{} prompt", options.data, prompts[i].line);
    if (ids[i].empty()) fail(ExitCode::BadData, "{}: has no tokens", place);
    if (options.max_new_tokens > config.max_positions - std::ssize(ids[i])) {
      fail(ExitCode::BadData, "{}: has {} tokens; with {} new ones that passes the model's {} positions",
           place, ids[i].size(), options.max_new_tokens, config.max_positions);
    }
    for (const int32_t id : ids[i]) {
      if (id >= config.vocab_size) {
        fail(ExitCode::BadData, "{}: the tokenizer gives token {}, but the model has {} of them", place, id,
             config.vocab_size);
      }
    }
  }
}

std::string json_line(const std::string& prompt, const std::string& completion) {
  const nlohmann::ordered_json line{{"prompt", prompt}, {"completion", completion}};
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

void run_generate(const GenerateOptions& options, const FileSystem& system) {
  check_generate_options(options);
  use_threads(options.threads);
  const std::vector<Prompt> prompts =
      options.data.empty() ? std::vector<Prompt>{{options.prompt}} : read_prompts(options.data);
  const Tokenizer tokenizer = Tokenizer::load(options.model);
  std::vector<std::vector<int32_t>> ids;
  for (const Prompt& prompt : prompts) ids.push_back(tokenizer.encode(prompt.text));
  check_prompts(prompts, ids, load_config(options.model), options);
  std::optional<AtomicFile> file;
  if (!options.out.empty()) {
    require_another_file(options.out, options.data);
    file.emplace(system, options.out);
  }
  const Model model = load_model(options.model, {.dtype = parse_dtype(options.dtype)}, Device::cpu());
  const Transformer transformer(model);
  const SamplingOptions sampling{.max_new_tokens = options.max_new_tokens,
                                 .temperature = options.temperature,
                                 .top_k = options.top_k,
                                 .top_p = options.top_p,
                                 .seed = static_cast<uint64_t>(options.seed),
                                 .token_limit = tokenizer.size()};
  Progress progress("generate", 0, std::ssize(prompts));
  for (size_t begin = 0; begin < ids.size(); begin += static_cast<size_t>(options.batch_size)) {
    const size_t end = std::min(ids.size(), begin + static_cast<size_t>(options.batch_size));
    const std::vector<std::vector<int32_t>> batch(ids.begin() + static_cast<int64_t>(begin),
                                                  ids.begin() + static_cast<int64_t>(end));
    const auto answers = generate(transformer, batch, sampling, static_cast<int64_t>(begin));
    for (size_t i = 0; i < answers.size(); ++i) {
      const std::string text = tokenizer.decode(answers[i], true);
      if (options.out.empty()) progress.line(prompts[begin + i].text + text);
      if (file) file->write(json_line(prompts[begin + i].text, text));
    }
    progress.advance(static_cast<int64_t>(end));
  }
  if (!file) return;
  file->commit();
  progress.line(fmt::format("{}: {} continuations", options.out, prompts.size()));
}

}  // namespace prospect
