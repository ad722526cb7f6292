#include "runtime/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace lightm {
namespace {

// Threads that wait for the next job; a job is a function of the thread's rank.
class Pool {
 public:
  void run(int threads, const std::function<void(int)> &body) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (static_cast<int>(workers_.size()) < threads - 1) {
        const int index = static_cast<int>(workers_.size());
        workers_.emplace_back([this, index] { work(index); });
      }
      body_ = &body;
      helpers_ = threads - 1;
      running_ = threads - 1;
      ++generation_;
    }
    wake_.notify_all();
    body(0);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  void work(int index) {
    uint64_t seen = 0;
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return generation_ != seen; });
        seen = generation_;
        if (index >= helpers_) continue;
      }
      (*body_)(index + 1);
      std::lock_guard<std::mutex> lock(mutex_);
      if (--running_ == 0) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  const std::function<void(int)> *body_ = nullptr;
  int helpers_ = 0, running_ = 0;
  uint64_t generation_ = 0;
};

std::mutex g_busy;
Pool *g_pool = nullptr;  // never destroyed: its threads sleep until the process ends

}  // namespace

void parallel_for(int64_t items, int threads, const std::function<void(int64_t)> &body) {
  threads = static_cast<int>(std::min<int64_t>(threads, items));
  std::unique_lock<std::mutex> busy(g_busy, std::defer_lock);
  if (threads <= 1 || !busy.try_lock()) {
    for (int64_t item = 0; item < items; ++item) body(item);
    return;
  }
  if (g_pool == nullptr) g_pool = new Pool;
  std::atomic<int64_t> next{0};
  g_pool->run(threads, [&](int) {
    for (int64_t item; (item = next.fetch_add(1, std::memory_order_relaxed)) < items;) body(item);
  });
}

// The parent's pool stays unused: its threads do not exist here.
void reset_threads_after_fork() noexcept {
  new (&g_busy) std::mutex;
  g_pool = nullptr;
}

}  // namespace lightm
