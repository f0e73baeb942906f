#include "tests/emulator/op_table.h"

namespace prospect::emulator {

void OpTable::add(const std::string& spelling, const char* operands, Handler run, Flow flow, int variant) {
  const size_t open = spelling.find('{');
  if (open == std::string::npos) {
    rows_[spelling].push_back({spelling, operands, run, flow, variant});
    return;
  }
  const size_t close = spelling.find('}', open);
  for (size_t begin = open + 1; begin <= close;) {
    const size_t end = std::min(spelling.find(',', begin), close);
    add(spelling.substr(0, open) + spelling.substr(begin, end - begin) + spelling.substr(close + 1), operands,
        run, flow, variant);
    begin = end + 1;
  }
}

const std::vector<Op>* OpTable::find(const std::string& spelling) const {
  const auto found = rows_.find(spelling);
  return found == rows_.end() ? nullptr : &found->second;
}

const OpTable& op_table() {
  static const OpTable table = [] {
    OpTable all;
    add_integer_ops(all);
    add_bit_ops(all);
    add_float_ops(all);
    add_predicate_ops(all);
    add_convert_ops(all);
    add_move_ops(all);
    add_memory_ops(all);
    add_atomic_ops(all);
    add_control_ops(all);
    add_warp_ops(all);
    add_matrix_ops(all);
    add_copy_ops(all);
    add_cluster_ops(all);
    add_mbarrier_ops(all);
    add_bulk_ops(all);
    add_wgmma_ops(all);
    return all;
  }();
  return table;
}

}  // namespace prospect::emulator
