// Working memory of the kernels that is kept from call to call.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <mutex>

namespace lightm {

// A fresh page costs 3 microseconds, and a call needs hundreds. A call that finds the kept memory in
// use by another thread takes memory of its own. Aligned for any vector.
class Workspace {
 public:
  explicit Workspace(size_t bytes);
  float *data() const { return static_cast<float *>(data_); }

  // Gives the kept memory back to the system.
  static void release();

 private:
  struct Free {
    void operator()(void *p) const { std::free(p); }
  };
  std::unique_lock<std::mutex> lock_;
  std::unique_ptr<void, Free> own_;
  void *data_;
};

}  // namespace lightm
