#include "kernels/embedding/embedding.h"

#include "engine/ops.h"
#include "engine/ops/require.h"

namespace prospect {

namespace {

template <class T>
void embedding_backward(const Tensor& ids, const Tensor& dy, const GradTarget& target) {
  const int64_t tokens = ids.count();
  const Tensor order = Tensor::empty({tokens}, DType::I32, ids.device());
  const Tensor starts = Tensor::empty({tokens + 1}, DType::I32, ids.device());
  const int64_t runs = kernels::cpu::embedding_order(ids.data<int32_t>(), tokens, order.data<int32_t>(),
                                                     starts.data<int32_t>());
  kernels::cpu::embedding_backward<T>({.dtable = target_data<T>(target.buffer),
                                       .dtable_mode = target.mode,
                                       .dy = dy.data<T>(),
                                       .ids = ids.data<int32_t>(),
                                       .order = order.data<int32_t>(),
                                       .starts = starts.data<int32_t>(),
                                       .runs = runs,
                                       .columns = dy.size(1),
                                       .table_rows = target.buffer.size(0)});
}

}  // namespace

Variable embedding(const Variable& table, const Tensor& ids) {
  CHECK(table.shape().size() == 2, "embedding: table must be [rows, columns], got {}",
        to_string(table.shape()));
  CHECK(ids.shape().size() == 1, "embedding: ids must be [tokens], got {}", to_string(ids.shape()));
  require("embedding", "ids", ids, {ids.count()}, DType::I32);
  const int64_t rows = table.value().size(0), columns = table.value().size(1), tokens = ids.count();
  const int32_t* id = ids.data<int32_t>();
  for (int64_t t = 0; t < tokens; ++t) {
    CHECK(id[t] >= 0 && id[t] < rows, "embedding: id {} at {} is outside [0, {})", id[t], t, rows);
  }
  const DType dtype = table.value().dtype();
  const Tensor y = Tensor::empty({tokens, columns}, dtype, table.value().device());

  return with_dtype(dtype, [&]<class T>() {
    kernels::cpu::embedding_forward<T>({.y = y.data<T>(),
                                        .table = table.value().data<T>(),
                                        .ids = id,
                                        .tokens = tokens,
                                        .columns = columns});
    return record(y, {table}, [ids](const Tensor& dy, std::span<const GradTarget> targets) {
      embedding_backward<T>(ids, dy, targets[0]);
    });
  });
}

}  // namespace prospect
