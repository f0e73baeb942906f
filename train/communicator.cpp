#include "train/communicator.h"

namespace prospect {

namespace {

class LocalCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_reduce_sum(std::span<double>) override {}
  void barrier() override {}
};

}  // namespace

std::unique_ptr<Communicator> Communicator::local() {
  return std::make_unique<LocalCommunicator>();
}

}  // namespace prospect
