#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "kernels/common/check.h"

namespace prospect::tokenization {

using Json = nlohmann::json;

/// JSON text of bounded nesting. Throws: Error(BadData) with the place of the fault.
Json parse_json(std::string_view text, const std::string& source);

/// A value of a JSON file together with its path, so that an error can name it:
/// "tokenizer.json: pre_tokenizer.pretokenizers[0].behavior: ...".
class Field {
 public:
  Field(const Json& value, std::string path) : value_(&value), path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  const Json& json() const { return *value_; }
  bool is_null() const { return value_->is_null(); }

  /// A member; null where there is none.
  Field operator[](const char* key) const;
  Field operator[](size_t index) const;
  /// Elements of an array; 0 for null.
  size_t size() const;

  std::string text() const;
  bool flag() const;
  bool flag_or(bool fallback) const { return is_null() ? fallback : flag(); }
  /// An integer within [0, limit].
  int32_t index(int32_t limit) const;
  void require_object() const;

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ExitCode::BadData, "{}: {}", path_, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  const Json* value_;
  std::string path_;
};

}  // namespace prospect::tokenization
