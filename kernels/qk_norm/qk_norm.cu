// A few neighbouring lanes hold a head in registers, so a warp has several: forward reads x once and writes y
// once; backward reads x and dy once and writes dx once. Values pass through as heads that are not changed.
// Blocks of backward keep their sums for the weights in registers; they go to scratch once, and a second
// kernel adds them in block order.
#include "kernels/common/column_sums.cuh"
#include "kernels/common/cuda_check.h"
#include "kernels/common/row.cuh"
#include "kernels/qk_norm/qk_norm.h"

namespace prospect::kernels::cuda {
namespace {

constexpr int kWarps = 8;  ///< of a block
constexpr int64_t kLongestHead = kWarp * kRowValues;

/// What a launch takes of a shape. Heads are counted over all tokens, values' included.
struct Heads {
  unsigned count, of_token, queries, normalised;
  int size;
  int lanes;  ///< that hold a head
  explicit Heads(const QkNormShape& shape)
      : count(static_cast<unsigned>(shape.tokens * (shape.heads + 2 * shape.kv_heads))),
        of_token(static_cast<unsigned>(shape.heads + 2 * shape.kv_heads)),
        queries(static_cast<unsigned>(shape.heads)),
        normalised(static_cast<unsigned>(shape.normalised())),
        size(static_cast<int>(shape.head_dim)),
        lanes(1) {
    while (lanes * kRowValues < size) lanes *= 2;
  }
  __host__ __device__ unsigned of_block() const { return kWarps * kWarp / lanes; }
};

/// The head of this thread in one pass of the block over of_block() heads from `first` on.
template <class T, bool kVectors>
struct Head {
  int64_t begin;  ///< of its elements
  int64_t rstd;   ///< where its rstd lies, if it is normalised
  bool is_query, is_normalised;
  RowSlice<T, kVectors> slice;  ///< empty behind the last head

  __device__ Head(const Heads& heads, unsigned first) {
    const unsigned index = first + (threadIdx.y * kWarp + threadIdx.x) / heads.lanes;
    const unsigned token = index / heads.of_token, head = index % heads.of_token;
    const bool is_there = index < heads.count;
    begin = int64_t{index} * heads.size;
    rstd = int64_t{token} * heads.normalised + head;
    is_query = head < heads.queries;
    is_normalised = is_there && head < heads.normalised;
    slice = {is_there ? heads.size : 0, heads.lanes};
  }
  __device__ bool is_first_lane() const { return slice.column(0) == 0; }
};

template <class T, bool kVectors>
__global__ void __launch_bounds__(kWarps* kWarp) qk_norm_forward_kernel(QkNormForward<T> args, Heads heads) {
  const Head<T, kVectors> head(heads, blockIdx.x * heads.of_block());
  float x[kRowValues];
  head.slice.load(args.x + head.begin, x);
  float squares = 0;
#pragma unroll
  for (int i = 0; i < kRowValues; ++i) squares += x[i] * x[i];
  squares = lane_sum(squares, heads.lanes);
  if (head.is_normalised) {
    const float rstd = 1 / sqrtf(squares / static_cast<float>(heads.size) + static_cast<float>(args.epsilon));
    float weight[kRowValues];
    head.slice.load(head.is_query ? args.query_weight : args.key_weight, weight);
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) x[i] *= rstd * weight[i];
    if (head.is_first_lane()) args.rstd[head.rstd] = rstd;
  }
  head.slice.store(args.y + head.begin, x);
}

/// The sums over a warp's heads to part ([size]).
template <class T, bool kVectors>
__device__ void store_part(float* part, float (&sums)[kRowValues], const Heads& heads) {
  const RowSlice<T, kVectors> slice{heads.size, heads.lanes};
#pragma unroll
  for (int i = 0; i < kRowValues; ++i) {
    for (int distance = kWarp / 2; distance >= heads.lanes; distance /= 2) {
      sums[i] += __shfl_xor_sync(0xffffffffu, sums[i], distance);
    }
    if (threadIdx.x < heads.lanes && slice.has(i)) part[slice.column(i)] = sums[i];
  }
}

/// dx, and the block's sums for the weights in scratch [2, blocks, head_dim]: queries', then keys'.
template <class T, bool kVectors>
__global__ void __launch_bounds__(kWarps* kWarp)
    qk_norm_backward_kernel(QkNormBackward<T> args, Heads heads) {
  __shared__ float room[kWarps * kWarp * kRowValues];
  float dquery[kRowValues] = {}, dkey[kRowValues] = {};
  for (unsigned first = blockIdx.x * heads.of_block(); first < heads.count;
       first += gridDim.x * heads.of_block()) {
    const Head<T, kVectors> head(heads, first);
    float x[kRowValues], g[kRowValues];
    head.slice.load(args.x + head.begin, x);
    head.slice.load(args.dy + head.begin, g);
    float weight[kRowValues] = {};
    float rstd = 0, sum = 0;
    if (head.is_normalised) {
      rstd = args.rstd[head.rstd];
      head.slice.load(head.is_query ? args.query_weight : args.key_weight, weight);
    }
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) {
      x[i] *= rstd;
      const float term = g[i] * x[i];
      dquery[i] += head.is_query ? term : 0;
      dkey[i] += head.is_query ? 0 : term;
      sum += term * weight[i];
    }
    if (args.dx_mode == GradMode::Ignore) continue;
    const float mean = lane_sum(sum, heads.lanes) / static_cast<float>(heads.size);
    if (head.is_normalised) {
#pragma unroll
      for (int i = 0; i < kRowValues; ++i) g[i] = rstd * (g[i] * weight[i] - x[i] * mean);
    }
    head.slice.put(args.dx + head.begin, g, args.dx_mode);
  }
  TeamStage{room}.add(dquery);
  TeamStage{room}.add(dkey);
  if (threadIdx.y != 0) return;
  float* part = args.scratch + int64_t{blockIdx.x} * heads.size;
  store_part<T, kVectors>(part, dquery, heads);
  store_part<T, kVectors>(part + int64_t{gridDim.x} * heads.size, dkey, heads);
}

void check_shape(const QkNormShape& shape) {
  if (shape.head_dim > kLongestHead) {
    throw Error(ExitCode::BadConfig, "qk_norm: heads of " + std::to_string(shape.head_dim) +
                                         " elements; on CUDA at most " + std::to_string(kLongestHead));
  }
  if (shape.tokens * (shape.heads + 2 * shape.kv_heads) > INT32_MAX) {
    throw Error(ExitCode::BadConfig, "qk_norm: more than 2^31 - 1 heads");
  }
}

int most_head_parts() {
  return 2 * most_parts("qk_norm_backward");
}

int block_count(const Heads& heads) {
  return static_cast<int>((heads.count + heads.of_block() - 1) / heads.of_block());
}

}  // namespace

template <class T>
void qk_norm_forward(const QkNormForward<T>& args, Stream stream) {
  check_shape(args.shape);
  const Heads heads(args.shape);
  if (heads.count == 0 || heads.size == 0) return;
  const bool vectors = rows_in_vectors<T>(heads.size, {args.x, args.y, args.query_weight, args.key_weight});
  const auto kernel = vectors ? qk_norm_forward_kernel<T, true> : qk_norm_forward_kernel<T, false>;
  kernel<<<block_count(heads), dim3(kWarp, kWarps), 0, stream>>>(args, heads);
  check(cudaGetLastError(), "qk_norm_forward");
}

template <class T>
void qk_norm_backward(const QkNormBackward<T>& args, Stream stream) {
  check_shape(args.shape);
  const Heads heads(args.shape);
  if (heads.size == 0) return;
  const int parts = std::min(block_count(heads), most_head_parts());
  if (parts > 0) {
    const bool vectors =
        rows_in_vectors<T>(heads.size, {args.x, args.dy, args.dx, args.query_weight, args.key_weight});
    const auto kernel = vectors ? qk_norm_backward_kernel<T, true> : qk_norm_backward_kernel<T, false>;
    kernel<<<parts, dim3(kWarp, kWarps), 0, stream>>>(args, heads);
  }
  sum_parts(args.dquery_weight, args.dquery_weight_mode, args.scratch, parts, heads.size, stream);
  sum_parts(args.dkey_weight, args.dkey_weight_mode, args.scratch + parts * heads.size, parts, heads.size,
            stream);
  check(cudaGetLastError(), "qk_norm_backward");
}

int64_t qk_norm_backward_scratch_bytes(int64_t head_dim) {
  return 2 * most_head_parts() * head_dim * static_cast<int64_t>(sizeof(float));
}

template void qk_norm_forward(const QkNormForward<float>&, Stream);
template void qk_norm_forward(const QkNormForward<bf16>&, Stream);
template void qk_norm_backward(const QkNormBackward<float>&, Stream);
template void qk_norm_backward(const QkNormBackward<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
