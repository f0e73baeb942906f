#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/common/bf16.h"
#include "kernels/common/check.h"
#include "kernels/common/stream.h"

/// What the CUDA kernels of an operation are measured on. One registration, bench/<op>_cases.cpp, serves the
/// performance cards (bench/cards/, the kernels run by the emulator) and the timing on a device
/// (bench/time_cases.cpp): the same shapes, the same calls.
namespace prospect::bench {

/// Device memory that lives as long as the case that asked for it. Two implementations, chosen at link time:
/// arrays_device.cpp, and cards/arrays_emulated.cpp, where large arrays cost what is touched of them.
class Arrays {
 public:
  Arrays();
  ~Arrays();
  Arrays(const Arrays&) = delete;

  /// Filled with normal numbers; T is float or bf16.
  template <class T>
  T* normal(int64_t count);
  /// Filled with zeros.
  template <class T>
  T* zeros(int64_t count) {
    return static_cast<T*>(allocate(static_cast<size_t>(count) * sizeof(T), true));
  }
  template <class T>
  T* given(const std::vector<T>& values) {
    T* array = empty<T>(static_cast<int64_t>(values.size()));
    copy(array, values.data(), values.size() * sizeof(T));
    return array;
  }
  /// What a kernel writes before anyone reads it.
  template <class T>
  T* empty(int64_t count) {
    return static_cast<T*>(allocate(static_cast<size_t>(count) * sizeof(T), false));
  }

 private:
  void* allocate(size_t bytes, bool zeros);
  void copy(void* to, const void* from, size_t bytes);
  struct State;
  std::unique_ptr<State> state_;
};

/// One call of an operation at a shape.
struct Work {
  double bytes;         ///< each input read once, each output written once
  double flops = 0;     ///< of matrix products, as the operation's definition counts them; 0: it has none
  bool in_bf16 = true;  ///< the products: on tensor cores, not in float
  std::function<void(kernels::cuda::Stream)> run;
  /// The same work by a library, timed beside it on a device. Empty: there is none.
  std::string peer = {};
  std::function<void(kernels::cuda::Stream)> run_peer = {};
  /// Why the call may move more bytes, in worse order, than the rules of bench/README.md allow. Empty: it may
  /// not.
  std::string excuse = {};
};

struct Case {
  std::string name;  ///< "layernorm_forward bf16 16384x4096"
  std::function<Work(Arrays&)> make;
};

/// Defined by bench/<op>_cases.cpp, the large shapes first.
std::vector<Case> cases();

}  // namespace prospect::bench
