#include "model/rope_config.h"

#include <cmath>

namespace prospect {

namespace {

constexpr int64_t kMostPositions = 1 << 28;

/// The older form calls it `type`.
std::string type_of(const ConfigKeys& rope) {
  const std::string type = rope.text("rope_type", rope.text("type", "default"));
  if (type != "default" && type != "llama3") {
    rope.refuse("rope_type", "\"{}\" is not supported; default and llama3 are", type);
  }
  return type;
}

double required(const ConfigKeys& rope, const char* key) {
  if (rope.find(key) == nullptr) rope.refuse(key, "missing");
  const double value = rope.number(key, 0);
  if (!(value > 0) || !std::isfinite(value)) rope.refuse(key, "must be positive, got {}", value);
  return value;
}

/// Older files keep the original length beside the object, or have none but the model's own.
Llama3Rope read_llama3(const ConfigKeys& rope, const ConfigKeys& keys, int64_t max_positions) {
  constexpr const char* kOriginal = "original_max_position_embeddings";
  Llama3Rope read{.factor = required(rope, "factor"),
                  .low_frequency_factor = required(rope, "low_freq_factor"),
                  .high_frequency_factor = required(rope, "high_freq_factor")};
  if (read.factor < 1) rope.refuse("factor", "must be at least 1, got {}", read.factor);
  if (read.high_frequency_factor <= read.low_frequency_factor) {
    rope.refuse("high_freq_factor", "must be above low_freq_factor {}, got {}", read.low_frequency_factor,
                read.high_frequency_factor);
  }
  const int64_t beside = keys.size_or(kOriginal, kMostPositions, 0);
  read.original_positions = rope.size_or(kOriginal, kMostPositions, beside == 0 ? max_positions : beside);
  if (beside != 0 && beside != read.original_positions) {
    keys.refuse(kOriginal, "{} contradicts {} inside the rope object", beside, read.original_positions);
  }
  return read;
}

}  // namespace

void read_rope(const ConfigKeys& keys, ModelConfig& config) {
  std::optional<double> theta;
  std::string scaled_by;
  if (keys.find("rope_theta") != nullptr) theta = keys.number("rope_theta", 0);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const ConfigJson* object = keys.find(key);
    if (object == nullptr) continue;
    if (!object->is_object()) keys.refuse(key, "must be an object, got {}", ConfigKeys::shown(*object));
    const ConfigKeys rope(*object, keys.source() + ": " + key);
    std::optional<Llama3Rope> scaling;
    if (type_of(rope) == "llama3") scaling = read_llama3(rope, keys, config.max_positions);
    if (!scaled_by.empty() && scaling != config.llama3_rope) {
      keys.refuse(key, "contradicts {}", scaled_by);
    }
    scaled_by = key;
    config.llama3_rope = scaling;
    if (rope.number("partial_rotary_factor", 1) != 1) {
      rope.refuse("partial_rotary_factor", "only 1 is supported");
    }
    if (rope.find("rope_theta") == nullptr) continue;
    const double value = rope.number("rope_theta", 0);
    if (theta && *theta != value) {
      keys.refuse("rope_theta", "{} contradicts {}.rope_theta {}", *theta, key, value);
    }
    theta = value;
  }
  config.rope_theta = theta.value_or(10000);
  if (!(config.rope_theta > 0) || !std::isfinite(config.rope_theta)) {
    keys.refuse("rope_theta", "must be positive, got {}", config.rope_theta);
  }
  if (keys.number("partial_rotary_factor", 1) != 1) {
    keys.refuse("partial_rotary_factor", "only 1 is supported");
  }
  keys.require_flag("rope_interleaved", false);
}

void write_rope(const ModelConfig& config, ConfigJson& json) {
  json["rope_theta"] = config.rope_theta;
  if (!json.contains("rope_parameters") || !json["rope_parameters"].is_object()) {
    json["rope_parameters"] = ConfigJson::object();
  }
  ConfigJson& rope = json["rope_parameters"];
  rope["rope_theta"] = config.rope_theta;
  rope["rope_type"] = config.llama3_rope ? "llama3" : "default";
  if (!config.llama3_rope) return;
  rope["factor"] = config.llama3_rope->factor;
  rope["low_freq_factor"] = config.llama3_rope->low_frequency_factor;
  rope["high_freq_factor"] = config.llama3_rope->high_frequency_factor;
  rope["original_max_position_embeddings"] = config.llama3_rope->original_positions;
  json["rope_scaling"] = rope;
}

}  // namespace prospect
