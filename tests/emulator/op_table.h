#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "tests/emulator/program.h"

namespace prospect::emulator {

/// Every instruction that the emulator knows, by its full spelling. What is not here is an error.
///
/// Operands are declared by one letter each. Width: p predicate, h 16 bits, w 32, d 64, x any; lower case is
/// read, upper case is written. `a` is an address in brackets, `t` a label. (WW) is a vector in braces,
/// [d(ww)] operands in brackets. W|P may be followed by a second destination. What follows `?` may be left
/// out.
class OpTable {
 public:
  /// `spelling` may hold alternatives: "add{,.rn}.f32".
  void add(const std::string& spelling, const char* operands, Handler run, Flow flow = Flow::Next,
           int variant = 0);
  /// Null when there is none. An opcode with several forms of operands has several rows.
  const std::vector<Op>* find(const std::string& spelling) const;
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (const auto& [spelling, rows] : rows_) {
      for (const Op& row : rows) visit(row);
    }
  }

 private:
  std::unordered_map<std::string, std::vector<Op>> rows_;
};

const OpTable& op_table();

// The rows, by kind.
void add_integer_ops(OpTable& table);
void add_bit_ops(OpTable& table);
void add_float_ops(OpTable& table);
void add_predicate_ops(OpTable& table);
void add_convert_ops(OpTable& table);
void add_move_ops(OpTable& table);
void add_memory_ops(OpTable& table);
void add_atomic_ops(OpTable& table);
void add_control_ops(OpTable& table);
void add_warp_ops(OpTable& table);
void add_matrix_ops(OpTable& table);
void add_copy_ops(OpTable& table);
void add_cluster_ops(OpTable& table);
void add_mbarrier_ops(OpTable& table);
void add_bulk_ops(OpTable& table);
void add_wgmma_ops(OpTable& table);

}  // namespace prospect::emulator
