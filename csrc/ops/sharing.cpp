#include "ops/sharing.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace lightm {

const char *instruction_set() { return kernels().name; }

const KernelTable &kernels() {
  static const KernelTable *const chosen = [] {
    std::vector<const KernelTable *> usable;  // best first
#ifdef LIGHTM_X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
      usable.push_back(&kernels_avx512);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) usable.push_back(&kernels_avx2);
#endif
    usable.push_back(&kernels_portable);
    if (const char *forced = std::getenv("LIGHTM_UNET_ISA"))
      for (const KernelTable *table : usable)
        if (std::strcmp(table->name, forced) == 0) return table;
    return usable.front();
  }();
  return *chosen;
}

std::vector<Share> share_out(int64_t batch, int64_t channels, int width, int threads) {
  const int64_t blocks = (channels + width - 1) / width;
  const int64_t wanted = (threads + batch - 1) / batch;  // per batch entry
  const int64_t parts = std::max<int64_t>(1, std::min(blocks, wanted));
  std::vector<Share> shares;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t p = 0; p < parts; ++p)
      shares.push_back(
          {b, p * blocks / parts * width, std::min((p + 1) * blocks / parts * width, channels)});
  return shares;
}

int64_t widest(const std::vector<Share> &shares) {
  int64_t channels = 0;
  for (const Share &share : shares) channels = std::max(channels, share.last_channel - share.first_channel);
  return channels;
}

void sum_parts(const float *parts, int64_t count, int64_t size, float *out) {
  std::copy(parts, parts + size, out);
  for (int64_t k = 1; k < count; ++k)
    for (int64_t i = 0; i < size; ++i) out[i] += parts[k * size + i];
}

}  // namespace lightm
