// runtime/thread_pool.h where there are no threads.
#include "runtime/thread_pool.h"

namespace lightm {

void parallel_for(int64_t items, int, const std::function<void(int64_t)> &body) {
  for (int64_t item = 0; item < items; ++item) body(item);
}

}  // namespace lightm
