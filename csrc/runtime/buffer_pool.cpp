#include "runtime/buffer_pool.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

namespace lightm {
namespace {

constexpr size_t kHeader = 64;  // in front of each block: its size, and what keeps the alignment

// Never destroyed: tensors may outlive everything else in the process.
std::mutex &g_mutex = *new std::mutex;
std::multimap<size_t, void *> &g_free = *new std::multimap<size_t, void *>;

size_t &size_of(void *block) { return *reinterpret_cast<size_t *>(static_cast<char *>(block) - kHeader); }

void free_block(void *block) noexcept { std::free(static_cast<char *>(block) - kHeader); }

}  // namespace

void *take_kept(size_t bytes) {
  {
    std::lock_guard<std::mutex> lock(g_mutex);
    const auto fits = g_free.lower_bound(bytes);
    if (fits != g_free.end() && fits->first / 2 <= bytes) {
      void *block = fits->second;
      g_free.erase(fits);
      return block;
    }
  }
  const size_t size = (bytes + 63) / 64 * 64;
  void *memory = std::aligned_alloc(64, size + kHeader);
  if (memory == nullptr) {  // what is kept may be what is missing
    release_kept();
    memory = std::aligned_alloc(64, size + kHeader);
  }
  if (memory == nullptr) throw std::bad_alloc();
  void *block = static_cast<char *>(memory) + kHeader;
  size_of(block) = size;
  return block;
}

void give_kept(void *block) noexcept {
  try {
    std::lock_guard<std::mutex> lock(g_mutex);
    const size_t size = size_of(block);
    g_free.emplace_hint(g_free.lower_bound(size), size, block);  // in front of its equals: it may be in cache
  } catch (const std::bad_alloc &) {
    free_block(block);
  }
}

void release_kept() {
  std::lock_guard<std::mutex> lock(g_mutex);
  for (const auto &[size, block] : g_free) free_block(block);
  g_free.clear();
}

}  // namespace lightm
