#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/emulator/block.h"
#include "tests/emulator/decode.h"

namespace prospect::emulator {

/// What a launch cost, summed over the launches of a kernel.
struct KernelStatistics {
  uint64_t launches = 0;
  uint64_t warp_steps = 0;
  uint64_t thread_instructions = 0;
  double seconds = 0;
  std::map<std::string, RequestCounts> global_requests, shared_requests;  ///< by source line
};

struct LaunchShape {
  Extent grid, block, cluster{};
  uint32_t dynamic_shared = 0;
  bool cooperative = false;
};

/// The one device of this process: its memory, its kernels, and the first fault, which stays.
class Device {
 public:
  static Device& instance();

  Options options;
  DeviceMemory memory;
  bool told_multiprocessors = false;             ///< somebody asked for them since this was cleared
  std::function<void(const Launch&)> on_launch;  ///< called behind each launch without a fault
  /// Null unless the options ask for checks.
  Checker* checker() { return options.check ? &checker_ : nullptr; }

  /// PTX texts of one translation unit, later used by kernels registered with it: of a kernel that several
  /// hold, the newest that the device can run.
  int add_module(std::vector<std::string> texts);
  /// Of all modules.
  std::vector<std::string> ptx_texts() const;
  void add_kernel(const void* host_function, int module, std::string name);
  bool has_kernel(const void* host_function) const { return kernels_.count(host_function) > 0; }

  struct Attributes {
    size_t static_shared = 0;
    unsigned max_threads = 0;
    int max_dynamic_shared = 48 << 10;
    Extent cluster{0, 0, 0};  ///< that the kernel itself wants; 0: none
  };
  Attributes& attributes(const void* host_function);

  /// Runs a kernel to its end. Returns false, and keeps the report, when it faults.
  bool launch(const void* host_function, const LaunchShape& shape, void** arguments);

  /// The report of the first fault; empty without one.
  const std::string& report() const { return report_; }
  /// As a process that starts anew: tests that fault on purpose call it.
  std::string take_report() { return std::exchange(report_, {}); }
  const std::map<std::string, KernelStatistics>& statistics() const { return statistics_; }

 private:
  struct Module {
    std::vector<std::string> texts;  ///< the newest first
    std::vector<ModuleText> parsed;  ///< those that the device can run
    std::vector<Symbols> symbols;
  };
  struct Kernel {
    int module;
    std::string name;
    std::unique_ptr<Program> program;
    Attributes attributes;
  };

  void add_statistics(const Launch& launch, double seconds);
  Kernel& prepared(const void* host_function);
  uint64_t grid_workspace();
  Symbols place_variables(const ModuleText& module);

  std::vector<Module> modules_;
  std::unordered_map<const void*, Kernel> kernels_;
  std::map<std::string, KernelStatistics> statistics_;
  std::string report_;
  uint64_t launches_ = 0;
  void* grid_workspace_ = nullptr;
  Checker checker_{memory};
};

}  // namespace prospect::emulator
