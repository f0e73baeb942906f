#include "bench/cards/card.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "bench/cards/prediction.h"
#include "bench/cards/ptxas.h"
#include "tests/emulator/device.h"

namespace prospect::bench {
namespace {

/// What memory-bound cases may move at most beside what they must, ask of shared memory beside what it could
/// give at once; and how much of the sectors that move they must use.
constexpr double kMostMoved = 1.05, kMostWavefronts = 1.05, kLeastUsed = 0.95;

std::string cell(double value) {
  return fmt::format("{:.4g}", value);
}

double ratio(double a, double b) {
  return b == 0 ? 1 : a / b;
}

std::vector<std::string> columns() {
  std::vector<std::string> names = {"case",   "kernel", "launches",        "blocks",       "threads",
                                    "shared", "gflop",  "special",         "fp32",         "integer",
                                    "fp64",   "global", "shared_requests", "instructions", "wavefronts",
                                    "used",   "l2_mb",  "moved_mb",        "least_mb"};
  for (const Machine& machine : kMachines) {
    const std::string name = machine.name;
    names.push_back(name + "_warps");
    for (const char* resource : kResources) names.push_back(name + "_" + resource);
    for (const char* rest : {"_bound", "_us", "_ideal_us"}) names.push_back(name + rest);
  }
  return names;
}

int registers_of(const Table& ptxas, const std::string& kernel, const std::string& architecture) {
  for (const auto& row : ptxas.rows) {
    if (row[0] == kernel && row[1] == architecture) return std::stoi(row[2]);
  }
  throw Error(ExitCode::BadData, fmt::format("{} for {} is not in the table of ptxas", kernel, architecture));
}

/// Millions of warp instructions, and megabytes.
std::vector<std::string> counts(const KernelWork& work) {
  return {cell(work.cost.tensor_flops * 1e-9),
          cell(work.cost.special * 1e-6),
          cell(work.cost.fp32 * 1e-6),
          cell(work.cost.integer * 1e-6),
          cell(work.cost.fp64 * 1e-6),
          cell(work.global_requests * 1e-6),
          cell(work.shared_requests * 1e-6),
          cell(work.instructions() * 1e-6),
          cell(ratio(work.wavefronts, work.least_wavefronts)),
          cell(ratio(work.least_sectors, work.sectors)),
          cell(work.cache_bytes * 1e-6),
          cell(work.memory_bytes * 1e-6)};
}

/// What a case's kernels do, on each of kMachines.
using Counts = std::array<std::vector<KernelWork>, std::size(kMachines)>;

/// The same kernel on another machine; null where the operation takes others there.
const KernelWork* find(const std::vector<KernelWork>& kernels, const KernelWork& kernel) {
  for (const KernelWork& each : kernels) {
    if (each.kernel == kernel.kernel && each.threads == kernel.threads) return &each;
  }
  return nullptr;
}

/// Of a kernel on the first machine, of which the counts are.
std::vector<std::string> kernel_row(const std::string& name, const KernelWork& work, const Counts& counted,
                                    const Table& ptxas) {
  std::vector<std::string> row = {name,
                                  work.kernel,
                                  std::to_string(work.launches),
                                  fmt::format("{:.0f}", work.blocks / work.launches),
                                  std::to_string(work.threads),
                                  std::to_string(work.shared_bytes)};
  for (std::string& each : counts(work)) row.push_back(std::move(each));
  row.push_back("-");
  for (size_t m = 0; m < counted.size(); ++m) {
    const Machine& machine = kMachines[m];
    const KernelWork* here = find(counted[m], work);
    if (here == nullptr) {
      row.insert(row.end(), 4 + std::size(kResources), "-");
      continue;
    }
    const Clocks clocks = predict(*here, machine);
    row.push_back(
        std::to_string(resident_warps(here->threads, registers_of(ptxas, here->kernel, machine.architecture),
                                      here->shared_bytes, machine)));
    for (const double each : clocks.of) row.push_back(cell(each));
    row.push_back(kResources[clocks.bound()]);
    row.push_back(cell(clocks.most() / machine.clock_hz * 1e6));
    row.push_back("-");
  }
  return row;
}

KernelWork sum_of(const std::vector<KernelWork>& kernels) {
  KernelWork sum;
  for (const KernelWork& each : kernels) sum += each;
  return sum;
}

/// Kernels follow each other: their times add up, and the case is bound by what bounds most of its time.
std::vector<std::string> case_row(const std::string& name, const Work& work, const Counts& counted) {
  const KernelWork sum = sum_of(counted[0]);
  std::vector<std::string> row = {name, "all", std::to_string(sum.launches), "-", "-", "-"};
  for (std::string& each : counts(sum)) row.push_back(std::move(each));
  row.push_back(cell(work.bytes * 1e-6));
  for (size_t m = 0; m < counted.size(); ++m) {
    const Machine& machine = kMachines[m];
    Clocks all, bounds;
    double most = 0;
    for (const KernelWork& kernel : counted[m]) {
      const Clocks clocks = predict(kernel, machine);
      for (size_t i = 0; i < all.of.size(); ++i) all.of[i] += clocks.of[i];
      bounds.of[clocks.bound()] += clocks.most();
      most += clocks.most();
    }
    row.push_back("-");
    for (const double each : all.of) row.push_back(cell(each));
    row.push_back(kResources[bounds.bound()]);
    row.push_back(cell(most / machine.clock_hz * 1e6));
    row.push_back(cell(ideal_seconds(work.bytes, work.flops, work.in_bf16, machine) * 1e6));
  }
  return row;
}

std::vector<std::string> waste_of(const std::string& name, const Work& work,
                                  const std::vector<KernelWork>& kernels) {
  std::vector<std::string> lines;
  if (work.flops > 0 || !work.excuse.empty()) return lines;
  const KernelWork sum = sum_of(kernels);
  if (sum.memory_bytes > kMostMoved * work.bytes) {
    lines.push_back(fmt::format("{}: moves {:.3f} of what it must", name, sum.memory_bytes / work.bytes));
  }
  for (const KernelWork& each : kernels) {
    if (each.least_sectors < kLeastUsed * each.sectors) {
      lines.push_back(fmt::format("{}: {} uses {:.3f} of its sectors", name, each.kernel,
                                  each.least_sectors / each.sectors));
    }
    if (each.wavefronts > kMostWavefronts * each.least_wavefronts) {
      lines.push_back(fmt::format("{}: {} takes {:.3f} of the wavefronts it needs", name, each.kernel,
                                  each.wavefronts / each.least_wavefronts));
    }
  }
  return lines;
}

/// Runs a case on the emulated device.
std::vector<KernelWork> count(const std::string& name, const Work& work) {
  emulator::Device& device = emulator::Device::instance();
  WorkCollector collector;
  device.on_launch = [&](const emulator::Launch& launch) { collector.add(launch); };
  work.run(nullptr);
  device.on_launch = nullptr;
  const std::string fault = device.take_report();
  if (!fault.empty()) throw Error(ExitCode::Bug, name + ": " + fault);
  return collector.kernels();
}

/// `work` was made on the first machine. A case whose grids follow the multiprocessors asks for their number,
/// and runs on each machine, with arrays that no other run has written; others run once.
Counts count_on_machines(const Case& each, const Work& work) {
  emulator::Device& device = emulator::Device::instance();
  Counts counted;
  device.told_multiprocessors = false;
  counted.fill(count(each.name, work));
  if (!device.told_multiprocessors) return counted;
  for (size_t m = 1; m < counted.size(); ++m) {
    device.options.multiprocessors = kMachines[m].multiprocessors;
    Arrays arrays;
    counted[m] = count(each.name, each.make(arrays));
  }
  return counted;
}

}  // namespace

CardReport make_card(const std::vector<Case>& cases, const Table& ptxas) {
  emulator::Device& device = emulator::Device::instance();
  device.options.count_requests = device.options.sample_blocks = true;
  CardReport report;
  report.table.comments = {
      "# A prediction: counted in the emulator, at the documented rates of the devices. Nothing here was "
      "measured.",
      "# " + compiler_version()};
  report.table.columns = columns();
  for (const Case& each : cases) {
    device.options.multiprocessors = kMachines[0].multiprocessors;
    Arrays arrays;
    const Work work = each.make(arrays);
    const Counts counted = count_on_machines(each, work);
    for (const KernelWork& kernel : counted[0]) {
      report.table.rows.push_back(kernel_row(each.name, kernel, counted, ptxas));
    }
    report.table.rows.push_back(case_row(each.name, work, counted));
    for (std::string& line : waste_of(each.name, work, counted[0])) report.wasted.push_back(std::move(line));
  }
  return report;
}

}  // namespace prospect::bench
