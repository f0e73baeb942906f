#include "model/tokenizer/regex.h"

#include <oniguruma.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <mutex>

#include "kernels/common/check.h"
#include "model/tokenizer/unicode.h"

namespace prospect::tokenization {
namespace {

// The longest known pattern has some 2000 bytes.
constexpr size_t kLongestPattern = 16384;
// A sound pattern gives back each character of a run a few times; 40 bytes of stack each.
constexpr unsigned long kRetries = 1'000'000, kRetriesPerByte = 16;
constexpr unsigned kStackEntries = 8'000'000;
// Steps that are no retries have no limit in the library: a look-ahead may walk to the end of the text from
// each character. In a long text the characters are tried one by one, and the time is looked at: twenty times
// what patterns of published models take, in the thread's own time, so that a busy machine changes nothing.
constexpr size_t kShortText = 1 << 14;
constexpr int kCallsBetweenLooks = 64;
constexpr int kOutOfTime = -100'000;  // beside the library's codes
constexpr double kSeconds = 1, kSecondsPerByte = 2e-6;

const OnigUChar* bytes_of(const char* text) {
  return reinterpret_cast<const OnigUChar*>(text);
}

std::string message_of(int code, OnigErrorInfo* info) {
  std::array<OnigUChar, ONIG_MAX_ERROR_MESSAGE_LEN> text;
  const int length = onig_error_code_to_str(text.data(), code, info);
  return std::string(reinterpret_cast<const char*>(text.data()), static_cast<size_t>(length));
}

void start_library() {
  static std::once_flag once;
  std::call_once(once, [] {
    OnigEncoding encoding = ONIG_ENCODING_UTF8;
    onig_initialize(&encoding, 1);
  });
}

bool has_search_anchor(std::string_view pattern) {
  for (size_t at = 0; at + 1 < pattern.size(); ++at) {
    if (pattern[at] != '\\') continue;
    if (pattern[++at] == 'G') return true;
  }
  return false;
}

double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// One pass over a text: limits and the place for a match.
class Search {
 public:
  Search(regex_t* regex, std::string_view text)
      : regex_(regex), text_(text), param_(onig_new_match_param()), region_(onig_region_new()) {
    const unsigned long retries = kRetries + kRetriesPerByte * text.size();
    onig_set_retry_limit_in_match_of_match_param(param_, retries);
    onig_set_retry_limit_in_search_of_match_param(param_, retries);
    onig_set_match_stack_limit_size_of_match_param(param_, kStackEntries);
  }
  ~Search() {
    onig_region_free(region_, 1);
    onig_free_match_param(param_);
  }
  Search(const Search&) = delete;
  Search& operator=(const Search&) = delete;

  /// ONIG_MISMATCH, kOutOfTime, another negative error, or the beginning of the match that range() tells.
  int from(size_t at) {
    if (text_.size() <= kShortText) return out_of_time() ? kOutOfTime : search(at);
    for (; at < text_.size(); at += scalar_at(text_, at).bytes) {
      if (out_of_time()) return kOutOfTime;
      const int code = match(at);
      if (code >= 0) return static_cast<int>(at);
      if (code != ONIG_MISMATCH) return code;
    }
    return ONIG_MISMATCH;
  }
  Range range() const { return {static_cast<size_t>(region_->beg[0]), static_cast<size_t>(region_->end[0])}; }

 private:
  /// Looks at every few calls only.
  bool out_of_time() {
    if (++calls_ % kCallsBetweenLooks != 0) return false;
    return thread_seconds() - begin_ > kSeconds + kSecondsPerByte * static_cast<double>(text_.size());
  }
  /// For a match that begins at `at` or later.
  int search(size_t at) {
    const OnigUChar *begin = bytes_of(text_.data()), *end = begin + text_.size();
    return onig_search_with_param(regex_, begin, end, begin + at, end, region_, ONIG_OPTION_NONE, param_);
  }
  /// For a match that begins at `at`.
  int match(size_t at) {
    const OnigUChar *begin = bytes_of(text_.data()), *end = begin + text_.size();
    return onig_match_with_param(regex_, begin, end, begin + at, region_, ONIG_OPTION_NONE, param_);
  }

  regex_t* regex_;
  std::string_view text_;
  OnigMatchParam* param_;
  OnigRegion* region_;
  double begin_ = thread_seconds();
  int64_t calls_ = 0;
};

}  // namespace

void Regex::Free::operator()(re_pattern_buffer* regex) const {
  onig_free(regex);
}

Regex::Regex(const std::string& pattern, std::string source) : source_(std::move(source)) {
  start_library();
  if (pattern.size() > kLongestPattern) {
    fail(ExitCode::BadData, "{}: a pattern of {} bytes; {} are the limit", source_, pattern.size(),
         kLongestPattern);
  }
  // It would tie a match to where a search begins, which is of our choosing.
  if (has_search_anchor(pattern)) fail(ExitCode::BadData, "{}: \\G is not supported", source_);
  regex_t* regex = nullptr;
  OnigErrorInfo info{};
  const int code = onig_new(&regex, bytes_of(pattern.data()), bytes_of(pattern.data() + pattern.size()),
                            ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_RUBY, &info);
  if (code != ONIG_NORMAL)
    fail(ExitCode::BadData, "{}: not a regular expression: {}", source_, message_of(code, &info));
  regex_.reset(regex);
}

std::vector<Range> Regex::find_all(std::string_view text) const {
  constexpr size_t kLongestText = 1u << 30;  // the library counts in int
  if (text.size() > kLongestText)
    fail(ExitCode::BadData, "{}: a text of {} bytes is too long", source_, text.size());
  std::vector<Range> matches;
  Search search(regex_.get(), text);
  for (size_t at = 0; at < text.size();) {
    const int code = search.from(at);
    if (code == ONIG_MISMATCH) break;
    if (code == kOutOfTime)
      fail(ExitCode::BadData, "{}: takes far too long, in a text of {} bytes", source_, text.size());
    if (code < 0)
      fail(ExitCode::BadData, "{}: {}, in a text of {} bytes", source_, message_of(code, nullptr),
           text.size());
    const Range match = search.range();
    if (match.begin < at || match.end < match.begin)
      fail(ExitCode::BadData, "{}: a match that begins behind its end, or before the one before", source_);
    matches.push_back(match);
    at = match.end;
    if (match.begin == match.end && at < text.size()) at += scalar_at(text, at).bytes;
  }
  return matches;
}

}  // namespace prospect::tokenization
