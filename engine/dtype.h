#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/common/bf16.h"
#include "kernels/common/check.h"

namespace prospect {

/// Element types of tensors: f32, bf16 and (CPU only) f64 for values, i32 for token ids and offsets.
enum class DType { F32, BF16, F64, I32 };

int64_t dtype_bytes(DType dtype);
std::string_view dtype_name(DType dtype);

template <class T>
inline constexpr DType dtype_of = DType::F32;
template <>
inline constexpr DType dtype_of<bf16> = DType::BF16;
template <>
inline constexpr DType dtype_of<double> = DType::F64;
template <>
inline constexpr DType dtype_of<int32_t> = DType::I32;

/// The dtype in which values of `dtype` are accumulated: F64 for F64, else F32.
inline DType compute_dtype(DType dtype) {
  return dtype == DType::F64 ? DType::F64 : DType::F32;
}

/// Calls body.operator()<T>() with the element type of a floating-point dtype.
template <class Body>
decltype(auto) with_dtype(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::F32:
      return body.template operator()<float>();
    case DType::BF16:
      return body.template operator()<bf16>();
    case DType::F64:
      return body.template operator()<double>();
    case DType::I32:
      break;
  }
  fail(ExitCode::Bug, "dispatch: {} is not a floating-point dtype", dtype_name(dtype));
}

}  // namespace prospect
