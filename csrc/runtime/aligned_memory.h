// Memory from the system that starts where every vector may: at a multiple of 64 bytes.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#if defined(_WIN32)
#include <malloc.h>
#endif

namespace lightm {

constexpr size_t kAlignment = 64;

inline size_t round_up_to_alignment(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// nullptr where there is no such memory.
inline void *try_allocate_aligned(size_t bytes) noexcept {
  bytes = round_up_to_alignment(bytes > 0 ? bytes : 1);
#if defined(_WIN32)
  return _aligned_malloc(bytes, kAlignment);
#else
  return std::aligned_alloc(kAlignment, bytes);
#endif
}

inline void free_aligned(void *p) noexcept {
#if defined(_WIN32)
  _aligned_free(p);
#else
  std::free(p);
#endif
}

struct FreeAligned {
  void operator()(void *p) const noexcept { free_aligned(p); }
};
using AlignedMemory = std::unique_ptr<void, FreeAligned>;

// Throws std::bad_alloc; ends the program where the compiler makes no exceptions.
[[noreturn]] inline void throw_bad_alloc() {
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
  throw std::bad_alloc();
#else
  std::abort();
#endif
}

// Or throw_bad_alloc.
inline AlignedMemory allocate_aligned(size_t bytes) {
  void *p = try_allocate_aligned(bytes);
  if (p == nullptr) throw_bad_alloc();
  return AlignedMemory(p);
}

}  // namespace lightm
