// What every op shares on the host side: the kernels for this processor, who does which channels,
// scratch space, and sums over the parts.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ops/kernel_table.h"

namespace lightm {

const KernelTable &kernels();

// As many shares as threads, if the batch and the channels have that many parts; every batch entry
// has equally many.
std::vector<Share> share_out(int64_t batch, int64_t channels, int width, int threads);

// The most channels that any share has.
int64_t widest(const std::vector<Share> &shares);

// Separate scratch space for each share, aligned for the widest vectors.
class Scratch {
 public:
  Scratch(int64_t shares, int64_t vectors_each, int width)
      : bytes_each_((vectors_each * width * 4 + 63) / 64 * 64),
        memory_(new unsigned char[shares * bytes_each_ + 64]) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.get());
    start_ = memory_.get() + (64 - address % 64) % 64;
  }
  void *of(int64_t share) { return start_ + share * bytes_each_; }

 private:
  int64_t bytes_each_;
  std::unique_ptr<unsigned char[]> memory_;
  unsigned char *start_;
};

// out[i] = the sum of `count` parts, each `size` floats after the other.
void sum_parts(const float *parts, int64_t count, int64_t size, float *out);

}  // namespace lightm
