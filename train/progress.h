#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace prospect {

/// Prints "prospect: warning: ..." on standard error, in one line whatever the text quotes from a file.
void print_warning(std::string_view text);

/// Shows how far a run is and how long it still takes: a bar that redraws itself on a terminal, nothing
/// otherwise (the lines of metrics tell it there).
class Progress {
 public:
  /// `title` stands before the bar; `done` steps were made before this process.
  Progress(std::string title, int64_t done, int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(int64_t done, const std::string& note = "");
  /// Prints a line; a bar on the terminal moves below it.
  void line(const std::string& text);
  /// The same for a warning (print_warning).
  void warn(const std::string& text);
  /// "1h02m", "3m05s", "12s"
  static std::string duration(double seconds);
  /// Time that the steps not yet done will take at the pace so far; "" before the first.
  std::string time_left() const;

 private:
  void draw(const std::string& note) const;
  void erase() const;

  const std::string title_;
  const int64_t first_, total_;
  int64_t done_;
  const bool terminal_;
  std::string note_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace prospect
