// Separate scratch space for each share of some work, for the time of one call.
#pragma once

#include <cstdint>

#include "runtime/aligned_memory.h"

namespace lightm {

class Scratch {
 public:
  // vectors_each: vectors of `width` floats for each share.
  Scratch(int64_t shares, int64_t vectors_each, int width)
      : bytes_each_(round_up_to_alignment(static_cast<size_t>(vectors_each) * width * sizeof(float))),
        memory_(allocate_aligned(static_cast<size_t>(shares) * bytes_each_)) {}

  void *of(int64_t share) const { return static_cast<char *>(memory_.get()) + share * bytes_each_; }

 private:
  size_t bytes_each_;
  AlignedMemory memory_;
};

}  // namespace lightm
