#include "ops/decoder.h"

#include "ops/instruction_set.h"
#include "ops/run_stage.h"

namespace lightm {

void decoder_stage(const DecoderShape &shape, const DecoderInputs &inputs, float *out, int threads) {
  const KernelTable &table = kernels();
  run_stage(
      shape.grid, table.stage_weights_size(shape.grid), table.decoder_scratch(shape), threads,
      [&](float *memory) { return table.stage_prepare(shape.grid, inputs.stage, memory); },
      [&](const StageWeights &weights, const StageItem &item, float *scratch) {
        table.decoder_item(shape, inputs, weights, item, out, scratch);
      });
}

}  // namespace lightm
