#include "rvm_layer.h"

#include "sharing.h"
#include "thread_pool.h"
#include "workspace.h"

namespace lightm {

void rvm_layer(const RvmShape &shape, const RvmWeights &weights, const float *x, float *out, int threads) {
  const KernelTable &table = kernels();
  Workspace workspace(static_cast<size_t>(table.rvm_scratch(shape)) * table.width * sizeof(float));
  float *scratch = workspace.data();
  table.rvm_prepare(shape, weights, scratch);
  run_team(threads, [&](int rank, Team &team) {
    table.rvm_team_member(shape, weights, x, out, scratch, rank, team);
  });
}

}  // namespace lightm
