// Times every case of an operation on a device:
//   <op>_time [--seconds=S] [--results=FILE] [--commit=NAME] [--filter=TEXT]
// Each case for at most its equal part of S seconds (60), a line of JSON for each in FILE as soon as it is
// known. Cold: before each call 256 MB are written, so that no input is in a cache; the median of the calls
// counts. Warm: calls follow each other. A copy of as many bytes on the device, cold too, stands beside it.
// Exits 77 without a device.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string_view>
#include <thread>

#include "bench/cases.h"
#include "kernels/common/cuda_check.h"

namespace prospect::bench {
namespace {

using kernels::cuda::check;
using kernels::cuda::Stream;
using Call = std::function<void(Stream)>;
using Clock = std::chrono::steady_clock;

constexpr size_t kFlushBytes = 256 << 20;  // beyond any cache
constexpr int kFewest = 5, kMost = 50, kWarmCalls = 20;

struct Options {
  double seconds = 60;
  std::string results, commit = "unknown", filter;
};

/// Microseconds between two events.
class Stopwatch {
 public:
  Stopwatch() {
    check(cudaEventCreate(&begin_), "cudaEventCreate");
    check(cudaEventCreate(&end_), "cudaEventCreate");
  }
  ~Stopwatch() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Stopwatch(const Stopwatch&) = delete;

  void start(Stream stream) { check(cudaEventRecord(begin_, stream), "cudaEventRecord"); }
  double stop(Stream stream) {
    check(cudaEventRecord(end_, stream), "cudaEventRecord");
    check(cudaEventSynchronize(end_), "cudaEventSynchronize");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin_, end_), "cudaEventElapsedTime");
    return 1e3 * milliseconds;
  }

 private:
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

struct Times {
  double median = 0, low = 0, high = 0;  ///< low and high: of nine tenths of the calls
  size_t calls = 0;
};

/// The device, and what is needed to time on it.
class Timer {
 public:
  Timer() {
    check(cudaStreamCreate(&stream_), "cudaStreamCreate");
    check(cudaMalloc(&flush_, kFlushBytes), "cudaMalloc");
  }
  ~Timer() {
    cudaFree(flush_);
    cudaStreamDestroy(stream_);
  }
  Timer(const Timer&) = delete;

  /// Until `end`, but some calls at least.
  Times cold(const Call& call, Clock::time_point end) {
    for (int i = 0; i < 3; ++i) once(call);
    std::vector<double> times;
    while (times.size() < kFewest || (times.size() < kMost && Clock::now() < end))
      times.push_back(once(call));
    std::sort(times.begin(), times.end());
    const size_t count = times.size();
    return {times[count / 2], times[count / 20], times[count - 1 - count / 20], count};
  }

  double warm(const Call& call) {
    watch_.start(stream_);
    for (int i = 0; i < kWarmCalls; ++i) call(stream_);
    return watch_.stop(stream_) / kWarmCalls;
  }

 private:
  /// The flush keeps the device busy while the host queues the rest, so that no launch is waited for.
  double once(const Call& call) {
    check(cudaMemsetAsync(flush_, ++fill_, kFlushBytes, stream_), "cudaMemsetAsync");
    watch_.start(stream_);
    call(stream_);
    return watch_.stop(stream_);
  }

  Stream stream_ = nullptr;
  void* flush_ = nullptr;
  int fill_ = 0;
  Stopwatch watch_;
};

/// What the driver says of the device.
struct Limits {
  std::string name, versions;
  double bytes_per_second = 0;
  double tensor_flops = 0;  ///< bf16, at the highest clock; 0: not known of this generation
};

int attribute(cudaDeviceAttr which) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, 0), "cudaDeviceGetAttribute");
  return value;
}

Limits limits() {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  const double memory_hz = 1e3 * attribute(cudaDevAttrMemoryClockRate),
               hz = 1e3 * attribute(cudaDevAttrClockRate);
  const double flops_of_one = properties.major == 9                            ? 4096
                              : properties.major == 8 && properties.minor == 0 ? 2048
                                                                               : 0;
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  return {properties.name, fmt::format("CUDA {}, driver for {}", runtime, driver),
          2 * memory_hz * attribute(cudaDevAttrGlobalMemoryBusWidth) / 8,
          flops_of_one * properties.multiProcessorCount * hz};
}

/// As many bytes as the case must move, half read and half written.
Times copy_times(Timer& timer, Arrays& arrays, double bytes, Clock::time_point end) {
  const auto half = static_cast<int64_t>(bytes / 4) + 1;
  const bf16* from = arrays.normal<bf16>(half);
  bf16* to = arrays.empty<bf16>(half);
  const auto call = [=](Stream stream) {
    check(
        cudaMemcpyAsync(to, from, static_cast<size_t>(half) * sizeof(bf16), cudaMemcpyDeviceToDevice, stream),
        "cudaMemcpyAsync");
  };
  return timer.cold(call, end);
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[11];
  std::strftime(text, sizeof(text), "%Y-%m-%d", std::gmtime(&now));
  return text;
}

std::string line_of(const Case& each, Timer& timer, const Limits& device, double seconds,
                    const Options& options) {
  const auto part = [&](double share) {
    return Clock::now() +
           std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds * share));
  };
  Arrays arrays;
  const Work work = each.make(arrays);
  const Times times = timer.cold(work.run, part(0.4));
  const double warm = timer.warm(work.run);
  std::string line = fmt::format(
      R"({{"date": "{}", "commit": "{}", "device": "{}", "versions": "{}", "case": "{}", "median_us": {:.2f}, "low_us": {:.2f}, "high_us": {:.2f}, )"
      R"("calls": {}, "warm_us": {:.2f}, "gb_per_s": {:.0f}, "of_memory": {:.3f})",
      today(), options.commit, device.name, device.versions, each.name, times.median, times.low, times.high,
      times.calls, warm, work.bytes / times.median * 1e-3,
      work.bytes / times.median * 1e6 / device.bytes_per_second);
  if (work.flops > 0) line += fmt::format(R"(, "tflop_per_s": {:.1f})", work.flops / times.median * 1e-6);
  if (work.flops > 0 && work.in_bf16 && device.tensor_flops > 0) {
    line += fmt::format(R"(, "of_tensor": {:.3f})", work.flops / times.median * 1e6 / device.tensor_flops);
  }
  if (work.run_peer) {
    const Times peer = timer.cold(work.run_peer, part(0.3));
    line += fmt::format(R"(, "peer": "{}", "peer_us": {:.2f}, "of_peer": {:.3f})", work.peer, peer.median,
                        peer.median / times.median);
  }
  const Times copy = copy_times(timer, arrays, work.bytes, part(0.2));
  line += fmt::format(R"(, "copy_us": {:.2f}, "of_copy": {:.3f}, "command": "{}"}})", copy.median,
                      copy.median / times.median, "bench/gpu_check");
  return line;
}

int run(const Options& options) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    fmt::print("skipped: no CUDA device\n");
    return 77;
  }
  const Limits device = limits();
  Timer timer;
  std::vector<Case> wanted;
  for (Case& each : cases()) {
    if (each.name.find(options.filter) != std::string::npos) wanted.push_back(std::move(each));
  }
  for (const Case& each : wanted) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));  // a device just busy has a lower clock
    const std::string line =
        line_of(each, timer, device, options.seconds / static_cast<double>(wanted.size()), options);
    fmt::print("{}\n", line);
    std::fflush(stdout);
    if (!options.results.empty()) std::ofstream(options.results, std::ios::app) << line << '\n';
  }
  return 0;
}

bool read_option(std::string_view word, Options& options) {
  const auto value = [&](std::string_view name) -> const char* {
    return word.starts_with(name) ? word.data() + name.size() : nullptr;
  };
  if (const char* text = value("--seconds=")) {
    options.seconds = std::strtod(text, nullptr);
  } else if (const char* text = value("--results=")) {
    options.results = text;
  } else if (const char* text = value("--commit=")) {
    options.commit = text;
  } else if (const char* text = value("--filter=")) {
    options.filter = text;
  } else {
    return false;
  }
  return true;
}

}  // namespace
}  // namespace prospect::bench

int main(int argc, char** argv) {
  prospect::bench::Options options;
  for (int i = 1; i < argc; ++i) {
    if (!prospect::bench::read_option(argv[i], options)) {
      fmt::print(stderr, "unknown option {}\n", argv[i]);
      return static_cast<int>(prospect::ExitCode::Usage);
    }
  }
  try {
    return prospect::bench::run(options);
  } catch (const prospect::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return static_cast<int>(error.code());
  }
}
