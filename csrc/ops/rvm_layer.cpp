#include "ops/rvm_layer.h"

#include <algorithm>

#include "ops/instruction_set.h"
#include "runtime/ordered_sums.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace lightm {

namespace {

int members_of(const RvmShape &shape, int threads) {
  return static_cast<int>(std::min<int64_t>(threads, kernels().rvm_tiles(shape)));
}

}  // namespace

int64_t rvm_layer_memory(const RvmShape &shape, int threads) {
  const KernelTable &table = kernels();
  return table.rvm_scratch(shape, members_of(shape, threads)) * table.width * int64_t{sizeof(float)};
}

void rvm_layer(const RvmShape &shape, const RvmWeights &weights, const float *x, float *out, float *kept, int threads,
               void *memory) {
  const KernelTable &table = kernels();
  const int members = members_of(shape, threads);
  Workspace workspace(static_cast<size_t>(rvm_layer_memory(shape, threads)), memory);
  float *scratch = workspace.data();
  table.rvm_prepare(shape, weights, members, scratch);
  RvmTurns turns((shape.inner + table.width - 1) / table.width);
  parallel_for(members, members, [&](int64_t rank) {
    table.rvm_member(shape, weights, x, out, kept, scratch, static_cast<int>(rank), members, turns);
  });
}

int64_t rvm_kept_floats(const RvmShape &shape) { return kernels().rvm_kept_size(shape); }

void rvm_backward(const RvmShape &shape, const RvmWeights &weights, const float *x, const float *kept,
                  const float *grad_out, float *grad_x, const RvmGradients &gradients, int threads) {
  const KernelTable &table = kernels();
  const int64_t tiles = table.rvm_tiles(shape), sums_size = table.rvm_sums_size(shape);
  const int members = static_cast<int>(std::min<int64_t>(threads, tiles));
  const int64_t sums_floats = OrderedSums::memory_floats(tiles, sums_size);
  Workspace workspace(static_cast<size_t>(sums_floats + table.rvm_backward_scratch(shape, members)) * sizeof(float));
  float *scratch = workspace.data() + sums_floats;
  table.rvm_backward_prepare(shape, weights, scratch);
  OrderedSums sums(tiles, sums_size, workspace.data());
  RvmBackwardTurns turns((shape.inner + table.width - 1) / table.width);
  parallel_for(members, members, [&](int64_t rank) {
    table.rvm_backward_member(shape, weights, x, kept, grad_out, grad_x, scratch, static_cast<int>(rank), sums, turns);
  });
  table.rvm_take_gradients(shape, weights, sums.total(threads), gradients);
}

}  // namespace lightm
