#include "runtime/workspace.h"

#include <mutex>
#include <new>

namespace lightm {
namespace {

// Neither is ever destroyed: a thread may still be computing when the process ends.
std::mutex &g_mutex = *new std::mutex;
AlignedMemory &g_kept = *new AlignedMemory;
size_t g_kept_bytes = 0;

void drop() {
  g_kept.reset();
  g_kept_bytes = 0;
}

}  // namespace

Workspace::Workspace(size_t bytes, void *lent) : data_(lent) {
  if (lent != nullptr) return;
  std::unique_lock<std::mutex> lock(g_mutex, std::try_to_lock);
  if (!lock.owns_lock()) {
    own_ = allocate_aligned(bytes);
    data_ = own_.get();
    return;
  }
  if (g_kept_bytes < bytes) {
    drop();
    g_kept = allocate_aligned(bytes);
    g_kept_bytes = bytes;
  }
  data_ = g_kept.get();
  uses_kept_ = true;
  lock.release();  // the destructor unlocks
}

Workspace::~Workspace() {
  if (uses_kept_) g_mutex.unlock();
}

void Workspace::release() {
  std::lock_guard<std::mutex> lock(g_mutex);
  drop();
}

size_t Workspace::kept_bytes() {
  std::unique_lock<std::mutex> lock(g_mutex, std::try_to_lock);
  return lock.owns_lock() ? g_kept_bytes : 0;
}

void Workspace::reset_after_fork() noexcept {
  new (&g_mutex) std::mutex;
  new (&g_kept) AlignedMemory;
  g_kept_bytes = 0;
}

}  // namespace lightm
