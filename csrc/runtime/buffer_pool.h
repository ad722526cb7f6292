// Buffers of large tensors that are kept when they are freed, for the next tensors of that size.
#pragma once

#include <cstddef>

namespace lightm {

// Freed buffers are kept up to a limit: a quarter of the machine's memory, 1 GiB where the system does
// not tell. Beyond it, the buffers that were freed first go back to the system. Returns the limit before.
size_t limit_kept_buffers(size_t bytes) noexcept;

// At least `bytes` bytes, aligned for any vector: the smallest kept buffer that fits without wasting
// half of itself, or fresh memory. A fresh page costs 3 microseconds, and a large tensor has thousands.
// Throws std::bad_alloc.
void *take_buffer(size_t bytes);

// Gives a buffer back for later calls.
void give_buffer(void *buffer) noexcept;

// Returns all buffers that are not in use to the system.
void release_buffers() noexcept;

// Bytes of the buffers that are kept now and not in use.
size_t kept_buffer_bytes() noexcept;

// The most that they may come to.
size_t kept_buffer_limit() noexcept;

// In a forked child, see fork.h.
void reset_buffers_after_fork() noexcept;

}  // namespace lightm
