#include "tests/emulator/warpgroup.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tests/emulator/block.h"

namespace prospect::emulator {

Warpgroup& warpgroup_of(Warp& warp, const Instruction& instruction) {
  Block& block = *warp.block;
  const auto number = static_cast<size_t>(warp.index) / Warpgroup::kWarps;
  if ((number + 1) * Warpgroup::kWarps > block.warps.size()) {
    warp.fault(instruction, 0, "wgmma outside of four whole warps");
  }
  if (block.warpgroups.size() <= number) block.warpgroups.resize(number + 1);
  Warpgroup& group = block.warpgroups[number];
  Checker* checker = block.launch.checker;
  if (checker != nullptr && group.engine == 0) group.engine = checker->add_engine(block);
  return group;
}

void Warpgroup::commit(Warp& warp) {
  const auto own = static_cast<size_t>(warp.index) % kWarps;
  const size_t place = committed[own]++ - complete;
  if (groups.size() <= place) groups.emplace_back();
  groups[place].of_warp[own] = std::exchange(open[own], {});
  settle();
}

void Warpgroup::wait(Warp& warp, const Instruction& instruction, uint32_t count) {
  waiting.push_back({&warp, &instruction, count});
  settle();
}

void Warpgroup::settle() {
  const uint32_t issued = *std::min_element(committed.begin(), committed.end());
  for (const Waiting& each : std::exchange(waiting, {})) {
    if (each.groups > issued) {
      waiting.push_back(each);
      continue;
    }
    for (; complete < each.groups; ++complete) {
      retire(*each.warp, *each.instruction, groups.front());
      groups.pop_front();
    }
    ++each.warp->block->launch.progress;
    if (each.warp->registers != nullptr) each.warp->registers->complete(each.groups);
    each.warp->resume(each.warp->exists);
    if (Checker* checker = each.warp->block->launch.checker) {
      checker->learn(*each.warp, each.warp->exists, *each.warp->block, engine, complete);
    }
  }
}

/// The warps must have issued the same products, and what they read must be as it was.
void Warpgroup::retire(Warp& warp, const Instruction& instruction, const Group& group) const {
  const int first = warp.index / kWarps * kWarps;
  const Program& program = warp.block->launch.program;
  for (int i = 0; i < kWarps; ++i) {
    const std::vector<Product>&lead = group.of_warp[0], &own = group.of_warp[static_cast<size_t>(i)];
    const auto differs = [](const Product& a, const Product& b) {
      return a.instruction != b.instruction || a.a != b.a || a.b != b.b || a.accumulates != b.accumulates;
    };
    if (own.size() != lead.size() ||
        !std::equal(own.begin(), own.end(), lead.begin(), std::not_fn(differs))) {
      warp.fault(
          instruction, 0,
          fmt::format("diverged warpgroup: warp {} issued other wgmma than warp {}", first + i, first));
    }
    const Warp& reader = warp.block->warps[static_cast<size_t>(first + i)];
    for (const Product& product : own) {
      if (checksum_of(reader, product, shape_of(reader, *product.instruction)) == product.checksum) continue;
      warp.fault(instruction, 0,
                 fmt::format("shared memory changed while wgmma read it, at {}",
                             program.where(*product.instruction)));
    }
  }
}

}  // namespace prospect::emulator
