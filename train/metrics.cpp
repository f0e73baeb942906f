#include "train/metrics.h"

#include <cmath>

#include <nlohmann/json.hpp>

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

/// All metrics that are ratios of sums over rows or tokens.
Metrics ratios(const Statistics& sums, double beta) {
  Metrics out;
  add_label_metrics(out, "chosen", sums, beta, S::kChosenRows, S::kChosenRatio, S::kChosenLogp,
                    S::kChosenLogit, S::kChosenTokens);
  add_label_metrics(out, "rejected", sums, beta, S::kRejectedRows, S::kRejectedRatio, S::kRejectedLogp,
                    S::kRejectedLogit, S::kRejectedTokens);
  if (sums[S::kChosenRows] > 0 && sums[S::kRejectedRows] > 0) {
    out.emplace_back("rewards/margins",
                     find_metric(out, "rewards/chosen", 0) - find_metric(out, "rewards/rejected", 0));
  }
  if (sums.rows() > 0) {
    out.emplace_back("rewards/accuracies", sums[S::kCorrect] / sums.rows());
    out.emplace_back("guards/saturated", sums[S::kSaturated] / sums.rows());
  }
  if (sums[S::kChosenRows] > 0) out.emplace_back("guards/lost", sums[S::kLost] / sums[S::kChosenRows]);
  if (sums[S::kCompletionTokens] > 0) {
    out.emplace_back("entropy", sums[S::kEntropySum] / sums[S::kCompletionTokens]);
  }
  return out;
}

/// The mean of each metric over the parts that have it.
Metrics mean_of_ratios(std::span<const Statistics> parts, double beta) {
  Metrics sums;
  std::vector<double> counts;
  for (const Statistics& part : parts) {
    for (const auto& [name, value] : ratios(part, beta)) {
      const auto same_name = [&](const auto& metric) { return metric.first == name; };
      const auto found = std::find_if(sums.begin(), sums.end(), same_name);
      if (found == sums.end()) {
        sums.emplace_back(name, value);
        counts.push_back(1);
      } else {
        found->second += value;
        counts[static_cast<size_t>(found - sums.begin())] += 1;
      }
    }
  }
  for (size_t i = 0; i < sums.size(); ++i) sums[i].second /= counts[i];
  return sums;
}

/// Whether the line says a step that is at most `step`.
bool is_until(const std::string& line, int64_t step) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return false;
  const auto at = json.find("step");
  return at != json.end() && at->is_number() && at->get<double>() <= static_cast<double>(step);
}

/// The lines of an earlier run that were written until `step`.
std::string lines_until(const FileSystem& system, const std::filesystem::path& path, int64_t step) {
  std::string kept;
  if (step == 0 || !std::filesystem::exists(path)) return kept;
  const std::string text = read_text(path, int64_t{1} << 32, system);
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // a line that a crash cut short
    const std::string line = text.substr(begin, end + 1 - begin);
    if (is_until(line, step)) kept += line;
    begin = end + 1;
  }
  return kept;
}

}  // namespace

Statistics StepRecord::total() const {
  Statistics sums;
  for (const GroupRecord& group : groups) sums.add(group.statistics);
  return sums;
}

void MetricsWindow::add(const StepRecord& step) {
  ++steps_;
  grad_norm_ += step.grad_norm;
  for (const GroupRecord& group : step.groups) {
    ++groups_;
    loss_ += group.statistics[S::kLossSum];
    z0_ += group.z0;
    kl_raw_ += group.statistics.kl_raw();
    kl_standard_error_ += group.statistics.kl_standard_error();
    if (averaging_ == Averaging::Groups || parts_.empty()) parts_.emplace_back();
    parts_.back().add(group.statistics);
  }
}

Metrics MetricsWindow::metrics(double beta) const {
  if (empty()) return {};
  const auto steps = static_cast<double>(steps_), groups = static_cast<double>(groups_);
  Metrics out{{"loss", loss_ / steps}, {"kl", z0_ / groups}};
  for (const auto& metric : mean_of_ratios(parts_, beta)) out.push_back(metric);
  out.emplace_back("kl/raw", kl_raw_ / groups);
  out.emplace_back("kl/se", kl_standard_error_ / groups);
  out.emplace_back("grad_norm", grad_norm_ / steps);
  return out;
}

double MetricsWindow::tokens() const {
  double sum = 0;
  for (const Statistics& part : parts_) sum += part[S::kTokens];
  return sum;
}

std::vector<double> MetricsWindow::state() const {
  std::vector<double> state{
      static_cast<double>(steps_), static_cast<double>(groups_), loss_, z0_, grad_norm_, kl_raw_,
      kl_standard_error_};
  for (const Statistics& part : parts_) state.insert(state.end(), part.sums.begin(), part.sums.end());
  return state;
}

void MetricsWindow::restore(std::span<const double> state, const std::string& source) {
  constexpr size_t kOwn = 7;
  if (state.size() < kOwn || (state.size() - kOwn) % S::kFields != 0) {
    fail(ExitCode::BadData, "{}: has {} numbers, expected {} and some times {}", source, state.size(), kOwn,
         static_cast<int>(S::kFields));
  }
  for (const double count : state.first(2)) {
    if (count >= 0 && count <= kMostCounted && count == std::floor(count)) continue;
    fail(ExitCode::BadData, "{}: {} is no count of steps or groups", source, count);
  }
  steps_ = static_cast<int64_t>(state[0]);
  groups_ = static_cast<int64_t>(state[1]);
  loss_ = state[2];
  z0_ = state[3];
  grad_norm_ = state[4];
  kl_raw_ = state[5];
  kl_standard_error_ = state[6];
  parts_.clear();
  for (size_t at = kOwn; at < state.size(); at += S::kFields) {
    std::copy_n(state.begin() + static_cast<std::ptrdiff_t>(at), S::kFields,
                parts_.emplace_back().sums.begin());
  }
}

namespace {

/// The file with the lines that are to stay.
const std::filesystem::path& kept_until(const FileSystem& system, const std::filesystem::path& path,
                                        int64_t step) {
  write_atomically(system, path, lines_until(system, path, step));
  return path;
}

}  // namespace

MetricsLog::MetricsLog(const FileSystem& system, const std::filesystem::path& path, int64_t step)
    : file_(system, kept_until(system, path, step)) {}

void MetricsLog::write(const Metrics& metrics) {
  file_.append(to_json(metrics) + "\n");
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
