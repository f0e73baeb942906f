#include "model/tokenizer/json_field.h"

namespace prospect::tokenization {
namespace {

constexpr int kDeepest = 64;

/// Brackets outside strings. A parser's tree of a million brackets costs a hundred times the text.
void check_nesting(std::string_view text, const std::string& source) {
  int depth = 0;
  bool quoted = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (quoted) {
      if (c == '\\') ++at;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDeepest)
        fail(ExitCode::BadData, "{}: nested deeper than {} at byte {}", source, kDeepest, at);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

const Json& null_value() {
  static const Json null;
  return null;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& source) {
  check_nesting(text, source);
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    fail(ExitCode::BadData, "{}: {}", source, error.what());
  }
}

Field Field::operator[](const char* key) const {
  require_object();
  const auto found = value_->find(key);
  return {found == value_->end() ? null_value() : *found, fmt::format("{}.{}", path_, key)};
}

Field Field::operator[](size_t index) const {
  return {(*value_)[index], fmt::format("{}[{}]", path_, index)};
}

size_t Field::size() const {
  if (is_null()) return 0;
  if (!value_->is_array()) refuse("expected an array, got {}", value_->type_name());
  return value_->size();
}

std::string Field::text() const {
  if (!value_->is_string()) refuse("expected a string, got {}", value_->type_name());
  return value_->get<std::string>();
}

bool Field::flag() const {
  if (!value_->is_boolean()) refuse("expected true or false, got {}", value_->type_name());
  return value_->get<bool>();
}

int32_t Field::index(int32_t limit) const {
  if (!value_->is_number_integer()) refuse("expected an integer, got {}", value_->type_name());
  // A number above the range of int64 is unsigned here; as a signed one it is negative, and refused too.
  const auto number = value_->get<int64_t>();
  if (number < 0 || number > limit) refuse("{} is not within [0, {}]", value_->dump(), limit);
  return static_cast<int32_t>(number);
}

void Field::require_object() const {
  if (!value_->is_object()) refuse("expected an object, got {}", value_->type_name());
}

}  // namespace prospect::tokenization
