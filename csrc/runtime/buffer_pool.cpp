#include "runtime/buffer_pool.h"

#include <cstdint>
#include <mutex>
#include <new>

#include "runtime/aligned_memory.h"

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace lightm {
namespace {

// In front of each buffer. Kept buffers are a list through their headers, the last freed first: giving
// one back needs no memory, and so cannot fail.
struct Header {
  size_t bytes;  // of the buffer behind it
  Header *next = nullptr;

  size_t in_all() const { return kAlignment + bytes; }
};
static_assert(sizeof(Header) <= kAlignment, "the buffer begins one alignment after its header");

size_t quarter_of_memory() {
#if defined(_SC_PHYS_PAGES) && defined(_SC_PAGESIZE)
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  if (pages > 0 && page > 0) return static_cast<size_t>(pages) / 4 * static_cast<size_t>(page);
#endif
  return size_t{1} << 30;
}

struct Pool {
  std::mutex mutex;
  Header *kept = nullptr;
  size_t kept_bytes = 0, limit = quarter_of_memory();
};

// Never destroyed: tensors may outlive everything else in the process.
Pool &g_pool = *new Pool;

void *buffer_of(Header *header) { return reinterpret_cast<char *>(header) + kAlignment; }
Header *header_of(void *buffer) { return reinterpret_cast<Header *>(static_cast<char *>(buffer) - kAlignment); }

// Takes the header that `link` points to out of the list.
Header *unlink(Header **link) {
  Header *header = *link;
  *link = header->next;
  g_pool.kept_bytes -= header->in_all();
  return header;
}

// Frees the buffers that were freed first until the rest is within the limit.
void keep_within_limit() {
  while (g_pool.kept_bytes > g_pool.limit) {
    Header **last = &g_pool.kept;
    while ((*last)->next != nullptr) last = &(*last)->next;
    free_aligned(unlink(last));
  }
}

}  // namespace

size_t limit_kept_buffers(size_t bytes) noexcept {
  std::lock_guard<std::mutex> lock(g_pool.mutex);
  const size_t before = g_pool.limit;
  g_pool.limit = bytes;
  keep_within_limit();
  return before;
}

void *take_buffer(size_t bytes) {
  if (bytes > SIZE_MAX - 2 * kAlignment) throw_bad_alloc();
  bytes = round_up_to_alignment(bytes);
  {
    std::lock_guard<std::mutex> lock(g_pool.mutex);
    Header **best = nullptr;
    for (Header **link = &g_pool.kept; *link != nullptr; link = &(*link)->next) {
      const size_t size = (*link)->bytes;
      if (size >= bytes && size / 2 <= bytes && (best == nullptr || size < (*best)->bytes)) best = link;
    }
    if (best != nullptr) return buffer_of(unlink(best));
  }
  void *memory = try_allocate_aligned(kAlignment + bytes);
  if (memory == nullptr) {  // what is kept may be what is missing
    release_buffers();
    memory = allocate_aligned(kAlignment + bytes).release();
  }
  return buffer_of(new (memory) Header{bytes});
}

void give_buffer(void *buffer) noexcept {
  Header *header = header_of(buffer);
  std::lock_guard<std::mutex> lock(g_pool.mutex);
  if (header->in_all() > g_pool.limit) return free_aligned(header);
  header->next = g_pool.kept;
  g_pool.kept = header;
  g_pool.kept_bytes += header->in_all();
  keep_within_limit();
}

void release_buffers() noexcept {
  std::lock_guard<std::mutex> lock(g_pool.mutex);
  while (g_pool.kept != nullptr) free_aligned(unlink(&g_pool.kept));
}

size_t kept_buffer_bytes() noexcept {
  std::lock_guard<std::mutex> lock(g_pool.mutex);
  return g_pool.kept_bytes;
}

size_t kept_buffer_limit() noexcept {
  std::lock_guard<std::mutex> lock(g_pool.mutex);
  return g_pool.limit;
}

// What was kept at the fork stays unused: a thread that is gone may have been changing the list.
void reset_buffers_after_fork() noexcept {
  const size_t limit = g_pool.limit;
  new (&g_pool) Pool;
  g_pool.limit = limit;
}

}  // namespace lightm
