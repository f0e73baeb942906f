#include "train/rows.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "engine/files.h"
#include "kernels/common/check.h"

namespace prospect {

namespace {

namespace dom = simdjson::dom;

constexpr size_t kLineLimitBytes = 16 << 20;
constexpr size_t kMaxDepth = 64;
constexpr size_t kQuotedBytes = 40;
/// Examples are numbered in 32 bits.
constexpr size_t kMaxRows = std::numeric_limits<int32_t>::max();

/// Where an error is: "rows.jsonl:7".
struct Place {
  const std::string& file;
  int64_t line;

  template <class... Args>
  [[noreturn]] void reject(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ExitCode::BadData, "{}:{} {}", file, line, fmt::format(format, std::forward<Args>(args)...));
  }
};

/// The value as JSON, cut to a few characters.
std::string quoted(const dom::element& value) {
  std::string text = simdjson::minify(value);
  if (text.size() <= kQuotedBytes) return text;
  size_t end = kQuotedBytes;
  while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

/// The keys of a line that mean something.
struct Fields {
  std::optional<dom::element> prompt, completion, label, chosen, rejected;

  Fields(const dom::object& object, const Place& place) {
    const std::array<std::pair<std::string_view, std::optional<dom::element>*>, 5> known{{
        {"prompt", &prompt},
        {"completion", &completion},
        {"label", &label},
        {"chosen", &chosen},
        {"rejected", &rejected},
    }};
    for (const auto [key, value] : object) {
      for (const auto& [name, field] : known) {
        if (key != name) continue;
        if (field->has_value()) place.reject("{}: stands twice in one row", name);
        *field = value;
      }
    }
  }
};

std::string text_field(const std::optional<dom::element>& value, std::string_view name, const Place& place) {
  if (!value) place.reject("{}: is missing", name);
  std::string_view text;
  if (value->get(text) != simdjson::SUCCESS)
    place.reject("{}: must be a string, got {}", name, quoted(*value));
  return std::string(text);
}

std::string answer_field(const std::optional<dom::element>& value, std::string_view name,
                         const Place& place) {
  std::string text = text_field(value, name, place);
  if (text.empty()) place.reject("{}: is empty, there is nothing to learn from", name);
  return text;
}

bool label_field(const std::optional<dom::element>& value, bool required, const Place& place) {
  if (!value) {
    if (required) place.reject("label: is missing");
    return true;
  }
  bool truth = false;
  int64_t number = 0;
  if (value->get(truth) == simdjson::SUCCESS) return truth;
  // get(int64_t) would also take 1.0 on some versions; only the integers 1 and 0 are labels.
  if (value->is<int64_t>() && value->get(number) == simdjson::SUCCESS && (number == 0 || number == 1)) {
    return number == 1;
  }
  place.reject("label: must be true, false, 1 or 0, got {}", quoted(*value));
}

/// Calls take(fields, place) for each line that is not blank.
template <class Take>
void for_each_line(const std::filesystem::path& path, const Take& take) {
  const MappedFile file(path);
  const std::string name = path.string();
  std::string_view rest = file.text();
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  dom::parser parser(kLineLimitBytes);
  if (parser.allocate(1 << 16, kMaxDepth) != simdjson::SUCCESS) fail(ExitCode::BadConfig, "rows: no memory");
  for (int64_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    const Place place{name, number};
    if (line.size() > kLineLimitBytes) {
      place.reject("row: {} bytes, more than the {} that a line may have", line.size(), kLineLimitBytes);
    }
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
      // The parser reads a few bytes past the line; near the end of the file it needs a copy.
      const bool copy = rest.size() < line.size() + simdjson::SIMDJSON_PADDING;
      dom::element document;
      const auto error =
          parser.parse(reinterpret_cast<const uint8_t*>(line.data()), line.size(), copy).get(document);
      if (error) place.reject("row: is not valid JSON: {}", simdjson::error_message(error));
      dom::object object;
      if (document.get(object)) place.reject("row: must be a JSON object, got {}", quoted(document));
      take(Fields(object, place), place);
    }
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
}

/// Turns lines into rows; the first line decides which format the file has.
class RowReader {
 public:
  explicit RowReader(const RowOptions& options) : options_(options) {}

  void take(const Fields& fields, const Place& place) {
    const bool is_paired = fields.chosen || fields.rejected;
    if (is_paired && fields.completion) {
      place.reject("completion: a row has either completion and label or chosen and rejected");
    }
    if (first_line_ == 0) {
      paired_ = is_paired;
      first_line_ = place.line;
    }
    if (is_paired != paired_) {
      place.reject("{}: is missing; line {} has it, and one file has one format",
                   paired_ ? "chosen" : "completion", first_line_);
    }
    const std::string prompt = text_field(fields.prompt, "prompt", place);
    if (is_paired) {
      add({prompt, answer_field(fields.chosen, "chosen", place), true, place.line}, place);
      add({prompt, answer_field(fields.rejected, "rejected", place), false, place.line}, place);
    } else {
      std::string completion = answer_field(fields.completion, "completion", place);
      const bool label = label_field(fields.label, options_.label_required, place);
      add({prompt, std::move(completion), label, place.line}, place);
    }
  }
  std::vector<Row> rows;

 private:
  void add(Row row, const Place& place) {
    if (rows.size() == kMaxRows) place.reject("row: more than {} rows", kMaxRows);
    rows.push_back(std::move(row));
  }
  RowOptions options_;
  bool paired_ = false;
  int64_t first_line_ = 0;
};

}  // namespace

std::vector<Row> read_rows(const std::filesystem::path& path, const RowOptions& options) {
  RowReader reader(options);
  for_each_line(path, [&](const Fields& fields, const Place& place) { reader.take(fields, place); });
  if (reader.rows.empty()) fail(ExitCode::BadData, "{}: has no rows", path.string());
  return std::move(reader.rows);
}

std::vector<Prompt> read_prompts(const std::filesystem::path& path) {
  std::vector<Prompt> prompts;
  for_each_line(path, [&](const Fields& fields, const Place& place) {
    if (prompts.size() == kMaxRows) place.reject("row: more than {} rows", kMaxRows);
    prompts.push_back({text_field(fields.prompt, "prompt", place), place.line});
  });
  if (prompts.empty()) fail(ExitCode::BadData, "{}: has no rows", path.string());
  return prompts;
}

}  // namespace prospect
