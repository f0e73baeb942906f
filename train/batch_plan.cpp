#include "train/batch_plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "kernels/common/check.h"
#include "kernels/common/philox.h"

namespace prospect {

namespace {

/// What random words are for: the last word of the counter.
enum class Purpose : uint32_t { Order = 0x6f726472, Partners = 0x70617274 };

/// A sequence of random numbers named by (seed, purpose, epoch, step).
class Draws {
 public:
  Draws(uint64_t seed, Purpose purpose, int64_t epoch, int64_t step)
      : seed_(seed),
        counter_{0, static_cast<uint32_t>(step), static_cast<uint32_t>(epoch),
                 static_cast<uint32_t>(purpose)} {}

  /// Uniform in [0, count). Requires: 0 < count < 2^32.
  int64_t below(int64_t count) {
    const auto bound = static_cast<uint32_t>(count);
    const uint32_t rejected = -bound % bound;
    uint64_t product = uint64_t{next()} * bound;
    while (static_cast<uint32_t>(product) < rejected) product = uint64_t{next()} * bound;
    return static_cast<int64_t>(product >> 32);
  }

  std::vector<int64_t> permutation(int64_t count) {
    std::vector<int64_t> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), int64_t{0});
    for (int64_t i = count - 1; i > 0; --i) {
      std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(below(i + 1))]);
    }
    return order;
  }

 private:
  uint32_t next() {
    if (used_ == 4) {
      words_ = philox(counter_, seed_);
      ++counter_[0];
      used_ = 0;
    }
    return words_[used_++];
  }
  uint64_t seed_;
  std::array<uint32_t, 4> counter_, words_{};
  size_t used_ = 4;
};

/// A matching of rows with the rows whose completions they take; -1 where there is none yet.
class Matching {
 public:
  Matching(std::span<const TextKey> batch, std::vector<int64_t> order)
      : batch_(batch), partner_(batch.size(), -1), taker_(batch.size(), -1), order_(std::move(order)) {
    for (size_t row = 0; row < batch_.size(); ++row) {
      if (suits(static_cast<int64_t>(row), order_[row])) take(static_cast<int64_t>(row), order_[row]);
    }
  }

  bool suits(int64_t row, int64_t lender) const {
    const TextKey &a = batch_[static_cast<size_t>(row)], &b = batch_[static_cast<size_t>(lender)];
    return row != lender && a.prompt != b.prompt && a.completion != b.completion;
  }

  /// Gives every row a lender of its own for which that is possible.
  void complete() {
    std::vector<int64_t> alive = order_;
    for (size_t row = 0; row < batch_.size(); ++row) {
      if (partner_[row] >= 0) continue;
      std::vector<int64_t> unseen = alive;
      // From what a failed search has seen no later one finds a way out either.
      if (!augment(static_cast<int64_t>(row), unseen)) alive = std::move(unseen);
    }
  }

  int64_t partner(int64_t row) const { return partner_[static_cast<size_t>(row)]; }

 private:
  void take(int64_t row, int64_t lender) {
    partner_[static_cast<size_t>(row)] = lender;
    taker_[static_cast<size_t>(lender)] = row;
  }

  /// Breadth first over alternating paths from `start` to a lender that nobody has taken.
  bool augment(int64_t start, std::vector<int64_t>& unseen) {
    std::vector<int64_t> reached_from(batch_.size(), -1);
    std::deque<int64_t> rows{start};
    while (!rows.empty()) {
      const int64_t row = rows.front();
      rows.pop_front();
      std::vector<int64_t> still_unseen;
      for (size_t i = 0; i < unseen.size(); ++i) {
        const int64_t lender = unseen[i];
        if (!suits(row, lender)) {
          still_unseen.push_back(lender);
          continue;
        }
        reached_from[static_cast<size_t>(lender)] = row;
        const int64_t taker = taker_[static_cast<size_t>(lender)];
        if (taker < 0) {
          shift(lender, start, reached_from);
          return true;
        }
        rows.push_back(taker);
      }
      unseen = std::move(still_unseen);
    }
    return false;
  }

  /// Along the path each row takes the lender it was reached for and gives its old one back.
  void shift(int64_t lender, int64_t start, const std::vector<int64_t>& reached_from) {
    for (bool done = false; !done;) {
      const int64_t row = reached_from[static_cast<size_t>(lender)];
      const int64_t freed = partner_[static_cast<size_t>(row)];
      take(row, lender);
      done = row == start;
      lender = freed;
    }
  }

  std::span<const TextKey> batch_;
  std::vector<int64_t> partner_, taker_;
  std::vector<int64_t> order_;
};

/// Any lender that suits the row, also one that others have taken; -1 for none.
int64_t shared_lender(const Matching& matching, int64_t row, int64_t count, Draws& draws) {
  std::vector<int64_t> suitable;
  for (int64_t lender = 0; lender < count; ++lender) {
    if (matching.suits(row, lender)) suitable.push_back(lender);
  }
  return suitable.empty() ? -1 : suitable[static_cast<size_t>(draws.below(std::ssize(suitable)))];
}

/// Longest first to the rank with the fewest tokens. `longest_first` holds all indices.
std::vector<std::vector<int64_t>> share(std::span<const int64_t> lengths,
                                        std::span<const int64_t> longest_first, int64_t ranks) {
  std::vector<std::vector<int64_t>> shares(static_cast<size_t>(ranks));
  std::vector<int64_t> loads(static_cast<size_t>(ranks), 0);
  for (const int64_t index : longest_first) {
    const auto rank = static_cast<size_t>(std::min_element(loads.begin(), loads.end()) - loads.begin());
    loads[rank] += lengths[static_cast<size_t>(index)];
    shares[rank].push_back(index);
  }
  return shares;
}

/// Each sequence into the fullest micro-batch that still has room.
std::vector<MicroBatch> pack_best_fit(std::span<const int64_t> lengths,
                                      std::span<const int64_t> longest_first, int64_t budget) {
  std::vector<MicroBatch> batches;
  std::multimap<int64_t, size_t> rooms;
  for (const int64_t index : longest_first) {
    const int64_t length = lengths[static_cast<size_t>(index)];
    const auto found = rooms.lower_bound(length);
    int64_t room = budget;
    size_t batch = batches.size();
    if (found == rooms.end()) {
      batches.emplace_back();
    } else {
      std::tie(room, batch) = *found;
      rooms.erase(found);
    }
    batches[batch].push_back(index);
    if (room > length) rooms.emplace(room - length, batch);
  }
  for (MicroBatch& batch : batches) std::sort(batch.begin(), batch.end());
  return batches;
}

}  // namespace

std::vector<int64_t> epoch_order(uint64_t seed, int64_t epoch, int64_t count) {
  return Draws(seed, Purpose::Order, epoch, 0).permutation(count);
}

std::vector<int64_t> draw_partners(uint64_t seed, int64_t epoch, int64_t step,
                                   std::span<const TextKey> batch) {
  Draws draws(seed, Purpose::Partners, epoch, step);
  const int64_t count = std::ssize(batch);
  Matching matching(batch, draws.permutation(count));
  matching.complete();
  std::vector<int64_t> partners;
  for (int64_t row = 0; row < count; ++row) {
    const int64_t own = matching.partner(row);
    partners.push_back(own >= 0 ? own : shared_lender(matching, row, count, draws));
  }
  return partners;
}

BatchPlan::BatchPlan(uint64_t seed, std::vector<TextKey> texts, int64_t batch_rows)
    : seed_(seed), texts_(std::move(texts)), batch_rows_(batch_rows) {
  CHECK(!texts_.empty() && batch_rows_ > 0, "batch plan: {} examples in batches of {}", texts_.size(),
        batch_rows_);
}

BatchPlan BatchPlan::in_blocks(int64_t count, int64_t batch_rows, int64_t block_rows) {
  CHECK(block_rows > 0 && batch_rows % block_rows == 0, "batch plan: blocks of {} rows in batches of {}",
        block_rows, batch_rows);
  BatchPlan plan(0, std::vector<TextKey>(static_cast<size_t>(count)), batch_rows);
  plan.block_rows_ = block_rows;
  return plan;
}

int64_t BatchPlan::steps_per_epoch() const {
  return (std::ssize(texts_) + batch_rows_ - 1) / batch_rows_;
}

int64_t BatchPlan::steps_in(double epochs) const {
  return static_cast<int64_t>(std::ceil(epochs * static_cast<double>(steps_per_epoch())));
}

StepPlan BatchPlan::step(int64_t step) {
  CHECK(step >= 0, "batch plan: there is no step {}", step);
  const int64_t epoch = step / steps_per_epoch(), first = step % steps_per_epoch() * batch_rows_;
  const int64_t last = std::min(first + batch_rows_, std::ssize(texts_));
  StepPlan plan{.step = step, .epoch = epoch, .examples = {}, .partners = {}, .groups = {0}};
  return block_rows_ > 0 ? step_in_blocks(std::move(plan), first, last)
                         : shuffled_step(std::move(plan), first, last);
}

StepPlan BatchPlan::shuffled_step(StepPlan plan, int64_t first, int64_t last) {
  if (plan.epoch != ordered_epoch_) {
    order_ = epoch_order(seed_, plan.epoch, std::ssize(texts_));
    ordered_epoch_ = plan.epoch;
  }
  plan.examples.assign(order_.begin() + first, order_.begin() + last);
  std::vector<TextKey> texts;
  for (const int64_t example : plan.examples) texts.push_back(texts_[static_cast<size_t>(example)]);
  for (const int64_t lender : draw_partners(seed_, plan.epoch, plan.step, texts)) {
    plan.partners.push_back(lender < 0 ? -1 : plan.examples[static_cast<size_t>(lender)]);
  }
  plan.groups.push_back(last - first);
  return plan;
}

StepPlan BatchPlan::step_in_blocks(StepPlan plan, int64_t first, int64_t last) const {
  for (int64_t begin = first; begin < last; begin += block_rows_) {
    const int64_t end = std::min(begin + block_rows_, last);
    for (int64_t example = begin; example < end; ++example) {
      plan.examples.push_back(example);
      plan.partners.push_back(example == begin ? end - 1 : example - 1);
    }
    plan.groups.push_back(end - first);
  }
  return plan;
}

std::vector<std::vector<MicroBatch>> split_by_tokens(std::span<const int64_t> lengths, int64_t budget,
                                                     int64_t ranks) {
  CHECK(budget > 0 && ranks > 0, "split: budget {} and ranks {} must be positive", budget, ranks);
  std::vector<int64_t> longest_first(lengths.size());
  std::iota(longest_first.begin(), longest_first.end(), int64_t{0});
  std::stable_sort(longest_first.begin(), longest_first.end(), [&](int64_t a, int64_t b) {
    return lengths[static_cast<size_t>(a)] > lengths[static_cast<size_t>(b)];
  });
  std::vector<std::vector<MicroBatch>> split;
  for (const auto& own : share(lengths, longest_first, ranks)) {
    split.push_back(pack_best_fit(lengths, own, budget));
  }
  return split;
}

}  // namespace prospect
