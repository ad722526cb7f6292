// One block of memory for all that a run needs, and where each thing lies in it.
#pragma once

#include <cstdint>

#include "model/status.h"
#include "runtime/aligned_memory.h"

namespace lightm {

// Hands out places in a block that is taken afterwards: first the plan, then the memory.
struct Places {
  int64_t bytes = 0;

  // Offset of a new place of so many bytes, at a multiple of 64.
  int64_t take(int64_t size) {
    const int64_t at = bytes;
    bytes += (size + int64_t{kAlignment} - 1) / int64_t{kAlignment} * int64_t{kAlignment};
    return at;
  }
};

// Kept from run to run: fresh pages cost time.
class Arena {
 public:
  // At least so many bytes, aligned to 64; what was in it is lost. limit: the most that may be taken, 0: any.
  // On failure (too_large, no_memory) nothing is held.
  Status reserve(int64_t bytes, uint64_t limit);
  void *data() const { return memory_.get(); }
  int64_t bytes() const { return bytes_; }
  void release();

 private:
  AlignedMemory memory_;
  int64_t bytes_ = 0;
};

}  // namespace lightm
