// How work on (batch, length, channels) is split between threads, and how their sums come together.
#pragma once

#include <cstdint>
#include <vector>

namespace lightm {

// One thread's work: all steps of one batch entry, for channels [first_channel, last_channel).
struct Share {
  int64_t batch, first_channel, last_channel;
};

// Steps [first, last) of one batch entry, all channels.
struct RowRange {
  int64_t batch, first, last;
};

// As many shares as threads, if the batch and the channels have that many parts; every batch entry has
// equally many. Each begins at a multiple of `width` channels, the width of a vector.
std::vector<Share> split_channels(int64_t batch, int64_t channels, int width, int threads);

// The largest number of channels in any share.
int64_t widest(const std::vector<Share> &shares);

// Every batch entry's steps in equal ranges, about `wanted` in all.
std::vector<RowRange> split_rows(int64_t batch, int64_t length, int64_t wanted);

// out[i] = the sum of `count` parts, each `size` floats after the other.
void sum_parts(const float *parts, int64_t count, int64_t size, float *out);

}  // namespace lightm
