// Memory of large tensors that is kept when they are freed, for the next ones of that size.
#pragma once

#include <cstddef>

namespace lightm {

// At least `bytes` bytes, aligned for any vector: the smallest kept block that fits without wasting
// half of itself, or fresh memory. A fresh page costs 3 microseconds, and a large tensor has thousands.
void *take_kept(size_t bytes);

// Gives a block back for later calls.
void give_kept(void *block) noexcept;

// Returns all blocks that are not in use to the system.
void release_kept();

}  // namespace lightm
