// CMakeLists.txt gives this file the compiler flags of its instruction set.
#include "ops/all_kernels.h"

const lightm::KernelTable lightm::kernels_avx512 = all_kernels("avx512");
