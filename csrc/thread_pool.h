// A loop over independent items on a few threads that stay alive between calls.
//
// Not OpenMP: torch's wheel brings an OpenMP runtime of its own, and two of them in one process
// spin against each other for the same cores.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace lightm {

// Calls body(item) for 0 <= item < items on at most `threads` threads, the caller's included.
// If another thread is inside such a loop already, the caller's thread does all the items itself.
// body must not throw.
void parallel_for(int64_t items, int threads, const std::function<void(int64_t)> &body);

// A few threads that run together and meet at barriers every few microseconds.
class Team {
 public:
  explicit Team(int members) : members_(members) {}
  int members() const { return members_; }
  // Returns when every member has called it equally often.
  void wait();

 private:
  const int members_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> turn_{0};
};

// Calls body(rank, team) for every rank of a team, all at the same time, the caller's thread being
// rank 0. The team has `threads` members; or one, if another thread is using the pool already.
// body must not throw.
void run_team(int threads, const std::function<void(int, Team &)> &body);

}  // namespace lightm
