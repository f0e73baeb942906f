#pragma once

#include <algorithm>
#include <type_traits>

#include "kernels/head/head.h"
#include "kernels/log_softmax_gather_kto/log_softmax_gather_kto.h"
#include "kernels/matmul/matmul.h"

/// The steps of the head, the same on the CPU and on CUDA: a backend takes each of them where it belongs.
/// Nothing here reads what a step computed.
///
/// A backend has row_stride(vocabulary) and product_scratch_bytes<T>(rows, columns, inner), both static, and
///   multiply(Matmul<T, Out>), statistics(LogSoftmaxGatherForward), objective(KtoForward),
///   spread(KtoBackward), gradients(LogSoftmaxGatherBackward), at_once(LogSoftmaxGatherKto): the kernels
///   known_slopes(slopes, given, sequences)     slopes = given, or the -1 of the next-token loss
///   loss(loss, shares, values, sequences)      the sum of shares * values in order
///   clear(values, count)                       zeros
namespace prospect::kernels {

/// Rows [begin, end) of a call.
struct HeadRows {
  int64_t begin, end;
  int64_t count() const { return end - begin; }
};

/// Where the buffers of a call lie in its scratch.
template <class T, class Backend>
struct HeadScratch {
  using C = compute_t<T>;
  static constexpr bool kInPlace = std::is_same_v<T, C>;

  int64_t stride;      ///< elements from one row of logits to the next
  int64_t chunk_rows;  ///< rows whose logits are held at a time
  int64_t logits = 0, log_sum_exp, entropies, logit_means, row_slopes, product, dlogits, bytes;  ///< offsets

  HeadScratch(int64_t rows, int64_t columns, int64_t vocabulary, int64_t chunk_bytes)
      : stride(Backend::row_stride(vocabulary)) {
    const int64_t element_bytes = sizeof(C) + (kInPlace ? 0 : sizeof(T));
    chunk_rows = std::clamp<int64_t>(chunk_bytes / (stride * element_bytes), 1, std::max<int64_t>(rows, 1));
    const int64_t row_bytes = rows * static_cast<int64_t>(sizeof(C));
    log_sum_exp = behind(logits, chunk_rows * stride * static_cast<int64_t>(sizeof(C)));
    entropies = behind(log_sum_exp, row_bytes);
    logit_means = behind(entropies, row_bytes);
    row_slopes = behind(logit_means, row_bytes);
    product = behind(row_slopes, row_bytes);
    // What the largest of the three products asks for.
    dlogits = behind(product,
                     std::max({Backend::template product_scratch_bytes<T>(chunk_rows, vocabulary, columns),
                               Backend::template product_scratch_bytes<T>(chunk_rows, columns, vocabulary),
                               Backend::template product_scratch_bytes<T>(vocabulary, columns, chunk_rows)}));
    bytes = behind(dlogits, kInPlace ? 0 : chunk_rows * stride * static_cast<int64_t>(sizeof(T)));
  }

 private:
  static int64_t behind(int64_t offset, int64_t bytes) {
    constexpr int64_t kAlignment = 256;
    return (offset + bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
};

/// One call: its buffers, carved from the scratch, and its steps. Rows and sequences are those of the call.
template <class T, class Backend>
class HeadPass {
  using C = compute_t<T>;
  using Scratch = HeadScratch<T, Backend>;

 public:
  HeadPass(const HeadForward<T>& args, Backend backend)
      : args_(args),
        backend_(backend),
        scratch_(args.rows, args.columns, args.vocabulary, args.chunk_bytes),
        wanted_(args.dhidden != nullptr || args.dweight_mode != GradMode::Ignore),
        slopes_known_(args.given_slopes != nullptr || args.objective.kind == ObjectiveKind::Lm),
        dweight_mode_(args.dweight_mode),
        logits_(at<C>(scratch_.logits)),
        log_sum_exp_(at<C>(scratch_.log_sum_exp)),
        entropies_(at<C>(scratch_.entropies)),
        logit_means_(at<C>(scratch_.logit_means)),
        row_slopes_(at<C>(scratch_.row_slopes)),
        dlogits_(at<T>(Scratch::kInPlace ? scratch_.logits : scratch_.dlogits)) {}

  void run() {
    if (wanted_ && slopes_known_) {
      backend_.known_slopes(args_.slopes, args_.given_slopes, args_.sequences);
      backend_.spread(spread(0, args_.sequences));
    }
    for (int64_t first = 0; first < args_.sequences;) {
      const int64_t last = group_end(first);
      run_group(first, last);
      first = last;
    }
    backend_.loss(args_.loss, args_.shares, args_.values, args_.sequences);
    // Without a single row nothing was written yet.
    if (dweight_mode_ == GradMode::Overwrite) {
      backend_.clear(args_.dweight, args_.vocabulary * args_.columns);
    }
  }

 private:
  template <class U>
  U* at(int64_t offset) const {
    return reinterpret_cast<U*>(args_.scratch + offset);
  }

  /// The end of the sequences that one chunk holds from `first` on; at least one. Where no row waits for the
  /// end of its sequence, chunks need not respect sequences.
  int64_t group_end(int64_t first) const {
    if (!wanted_ || slopes_known_) return args_.sequences;
    const int32_t* offsets = args_.host_offsets;
    int64_t last = first + 1;
    while (last < args_.sequences && offsets[last + 1] - offsets[first] <= scratch_.chunk_rows) ++last;
    return last;
  }

  void run_group(int64_t first, int64_t last) {
    const int64_t chunk = scratch_.chunk_rows;
    const HeadRows group{args_.host_offsets[first], args_.host_offsets[last]};
    if (wanted_ && !slopes_known_ && group.count() > 0 && group.count() <= chunk) {
      compute_logits(group);
      backend_.at_once(LogSoftmaxGatherKto<T>{.statistics = statistics(group),
                                              .objective = objective(first, last),
                                              .spread = spread(first, last),
                                              .gradient = gradient(group)});
      add_products(group);
      return;
    }
    int64_t held = group.begin;
    for (int64_t row = group.begin; row < group.end; row += chunk) {
      const HeadRows rows{row, std::min(group.end, row + chunk)};
      compute_logits(rows);
      backend_.statistics(statistics(rows));
      if (wanted_ && slopes_known_) compute_gradients(rows);
      held = row;
    }
    backend_.objective(objective(first, last));
    if (!wanted_ || slopes_known_) return;
    backend_.spread(spread(first, last));
    // Backwards, since the last chunk's logits are still here.
    for (int64_t row = held; row >= group.begin && row < group.end; row -= chunk) {
      const HeadRows rows{row, std::min(group.end, row + chunk)};
      if (row != held) compute_logits(rows);
      compute_gradients(rows);
    }
  }

  void compute_logits(HeadRows rows) {
    backend_.multiply(Matmul<T, C>{.y = logits_,
                                   .scratch = at<std::byte>(scratch_.product),
                                   .a = args_.hidden + rows.begin * args_.columns,
                                   .b = args_.weight,
                                   .rows = rows.count(),
                                   .columns = args_.vocabulary,
                                   .inner = args_.columns,
                                   .lda = args_.columns,
                                   .ldb = args_.columns,
                                   .ldy = scratch_.stride,
                                   .transpose_b = true});
  }

  LogSoftmaxGatherForward<C> statistics(HeadRows rows) const {
    return {.log_probabilities = args_.log_probabilities + rows.begin,
            .log_sum_exp = log_sum_exp_ + rows.begin,
            .entropies = entropies_ + rows.begin,
            .logit_means = logit_means_ + rows.begin,
            .logits = logits_,
            .targets = args_.targets + rows.begin,
            .rows = rows.count(),
            .columns = args_.vocabulary,
            .stride = scratch_.stride};
  }

  KtoForward<C> objective(int64_t first, int64_t last) const {
    return {.log_ratios = args_.log_ratios + first,
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
            .sequences = last - first,
            .finite = args_.finite};
  }

  KtoBackward<C> spread(int64_t first, int64_t last) const {
    return {.row_slopes = row_slopes_,
            .slopes = args_.slopes + first,
            .shares = args_.shares ? args_.shares + first : nullptr,
            .offsets = args_.offsets + first,
            .sequences = last - first};
  }

  LogSoftmaxGatherBackward<T> gradient(HeadRows rows) const {
    return {.gradient = dlogits_,
            .logits = logits_,
            .log_sum_exp = log_sum_exp_ + rows.begin,
            .row_slopes = row_slopes_ + rows.begin,
            .targets = args_.targets + rows.begin,
            .rows = rows.count(),
            .columns = args_.vocabulary,
            .stride = scratch_.stride};
  }

  /// Turns the held logits into dlogits and adds their two products.
  void compute_gradients(HeadRows rows) {
    backend_.gradients(gradient(rows));
    add_products(rows);
  }

  void add_products(HeadRows rows) {
    if (args_.dhidden) {
      backend_.multiply(Matmul<T>{.y = args_.dhidden + rows.begin * args_.columns,
                                  .scratch = at<std::byte>(scratch_.product),
                                  .a = dlogits_,
                                  .b = args_.weight,
                                  .rows = rows.count(),
                                  .columns = args_.columns,
                                  .inner = args_.vocabulary,
                                  .lda = scratch_.stride,
                                  .ldb = args_.columns,
                                  .ldy = args_.columns});
    }
    if (dweight_mode_ == GradMode::Ignore) return;
    backend_.multiply(Matmul<T>{.y = args_.dweight,
                                .y_mode = dweight_mode_,
                                .scratch = at<std::byte>(scratch_.product),
                                .a = dlogits_,
                                .b = args_.hidden + rows.begin * args_.columns,
                                .rows = args_.vocabulary,
                                .columns = args_.columns,
                                .inner = rows.count(),
                                .lda = scratch_.stride,
                                .ldb = args_.columns,
                                .ldy = args_.columns,
                                .transpose_a = true});
    dweight_mode_ = GradMode::Accumulate;
  }

  const HeadForward<T>& args_;
  Backend backend_;
  const Scratch scratch_;
  const bool wanted_, slopes_known_;
  GradMode dweight_mode_;  ///< Accumulate from the second chunk on
  C *const logits_, *const log_sum_exp_, *const entropies_, *const logit_means_, *const row_slopes_;
  T* const dlogits_;
};

}  // namespace prospect::kernels
