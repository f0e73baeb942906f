#pragma once

#include <memory>
#include <span>

namespace prospect {

/// How ranks talk: a few verbs, the same with one rank as with many. Collective: every rank calls the same
/// verbs in the same order.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Replaces each value by its sum over all ranks.
  virtual void all_reduce_sum(std::span<double> values) = 0;
  virtual void barrier() = 0;

  /// One rank, this process.
  static std::unique_ptr<Communicator> local();
};

}  // namespace prospect
