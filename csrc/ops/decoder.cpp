#include "ops/decoder.h"

#include "ops/instruction_set.h"
#include "ops/run_stage.h"

namespace lightm {

namespace {

StageMemory sizes_of(const DecoderShape &shape) {
  return {kernels().stage_weights_size(shape.grid), kernels().decoder_scratch(shape)};
}

}  // namespace

int64_t decoder_memory(const DecoderShape &shape, int threads) {
  return stage_bytes(shape.grid, sizes_of(shape), threads);
}

void decoder_stage(const DecoderShape &shape, const DecoderInputs &inputs, float *out, int threads, void *memory) {
  const KernelTable &table = kernels();
  run_stage(
      shape.grid, sizes_of(shape), memory, threads,
      [&](float *memory) { return table.stage_prepare(shape.grid, inputs.stage, memory); },
      [&](const StageWeights &weights, const StageItem &item, float *scratch) {
        table.decoder_item(shape, inputs, weights, item, out, scratch);
      });
}

}  // namespace lightm
