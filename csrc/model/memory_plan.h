// Where buffers that are in use at different times lie in one block of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lightm {

// Steps are numbered from 0. A buffer's bytes are its own from the step that makes it to the last one that reads it.
class MemoryPlan {
 public:
  // A new buffer, made by `step`. Returns its number.
  int add(int64_t bytes, int step);
  // It is still needed by `step`.
  void keep_until(int buffer, int step);

  // Gives every buffer its place, once all are known.
  void place();
  int64_t offset(int buffer) const { return buffers_[static_cast<size_t>(buffer)].offset; }
  // Of the whole block.
  int64_t bytes() const { return bytes_; }

 private:
  struct Buffer {
    int64_t bytes, offset;
    int first, last;
  };

  std::vector<Buffer> buffers_;
  int64_t bytes_ = 0;
};

}  // namespace lightm
