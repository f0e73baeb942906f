#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/common/bf16.h"

// On a processor with narrower registers GCC tells that another version would pass these otherwise; they are
// passed between inlined functions only.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

/// Vectors in registers, for loops over sums that the compiler would not keep there by itself; host code
/// only.
namespace prospect::kernels::cpu {

/// kBytes of C, which GCC and Clang compute with element by element.
template <class C, int64_t kBytes>
struct VectorOf {
  typedef C type __attribute__((vector_size(kBytes)));
};
template <class C>
using Vector = typename VectorOf<C, 32>::type;
template <class C>
constexpr int64_t kLanes = 32 / sizeof(C);

template <class T>
inline Vector<compute_t<T>> load_vector(const T* source) {
  Vector<compute_t<T>> vector;
  if constexpr (std::is_same_v<T, compute_t<T>>) {
    std::memcpy(&vector, source, sizeof vector);
  } else {
    typedef uint16_t Halves __attribute__((vector_size(16)));
    typedef uint32_t Words __attribute__((vector_size(32)));
    Halves halves;
    std::memcpy(&halves, source, sizeof halves);
    const Words words = __builtin_convertvector(halves, Words) << 16;  // as bf16's operator float
    std::memcpy(&vector, &words, sizeof vector);
  }
  return vector;
}
template <class C>
inline void store_vector(C* target, const Vector<C>& vector) {
  std::memcpy(target, &vector, sizeof vector);
}

/// Exchanges the blocks off the diagonal of two rows of a square: lanes with bit `step` of a with those
/// without it of b.
template <int step, class C, size_t... lane>
[[gnu::always_inline]] inline void exchange_lanes(Vector<C>& a, Vector<C>& b, std::index_sequence<lane...>) {
  const Vector<C> upper = __builtin_shufflevector(a, b, (lane & step ? kLanes<C> + lane - step : lane)...);
  b = __builtin_shufflevector(a, b, (lane & step ? kLanes<C> + lane : lane + step)...);
  a = upper;
}

/// Transposes a square of one vector a row: first the quarters change places, then theirs, down to elements.
template <class C, int step>
[[gnu::always_inline]] inline void transpose_blocks(Vector<C>* square) {
#pragma GCC unroll 8
  for (int row = 0; row < kLanes<C>; ++row) {
    if ((row & step) == 0) {
      exchange_lanes<step, C>(square[row], square[row + step], std::make_index_sequence<kLanes<C>>());
    }
  }
  if constexpr (step > 1) transpose_blocks<C, step / 2>(square);
}
template <class V, size_t kRows>
[[gnu::always_inline]] inline void transpose_square(V (&square)[kRows]) {
  using C = std::remove_cvref_t<decltype(square[0][0])>;
  static_assert(kRows == kLanes<C>);
  transpose_blocks<C, kLanes<C> / 2>(square);
}

}  // namespace prospect::kernels::cpu
