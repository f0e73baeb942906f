#include "kernels/rmsnorm/rmsnorm.h"

#include <algorithm>

#include "kernels/common/parallel.h"
#include "kernels/common/threads.h"
#include "kernels/rmsnorm/rmsnorm_row.h"

namespace prospect::kernels::cpu {

template <class T>
void rmsnorm_forward(const RmsNormForward<T>& args) {
  const int64_t columns = args.columns;
  parallel_for(args.rows, [&](int64_t row) {
    args.rstd[row] =
        rmsnorm_row(args.y + row * columns, args.x + row * columns, args.weight, columns, args.epsilon);
  });
}

template <class T>
void rmsnorm_backward(const RmsNormBackward<T>& args) {
  using C = compute_t<T>;
  const int64_t columns = args.columns, blocks = thread_count();
  const bool input = args.dx_mode != GradMode::Ignore, weight = args.dweight_mode != GradMode::Ignore;
  parallel_for(blocks, [&](int64_t block) {
    C* dweight = args.scratch + block * columns;
    const Block rows = block_of(args.rows, block, blocks);
    if (weight) std::fill(dweight, dweight + columns, C{0});
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      const T* x = args.x + row * columns;
      const T* dy = args.dy + row * columns;
      if (input) {
        rmsnorm_row_input_gradient(args.dx + row * columns, args.dx_mode, dy, x, args.weight, args.rstd[row],
                                   columns);
      }
      if (weight) rmsnorm_row_weight_gradient(dweight, dy, x, args.rstd[row], columns);
    }
  });
  for (int64_t c = 0; weight && c < columns; ++c) {
    C sum = 0;
    for (int64_t block = 0; block < blocks; ++block) sum += args.scratch[block * columns + c];
    put(args.dweight[c], sum, args.dweight_mode);
  }
}

template <class T>
int64_t rmsnorm_backward_scratch_bytes(int64_t columns) {
  return thread_count() * columns * static_cast<int64_t>(sizeof(compute_t<T>));
}

template void rmsnorm_forward(const RmsNormForward<float>&);
template void rmsnorm_forward(const RmsNormForward<bf16>&);
template void rmsnorm_forward(const RmsNormForward<double>&);
template void rmsnorm_backward(const RmsNormBackward<float>&);
template void rmsnorm_backward(const RmsNormBackward<bf16>&);
template void rmsnorm_backward(const RmsNormBackward<double>&);
template int64_t rmsnorm_backward_scratch_bytes<float>(int64_t);
template int64_t rmsnorm_backward_scratch_bytes<bf16>(int64_t);
template int64_t rmsnorm_backward_scratch_bytes<double>(int64_t);

}  // namespace prospect::kernels::cpu
