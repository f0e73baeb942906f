#pragma once

// Heavy: for .cpp files only.
#include <string>

#include "model/json_text.h"

namespace prospect {

/// Keeps the order of the keys.
using ConfigJson = nlohmann::ordered_json;

/// Keys of one config.json, with errors that name file and key. A key that is null counts as absent.
class ConfigKeys {
 public:
  ConfigKeys(const ConfigJson& object, std::string source) : object_(object), source_(std::move(source)) {}

  template <class... Args>
  [[noreturn]] void refuse(std::string_view key, fmt::format_string<Args...> format, Args&&... args) const {
    fail(ExitCode::BadData, "{}: {}: {}", source_, key, fmt::format(format, std::forward<Args>(args)...));
  }
  const ConfigJson* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  /// Written as null, which some keys tell from absent.
  bool is_null(const char* key) const {
    const auto found = object_.find(key);
    return found != object_.end() && found->is_null();
  }
  /// Required.
  int64_t size(const char* key, int64_t most) const {
    if (find(key) == nullptr) refuse(key, "missing");
    return size_or(key, most, 0);
  }
  int64_t size_or(const char* key, int64_t most, int64_t fallback) const {
    const ConfigJson* value = find(key);
    return value == nullptr ? fallback : integer(key, *value, 1, most);
  }
  int64_t integer(const char* key, const ConfigJson& value, int64_t least, int64_t most) const {
    if (!value.is_number_integer()) refuse(key, "must be an integer, got {}", shown(value));
    const bool beyond = value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(most);
    if (beyond || value.get<int64_t>() < least || value.get<int64_t>() > most) {
      refuse(key, "must be in [{}, {}], got {}", least, most, shown(value));
    }
    return value.get<int64_t>();
  }
  double number(const char* key, double fallback) const {
    const ConfigJson* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_number()) refuse(key, "must be a number, got {}", shown(*value));
    return value->get<double>();
  }
  bool flag(const char* key, bool fallback) const {
    const ConfigJson* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) refuse(key, "must be true or false, got {}", shown(*value));
    return value->get<bool>();
  }
  std::string text(const char* key, const std::string& fallback) const {
    const ConfigJson* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_string()) refuse(key, "must be a string, got {}", shown(*value));
    return value->get<std::string>();
  }
  /// Fails unless `key` is absent or `expected`.
  void require_flag(const char* key, bool expected) const {
    if (flag(key, expected) != expected) refuse(key, "only {} is supported", expected);
  }
  /// A number in [least, below).
  double number_in(const char* key, double fallback, double least, double below) const {
    const double value = number(key, fallback);
    if (!(value >= least && value < below)) refuse(key, "must be in [{}, {}), got {}", least, below, value);
    return value;
  }
  /// A value as an error message quotes it.
  static std::string shown(const ConfigJson& value) {
    constexpr size_t kMostCharacters = 80;
    std::string text = value.dump(-1, ' ', true);
    if (text.size() > kMostCharacters) text = text.substr(0, kMostCharacters) + "...";
    return text;
  }
  const std::string& source() const { return source_; }

 private:
  const ConfigJson& object_;
  std::string source_;
};

}  // namespace prospect
