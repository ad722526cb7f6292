// The safetensors format: a table of tensors in JSON, then their numbers. Executes nothing, copies nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/status.h"

namespace lightm {

struct StoredTensor {
  std::string name;
  std::string kind;  // the format's name of it, such as "F32"
  std::vector<int64_t> shape;
  const unsigned char *bytes = nullptr;  // in the file, at any alignment
  int64_t count = 0;                     // numbers

  // Whether `copy` can read it: F32, F16 or BF16.
  bool holds_floats() const { return kind == "F32" || kind == "F16" || kind == "BF16"; }
  // All numbers, to `to`.
  void copy(float *to) const;
};

class Safetensors {
 public:
  // Refuses a file whose tensors overlap, leave gaps, or lie outside. It must stay where it is while the tensors
  // are in use.
  static Status read(const void *file, size_t size, Safetensors *result);

  const std::vector<StoredTensor> &tensors() const { return tensors_; }
  // nullptr where there is none of this name.
  const StoredTensor *find(std::string_view name) const;

 private:
  std::vector<StoredTensor> tensors_;  // as the table has them
  std::vector<size_t> by_name_;        // their numbers
};

}  // namespace lightm
