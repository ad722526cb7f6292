#include "ops/rvm_layer.h"

#include <algorithm>

#include "ops/instruction_set.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace lightm {

void rvm_layer(const RvmShape &shape, const RvmWeights &weights, const float *x, float *out, int threads) {
  const KernelTable &table = kernels();
  const int members = static_cast<int>(std::min<int64_t>(threads, table.rvm_tiles(shape)));
  Workspace workspace(static_cast<size_t>(table.rvm_scratch(shape, members)) * table.width * sizeof(float));
  float *scratch = workspace.data();
  table.rvm_prepare(shape, weights, members, scratch);
  RvmTurns turns((shape.inner + table.width - 1) / table.width);
  parallel_for(members, members, [&](int64_t rank) {
    table.rvm_member(shape, weights, x, out, scratch, static_cast<int>(rank), members, turns);
  });
}

}  // namespace lightm
