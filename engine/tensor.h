#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/dtype.h"

namespace prospect {

using Shape = std::vector<int64_t>;

int64_t element_count(const Shape& shape);
/// "[2, 3]"
std::string to_string(const Shape& shape);

/// A contiguous array on a device: storage, shape, dtype. A cheap handle; copies share the storage. Knows
/// nothing of gradients. A default-constructed tensor is undefined.
class Tensor {
 public:
  Tensor() = default;

  /// Undefined content.
  static Tensor empty(Shape shape, DType dtype, const Device& device);
  static Tensor zeros(Shape shape, DType dtype, const Device& device);
  /// A copy of host values.
  template <class T>
  static Tensor from(std::span<const T> values, Shape shape, const Device& device) {
    Tensor tensor = empty(std::move(shape), dtype_of<T>, device);
    CHECK(std::ssize(values) == tensor.count(), "tensor: {} values for shape {}", values.size(),
          to_string(tensor.shape()));
    // An empty list has no address, which memcpy must not see.
    if (!values.empty()) std::memcpy(tensor.bytes(), values.data(), values.size_bytes());
    return tensor;
  }
  template <class T>
  static Tensor from(const std::vector<T>& values, Shape shape, const Device& device) {
    return from(std::span<const T>(values), std::move(shape), device);
  }
  template <class T>
  static Tensor from(const std::vector<T>& values, const Device& device) {
    return from(values, {std::ssize(values)}, device);
  }

  bool defined() const { return data_ != nullptr; }
  const Shape& shape() const { return shape_; }
  /// Size of dimension `index`; negative counts from the end.
  int64_t size(int64_t index) const;
  int64_t count() const { return element_count(shape_); }
  int64_t byte_count() const { return count() * dtype_bytes(dtype_); }
  DType dtype() const { return dtype_; }
  /// Requires: defined().
  const Device& device() const { return *device_; }

  std::byte* bytes() const { return data_.get(); }
  /// Requires: T is the element type.
  template <class T>
  T* data() const {
    CHECK(!defined() || dtype_of<T> == dtype_, "tensor: asked for {} of a {} tensor", dtype_name(dtype_of<T>),
          dtype_name(dtype_));
    return reinterpret_cast<T*>(data_.get());
  }
  template <class T>
  std::span<T> values() const {
    return {data<T>(), static_cast<size_t>(count())};
  }

  /// The same elements in another shape.
  Tensor view(Shape shape) const;
  /// Rows [begin, end) of the first dimension; shares the storage.
  Tensor rows(int64_t begin, int64_t end) const;
  Tensor clone() const;
  /// Requires: same shape and dtype.
  void copy_from(const Tensor& source) const;
  void fill_zero() const;

 private:
  std::shared_ptr<std::byte> data_;
  Shape shape_;
  DType dtype_ = DType::F32;
  std::shared_ptr<const Device> device_;
};

/// The values converted to another floating-point dtype; the tensor itself where it has that dtype already.
Tensor convert(const Tensor& tensor, DType dtype);
/// All values as doubles, for tests, metrics and files.
std::vector<double> to_doubles(const Tensor& tensor);

}  // namespace prospect
