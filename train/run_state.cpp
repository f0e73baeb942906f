#include "train/run_state.h"

#include <algorithm>
#include <array>
#include <limits>

#include "model/json_text.h"
#include "train/metrics.h"

namespace prospect {

namespace {

using Json = nlohmann::json;

constexpr int64_t kFormat = 1;
constexpr int64_t kMostSteps = std::numeric_limits<int32_t>::max();
constexpr size_t kMostStateBytes = 64 << 20;
constexpr size_t kMostGuardNumbers = 64;
constexpr std::array<std::string_view, 8> kFields = {"format", "step",   "skipped",     "tokens_seen",
                                                     "window", "guards", "data_digest", "options"};

/// One field of the state, for errors that name it.
struct Field {
  const Json& value;
  const char* name;
  const std::string& path;

  void require(bool good, std::string_view reason) const {
    if (!good) fail(ExitCode::BadData, "{} {}: {}", path, name, reason);
  }

  int64_t integer(int64_t most) const {
    // A number above the signed range is unsigned to the library; the conversion would wrap.
    const bool fits = value.is_number_unsigned() && value.get<uint64_t>() <= static_cast<uint64_t>(most);
    require(fits, fmt::format("must be a whole number from 0 to {}", most));
    return value.get<int64_t>();
  }

  double amount(double most) const {
    const bool fits = value.is_number() && value.get<double>() >= 0 && value.get<double>() <= most;
    require(fits, fmt::format("must be a number from 0 to {}", most));
    return value.get<double>();
  }

  /// The JSON parser lets finite numbers through only.
  std::vector<double> numbers() const {
    require(value.is_array(), "must be a list of numbers");
    std::vector<double> list;
    list.reserve(value.size());
    for (const Json& entry : value) {
      require(entry.is_number(), "must be a list of numbers");
      list.push_back(entry.get<double>());
    }
    return list;
  }

  TrainOptions options() const {
    require(value.is_string(), "must be a text");
    TrainOptions options;
    try {
      apply_toml(options, value.get_ref<const std::string&>(), "TOML");
      check_options(options);
    } catch (const Error& error) {
      require(false, error.what());
    }
    return options;
  }
};

void require_known_fields(const Json& json, const std::string& path) {
  if (!json.is_object()) fail(ExitCode::BadData, "{}: must be an object", path);
  for (const auto& [name, value] : json.items()) {
    if (std::find(kFields.begin(), kFields.end(), name) == kFields.end()) {
      fail(ExitCode::BadData, "{} {}: is no field of a run's state", path, Json(name).dump());
    }
  }
}

}  // namespace

std::string to_text(const RunState& state) {
  const Json json{{"format", kFormat},
                  {"step", state.step},
                  {"skipped", state.skipped},
                  {"tokens_seen", state.tokens_seen},
                  {"window", state.window},
                  {"guards", state.guards},
                  {"data_digest", state.data_digest},
                  {"options", to_toml(state.options)}};
  std::string text = json.dump();
  if (text.size() > kMostStateBytes) {
    fail(ExitCode::BadConfig,
         "--logging-steps: the metrics of so many steps do not fit a checkpoint; lower it");
  }
  return text;
}

RunState parse_run_state(std::string_view text, const std::string& path) {
  if (text.size() > kMostStateBytes) {
    fail(ExitCode::BadData, "{}: is larger than {} MiB", path, kMostStateBytes >> 20);
  }
  const Json json = parse_json<Json>(text, path, 4);
  require_known_fields(json, path);
  const auto field = [&](const char* name) {
    if (!json.contains(name)) fail(ExitCode::BadData, "{} {}: is missing", path, name);
    return Field{json.at(name), name, path};
  };
  const Field format = field("format");
  format.require(format.value == kFormat, fmt::format("must be {}", kFormat));
  RunState state{.step = field("step").integer(kMostSteps),
                 .skipped = field("skipped").integer(kMostSteps),
                 .tokens_seen = field("tokens_seen").amount(kMostCounted),
                 .window = field("window").numbers(),
                 .guards = field("guards").numbers(),
                 .data_digest = 0,
                 .options = field("options").options()};
  field("skipped").require(state.skipped <= state.step, "must not be more than the steps made");
  field("guards").require(state.guards.size() <= kMostGuardNumbers, "has too many numbers");
  const Field digest = field("data_digest");
  digest.require(digest.value.is_number_unsigned(), "must be a whole number from 0");
  state.data_digest = digest.value.get<uint64_t>();
  return state;
}

}  // namespace prospect
