#include "tests/emulator/golden/cases.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <bit>
#include <limits>
#include <random>

#include "kernels/common/bf16.h"
#include "kernels/common/cuda_check.h"
#include "tests/emulator/golden/tiles.h"
#include "tests/emulator/kernels/layouts.h"

namespace prospect::emulator::golden {
namespace {

using kernels::cuda::check;

/// Words in device memory.
class DeviceWords {
 public:
  explicit DeviceWords(const Words& words) : count_(words.size()) {
    check(cudaMalloc(&data_, 4 * count_), "golden");
    check(cudaMemcpy(data_, words.data(), 4 * count_, cudaMemcpyHostToDevice), "golden");
  }
  /// Zeros.
  explicit DeviceWords(int count) : DeviceWords(Words(static_cast<size_t>(count))) {}
  ~DeviceWords() { cudaFree(data_); }
  DeviceWords(const DeviceWords&) = delete;
  DeviceWords& operator=(const DeviceWords&) = delete;
  uint32_t* data() { return static_cast<uint32_t*>(data_); }
  Words words() {
    Words words(count_);
    check(cudaGetLastError(), "golden");
    check(cudaDeviceSynchronize(), "golden");
    check(cudaMemcpy(words.data(), data_, 4 * count_, cudaMemcpyDeviceToHost), "golden");
    return words;
  }

 private:
  void* data_ = nullptr;
  size_t count_;
};

/// The same on every machine: the standard fixes the engine, not its distributions.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  uint32_t bits() { return engine_(); }
  /// In [-1, 1].
  float unit() { return static_cast<float>(static_cast<int32_t>(bits())) * 0x1p-31f; }
  uint32_t bf16_unit() { return bf16(unit()).bits; }

 private:
  std::mt19937 engine_;
};

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kSpecial[] = {
    0.0f,       -0.0f,     1.0f,      -1.0f,    kInfinity, -kInfinity,      NAN,         0x1p-126f, 0x1p-127f,
    -0x1p-149f, 0x1p-130f, 0.5f,      2.5f,     -3.5f,     0x1.fffffep127f, 16777217.0f, -0x1p31f,  0x1p32f,
    88.0f,      -150.0f,   0x1.01p0f, 0x1.03p0f};

float any_float(Random& random) {
  const uint32_t choice = random.bits();
  if (choice % 8 == 0) return kSpecial[choice / 8 % std::size(kSpecial)];
  return std::ldexp(random.unit(), static_cast<int>(choice / 8 % 40) - 20);
}

uint32_t word(Random& random, Operands operands) {
  switch (operands) {
    case Operands::Floats:
      return std::bit_cast<uint32_t>(any_float(random));
    case Operands::Positive:
      return std::bit_cast<uint32_t>(std::fabs(any_float(random)));
    case Operands::Angles:
      return std::bit_cast<uint32_t>(3.1415925f * random.unit());
    case Operands::Units:
      return std::bit_cast<uint32_t>(random.unit());
    case Operands::Bf16Pairs: {
      const uint32_t low = random.bf16_unit();
      return random.bf16_unit() << 16 | low;
    }
    case Operands::Words:
      return random.bits() >> 24;
    case Operands::Bits:
    case Operands::Doubles:
      return random.bits();
  }
  return 0;
}

/// Two words of each thread, kThreads apart: exponents that floats have too, half of the time.
void make_doubles(Random& random, Words& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (i / kThreads % 2 == 0) continue;
    const double value =
        std::ldexp(static_cast<double>(random.unit()), static_cast<int>(random.bits() % 300) - 150);
    if (random.bits() % 8 != 0) words[i] = static_cast<uint32_t>(std::bit_cast<uint64_t>(value) >> 32);
  }
}

Words input_of(const Launcher& launcher, uint32_t seed) {
  Random random(seed);
  Words words;
  for (int i = 0; i < launcher.words_in; ++i) words.push_back(word(random, launcher.operands));
  if (launcher.operands == Operands::Doubles) make_doubles(random, words);
  return words;
}

Case case_of(const Launcher& launcher, int capability, Words input) {
  return {launcher.name, capability, std::move(input), launcher.tolerance, [launcher](const Words& in) {
            DeviceWords device_in(in), out(launcher.words_out);
            launcher.launch(device_in.data(), out.data());
            return out.words();
          }};
}

// --- Boxes of tensors.

constexpr int kRows = 12, kColumns = 72, kBoxRows = 10;

/// A tensor of bf16 [kRows, kColumns] whose box begins at (row, column).
Case load_box_case(const std::string& name, int permuted, int row, int column, bool for_cluster = false) {
  const int box_columns = permuted / 2, box_words = kBoxRows * box_columns / 2;
  return {name, 90, {}, {}, [=](const Words& in) {
            DeviceWords tensor(in), image(box_words * (for_cluster ? 2 : 1));
            const layouts::Box box{tensor.data(), kRows, kColumns, kBoxRows,
                                   box_columns,   row,   column,   permuted};
            if (for_cluster) {
              layouts::load_box_for_cluster(box, image.data());
            } else {
              layouts::load_box(box, image.data());
            }
            return image.words();
          }};
}

/// in: the tensor of float [kRows, 40] as it was, then a box of 32 columns.
Case store_box_case(const std::string& name, bool adds) {
  return {name, 90, {}, {}, [=](const Words& in) {
            constexpr int kFloats = 40;
            const auto end = in.begin() + kRows * kFloats;
            DeviceWords tensor(Words(in.begin(), end)), image(Words(end, in.end()));
            layouts::store_box({tensor.data(), kRows, kFloats, kBoxRows, 32, 4, 16, 128}, image.data(), adds);
            return tensor.words();
          }};
}

void add_boxes(std::vector<Case>& list) {
  std::vector<Case> boxes;
  for (const int permuted : {128, 64, 32, 16}) {
    boxes.push_back(load_box_case(fmt::format("load_tile.2d.permuted{}", permuted), permuted, 1, 8));
  }
  boxes.push_back(load_box_case("load_tile.2d.before", 128, -3, -5));
  boxes.push_back(load_box_case("load_tile.2d.behind", 64, 7, 60));
  boxes.push_back(load_box_case("load_tile.2d.cluster", 64, 2, 0, true));
  for (Case& box : boxes) {
    box.input = input_of({"", Operands::Bits, kRows * kColumns / 2, 0, {}, nullptr},
                         static_cast<uint32_t>(list.size()));
    list.push_back(std::move(box));
  }
  for (const bool adds : {false, true}) {
    Case stored = store_box_case(adds ? "add_tile.2d" : "store_tile.2d", adds);
    stored.input = input_of({"", Operands::Units, kRows * 40 + kBoxRows * 32, 0, {}, nullptr},
                            static_cast<uint32_t>(list.size()));
    list.push_back(std::move(stored));
  }
}

void add_tiles(std::vector<Case>& list) {
  const Words tensors = input_of({"", Operands::Bits, 2 * kTensorWords, 0, {}, nullptr}, 1);
  list.push_back({"load_tile.3d", 90, tensors, {}, [](const Words& in) {
                    DeviceWords tensor(in), box(kBoxWords);
                    load_tile_3d(tensor.data(), 6, -1, 2, box.data());
                    return box.words();
                  }});
  list.push_back({"load_tile.4d", 90, tensors, {}, [](const Words& in) {
                    DeviceWords tensor(in), box(kBoxWords);
                    load_tile_4d(tensor.data(), -2, 3, 0, 1, box.data());
                    return box.words();
                  }});
  list.push_back({"store_tile.3d", 90, tensors, {}, [](const Words& in) {
                    DeviceWords tensor(Words(in.begin(), in.begin() + kTensorWords)),
                        box(Words(in.end() - kBoxWords, in.end()));
                    store_tile_3d(box.data(), 5, 2, -1, tensor.data());
                    return tensor.words();
                  }});
}

// --- wgmma.

/// What the products do not read is zeros, which take no room in a file: of tiles that lie by rows, all but
/// four chunks of 16 bytes of each 128, which the row's number permutes.
Words wgmma_input(const WgmmaLauncher& launcher, uint32_t seed) {
  Words words = input_of(launcher, seed);
  const auto leave_two_steps = [&](size_t begin, int rows) {
    for (size_t i = 0; i < static_cast<size_t>(rows) * 32; ++i) {
      const size_t row = i / 32, chunk = i % 32 / 4 ^ row % 8;
      if (chunk >= 4) words[begin + i] = 0;
    }
  };
  const auto b = words.size() - (launcher.b_transposed ? 0 : static_cast<size_t>(launcher.columns) * 32);
  if (!launcher.b_transposed) leave_two_steps(b, launcher.columns);
  if (!launcher.a_in_registers && !launcher.a_transposed) leave_two_steps(0, 64);
  return words;
}

}  // namespace

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::span<const Launcher> launchers, int capability) {
    for (const Launcher& each : launchers) {
      list.push_back(case_of(each, capability, input_of(each, static_cast<uint32_t>(list.size()))));
    }
  };
  add(instructions(), 80);
  add(warp_instructions(), 80);
  add(block_instructions(), 80);
  add(hopper_instructions(), 90);
  add_boxes(list);
  add_tiles(list);
  for (const WgmmaLauncher& each : wgmma_instructions()) {
    list.push_back(case_of(each, 90, wgmma_input(each, static_cast<uint32_t>(list.size()))));
  }
  return list;
}

}  // namespace prospect::emulator::golden
