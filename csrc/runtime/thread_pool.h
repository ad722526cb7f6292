// A loop over independent items on a few threads that stay alive between calls.
//
// Not OpenMP: torch's wheel brings an OpenMP runtime of its own, and two of them in one process
// spin against each other for the same cores.
#pragma once

#include <cstdint>
#include <functional>

namespace lightm {

// Calls body(item) for 0 <= item < items on at most `threads` threads, the caller's included.
// If another thread is inside such a loop already, the caller's thread does all the items itself.
// body must not throw.
void parallel_for(int64_t items, int threads, const std::function<void(int64_t)> &body);

// In a forked child, see fork.h.
void reset_threads_after_fork() noexcept;

}  // namespace lightm
