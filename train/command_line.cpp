#include "train/command_line.h"

#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <filesystem>
#include <new>

#include "engine/files.h"
#include "engine/one_line.h"
#include "kernels/common/check.h"
#include "train/commands.h"
#include "train/trl_config.h"

namespace prospect {

namespace {

/// Every train option as --name-with-dashes; a flag also as --no-name.
void add_train_options(CLI::App& command, TrainOptions& options, std::string& config) {
  command
      .add_option(
          "--config", config,
          "a TOML file with these options, underscores for dashes, or the .json of a TRL KTOConfig; the "
          "command line wins")
      ->type_name("FILE");
  visit_options(options, [&](const char* name, auto& field, const char* kind, const char* help) {
    const std::string flag = with_dashes(name);
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, bool>) {
      command.add_flag("--" + flag + ",!--no-" + flag, field, help);
    } else {
      command.add_option("--" + flag, field, help)->type_name(kind)->capture_default_str();
    }
  });
}

void apply_config(TrainOptions& options, const std::string& path, const FileSystem& system) {
  const std::string text = read_text(path, 1 << 20, system);
  if (!path.ends_with(".json")) return apply_toml(options, text, path);
  const std::vector<std::string> ignored = apply_trl_config(options, text, path);
  if (!ignored.empty()) {
    fmt::print("{}: concern Python only, not used: {}\n", path, fmt::join(ignored, ", "));
  }
}

FileSystem file_system(const std::string& fault) {
  return fault.empty() ? FileSystem() : FileSystem(Fault::parse(fault));
}

/// The options of the run in --out. Empty where it has none but the command line has all it takes: the same
/// command then starts a run and goes on with it.
std::string config_to_resume(const TrainOptions& given) {
  if (given.out.empty()) fail(ExitCode::Usage, "--resume: name the folder of the run with --out");
  std::string config = given.out + "/config.toml";
  if (std::filesystem::exists(config)) return config;
  if (!given.model.empty() && !given.data.empty()) return "";
  fail(ExitCode::MissingInput,
       "--resume: there is no {}, so no run to go on with; start one without --resume, with --model and "
       "--data",
       config);
}

/// Defaults, then the config file, then what the command line gave.
TrainOptions merge(const CLI::App& command, const TrainOptions& given, std::string config,
                   const FileSystem& system) {
  TrainOptions merged;
  if (given.resume && config.empty()) {
    config = config_to_resume(given);
  }
  if (!config.empty()) apply_config(merged, config, system);
  visit_options(merged, [&](const char* name, auto& target, const char*, const char*) {
    if (command.count("--" + with_dashes(name)) == 0) return;
    visit_options(given, [&](const char* other, const auto& source, const char*, const char*) {
      if constexpr (std::is_same_v<std::remove_cvref_t<decltype(target)>,
                                   std::remove_cvref_t<decltype(source)>>) {
        if (std::string_view(name) == other) target = source;
      }
    });
  });
  return merged;
}

void add_threads(CLI::App& command, int64_t& threads) {
  command.add_option("--threads", threads, "CPU threads; 0: all")->type_name("N")->capture_default_str();
}
void add_dtype(CLI::App& command, std::string& dtype) {
  command.add_option("--dtype", dtype, "f32, bf16 or f64: storage of weights and activations")
      ->type_name("NAME")
      ->capture_default_str();
}
CLI::Option* add_text(CLI::App& command, const std::string& name, std::string& field, const std::string& kind,
                      const std::string& help) {
  return command.add_option(name, field, help)->type_name(kind);
}
void add_number(CLI::App& command, const std::string& name, int64_t& field, const std::string& help) {
  command.add_option(name, field, help)->type_name("N")->capture_default_str();
}
void add_number(CLI::App& command, const std::string& name, double& field, const std::string& help) {
  command.add_option(name, field, help)->type_name("X")->capture_default_str();
}

void add_score(CLI::App& app, ScoreOptions& options, const std::string& fault) {
  CLI::App& command =
      *app.add_subcommand("score", "log-probability of each row's completion, and its reward");
  add_text(command, "--model", options.model, "DIR_OR_GGUF", "the model that scores")->required();
  add_text(command, "--data", options.data, "ROWS", "rows with prompt and completion; labels are optional")
      ->required();
  add_text(command, "--out", options.out, "FILE", "a JSON line a row, in order")->required();
  add_text(command, "--reference", options.reference, "DIR_OR_GGUF", "adds reference_sum and reward");
  add_number(command, "--beta", options.beta, "factor of the reward");
  add_number(command, "--max-length", options.max_length,
             "tokens of prompt and completion; 0: the model's own limit");
  add_number(command, "--micro-batch-tokens", options.micro_batch_tokens, "tokens in memory at a time");
  add_dtype(command, options.dtype);
  add_threads(command, options.threads);
  command.callback([&] { run_score(options, file_system(fault)); });
}

void add_generate(CLI::App& app, GenerateOptions& options, const std::string& fault) {
  CLI::App& command = *app.add_subcommand("generate", "continue prompts");
  add_text(command, "--model", options.model, "DIR_OR_GGUF", "the model that writes")->required();
  add_text(command, "--prompt", options.prompt, "TEXT", "one prompt");
  add_text(command, "--data", options.data, "ROWS", "a prompt a line: {\"prompt\": ...}");
  add_text(command, "--out", options.out, "FILE",
           "JSON lines {prompt, completion}; without it, text on the terminal");
  add_number(command, "--max-new-tokens", options.max_new_tokens, "tokens to write at most");
  add_number(command, "--temperature", options.temperature, "0: always the likeliest token");
  add_number(command, "--top-k", options.top_k, "only the k likeliest tokens; 0: all");
  add_number(command, "--top-p", options.top_p,
             "only the likeliest tokens that together reach this probability");
  add_number(command, "--seed", options.seed, "the same seed writes the same text");
  add_number(command, "--batch-size", options.batch_size, "prompts at a time");
  add_dtype(command, options.dtype);
  add_threads(command, options.threads);
  command.callback([&] { run_generate(options, file_system(fault)); });
}

void add_inspect(CLI::App& app, InspectOptions& options) {
  CLI::App& command = *app.add_subcommand(
      "inspect", "model, data, label balance, suggested weights and a memory plan; runs nothing");
  add_text(command, "--model", options.model, "DIR_OR_GGUF", "a Hugging Face folder or a .gguf file")
      ->required();
  add_text(command, "--data", options.data, "ROWS", "feedback rows to look at");
  add_number(command, "--max-length", options.max_length, "as for train");
  add_number(command, "--micro-batch-tokens", options.micro_batch_tokens, "as for train");
  command.add_flag("--gradient-checkpointing", options.gradient_checkpointing, "as for train");
  add_dtype(command, options.dtype);
  command.callback([&options] { run_inspect(options); });
}

void add_convert(CLI::App& app, ConvertOptions& options, const std::string& fault) {
  CLI::App& command = *app.add_subcommand("convert", "a .gguf file as a Hugging Face folder");
  add_text(command, "--model", options.model, "DIR_OR_GGUF", "what to convert")->required();
  add_text(command, "--out", options.out, "DIR", "a new folder")->required();
  command.callback([&] { run_convert(options, file_system(fault)); });
}

int report(const Error& error) {
  fmt::print(stderr, "prospect: {}\n", one_line(error.what()));
  return static_cast<int>(error.code());
}

/// What CLI11 says, but for words that nothing takes: the first option among them, or the word where a
/// command should stand and which commands there are.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> unread = app.remaining(true);
  if (unread.empty()) return error.what();
  if (const auto named = app.get_subcommands(); !named.empty()) {
    const auto option = std::find_if(unread.begin(), unread.end(),
                                     [](const std::string& word) { return word.starts_with('-'); });
    return fmt::format("'{}' is not an option of prospect {}",
                       option == unread.end() ? unread.front() : *option, named.front()->get_name());
  }
  if (unread.front().starts_with('-')) return error.what();
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands({})) commands.push_back(command->get_name());
  return fmt::format("'{}' is not a command; there are {}", unread.front(), fmt::join(commands, ", "));
}

constexpr const char* kFooter =
    "A first run:  prospect inspect --model DIR --data rows.jsonl\n"
    "              prospect train   --model DIR --data rows.jsonl --out run --learning-rate 1e-5\n"
    "              prospect generate --model run/model --prompt \"...\"\n"
    "Exit codes: 0 ok, 2 usage, 65 bad data or model file, 66 missing input, 70 bug, 74 I/O failure,\n"
    "            75 stopped by a signal after a checkpoint, 78 bad configuration, 79 numeric stop.";

}  // namespace

int run_command_line(int argc, const char* const* argv) {
  CLI::App app{"Prospect aligns language models from binary feedback with KTO.", "prospect"};
  app.require_subcommand(1);
  app.footer(kFooter);
  app.set_version_flag("--version", "prospect " PROSPECT_VERSION);

  // For tests of what a failing disk leaves behind; an option without a group is in no help text.
  std::string fault;
  app.add_option("--fault", fault)->group("");
  app.fallthrough();

  TrainOptions train;
  std::string config;
  CLI::App& train_command = *app.add_subcommand("train", "align a model with feedback rows");
  add_train_options(train_command, train, config);
  train_command.callback([&] {
    const FileSystem system = file_system(fault);
    run_train(merge(train_command, train, config, system), system);
  });
  ScoreOptions score;
  add_score(app, score, fault);
  GenerateOptions generate;
  add_generate(app, generate, fault);
  InspectOptions inspect;
  add_inspect(app, inspect);
  ConvertOptions convert;
  add_convert(app, convert, fault);

  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    fmt::print(stderr, "prospect: {}\nSee prospect --help, or prospect COMMAND --help.\n",
               usage_message(app, error));
    return static_cast<int>(ExitCode::Usage);
  } catch (const Error& error) {
    return report(error);
  } catch (const std::filesystem::filesystem_error& error) {
    return report(Error(ExitCode::IoFailure, error.what()));
  } catch (const std::bad_alloc&) {
    return report(Error(ExitCode::BadConfig, "the machine has no memory left; see prospect inspect"));
  } catch (const std::exception& error) {
    return report(Error(ExitCode::Bug, std::string("internal error: ") + error.what()));
  }
}

}  // namespace prospect
