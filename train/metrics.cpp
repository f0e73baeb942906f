#include "train/metrics.h"

#include <cerrno>
#include <cmath>
#include <cstring>

#include <nlohmann/json.hpp>

#include "engine/files.h"
#include "kernels/common/check.h"

namespace prospect {

namespace {

using S = Statistics;

/// rewards, log-probabilities and logits of the rows of one label.
void add_label_metrics(Metrics& out, const std::string& label, const Statistics& sums, double beta,
                       S::Field rows, S::Field ratio, S::Field logp, S::Field logit, S::Field tokens) {
  if (sums[rows] == 0) return;
  out.emplace_back("rewards/" + label, beta * sums[ratio] / sums[rows]);
  out.emplace_back("logps/" + label, sums[logp] / sums[rows]);
  out.emplace_back("logits/" + label, sums[logit] / sums[tokens]);
}

/// The lines of an earlier run whose step is at most `step`.
std::string lines_until(const std::filesystem::path& path, int64_t step) {
  std::string kept;
  if (step == 0 || !std::filesystem::exists(path)) return kept;
  const std::string text = read_text(path, int64_t{1} << 32);
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // a line that a crash cut short
    const std::string line = text.substr(begin, end + 1 - begin);
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (json.is_object() && json.value("step", int64_t{0}) <= step) kept += line;
    begin = end + 1;
  }
  return kept;
}

}  // namespace

void MetricsWindow::add(const StepRecord& step) {
  sums_.add(step.statistics);
  ++steps_;
  z0_ += step.z0;
  grad_norm_ += step.grad_norm;
  kl_raw_ += step.statistics.kl_raw();
  kl_standard_error_ += step.statistics.kl_standard_error();
}

Metrics MetricsWindow::metrics(double beta) const {
  const auto steps = static_cast<double>(steps_);
  Metrics out{{"loss", sums_[S::kLossSum] / steps}, {"kl", z0_ / steps}};
  add_label_metrics(out, "chosen", sums_, beta, S::kChosenRows, S::kChosenRatio, S::kChosenLogp,
                    S::kChosenLogit, S::kChosenTokens);
  add_label_metrics(out, "rejected", sums_, beta, S::kRejectedRows, S::kRejectedRatio, S::kRejectedLogp,
                    S::kRejectedLogit, S::kRejectedTokens);
  if (sums_[S::kChosenRows] > 0 && sums_[S::kRejectedRows] > 0) {
    out.emplace_back("rewards/margins",
                     find_metric(out, "rewards/chosen", 0) - find_metric(out, "rewards/rejected", 0));
  }
  if (sums_.rows() > 0) out.emplace_back("rewards/accuracies", sums_[S::kCorrect] / sums_.rows());
  if (sums_[S::kCompletionTokens] > 0) {
    out.emplace_back("entropy", sums_[S::kEntropySum] / sums_[S::kCompletionTokens]);
  }
  out.emplace_back("kl/raw", kl_raw_ / steps);
  out.emplace_back("kl/se", kl_standard_error_ / steps);
  out.emplace_back("grad_norm", grad_norm_ / steps);
  return out;
}

std::vector<double> MetricsWindow::state() const {
  std::vector<double> state(sums_.sums.begin(), sums_.sums.end());
  state.insert(state.end(), {static_cast<double>(steps_), z0_, grad_norm_, kl_raw_, kl_standard_error_});
  return state;
}

void MetricsWindow::restore(std::span<const double> state) {
  if (state.size() != Statistics::kFields + 5) {
    fail(ExitCode::BadData, "checkpoint: the state of the metrics has {} numbers, expected {}", state.size(),
         Statistics::kFields + 5);
  }
  std::copy_n(state.begin(), Statistics::kFields, sums_.sums.begin());
  const auto rest = state.subspan(Statistics::kFields);
  steps_ = static_cast<int64_t>(rest[0]);
  z0_ = rest[1];
  grad_norm_ = rest[2];
  kl_raw_ = rest[3];
  kl_standard_error_ = rest[4];
}

MetricsLog::MetricsLog(std::filesystem::path path, int64_t step) : path_(std::move(path)) {
  write_atomically(path_, lines_until(path_, step));
  file_ = std::fopen(path_.c_str(), "a");
  if (file_ == nullptr)
    fail(ExitCode::IoFailure, "{}: cannot write: {}", path_.string(), std::strerror(errno));
}

MetricsLog::~MetricsLog() {
  std::fclose(file_);
}

void MetricsLog::write(const Metrics& metrics) {
  const std::string line = to_json(metrics) + "\n";
  if (std::fwrite(line.data(), 1, line.size(), file_) != line.size() || std::fflush(file_) != 0) {
    fail(ExitCode::IoFailure, "{}: cannot write: {}", path_.string(), std::strerror(errno));
  }
}

double find_metric(const Metrics& metrics, std::string_view name, double otherwise) {
  for (const auto& [key, value] : metrics) {
    if (key == name) return value;
  }
  return otherwise;
}

std::string to_json(const Metrics& metrics) {
  std::string text = "{";
  for (const auto& [name, value] : metrics) {
    const std::string number = std::isfinite(value) ? fmt::format("{}", value) : "null";
    text += fmt::format("{}\"{}\": {}", text.size() > 1 ? ", " : "", name, number);
  }
  return text + "}";
}

}  // namespace prospect
