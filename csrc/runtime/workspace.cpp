#include "runtime/workspace.h"

#include <new>

namespace lightm {
namespace {

// Never destroyed: a thread may still be computing when the process ends.
std::mutex &g_mutex = *new std::mutex;
void *g_kept = nullptr;
size_t g_kept_bytes = 0;

void *allocate(size_t bytes) {
  void *p = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

void drop() {
  std::free(g_kept);
  g_kept = nullptr;
  g_kept_bytes = 0;
}

}  // namespace

Workspace::Workspace(size_t bytes) : lock_(g_mutex, std::try_to_lock) {
  if (!lock_.owns_lock()) {
    own_.reset(allocate(bytes));
    data_ = own_.get();
    return;
  }
  if (g_kept_bytes < bytes) {
    drop();
    g_kept = allocate(bytes);
    g_kept_bytes = bytes;
  }
  data_ = g_kept;
}

void Workspace::release() {
  std::lock_guard<std::mutex> lock(g_mutex);
  drop();
}

}  // namespace lightm
