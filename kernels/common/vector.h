#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/common/bf16.h"

// On a processor with narrower registers GCC tells that another version would pass these otherwise; they are
// passed between inlined functions only.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

/// Vectors in registers, for loops over sums that the compiler would not keep there by itself; host code
/// only.
namespace prospect::kernels::cpu {

/// 32 bytes of C, which GCC and Clang compute with element by element.
template <class C>
struct VectorOf {
  typedef C type __attribute__((vector_size(32)));
};
template <class C>
using Vector = typename VectorOf<C>::type;
template <class C>
constexpr int64_t kLanes = 32 / sizeof(C);

template <class T>
inline Vector<compute_t<T>> load_vector(const T* source) {
  Vector<compute_t<T>> vector;
  if constexpr (std::is_same_v<T, compute_t<T>>) {
    std::memcpy(&vector, source, sizeof vector);
  } else {
    for (int64_t lane = 0; lane < kLanes<compute_t<T>>; ++lane) vector[lane] = load(source[lane]);
  }
  return vector;
}
template <class C>
inline void store_vector(C* target, const Vector<C>& vector) {
  std::memcpy(target, &vector, sizeof vector);
}

}  // namespace prospect::kernels::cpu
