#pragma once

#include <string_view>

#include "engine/tensor.h"

namespace prospect {

/// Throws Error(Bug) `op: name must be [..] dtype, got ..` unless the tensor has that shape and dtype.
inline void require(std::string_view op, std::string_view name, const Tensor& tensor, const Shape& shape,
                    DType dtype) {
  CHECK(tensor.defined() && tensor.shape() == shape && tensor.dtype() == dtype,
        "{}: {} must be {} {}, got {} {}", op, name, to_string(shape), dtype_name(dtype),
        tensor.defined() ? to_string(tensor.shape()) : "nothing", dtype_name(tensor.dtype()));
}

/// The pointer of a gradient target, null where the gradient is not wanted.
template <class T>
T* target_data(const Tensor& buffer) {
  return buffer.defined() ? buffer.data<T>() : nullptr;
}

}  // namespace prospect
