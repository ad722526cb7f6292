#include "rvm_layer.h"

#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>

#include "sharing.h"
#include "thread_pool.h"

namespace lightm {
namespace {

// Memory that stays from call to call: a fresh page costs 3 microseconds, and a call needs hundreds.
// A call that finds it in use by another thread takes memory of its own.
class Workspace {
 public:
  explicit Workspace(size_t bytes) : lock_(mutex(), std::try_to_lock) {
    if (!lock_.owns_lock()) {
      own_.reset(allocate(bytes));
      data_ = own_.get();
      return;
    }
    if (kept_size() < bytes) {
      kept().reset();
      kept_size() = 0;
      kept().reset(allocate(bytes));
      kept_size() = bytes;
    }
    data_ = kept().get();
  }

  float *data() const { return static_cast<float *>(data_); }

  static void release() {
    std::lock_guard<std::mutex> lock(mutex());
    kept().reset();
    kept_size() = 0;
  }

 private:
  struct Free {
    void operator()(void *p) const { std::free(p); }
  };
  using Memory = std::unique_ptr<void, Free>;

  static void *allocate(size_t bytes) {
    void *p = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (p == nullptr) throw std::bad_alloc();
    return p;
  }
  static std::mutex &mutex() {
    static std::mutex *const value = new std::mutex;
    return *value;
  }
  static Memory &kept() {
    static Memory *const value = new Memory;
    return *value;
  }
  static size_t &kept_size() {
    static size_t value = 0;
    return value;
  }

  std::unique_lock<std::mutex> lock_;
  Memory own_;
  void *data_;
};

}  // namespace

void rvm_layer(const RvmShape &shape, const RvmWeights &weights, const float *x, float *out, int threads) {
  const KernelTable &table = kernels();
  Workspace workspace(static_cast<size_t>(table.rvm_scratch(shape)) * table.width * sizeof(float));
  float *scratch = workspace.data();
  table.rvm_prepare(shape, weights, scratch);
  run_team(threads, [&](int rank, Team &team) {
    table.rvm_team_member(shape, weights, x, out, scratch, rank, team);
  });
}

void release_workspace() { Workspace::release(); }

}  // namespace lightm
