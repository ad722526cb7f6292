#include "runtime/fork.h"

#include "runtime/buffer_pool.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace lightm {

void reset_in_forked_children() {
#if defined(__unix__) || defined(__APPLE__)
  static const int registered = pthread_atfork(nullptr, nullptr, [] {
    reset_threads_after_fork();
    Workspace::reset_after_fork();
    reset_buffers_after_fork();
  });
  static_cast<void>(registered);
#endif
}

}  // namespace lightm
