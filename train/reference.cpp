#include "train/reference.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "engine/program.h"
#include "kernels/common/check.h"
#include "model/config_json.h"
#include "train/batch_pass.h"
#include "train/commands.h"
#include "train/progress.h"
#include "train/scoring.h"
#include "train/stop_request.h"

namespace prospect {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kLimitBytes = int64_t{4} << 30;  // of the user's own folder

/// The folder that --reference-cache means; empty for none.
fs::path cache_folder(const std::string& option) {
  if (option == "none") return {};
  if (option != "auto") return option;
  const char* caches = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (caches != nullptr && fs::path(caches).is_absolute()) return fs::path(caches) / "prospect/reference";
  if (home != nullptr && fs::path(home).is_absolute()) return fs::path(home) / ".cache/prospect/reference";
  return {};
}

/// All that a log-probability depends on besides the tokens.
Hash128 identity_of(const TrainOptions& options, const ModelConfig& config, const Hash128& program) {
  Digest digest;
  digest.add(program.hex()).add(options.dtype);
  if (options.from_scratch && options.reference.empty()) {
    digest.add("drawn").add(std::to_string(options.seed)).add(config_to_json(config, config.stored_dtype));
  } else {
    digest.add("stored").add(
        model_digest(options.reference.empty() ? options.model : options.reference).hex());
  }
  return digest.value();
}

/// Nothing where the system does not let the program read itself.
std::optional<Hash128> own_digest() {
  try {
    return program_digest();
  } catch (const Error& error) {
    print_warning(fmt::format("{}; the reference's log-probabilities cannot be kept", error.what()));
    return std::nullopt;
  }
}

ReferenceCache::Options cache_options(const TrainOptions& options, const ModelConfig& config,
                                      const FileSystem& system) {
  ReferenceCache::Options cache{.dtype = compute_dtype(parse_dtype(options.dtype)),
                                .limit_bytes = options.reference_cache == "auto" ? kLimitBytes : 0,
                                .warn = print_warning,
                                .system = system};
  const fs::path folder = cache_folder(options.reference_cache);
  const std::optional<Hash128> program = folder.empty() ? std::nullopt : own_digest();
  if (!program) return cache;
  cache.folder = folder;
  cache.identity = identity_of(options, config, *program);
  return cache;
}

/// By the tokens and where the prompt ends.
Hash128 key_of(const Sequence& sequence) {
  return Digest().add(std::as_bytes(sequence.prompt)).add(std::as_bytes(sequence.completion)).value();
}

/// When to put results in a file: a run that is killed loses a second's work, or a tenth of it. Later than
/// ten seconds that is also when to say so.
class FlushClock {
 public:
  bool flush_due() {
    const auto now = Clock::now();
    if (now - last_ < std::max<Clock::duration>(std::chrono::seconds(1), (now - start_) / 10)) return false;
    last_ = now;
    return true;
  }
  bool line_due() const { return last_ - start_ > std::chrono::seconds(10); }

 private:
  const Clock::time_point start_ = Clock::now();
  Clock::time_point last_ = start_;
};

void require_finite(const Tensor& values, const Corpus& corpus, const Sequence& sequence) {
  const auto list = to_doubles(values);
  if (std::all_of(list.begin(), list.end(), [](double value) { return std::isfinite(value); })) return;
  fail(ExitCode::NumericStop,
       "{}:{} prompt: the reference gives a completion after it a log-probability that is not finite",
       corpus.data, corpus.examples.list[static_cast<size_t>(sequence.example)].line);
}

}  // namespace

Reference::Reference(const TrainOptions& options, const RunInputs& inputs, int64_t first_step,
                     const FileSystem& system)
    : inputs_(inputs),
      micro_batch_tokens_(options.micro_batch_tokens),
      cache_(cache_options(options, inputs.corpus.config, system)) {
  look_up(options, inputs.corpus, first_step, planned_steps(options, plan_of(options, inputs.corpus)));
  if (inputs.held_out) {
    look_up(options, *inputs.held_out, 0, plan_of(options, *inputs.held_out).steps_per_epoch());
  }
  if (missing_.empty() || options.reference.empty()) return;
  model_ = load_model(options.reference, {.dtype = parse_dtype(options.dtype)},
                      inputs.policy.parameters.values().device());
}

void Reference::look_up(const TrainOptions& options, const Corpus& corpus, int64_t first_step,
                        int64_t last_step) {
  BatchPlan plan = plan_of(options, corpus);
  for (int64_t step = first_step; step < last_step; ++step) {
    const StepPlan batch = plan.step(step);
    for (const Sequence& row : matched_sequences(corpus.examples.list, batch)) look_up(row, corpus);
    if (objective_kind(options) != ObjectiveKind::Kto) continue;
    for (const Sequence& pair : mismatched_sequences(corpus.examples.list, batch, corpus.max_length)) {
      look_up(pair, corpus);
    }
  }
}

void Reference::look_up(const Sequence& sequence, const Corpus& corpus) {
  const Hash128 key = key_of(sequence);
  if (planned_.insert(key).second && !cache_.contains(key)) missing_.push_back({sequence, key, &corpus});
}

void Reference::complete() {
  const auto start = Clock::now();
  if (!missing_.empty()) compute_missing();
  report(std::chrono::duration<double>(Clock::now() - start).count());
  cache_.merge();
  cache_.trim();
  missing_ = {};
  model_.reset();
}

void Reference::compute_missing() {
  cache_.prepare();
  const Transformer reference(model_ ? *model_ : inputs_.policy);
  std::vector<int64_t> lengths;
  for (const Planned& planned : missing_) lengths.push_back(planned.sequence.input_tokens());
  const int64_t tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  int64_t done_tokens = 0;
  Progress progress("reference, tokens", 0, tokens);
  FlushClock clock;
  const StopRequest stop;
  const std::vector<MicroBatch> micro_batches = split_by_tokens(lengths, micro_batch_tokens_).front();
  for (const MicroBatch& members : micro_batches) {
    if (stop.made()) break;
    done_tokens += compute_batch(reference, members);
    progress.advance(done_tokens);
    if (!clock.flush_due()) continue;
    cache_.flush();
    if (clock.line_due()) {
      progress.line(fmt::format("reference: {:.0f} % computed, {} left",
                                100.0 * static_cast<double>(done_tokens) / static_cast<double>(tokens),
                                progress.time_left()));
    }
  }
  cache_.flush();
  if (done_tokens < tokens) {
    fail(ExitCode::Preempted, "stopped before the first step, at {} of {} tokens of the reference{}",
         done_tokens, tokens, cache_.kept() ? "; the same command goes on from there" : "");
  }
}

int64_t Reference::compute_batch(const Transformer& reference, const MicroBatch& members) {
  std::vector<Sequence> sequences;
  int64_t tokens = 0;
  for (const int64_t member : members) {
    sequences.push_back(missing_[static_cast<size_t>(member)].sequence);
    tokens += sequences.back().input_tokens();
  }
  const auto values = score_sequences(reference, sequences, tokens).log_probabilities;
  for (size_t i = 0; i < members.size(); ++i) {
    const Planned& planned = missing_[static_cast<size_t>(members[i])];
    require_finite(values[i], *planned.corpus, planned.sequence);
    cache_.add(planned.key, values[i]);
  }
  return tokens;
}

void Reference::report(double seconds) const {
  const int64_t missing = std::ssize(missing_), found = std::ssize(planned_) - missing;
  std::string text = fmt::format("reference: {} sequences from the cache, {} computed", found, missing);
  if (missing > 0) text += fmt::format(" in {:.1f} s", seconds);
  if (cache_.damaged() > 0) text += fmt::format(" ({} damaged in the cache)", cache_.damaged());
  if (missing == 0) text += ", not loaded";
  fmt::print("{}\n", text);
}

std::vector<Tensor> Reference::log_probabilities(std::span<const Sequence> sequences) const {
  const Device& device = inputs_.policy.parameters.values().device();
  std::vector<Tensor> found;
  for (const Sequence& sequence : sequences) found.push_back(cache_.find(key_of(sequence), device));
  return found;
}

}  // namespace prospect
