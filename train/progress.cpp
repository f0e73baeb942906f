#include "train/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "engine/one_line.h"

namespace prospect {

namespace {
constexpr int64_t kWidth = 24;
}

void print_warning(std::string_view text) {
  fmt::print(stderr, "prospect: warning: {}\n", one_line(text));
}

Progress::Progress(std::string title, int64_t done, int64_t total)
    : title_(std::move(title)),
      first_(done),
      total_(total),
      done_(done),
      terminal_(::isatty(STDERR_FILENO) != 0),
      start_(std::chrono::steady_clock::now()) {
  draw("");
}

Progress::~Progress() {
  erase();
}

void Progress::advance(int64_t done, const std::string& note) {
  done_ = done;
  if (!note.empty()) note_ = note;
  draw(note_);
}

void Progress::line(const std::string& text) {
  erase();
  fmt::print("{}\n", text);
  std::fflush(stdout);
  draw(note_);
}

void Progress::warn(const std::string& text) {
  erase();
  print_warning(text);
  draw(note_);
}

std::string Progress::duration(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (whole >= 3600) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  if (whole >= 60) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}s", whole);
}

std::string Progress::time_left() const {
  if (done_ == first_) return "";
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
  return duration(passed.count() / static_cast<double>(done_ - first_) * static_cast<double>(total_ - done_));
}

void Progress::draw(const std::string& note) const {
  if (!terminal_) return;
  const int64_t filled = total_ > 0 ? std::min(kWidth, kWidth * done_ / total_) : kWidth;
  const std::string left = time_left();
  const std::string bar =
      std::string(static_cast<size_t>(filled), '#') + std::string(static_cast<size_t>(kWidth - filled), '.');
  fmt::print(stderr, "\r\033[K{} [{}] {}/{}{}{}", title_, bar, done_, total_,
             left.empty() ? "" : ", " + left + " left", note.empty() ? "" : "  " + note);
  std::fflush(stderr);
}

void Progress::erase() const {
  if (!terminal_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

}  // namespace prospect
