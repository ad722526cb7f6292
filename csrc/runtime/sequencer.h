// An order in which threads do one step of their work, one after the other.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace lightm {

// Holder `number` waits until it is its turn, and lets number + 1 go next; 0 goes first. On a cache line
// of its own, so that waiting for one sequence does not slow down another.
class alignas(64) Sequencer {
 public:
  void wait_for(int64_t number) const {
    for (int spins = 0; now_.load(std::memory_order_acquire) != number; ++spins) {
      // Spinning is for threads that have a core each; where they share one, the others must run.
      if (spins > 2000) {
        std::this_thread::yield();
      } else {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      }
    }
  }
  // By the one whose turn it is only.
  void advance() { now_.store(now_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

 private:
  std::atomic<int64_t> now_{0};
};

}  // namespace lightm
