// What the processor can do at most, for `lightm-unet bench`: work of known size that waits for nothing
// but the units that do it. The caller takes the time.
#pragma once

#include <cstdint>

namespace lightm {

// Independent chains of operations in a round. Two multiply-adds a cycle with four cycles of latency
// need 8; an exponential, which is longer, comes within 3 % of its best with 12. All fit into 16
// registers.
constexpr int kLimitChains = 12;

// x = x / 2 + 1/2 by multiply-adds, in registers. Every item does so many rounds, and each thread has
// several items, so that one that starts late does fewer. Returns how many numbers were made in all.
int64_t multiply_adds(int64_t rounds, int threads);

// x = 2^-x, as the selective scan makes its decays; otherwise as above.
int64_t exponentials(int64_t rounds, int threads);

// to = 2 * from, with ordinary stores as in all kernels: most processors read a line of `to` before they
// write it.
void double_stream(const float *from, int64_t count, float *to, int threads);

}  // namespace lightm
