// The instruction set of the kernels that run on this processor.
#pragma once

#include "ops/kernel_table.h"

namespace lightm {

// Chosen once, from the instruction sets that the processor supports.
const KernelTable &kernels();

// "avx512", "avx2", "neon" or "portable". The environment variable LIGHTM_UNET_ISA forces one, for tests; one
// that the processor lacks is ignored.
const char *instruction_set();

}  // namespace lightm
