// An order in which threads do one step of their work, one after the other.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/spin_wait.h"

namespace lightm {

// Holder `number` waits until it is its turn, and lets number + 1 go next; 0 goes first. On a cache line
// of its own, so that waiting for one sequence does not slow down another.
class alignas(64) Sequencer {
 public:
  void wait_for(int64_t number) const {
    for (int spins = 0; now_.load(std::memory_order_acquire) != number; ++spins) spin_wait(spins);
  }
  // By the one whose turn it is only.
  void advance() { now_.store(now_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

 private:
  std::atomic<int64_t> now_{0};
};

}  // namespace lightm
