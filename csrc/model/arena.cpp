#include "model/arena.h"

namespace lightm {

Status Arena::reserve(int64_t bytes, uint64_t limit) {
  const uint64_t wanted = static_cast<uint64_t>(bytes);
  // Kept memory counts as well.
  if (limit != 0 && static_cast<uint64_t>(bytes_) > limit) release();
  if (bytes <= bytes_) return {};
  release();
  if (limit != 0 && wanted > limit)
    return {Code::too_large, "this needs " + megabytes_text(wanted) + " of memory, but memory_limit is " +
                                 megabytes_text(limit) + "; allow more, or use a smaller image or fewer threads"};
  if (wanted > SIZE_MAX / 2)
    return {Code::too_large, "this needs " + megabytes_text(wanted) +
                                 " of memory, more than this program can address; use a smaller image"};
  memory_ = AlignedMemory(try_allocate_aligned(static_cast<size_t>(bytes)));
  if (!memory_)
    return {Code::no_memory, "the system did not give " + megabytes_text(wanted) +
                                 " of memory; close other programs, or use a smaller image or fewer threads"};
  bytes_ = bytes;
  return {};
}

void Arena::release() {
  memory_.reset();
  bytes_ = 0;
}

}  // namespace lightm
