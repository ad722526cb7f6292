// A turn that threads pass on in order.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace lightm {

// Holder `number` waits for it and passes it on to number + 1; 0 has it first. On a line of its own,
// so that waiting for one turn does not slow down another.
class alignas(64) Turn {
 public:
  void wait(int64_t number) const {
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
  // By its holder only.
  void pass() { now_.store(now_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

 private:
  std::atomic<int64_t> now_{0};
};

}  // namespace lightm
