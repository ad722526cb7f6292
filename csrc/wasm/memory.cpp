// malloc and what is built on it, on WebAssembly's own memory, which only grows.
//
// An engine holds a few large blocks, and gives them back in the order of a stack: so one list of free blocks, by
// address, serves it well. Neighbours are joined, the smallest block that fits is taken, and when none does memory
// grows by no more than what the free block at its end lacks. All blocks are aligned for vectors.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "runtime/aligned_memory.h"
#include "runtime/spin_wait.h"
#include "wasm/memory.h"

extern "C" char __heap_base;  // the linker's: behind static data and the first thread's stack

namespace {

using lightm::kAlignment;

// In front of each block.
struct Block {
  size_t bytes;  // with this header
  Block *next;   // of free blocks, by address

  char *end() { return reinterpret_cast<char *>(this) + bytes; }
};
static_assert(sizeof(Block) <= kAlignment, "a block's content begins one alignment after it");

constexpr size_t kPage = 65536;

std::atomic<bool> g_locked{false};
Block *g_free = nullptr;
char *g_end = nullptr;  // of the memory in blocks
bool g_refused = false;

class Lock {
 public:
  Lock() {
    for (int spins = 0; g_locked.exchange(true, std::memory_order_acquire); ++spins) lightm::spin_wait(spins);
  }
  ~Lock() { g_locked.store(false, std::memory_order_release); }
};

// Joins a block with free neighbours.
void put_back(Block *block) {
  Block **link = &g_free;
  Block *before = nullptr;
  while (*link != nullptr && *link < block) before = *link, link = &before->next;
  block->next = *link;
  *link = block;
  if (block->next != nullptr && block->end() == reinterpret_cast<char *>(block->next)) {
    block->bytes += block->next->bytes;
    block->next = block->next->next;
  }
  if (before != nullptr && before->end() == reinterpret_cast<char *>(block)) {
    before->bytes += block->bytes;
    before->next = block->next;
  }
}

// Whether memory now reaches to `end`.
bool grow_to(uint64_t end) {
  const uint64_t pages = (end + kPage - 1) / kPage, now = __builtin_wasm_memory_size(0);
  return pages <= now || (pages <= 65536 && __builtin_wasm_memory_grow(0, pages - now) != SIZE_MAX);
}

// A block at the end of all others becomes free, or the last free one larger, so that one of `bytes` is there.
bool extend(size_t bytes) {
  if (g_end == nullptr)
    g_end = reinterpret_cast<char *>(lightm::round_up_to_alignment(reinterpret_cast<size_t>(&__heap_base)));
  Block *last = g_free;
  while (last != nullptr && last->next != nullptr) last = last->next;
  const size_t there = last != nullptr && last->end() == g_end ? last->bytes : 0;
  const size_t lacking = bytes - there;
  if (!grow_to(static_cast<uint64_t>(reinterpret_cast<size_t>(g_end)) + lacking)) return false;
  Block *fresh = reinterpret_cast<Block *>(g_end);
  g_end += lacking;
  fresh->bytes = lacking;
  put_back(fresh);
  return true;
}

// The link to the smallest free block of at least `bytes`, or nullptr.
Block **best_fit(size_t bytes) {
  Block **best = nullptr;
  for (Block **link = &g_free; *link != nullptr; link = &(*link)->next)
    if ((*link)->bytes >= bytes && (best == nullptr || (*link)->bytes < (*best)->bytes)) best = link;
  return best;
}

void *allocate(size_t content) {
  if (content > SIZE_MAX - 2 * kAlignment) return nullptr;
  const size_t bytes = kAlignment + lightm::round_up_to_alignment(content > 0 ? content : 1);
  const Lock lock;
  Block **link = best_fit(bytes);
  if (link == nullptr && extend(bytes)) link = best_fit(bytes);
  if (link == nullptr) {
    g_refused = true;
    return nullptr;
  }
  Block *block = *link;
  if (block->bytes - bytes < 2 * kAlignment) {
    *link = block->next;
  } else {
    Block *rest = reinterpret_cast<Block *>(reinterpret_cast<char *>(block) + bytes);
    rest->bytes = block->bytes - bytes;
    rest->next = block->next;
    *link = rest;
    block->bytes = bytes;
  }
  return reinterpret_cast<char *>(block) + kAlignment;
}

}  // namespace

namespace lightm {

bool memory_was_refused() { return g_refused; }

}  // namespace lightm

extern "C" {

void *malloc(size_t bytes) { return allocate(bytes); }
void *aligned_alloc(size_t alignment, size_t bytes) { return alignment <= kAlignment ? allocate(bytes) : nullptr; }

void free(void *content) {
  if (content == nullptr) return;
  const Lock lock;
  put_back(reinterpret_cast<Block *>(static_cast<char *>(content) - kAlignment));
}

}  // extern "C"

const std::nothrow_t std::nothrow{};

// There are no exceptions: without memory the instance ends.
void *operator new(size_t bytes) {
  void *content = allocate(bytes);
  if (content == nullptr) std::abort();
  return content;
}
void *operator new(size_t bytes, std::align_val_t) { return operator new(bytes); }
void *operator new(size_t bytes, const std::nothrow_t &) noexcept { return allocate(bytes); }
void operator delete(void *content) noexcept { std::free(content); }
void operator delete(void *content, size_t) noexcept { std::free(content); }
void operator delete(void *content, std::align_val_t) noexcept { std::free(content); }
void operator delete(void *content, size_t, std::align_val_t) noexcept { std::free(content); }
