// Which instruction set's kernels run on this processor.
#pragma once

#include "ops/kernel_table.h"

namespace lightm {

// Chosen once, from what the processor has.
const KernelTable &kernels();

// "avx512", "avx2" or "portable". The environment variable LIGHTM_UNET_ISA forces one, for tests; one
// that the processor lacks is ignored.
const char *instruction_set();

}  // namespace lightm
