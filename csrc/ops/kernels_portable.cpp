// What the compiler gives without flags: 4 floats a vector, NEON's instructions where every processor has them.
#include "ops/all_kernels.h"

#if defined(LIGHTM_NEON)
const lightm::KernelTable lightm::kernels_portable = all_kernels("neon");
#else
const lightm::KernelTable lightm::kernels_portable = all_kernels("portable");
#endif
