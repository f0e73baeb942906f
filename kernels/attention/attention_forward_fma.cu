// Forward in float: a block takes a tile of queries of one head and goes through the tiles of keys that they
// see, with the softmax of each row kept up to date. Made to be right and readable rather than fast.
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_fma.cuh"
#include "kernels/attention/attention_launch.cuh"

namespace prospect::kernels::cuda {
namespace {

template <int kTile>
__global__ void __launch_bounds__(kSide* kSide, 1)
    attention_forward_kernel(AttentionForward<float> args, AttentionConstants constants) {
  using Rows = FmaTile<kTile>;
  constexpr int kRows = Rows::kRows;
  extern __shared__ __align__(16) float shared_floats[];
  SequenceTile tile;
  if (!find_tile<false>(args.problem, kTile, blockIdx.x, tile)) return;

  const int head_dim = static_cast<int>(args.problem.head_dim), head = blockIdx.y;
  const int kv_head = head / constants.group;
  const int64_t first_token = tile.query_begin + tile.first;
  const float* k = args.k + tile.key_begin * args.k_stride + kv_head * head_dim;
  const float* v = args.v + tile.key_begin * args.v_stride + kv_head * head_dim;
  float *queries = shared_floats, *keys = queries + Rows::tile_floats(head_dim),
        *values = keys + Rows::tile_floats(head_dim), *weights = values + Rows::tile_floats(head_dim);

  typename Rows::Sums output;
  Rows::clear(output);
  float maximum[kRows], sum[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) maximum[r] = -FLT_MAX, sum[r] = 0;

  Rows::load(queries, args.q + first_token * args.q_stride + head * head_dim, args.q_stride, tile.rows,
             head_dim);
  const int end = tile.last_key(tile.first + tile.rows - 1) + 1;
  const int begin = max(0, tile.last_key(tile.first) + 1 - constants.window) / kTile * kTile;
  for (int first_key = begin; first_key < end; first_key += kTile) {
    __syncthreads();
    Rows::load(keys, k + first_key * args.k_stride, args.k_stride, tile.keys - first_key, head_dim);
    Rows::load(values, v + first_key * args.v_stride, args.v_stride, tile.keys - first_key, head_dim);
    __syncthreads();
    typename Rows::Scores scores;
    Rows::multiply_by_rows(scores, queries, keys, head_dim);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int last_key = tile.last_key(tile.first + threadIdx.y + kSide * r);
      float most = maximum[r];
#pragma unroll
      for (int s = 0; s < kRows; ++s) {
        const int behind = last_key - (first_key + static_cast<int>(threadIdx.x) + kSide * s);
        scores[r][s] =
            behind >= 0 && behind < constants.window ? scores[r][s] * constants.scale_log2 : -INFINITY;
        most = fmaxf(most, scores[r][s]);
      }
      most = row_maximum(most);
      const float factor = ptx::exp2_approximate(maximum[r] - most);
      maximum[r] = most;
      sum[r] *= factor;
#pragma unroll
      for (int s = 0; s < kRows; ++s) {
        scores[r][s] = ptx::exp2_approximate(scores[r][s] - most);
        sum[r] += scores[r][s];
      }
#pragma unroll
      for (int i = 0; i < Rows::kVectors * 4; ++i) (&output[r][0][0])[i] *= factor;
    }
    Rows::store_weights(weights, scores);
    __syncwarp();  // a row of weights is used by the warp that wrote it
    Rows::add_weighted(output, weights, values, head_dim);
  }

#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    sum[r] = row_sum(sum[r]);
    const int row = threadIdx.y + kSide * r;
    if (args.lse && threadIdx.x == 0 && row < tile.rows) {
      args.lse[int64_t{head} * constants.tokens + first_token + row] = maximum[r] * kLn2 + logf(sum[r]);
    }
    sum[r] = 1 / sum[r];
  }
  Rows::put(output, sum, args.o + first_token * args.o_stride + head * head_dim, args.o_stride, tile.rows,
            head_dim, GradMode::Overwrite);
}

template <int kTile>
void forward(const AttentionForward<float>& args, Stream stream) {
  using Rows = FmaTile<kTile>;
  const int head_dim = static_cast<int>(args.problem.head_dim);
  const int floats = 3 * Rows::tile_floats(head_dim) + Rows::kWeightFloats;
  launch_tiles(attention_forward_kernel<kTile>,
               dim3(most_tiles(args.problem.tokens, args.problem.sequences, kTile),
                    static_cast<unsigned>(args.problem.heads)),
               dim3(kSide, kSide), floats * static_cast<int>(sizeof(float)), stream, args);
}

}  // namespace

void attention_forward_fma(const AttentionForward<float>& args, Stream stream) {
  args.problem.head_dim <= FmaTile<32>::kWidest ? forward<32>(args, stream) : forward<16>(args, stream);
}

}  // namespace prospect::kernels::cuda
