#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "tests/emulator/checker.h"
#include "tests/emulator/warp.h"

namespace prospect::emulator {

/// Four warps whose tensor-core products (wgmma) run asynchronously, in groups. A warp's share of a product
/// is computed when the warp issues it; what it reads in shared memory must stay as it is until the group is
/// complete. A group is complete when all four warps have issued it and one has waited for it.
struct Warpgroup {
  static constexpr int kWarps = 4;

  struct Product {
    const Instruction* instruction;
    uint64_t a, b;  ///< descriptors; a: 0 when A is in registers
    bool accumulates;
    uint64_t checksum;  ///< of what the warp read
  };
  struct Group {
    std::array<std::vector<Product>, kWarps> of_warp;
  };
  struct Waiting {
    Warp* warp;
    const Instruction* instruction;
    uint32_t groups;
  };

  std::array<std::vector<Product>, kWarps> open;
  std::array<uint32_t, kWarps> committed{};  ///< groups
  std::deque<Group> groups;                  ///< from `complete` on
  uint32_t complete = 0;
  std::vector<Waiting> waiting;
  uint32_t engine = 0;  ///< the checker's

  /// wgmma.commit_group of a warp.
  void commit(Warp& warp);
  /// wgmma.wait_group: stops the warp until its first `count` groups are complete.
  void wait(Warp& warp, const Instruction& instruction, uint32_t count);

 private:
  void settle();
  void retire(Warp& warp, const Instruction& instruction, const Group& group) const;
};

/// The warp's; made when it is first asked for. Throws Fault where the block has no such four warps.
Warpgroup& warpgroup_of(Warp& warp, const Instruction& instruction);

/// Computes the warp's share of a product, reads its operands and writes its accumulators. `trans`: the
/// operand is stored with rows (columns) side by side instead of along k.
struct ProductShape {
  size_t columns;
  bool a_in_registers, a_transposed, b_transposed;
  float sign_a, sign_b;
};
void multiply(Warp& warp, const Instruction& instruction, const ProductShape& shape,
              Warpgroup::Product& product);
/// Of the bytes in shared memory that the warp's share of a product reads.
uint64_t checksum_of(const Warp& warp, const Warpgroup::Product& product, const ProductShape& shape);
ProductShape shape_of(const Warp& warp, const Instruction& instruction);
/// Tells the checker what the warp's share reads. Throws Fault.
void check_reads(const Warp& warp, const Warpgroup::Product& product, const ProductShape& shape,
                 const Checker::Work& work);

}  // namespace prospect::emulator
