// One vector's width of channels, with several numbers for each, such as its states.
#pragma once

#include "ops/kernel_table.h"
#include "simd/lanes.h"

namespace {

using lightm::Rows;
using lightm::Share;

// Lanes in use of the vector that begins at a channel of a share.
LIGHTM_INLINE int lanes_of(const Share &share, int64_t channel) { return lanes_of(share.last_channel - channel); }

// `count` vectors, one channel in each lane, to (lanes, count) in memory.
void save_channels(const vf *values, int lanes, int count, float *out) {
  for (int lane = 0; lane < lanes; ++lane)
    for (int n = 0; n < count; ++n) out[lane * count + n] = values[n][lane];
}

// The inverse; lanes that are not in use become zero.
void load_channels(const float *in, int lanes, int count, vf *values) {
  for (int n = 0; n < count; ++n) {
    vf v{};
    for (int lane = 0; lane < lanes; ++lane) v[lane] = in[lane * count + n];
    values[n] = v;
  }
}

}  // namespace
