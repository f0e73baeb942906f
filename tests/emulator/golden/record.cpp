// Records what the instructions of cases.h do on the device of this machine:
//   golden_record FOLDER
// writes FOLDER/NAME.golden for each that the device can run. Exits 77 without a device. bench/gpu_check runs
// it.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <filesystem>

#include "kernels/common/cuda_check.h"
#include "kernels/common/error.h"
#include "tests/emulator/golden/cases.h"

namespace prospect::emulator::golden {
namespace {

constexpr int kSkipped = 77;

int run(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: {} FOLDER\n", argv[0]);
    return static_cast<int>(ExitCode::Usage);
  }
  int devices = 0, runtime = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    fmt::print("no CUDA device\n");
    return kSkipped;
  }
  cudaDeviceProp device;
  kernels::cuda::check(cudaGetDeviceProperties(&device, 0), "golden_record");
  kernels::cuda::check(cudaRuntimeGetVersion(&runtime), "golden_record");
  const std::string name = fmt::format("{}, capability {}.{}, CUDA {}.{}", device.name, device.major,
                                       device.minor, runtime / 1000, runtime % 1000 / 10);
  std::filesystem::create_directories(argv[1]);
  const int recorded = record(argv[1], name, 10 * device.major + device.minor);
  fmt::print("{}: {} cases recorded in {}\n", name, recorded, argv[1]);
  return 0;
}

}  // namespace
}  // namespace prospect::emulator::golden

int main(int argc, char** argv) {
  try {
    return prospect::emulator::golden::run(argc, argv);
  } catch (const prospect::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return static_cast<int>(error.code());
  }
}
