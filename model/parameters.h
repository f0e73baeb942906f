#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "model/layout.h"

namespace prospect {

/// All parameters of a model in one flat arena, with a gradient arena of the same layout where the model
/// trains. Each parameter starts at a multiple of 64 bytes, so the flat buffers have gaps; gaps hold zeros.
class Parameters {
 public:
  Parameters(std::vector<ParameterSpec> specs, DType dtype, const Device& device, bool with_gradients);

  struct Range {
    int64_t begin, end;  ///< elements of the arena
  };
  const std::vector<ParameterSpec>& specs() const { return specs_; }
  const Tensor& values() const { return values_; }        ///< [arena elements]
  const Tensor& gradients() const { return gradients_; }  ///< the same layout; undefined for a frozen model
  Range range(size_t index) const { return ranges_[index]; }
  const Variable& operator[](size_t index) const { return variables_[index]; }
  /// By our name. Throws: Error(Bug) for an unknown one.
  const Variable& operator[](const std::string& name) const;
  bool contains(const std::string& name) const { return index_.contains(name); }
  /// Number of trained values, gaps not counted.
  int64_t count() const;
  /// The rows of parameter `index` that part `part` occupies, as a view.
  Tensor part(size_t index, size_t part) const;
  /// The next gradient contributions overwrite.
  void zero_gradients() const;
  /// Zeroes the gradient of every parameter that received none since zero_gradients().
  void complete_gradients() const;

 private:
  std::vector<ParameterSpec> specs_;
  std::vector<Range> ranges_;
  std::vector<Variable> variables_;
  std::unordered_map<std::string, size_t> index_;
  Tensor values_, gradients_;
};

}  // namespace prospect
