// runtime/thread_pool.h on workers that the page has started: each shares the memory and calls helper_work(), which
// never returns. Waiting sleeps; a browser allows that in workers only.
#include <algorithm>
#include <atomic>

#include "runtime/thread_pool.h"
#include "wasm/exports.h"

namespace lightm {
namespace {

using Word = std::atomic<int32_t>;  // can be slept on

void sleep_while(Word &word, int32_t value) {
  __builtin_wasm_memory_atomic_wait32(reinterpret_cast<int32_t *>(&word), value, -1);
}
void wake_all(Word &word) { __builtin_wasm_memory_atomic_notify(reinterpret_cast<int32_t *>(&word), UINT32_MAX); }

// A job's number << 8 | how many helpers take part: in one word, so that a helper that wakes late never joins a
// job with the count of another.
Word g_job{0};
Word g_helpers{0}, g_running{0};
std::atomic<bool> g_busy{false};
std::atomic<int64_t> g_next{0};
int64_t g_items = 0;
const std::function<void(int64_t)> *g_body = nullptr;

void do_items() {
  for (int64_t item; (item = g_next.fetch_add(1, std::memory_order_relaxed)) < g_items;) (*g_body)(item);
}

}  // namespace

void parallel_for(int64_t items, int threads, const std::function<void(int64_t)> &body) {
  const int helpers = static_cast<int>(std::min<int64_t>({threads - 1, items - 1, g_helpers.load(), 255}));
  if (helpers <= 0 || g_busy.exchange(true)) {
    for (int64_t item = 0; item < items; ++item) body(item);
    return;
  }
  g_items = items;
  g_body = &body;
  g_next = 0;
  g_running = helpers;
  const uint32_t number = static_cast<uint32_t>(g_job.load()) >> 8;
  g_job = static_cast<int32_t>((number + 1) << 8 | static_cast<uint32_t>(helpers));
  wake_all(g_job);
  do_items();
  for (int32_t running; (running = g_running.load()) > 0;) sleep_while(g_running, running);
  g_busy = false;
}

}  // namespace lightm

// Called once in each of the page's other workers.
LIGHTM_EXPORT(helper_work) void helper_work() {
  using namespace lightm;
  int32_t seen = g_job.load();
  const int32_t rank = g_helpers.fetch_add(1);
  for (;;) {
    sleep_while(g_job, seen);
    const int32_t job = g_job.load();
    if (job == seen) continue;
    seen = job;
    if (rank >= (job & 255)) continue;
    do_items();
    if (g_running.fetch_sub(1) == 1) wake_all(g_running);
  }
}

// How many are ready.
LIGHTM_EXPORT(helper_count) int32_t helper_count() { return lightm::g_helpers.load(); }
