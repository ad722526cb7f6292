#include "ops/instruction_set.h"

#include <cstdlib>
#include <cstring>
#include <vector>

namespace lightm {

const KernelTable &kernels() {
  static const KernelTable *const chosen = [] {
    std::vector<const KernelTable *> usable;  // best first
#ifdef LIGHTM_X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) usable.push_back(&kernels_avx512);
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

const char *instruction_set() { return kernels().name; }

}  // namespace lightm
