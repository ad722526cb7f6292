// Channels in blocks of one vector, the last of which may be partly filled.
#pragma once

#include "ops/kernel_table.h"
#include "simd/simd.h"

namespace {

using lightm::Rows;
using lightm::Share;

// n_count vectors, one channel in each lane, to and from (channels, n_count) in memory.
void save_state(const vf *h, int lanes, int n_count, float *out) {
  for (int lane = 0; lane < lanes; ++lane)
    for (int n = 0; n < n_count; ++n) out[lane * n_count + n] = h[n][lane];
}
void load_state(const float *in, int lanes, int n_count, vf *h) {
  for (int n = 0; n < n_count; ++n) {
    vf v{};
    for (int lane = 0; lane < lanes; ++lane) v[lane] = in[lane * n_count + n];
    h[n] = v;
  }
}

inline int lanes_of(const Share &share, int64_t channel) {
  const int64_t left = share.last_channel - channel;
  return static_cast<int>(left < kWidth ? left : kWidth);
}
inline int64_t blocks(int64_t channels) { return (channels + kWidth - 1) / kWidth; }

}  // namespace
