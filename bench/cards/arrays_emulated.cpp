// Arrays of bench/cases.h in the emulator's memory: pages that all hold the same numbers until they are
// written.
#include <cstring>
#include <random>

#include "bench/cases.h"
#include "tests/emulator/device.h"

namespace prospect::bench {
namespace {

template <class T>
std::vector<std::byte> normal_bytes() {
  std::vector<T> values((4 << 20) / sizeof(T));
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (T& value : values) value = T(normal(random));
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

template <class T>
const emulator::Filling& normals() {
  static const emulator::Filling filling(normal_bytes<T>());
  return filling;
}

emulator::DeviceMemory& memory() {
  return emulator::Device::instance().memory;
}

}  // namespace

struct Arrays::State {
  std::vector<void*> owned;
};

Arrays::Arrays() : state_(std::make_unique<State>()) {}
Arrays::~Arrays() {
  for (void* array : state_->owned) memory().release(array);
}

namespace {

void* owned(std::vector<void*>& all, void* array) {
  if (array == nullptr) throw Error(ExitCode::BadConfig, "cards: the emulated memory is used up");
  all.push_back(array);
  return array;
}

}  // namespace

template <class T>
T* Arrays::normal(int64_t count) {
  return static_cast<T*>(
      owned(state_->owned, memory().allocate(static_cast<size_t>(count) * sizeof(T), normals<T>())));
}
template float* Arrays::normal(int64_t);
template bf16* Arrays::normal(int64_t);

void* Arrays::allocate(size_t bytes, bool zeros) {
  static const emulator::Filling nothing(std::vector<std::byte>(4 << 20));
  return owned(state_->owned, zeros ? memory().allocate(bytes, nothing) : memory().allocate(bytes));
}
void Arrays::copy(void* to, const void* from, size_t bytes) {
  std::memcpy(to, from, bytes);
}

}  // namespace prospect::bench
