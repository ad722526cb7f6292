// Working memory of the kernels that is kept from call to call.
#pragma once

#include <cstddef>

#include "runtime/aligned_memory.h"

namespace lightm {

// A fresh page costs 3 microseconds, and a call needs hundreds. A call that finds the kept memory in
// use by another thread takes memory of its own. Aligned for any vector.
class Workspace {
 public:
  // lent: so many bytes that the caller has planned for, which are used instead; or nullptr.
  explicit Workspace(size_t bytes, void *lent = nullptr);
  ~Workspace();
  Workspace(const Workspace &) = delete;
  Workspace &operator=(const Workspace &) = delete;

  float *data() const { return static_cast<float *>(data_); }

  // Gives the kept memory back to the system.
  static void release();

  // Bytes of the kept memory; 0 while it is in use.
  static size_t kept_bytes();

  // In a forked child, see fork.h.
  static void reset_after_fork() noexcept;

 private:
  bool uses_kept_ = false;
  AlignedMemory own_;
  void *data_;
};

}  // namespace lightm
