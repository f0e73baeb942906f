// Tests of kernels on the emulated device:
//   layernorm_emulated_test [--order=forward|reverse|random|priority] [--seed=N] [--target=80|90] [--check]
//   [--statistics] [--gtest_...]
// Each repetition (--gtest_repeat) has a seed of its own.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

#include "tests/emulator/device.h"

namespace prospect::emulator {
namespace {

/// A test during which a kernel did what none may fails with the report.
class Reporter : public testing::EmptyTestEventListener {
 public:
  explicit Reporter(uint64_t seed) : seed_(seed) {}
  void OnTestIterationStart(const testing::UnitTest&, int iteration) override {
    Device::instance().options.seed = (seed_ + static_cast<uint64_t>(iteration)) << 32;
  }
  void OnTestEnd(const testing::TestInfo&) override {
    const std::string report = Device::instance().take_report();
    if (!report.empty()) ADD_FAILURE() << report << "\n  seed " << (Device::instance().options.seed >> 32);
  }

 private:
  uint64_t seed_;
};

void print_requests(const std::map<std::string, RequestCounts>& lines, const char* space, const char* units) {
  for (const auto& [where, counts] : lines) {
    const auto requests = static_cast<double>(counts.requests);
    fmt::print("  {:37} {} {:8} requests of {:4.1f} lanes, {:5.2f} {} each, {:5.2f} needed\n", where, space,
               counts.requests, static_cast<double>(counts.lanes) / requests,
               static_cast<double>(counts.units) / requests, units,
               static_cast<double>(counts.least) / requests);
  }
}

void print_statistics() {
  for (const auto& [name, sums] : Device::instance().statistics()) {
    fmt::print("{}\n  {} launches, {:.3f} M thread instructions, {:.2f} ns each, {:.1f} lanes a step\n", name,
               sums.launches, 1e-6 * static_cast<double>(sums.thread_instructions),
               1e9 * sums.seconds / static_cast<double>(sums.thread_instructions),
               static_cast<double>(sums.thread_instructions) / static_cast<double>(sums.warp_steps));
    print_requests(sums.global_requests, "global", "sectors");
    print_requests(sums.shared_requests, "shared", "wavefronts");
  }
}

int run(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  Options& options = Device::instance().options;
  uint64_t seed = 1;
  bool statistics = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--order=forward") {
      options.order = Order::Forward;
    } else if (word == "--order=reverse") {
      options.order = Order::Reverse;
    } else if (word == "--order=random") {
      options.order = Order::Random;
    } else if (word == "--order=priority") {
      options.order = Order::Priority;
    } else if (word == "--target=80") {
      options.target = 80;
    } else if (word == "--target=90") {
      options.target = 90;
    } else if (word == "--check") {
      options.check = true;
    } else if (word == "--statistics") {
      statistics = options.count_requests = true;
    } else if (word.starts_with("--seed=")) {
      seed = std::strtoull(argv[i] + 7, nullptr, 10);
    } else {
      fmt::print(stderr, "unknown option {}\n", word);
      return 2;
    }
  }
  testing::UnitTest::GetInstance()->listeners().Append(new Reporter(seed));
  const int result = RUN_ALL_TESTS();
  if (statistics) print_statistics();
  return result;
}

}  // namespace
}  // namespace prospect::emulator

int main(int argc, char** argv) {
  return prospect::emulator::run(argc, argv);
}
