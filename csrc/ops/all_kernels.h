// The kernels as one table. Each kernels_*.cpp compiles them all, for its own instruction set.
#pragma once

#include "ops/causal_conv_kernel.h"
#include "ops/conv_stem_kernel.h"
#include "ops/decoder_kernel.h"
#include "ops/gated_norm_kernel.h"
#include "ops/kernel_table.h"
#include "ops/limits_kernel.h"
#include "ops/mix_stage_kernel.h"
#include "ops/norm_stage_kernel.h"
#include "ops/norm_stem_kernel.h"
#include "ops/outer_product_kernel.h"
#include "ops/rvm_backward_kernel.h"
#include "ops/rvm_layer_kernel.h"
#include "ops/selective_scan_kernel.h"

namespace lightm {
namespace {

constexpr KernelTable all_kernels(const char *instruction_set) {
  return {
      instruction_set,
      kWidth,
      forward_scratch,
      backward_scratch,
      forward_share,
      forward_correct_share,
      backward_share,
      conv_forward_scratch,
      conv_backward_scratch,
      conv_forward_share,
      conv_backward_share,
      gated_norm_forward_rows,
      gated_norm_scratch,
      gated_norm_backward_rows,
      rvm_tiles,
      rvm_scratch,
      rvm_prepare,
      rvm_member,
      rvm_kept_size,
      rvm_backward_scratch,
      rvm_sums_size,
      rvm_backward_prepare,
      rvm_backward_member,
      rvm_take_gradients,
      stage_weights_size,
      stage_prepare,
      decoder_scratch,
      decoder_item,
      mix_weights_size,
      mix_prepare,
      mix_scratch,
      mix_sums_size,
      mix_item,
      mix_unpack,
      mix_low_scratch,
      mix_low_rows,
      norm_moments,
      norm_weights_size,
      norm_prepare,
      norm_scratch,
      norm_tokens_forward,
      norm_sums_size,
      norm_tokens_backward,
      norm_tokens_centre,
      norm_unpack,
      norm_stem_scratch,
      norm_stem_weights_size,
      norm_stem_prepare,
      norm_stem_item,
      stem_scratch,
      stem_prepare,
      stem_rows,
      conv_stem_scratch,
      conv_stem_prepare,
      conv_stem_rows,
      conv_stem_backward_scratch,
      conv_stem_sums_size,
      conv_stem_backward_rows,
      conv_stem_unpack,
      multiply_add_rounds,
      exponential_rounds,
      scale_stream,
  };
}

}  // namespace
}  // namespace lightm
