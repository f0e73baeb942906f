#pragma once

// Heavy: for .cpp files only.
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/check.h"

namespace prospect {

/// Parses JSON from a file nobody vouches for: UTF-8, nested at most `max_depth` deep, no key twice in an
/// object. Json is nlohmann::json, or nlohmann::ordered_json to keep the order of the keys (then objects are
/// searched linearly: small files only). Throws: Error(BadData) `source: reason`.
template <class Json>
Json parse_json(std::string_view text, const std::string& source, int max_depth = 32) {
  constexpr bool keeps_order = std::is_same_v<Json, nlohmann::ordered_json>;
  constexpr size_t kMostOrderedKeys = 1 << 14;
  std::vector<std::set<std::string, std::less<>>> open_objects;
  const auto watch = [&](int depth, typename Json::parse_event_t event, Json& value) {
    using Event = typename Json::parse_event_t;
    if (depth >= max_depth) fail(ExitCode::BadData, "{}: nested more than {} deep", source, max_depth);
    if (event == Event::object_start) open_objects.emplace_back();
    if (event == Event::object_end) open_objects.pop_back();
    if (event == Event::key && !open_objects.back().insert(value.template get<std::string>()).second) {
      fail(ExitCode::BadData, "{}: {}: this key stands twice in one object", source, value.dump());
    }
    if (event == Event::key && keeps_order && open_objects.back().size() > kMostOrderedKeys) {
      fail(ExitCode::BadData, "{}: more than {} keys in one object", source, kMostOrderedKeys);
    }
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const nlohmann::json::exception& error) {
    fail(ExitCode::BadData, "{}: not valid JSON: {}", source, error.what());
  }
}

}  // namespace prospect
