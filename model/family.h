#pragma once

// Heavy: for .cpp files only.
#include <array>

#include "model/config.h"
#include "model/config_keys.h"

namespace prospect {

/// A required positive integer of config.json.
struct SizeKey {
  const char* key;
  int64_t ModelConfig::*field;
  int64_t most;
};
/// One row a family: the names of the sizes, and what else it reads and writes.
struct Family {
  const char* model_type;
  const char* architecture;
  std::array<SizeKey, 5> sizes;  ///< required keys
  const char* norm_epsilon_key;
  double norm_epsilon;
  bool tied_head;  ///< where tie_word_embeddings is absent
  /// Sets what all models of the family have in common, whatever file they come from.
  void (*shape)(ModelConfig& config);
  void (*read)(const ConfigKeys& keys, ModelConfig& config);
  /// Writes what changed since `original`; everything when that is null.
  void (*write)(const ModelConfig& config, const ModelConfig* original, ConfigJson& json);
};

/// Writes a key that changed since `original`, or is new.
template <class T>
void write_changed(ConfigJson& json, const char* key, T ModelConfig::*field, const ModelConfig& config,
                   const ModelConfig* original) {
  if (original == nullptr || original->*field != config.*field) json[key] = config.*field;
}

/// By `model_type`. Throws: Error(BadData) naming the architecture for a family that is not there, or a
/// model of the family that is no language model.
const Family& family_of(const ConfigKeys& keys);
/// Throws: Error(Bug).
const Family& family_of(const ModelConfig& config);

}  // namespace prospect
