// Sums over many items, such as the gradient of a weight over all tiles, whose bits do not depend on the
// number of threads.
//
// Floats add up to other bits in another order. So a fixed number of slots, which the items alone decide,
// sum every so many-th item in its order, and the slots are added in theirs. Threads seldom wait: an
// item's turn in its slot comes when the item that many places before is done.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/sequencer.h"

namespace lightm {

// Defined in a file of its own: kernels call it, and code that they would inline is compiled for their
// instruction sets.
class OrderedSums {
 public:
  // memory: as many floats as memory_floats says, aligned for vectors.
  OrderedSums(int64_t items, int64_t floats, float *memory);
  static int64_t memory_floats(int64_t items, int64_t floats);

  // Waits for an item's turn; gives the sums that it adds to. Items are begun in their order.
  float *begin(int64_t item);
  void end(int64_t item);

  // After all items: the sums over all of them.
  const float *total(int threads);

 private:
  int64_t floats_;
  float *memory_;
  std::vector<Sequencer> turns_;
};

}  // namespace lightm
