#include "tests/emulator/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

#include "tests/emulator/fault.h"
#include "tests/emulator/schedule.h"

namespace prospect::emulator {

Device& Device::instance() {
  static Device device;
  return device;
}

int Device::add_module(std::vector<std::string> texts) {
  std::stable_sort(texts.begin(), texts.end(),
                   [](const std::string& a, const std::string& b) { return ptx_target(a) > ptx_target(b); });
  modules_.push_back({std::move(texts), {}, {}});
  return static_cast<int>(modules_.size()) - 1;
}

std::vector<std::string> Device::ptx_texts() const {
  std::vector<std::string> texts;
  for (const Module& module : modules_) texts.insert(texts.end(), module.texts.begin(), module.texts.end());
  return texts;
}

void Device::add_kernel(const void* host_function, int module, std::string name) {
  kernels_[host_function] = {module, std::move(name), nullptr, {}};
}

Symbols Device::place_variables(const ModuleText& module) {
  Symbols symbols;
  for (const std::string& text : module.variables) {
    Declaration variable = read_declaration(text);
    if (variable.space == ".shared") {
      symbols.shared.push_back(std::move(variable));
      continue;
    }
    if (variable.space != ".global" && variable.space != ".const") throw Unsupported("PTX: " + text);
    auto* bytes = static_cast<std::byte*>(memory.allocate(variable.bytes));
    std::memset(bytes, 0, variable.bytes);
    if (checker() != nullptr) checker()->note_host_write(reinterpret_cast<uint64_t>(bytes), variable.bytes);
    for (size_t i = 0; i < variable.initial.size(); ++i) {
      const std::string& word = variable.initial[i];
      char* end = nullptr;
      const uint64_t value = word.starts_with("0f") || word.starts_with("0d")
                                 ? std::strtoull(word.c_str() + 2, &end, 16)
                                 : static_cast<uint64_t>(std::strtoll(word.c_str(), &end, 0));
      if (*end != '\0') throw Unsupported("PTX: initial value " + word + " of " + variable.name);
      std::memcpy(bytes + i * variable.element_bytes, &value, variable.element_bytes);
    }
    symbols.addresses[variable.name] = reinterpret_cast<uint64_t>(bytes);
  }
  return symbols;
}

Device::Kernel& Device::prepared(const void* host_function) {
  Kernel& kernel = kernels_.at(host_function);
  if (kernel.program != nullptr) return kernel;
  Module& module = modules_[static_cast<size_t>(kernel.module)];
  if (module.parsed.empty()) {
    for (const std::string& text : module.texts) {
      if (ptx_target(text) > options.target) continue;
      module.parsed.push_back(read_module(text));
      module.symbols.push_back(place_variables(module.parsed.back()));
    }
  }
  for (size_t i = 0; i < module.parsed.size() && kernel.program == nullptr; ++i) {
    for (const KernelText& text : module.parsed[i].kernels) {
      if (text.name == kernel.name) kernel.program = decode(module.parsed[i], text, module.symbols[i]);
    }
  }
  if (kernel.program == nullptr) {
    throw Unsupported(
        fmt::format("no PTX of {} for a device of compute capability {}.{}: is it embedded, and "
                    "uncompressed (-no-compress)?",
                    kernel.name, options.target / 10, options.target % 10));
  }
  kernel.attributes.max_threads = kernel.program->max_threads;
  const auto& cluster = kernel.program->cluster;
  kernel.attributes.cluster = {cluster[0], cluster[1], cluster[2]};
  for (const SharedArray& array : kernel.program->shared) kernel.attributes.static_shared += array.bytes;
  return kernel;
}

Device::Attributes& Device::attributes(const void* host_function) {
  return prepared(host_function).attributes;
}

bool Device::launch(const void* host_function, const LaunchShape& shape, void** arguments) {
  try {
    Kernel& kernel = prepared(host_function);
    const Program& program = *kernel.program;
    Launch launch{program,
                  shape.grid,
                  shape.block,
                  shape.dynamic_shared,
                  std::vector<std::byte>(program.parameter_bytes),
                  memory,
                  options,
                  {}};
    launch.options.seed += launches_++;  // a repeated launch must not repeat its interleaving
    launch.checker = checker();
    launch.cluster = shape.cluster;
    if (shape.cooperative) {
      launch.options.resident_blocks = std::numeric_limits<int>::max();
      launch.options.sample_blocks = false;
      launch.grid_workspace = grid_workspace();
    }
    for (size_t i = 0; i < program.parameters.size(); ++i) {
      std::memcpy(launch.parameters.data() + program.parameters[i].offset, arguments[i],
                  program.parameters[i].bytes);
    }
    const auto start = std::chrono::steady_clock::now();
    run(launch);
    add_statistics(launch, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    if (on_launch) on_launch(launch);
    return true;
  } catch (const std::runtime_error& error) {
    if (report_.empty()) report_ = error.what();
    return false;
  }
}

uint64_t Device::grid_workspace() {
  constexpr size_t kBytes = 64;
  if (grid_workspace_ == nullptr) grid_workspace_ = memory.allocate(kBytes);
  std::memset(grid_workspace_, 0, kBytes);
  const auto address = reinterpret_cast<uint64_t>(grid_workspace_);
  if (checker() != nullptr) checker()->note_host_write(address, kBytes);
  return address;
}

void Device::add_statistics(const Launch& launch, double seconds) {
  KernelStatistics& sums = statistics_[launch.program.kernel];
  ++sums.launches;
  sums.warp_steps += launch.warp_steps;
  for (const Launch::Executions& each : launch.executed) sums.thread_instructions += each.lanes;
  sums.seconds += seconds;
  for (size_t i = 0; i < launch.requests.size(); ++i) {
    const auto& [global, shared] = launch.requests[i];
    const std::string where = launch.program.where(launch.program.code[i]);
    const std::string line = where.substr(0, where.find(" `"));
    if (global.requests > 0) sums.global_requests[line] += global;
    if (shared.requests > 0) sums.shared_requests[line] += shared;
  }
}

}  // namespace prospect::emulator
