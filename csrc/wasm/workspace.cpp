// runtime/workspace.h where only one thread runs ops: nothing is locked, and nothing is kept, since the engine lends
// what its ops work in.
#include "runtime/workspace.h"

namespace lightm {

Workspace::Workspace(size_t bytes, void *lent) : data_(lent) {
  if (lent != nullptr) return;
  own_ = allocate_aligned(bytes);
  data_ = own_.get();
}

Workspace::~Workspace() = default;

}  // namespace lightm
