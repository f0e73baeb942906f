#include "kernels/head/head.h"

#include <algorithm>
#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/common/threads.h"
#include "kernels/kto/kto.h"
#include "kernels/log_softmax_gather/log_softmax_gather.h"
#include "kernels/matmul/matmul.h"

namespace prospect::kernels::cpu {

namespace {

template <class T>
constexpr bool kInPlace = std::is_same_v<T, compute_t<T>>;

/// Rows whose logits are held at a time.
template <class T>
int64_t chunk_rows_of(int64_t rows, int64_t vocabulary, int64_t chunk_bytes) {
  const int64_t element_bytes = sizeof(compute_t<T>) + (kInPlace<T> ? 0 : sizeof(T));
  return std::clamp<int64_t>(chunk_bytes / (vocabulary * element_bytes), 1, std::max<int64_t>(rows, 1));
}

/// What the largest of the three products asks for.
template <class T>
int64_t product_scratch_bytes(int64_t chunk_rows, int64_t columns, int64_t vocabulary) {
  return std::max({matmul_scratch_bytes<T>(chunk_rows, vocabulary, columns),
                   matmul_scratch_bytes<T>(chunk_rows, columns, vocabulary),
                   matmul_scratch_bytes<T>(vocabulary, columns, chunk_rows)});
}

/// One call: its buffers, carved from the scratch, and its steps. Rows and sequences are those of the call.
template <class T>
class HeadPass {
  using C = compute_t<T>;

 public:
  explicit HeadPass(const HeadForward<T>& args)
      : args_(args),
        chunk_rows_(chunk_rows_of<T>(args.rows, args.vocabulary, args.chunk_bytes)),
        wanted_(args.dhidden != nullptr || args.dweight_mode != GradMode::Ignore),
        slopes_known_(args.given_slopes != nullptr || args.objective.kind == ObjectiveKind::Lm),
        dweight_mode_(args.dweight_mode) {
    logits_ = reinterpret_cast<C*>(args.scratch);
    log_sum_exp_ = logits_ + chunk_rows_ * args.vocabulary;
    entropies_ = log_sum_exp_ + args.rows;
    logit_means_ = entropies_ + args.rows;
    row_slopes_ = logit_means_ + args.rows;
    if constexpr (kInPlace<T>) {
      dlogits_ = logits_;
    } else {
      matmul_scratch_ = reinterpret_cast<std::byte*>(row_slopes_ + args.rows);
      dlogits_ = reinterpret_cast<T*>(matmul_scratch_ +
                                      product_scratch_bytes<T>(chunk_rows_, args.columns, args.vocabulary));
    }
  }

  void run() {
    if (wanted_ && slopes_known_) spread_known_slopes();
    for (int64_t first = 0; first < args_.sequences;) {
      const int64_t last = group_end(first);
      run_group(first, last);
      first = last;
    }
    double sum = 0;
    for (int64_t s = 0; s < args_.sequences; ++s)
      sum += (args_.shares ? args_.shares[s] : 1) * args_.values[s];
    *args_.loss = sum;
    // Without a single row nothing was written yet.
    if (dweight_mode_ == GradMode::Overwrite) {
      std::fill_n(args_.dweight, args_.vocabulary * args_.columns, T{});
    }
  }

 private:
  /// The end of the sequences that one chunk holds from `first` on; at least one. Where no row waits for the
  /// end of its sequence, chunks need not respect sequences.
  int64_t group_end(int64_t first) const {
    if (!wanted_ || slopes_known_) return args_.sequences;
    const int32_t* offsets = args_.host_offsets;
    int64_t last = first + 1;
    while (last < args_.sequences && offsets[last + 1] - offsets[first] <= chunk_rows_) ++last;
    return last;
  }

  void run_group(int64_t first, int64_t last) {
    const int64_t begin = args_.host_offsets[first], end = args_.host_offsets[last];
    int64_t held = begin;
    for (int64_t row = begin; row < end; row += chunk_rows_) {
      const Block rows{row, std::min(end, row + chunk_rows_)};
      compute_logits(rows);
      compute_statistics(rows);
      if (wanted_ && slopes_known_) compute_gradients(rows);
      held = row;
    }
    apply_objective(first, last);
    if (!wanted_ || slopes_known_) return;
    spread_slopes(first, last);
    // Backwards, since the last chunk's logits are still here: for all but long sequences it is the only one.
    for (int64_t row = held; row >= begin && row < end; row -= chunk_rows_) {
      const Block rows{row, std::min(end, row + chunk_rows_)};
      if (row != held) compute_logits(rows);
      compute_gradients(rows);
    }
  }

  void compute_logits(Block rows) {
    matmul<T, C>({.y = logits_,
                  .scratch = matmul_scratch_,
                  .a = args_.hidden + rows.begin * args_.columns,
                  .b = args_.weight,
                  .rows = rows.end - rows.begin,
                  .columns = args_.vocabulary,
                  .inner = args_.columns,
                  .lda = args_.columns,
                  .ldb = args_.columns,
                  .ldy = args_.vocabulary,
                  .transpose_b = true});
  }

  void compute_statistics(Block rows) {
    log_softmax_gather_forward<C>({.log_probabilities = args_.log_probabilities + rows.begin,
                                   .log_sum_exp = log_sum_exp_ + rows.begin,
                                   .entropies = entropies_ + rows.begin,
                                   .logit_means = logit_means_ + rows.begin,
                                   .logits = logits_,
                                   .targets = args_.targets + rows.begin,
                                   .rows = rows.end - rows.begin,
                                   .columns = args_.vocabulary,
                                   .stride = args_.vocabulary});
  }

  void apply_objective(int64_t first, int64_t last) {
    kto_forward<C>({.log_ratios = args_.log_ratios + first,
                    .values = args_.values + first,
                    .slopes = args_.slopes + first,
                    .entropy_sums = args_.entropy_sums + first,
                    .logit_sums = args_.logit_sums + first,
                    .log_probabilities = args_.log_probabilities,
                    .reference = args_.reference,
                    .entropies = entropies_,
                    .logit_means = logit_means_,
                    .offsets = args_.offsets + first,
                    .labels = args_.labels ? args_.labels + first : nullptr,
                    .z0 = args_.z0 ? args_.z0 + first : nullptr,
                    .given_slopes = args_.given_slopes ? args_.given_slopes + first : nullptr,
                    .objective = args_.objective,
                    .sequences = last - first});
  }

  void spread_slopes(int64_t first, int64_t last) {
    kto_backward<C>({.row_slopes = row_slopes_,
                     .slopes = args_.slopes + first,
                     .shares = args_.shares ? args_.shares + first : nullptr,
                     .offsets = args_.offsets + first,
                     .sequences = last - first});
  }

  /// Slopes that do not wait for log-ratios: those given, or the constant -1 of the next-token loss.
  void spread_known_slopes() {
    for (int64_t s = 0; s < args_.sequences; ++s) {
      args_.slopes[s] = args_.given_slopes ? args_.given_slopes[s] : -1.0;
    }
    spread_slopes(0, args_.sequences);
  }

  /// Turns the held logits into dlogits and adds their two products.
  void compute_gradients(Block rows) {
    const int64_t count = rows.end - rows.begin;
    log_softmax_gather_backward<T>({.gradient = dlogits_,
                                    .logits = logits_,
                                    .log_sum_exp = log_sum_exp_ + rows.begin,
                                    .row_slopes = row_slopes_ + rows.begin,
                                    .targets = args_.targets + rows.begin,
                                    .rows = count,
                                    .columns = args_.vocabulary,
                                    .stride = args_.vocabulary});
    if (args_.dhidden) {
      matmul<T>({.y = args_.dhidden + rows.begin * args_.columns,
                 .scratch = matmul_scratch_,
                 .a = dlogits_,
                 .b = args_.weight,
                 .rows = count,
                 .columns = args_.columns,
                 .inner = args_.vocabulary,
                 .lda = args_.vocabulary,
                 .ldb = args_.columns,
                 .ldy = args_.columns});
    }
    if (dweight_mode_ == GradMode::Ignore) return;
    matmul<T>({.y = args_.dweight,
               .y_mode = dweight_mode_,
               .scratch = matmul_scratch_,
               .a = dlogits_,
               .b = args_.hidden + rows.begin * args_.columns,
               .rows = args_.vocabulary,
               .columns = args_.columns,
               .inner = count,
               .lda = args_.vocabulary,
               .ldb = args_.columns,
               .ldy = args_.columns,
               .transpose_a = true});
    dweight_mode_ = GradMode::Accumulate;
  }

  const HeadForward<T>& args_;
  const int64_t chunk_rows_;
  const bool wanted_, slopes_known_;
  GradMode dweight_mode_;  ///< Accumulate from the second chunk on
  C *logits_, *log_sum_exp_, *entropies_, *logit_means_, *row_slopes_;
  T* dlogits_;
  std::byte* matmul_scratch_ = nullptr;
};

}  // namespace

template <class T>
void head_forward(const HeadForward<T>& args) {
  HeadPass<T>(args).run();
}

template <class T>
int64_t head_scratch_bytes(int64_t rows, int64_t columns, int64_t vocabulary, int64_t chunk_bytes) {
  const int64_t chunk_rows = chunk_rows_of<T>(rows, vocabulary, chunk_bytes);
  const int64_t chunk = chunk_rows * vocabulary;
  const int64_t compute_bytes = (chunk + 4 * rows) * static_cast<int64_t>(sizeof(compute_t<T>));
  if (kInPlace<T>) return compute_bytes;
  return compute_bytes + product_scratch_bytes<T>(chunk_rows, columns, vocabulary) +
         chunk * static_cast<int64_t>(sizeof(T));
}

template void head_forward(const HeadForward<float>&);
template void head_forward(const HeadForward<bf16>&);
template void head_forward(const HeadForward<double>&);
template int64_t head_scratch_bytes<float>(int64_t, int64_t, int64_t, int64_t);
template int64_t head_scratch_bytes<bf16>(int64_t, int64_t, int64_t, int64_t);
template int64_t head_scratch_bytes<double>(int64_t, int64_t, int64_t, int64_t);

}  // namespace prospect::kernels::cpu
