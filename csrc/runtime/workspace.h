// Working memory of the kernels that is kept from call to call.
#pragma once

#include <cstddef>
#include <mutex>

#include "runtime/aligned_memory.h"

namespace lightm {

// A fresh page costs 3 microseconds, and a call needs hundreds. A call that finds the kept memory in
// use by another thread takes memory of its own. Aligned for any vector.
class Workspace {
 public:
  explicit Workspace(size_t bytes);
  float *data() const { return static_cast<float *>(data_); }

  // Gives the kept memory back to the system.
  static void release();

  // Bytes of the kept memory; 0 while it is in use.
  static size_t kept_bytes();

  // In a forked child, see fork.h.
  static void reset_after_fork() noexcept;

 private:
  std::unique_lock<std::mutex> lock_;
  AlignedMemory own_;
  void *data_;
};

}  // namespace lightm
