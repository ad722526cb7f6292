#include "runtime/work_split.h"

#include <algorithm>

namespace lightm {

std::vector<Share> split_channels(int64_t batch, int64_t channels, int width, int threads) {
  const int64_t blocks = (channels + width - 1) / width;
  const int64_t wanted = (threads + batch - 1) / batch;  // per batch entry
  const int64_t parts = std::max<int64_t>(1, std::min(blocks, wanted));
  std::vector<Share> shares;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t p = 0; p < parts; ++p)
      shares.push_back({b, p * blocks / parts * width, std::min((p + 1) * blocks / parts * width, channels)});
  return shares;
}

int64_t widest(const std::vector<Share> &shares) {
  int64_t channels = 0;
  for (const Share &share : shares) channels = std::max(channels, share.last_channel - share.first_channel);
  return channels;
}

std::vector<RowRange> split_rows(int64_t batch, int64_t length, int64_t wanted) {
  const int64_t parts = std::max<int64_t>(1, std::min(length, (wanted + batch - 1) / batch));
  std::vector<RowRange> ranges;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t p = 0; p < parts; ++p) ranges.push_back({b, length * p / parts, length * (p + 1) / parts});
  return ranges;
}

void sum_parts(const float *parts, int64_t count, int64_t size, float *out) {
  std::copy(parts, parts + size, out);
  for (int64_t k = 1; k < count; ++k)
    for (int64_t i = 0; i < size; ++i) out[i] += parts[k * size + i];
}

}  // namespace lightm
