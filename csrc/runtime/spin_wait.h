// What a thread does that waits for another's next step, which mostly comes within a microsecond.
#pragma once

#include <cstdint>
#if !defined(__wasm__)
#include <thread>
#endif

namespace lightm {

// Called again and again until the step has come; `times` counts the calls. Spinning is for threads that
// have a core each; where they share one, the others must run.
inline void spin_wait(int times) {
  if (times <= 2000) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
    return;
  }
#if !defined(__wasm__)
  std::this_thread::yield();
#elif defined(__wasm_atomics__)
  // WebAssembly can't yield: a nap of 20 microseconds at an address that nobody wakes.
  int32_t never_changed = 0;
  __builtin_wasm_memory_atomic_wait32(&never_changed, 0, 20000);
#endif
}

}  // namespace lightm
