// The kernels of inference alone: the others would take three quarters of a file.
#include "ops/conv_stem_kernel.h"
#include "ops/decoder_kernel.h"
#include "ops/instruction_set.h"
#include "ops/norm_stage_kernel.h"
#include "ops/norm_stem_kernel.h"
#include "ops/rvm_layer_kernel.h"

namespace lightm {
namespace {

constexpr KernelTable inference_kernels() {
  KernelTable table = {};
  table.name = "wasm";
  table.width = kWidth;
  table.rvm_tiles = rvm_tiles;
  table.rvm_scratch = rvm_scratch;
  table.rvm_prepare = rvm_prepare;
  table.rvm_member = rvm_take_tiles<false>;
  table.stage_weights_size = stage_weights_size;
  table.stage_prepare = stage_prepare;
  table.decoder_scratch = decoder_scratch;
  table.decoder_item = decoder_item;
  table.norm_moments = norm_moments;
  table.norm_weights_size = norm_weights_size;
  table.norm_prepare = norm_prepare;
  table.norm_scratch = norm_scratch;
  table.norm_tokens_forward = norm_tokens_forward;
  table.norm_stem_scratch = norm_stem_scratch;
  table.norm_stem_weights_size = norm_stem_weights_size;
  table.norm_stem_prepare = norm_stem_prepare;
  table.norm_stem_item = norm_stem_item;
  table.stem_scratch = stem_scratch;
  table.stem_prepare = stem_prepare;
  table.stem_rows = stem_rows;
  table.conv_stem_scratch = conv_stem_scratch;
  table.conv_stem_prepare = conv_stem_prepare;
  table.conv_stem_rows = conv_stem_rows;
  return table;
}

constexpr KernelTable kKernels = inference_kernels();

}  // namespace

// The file that the page has loaded is the choice.
const KernelTable &kernels() { return kKernels; }

}  // namespace lightm
