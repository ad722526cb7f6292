// Connects the code that is common to all processors with the kernels of one instruction set.
#pragma once

#include <cstdint>

#include "ops/causal_conv.h"
#include "ops/decoder.h"
#include "ops/gated_norm.h"
#include "ops/mix_stage.h"
#include "ops/norm_stage.h"
#include "ops/rvm_layer.h"
#include "ops/selective_scan.h"
#include "ops/stem.h"
#include "runtime/ordered_sums.h"
#include "runtime/work_split.h"

namespace lightm {

// Steps [first, last) of a share that is one of several along the length. Its recurrence starts from
// zero and leaves its last state, (state, channels), and the sum of its steps' sizes, (channels).
struct Segment {
  int64_t first, last;
  float *end = nullptr, *step_sums = nullptr;  // nullptr where they are not needed
};

// Where a share leaves what must be summed over shares: A, D and delta_bias as in the inputs, its own
// channels' part of them; B and C (length, state), of its own.
struct ShareSums {
  float *A, *D, *delta_bias, *B, *C;
};

struct ConvSums {
  float *weight, *bias;
};

// The *_scratch functions return the scratch space, in vectors, for a share of this number of channels.
struct KernelTable {
  const char *name;
  int width;  // channels in a vector; a share begins at a multiple of it
  int64_t (*forward_scratch)(const ScanShape &, int64_t share_channels);
  int64_t (*backward_scratch)(const ScanShape &, int64_t share_channels);
  void (*forward)(const ScanShape &, const ScanInputs &, const Share &, const Segment &, float *out, float *states,
                  void *scratch);
  // Adds to a segment's output and states what the state before it, (state, channels), leads to.
  void (*forward_correct)(const ScanShape &, const ScanInputs &, const Share &, const Segment &, const float *before,
                          float *out, float *states, void *scratch);
  void (*backward)(const ScanShape &, const ScanInputs &, const Share &, const float *states, const Rows &grad_out,
                   const ScanGradients &, const ShareSums &, void *scratch);
  int64_t (*conv_forward_scratch)(const ConvShape &, int64_t share_channels);
  int64_t (*conv_backward_scratch)(const ConvShape &, int64_t share_channels);
  void (*conv_forward)(const ConvShape &, const ConvInputs &, const Share &, float *out, void *scratch);
  void (*conv_backward)(const ConvShape &, const ConvInputs &, const Share &, const Rows &grad_out, float *grad_x,
                        const ConvSums &, void *scratch);
  void (*gated_norm_forward)(const GatedNormShape &, const GatedNormInputs &, const RowRange &, float *out);
  int64_t (*gated_norm_scratch)(const GatedNormShape &);
  // The gradients of weight and bias are this range's part of them.
  void (*gated_norm_backward)(const GatedNormShape &, const GatedNormInputs &, const RowRange &, const Rows &grad_out,
                              const GatedNormGradients &, void *scratch);
  // One scratch space for all threads, prepared by one before the others start; then each takes tiles
  // until none is left.
  int64_t (*rvm_tiles)(const RvmShape &);
  int64_t (*rvm_scratch)(const RvmShape &, int members);
  void (*rvm_prepare)(const RvmShape &, const RvmWeights &, int members, float *scratch);
  void (*rvm_member)(const RvmShape &, const RvmWeights &, const float *x, float *out, float *kept, float *scratch,
                     int rank, int members, RvmTurns &);
  // In floats: what the forward pass keeps, scratch space, and the sums that gradients are taken from.
  int64_t (*rvm_kept_size)(const RvmShape &);
  int64_t (*rvm_backward_scratch)(const RvmShape &, int members);
  int64_t (*rvm_sums_size)(const RvmShape &);
  void (*rvm_backward_prepare)(const RvmShape &, const RvmWeights &, float *scratch);
  void (*rvm_backward_member)(const RvmShape &, const RvmWeights &, const float *x, const float *kept,
                              const float *grad_out, float *grad_x, float *scratch, int rank, OrderedSums &,
                              RvmBackwardTurns &);
  void (*rvm_take_gradients)(const RvmShape &, const RvmWeights &, const float *sums, const RvmGradients &);
  // Stages on a grid; their scratch space is in floats, as the size of their weights is.
  int64_t (*stage_weights_size)(const GridShape &);
  StageWeights (*stage_prepare)(const GridShape &, const StageInputs &, float *memory);
  int64_t (*decoder_scratch)(const DecoderShape &);
  void (*decoder_item)(const DecoderShape &, const DecoderInputs &, const StageWeights &, const StageItem &, float *out,
                       float *scratch);
  int64_t (*mix_weights_size)(const GridShape &);
  MixWeights (*mix_prepare)(const GridShape &, const StageInputs &, float *memory);
  int64_t (*mix_scratch)(const GridShape &, int64_t block_rows);
  int64_t (*mix_sums_size)(const GridShape &);
  void (*mix_item)(const DecoderShape &, const DecoderInputs &, const MixWeights &, const StageItem &,
                   const float *grad, const MixGradients &, float *sums, float *scratch);
  void (*mix_unpack)(const GridShape &, const float *sums, const MixGradients &);
  int64_t (*mix_low_scratch)(const GridShape &);
  void (*mix_low_rows)(const GridShape &, const float *grad, int64_t first, int64_t last, float *grad_low,
                       float *scratch);
  void (*norm_moments)(const NormShape &, const float *x, int64_t first, int64_t last, float *means, float *deviations,
                       float *squares);
  int64_t (*norm_weights_size)(const NormShape &);
  NormWeights (*norm_prepare)(const NormShape &, const NormInputs &, const NormStatistics &, float *memory);
  int64_t (*norm_scratch)(const NormShape &);
  void (*norm_tokens_forward)(const NormShape &, const NormInputs &, const NormWeights &, int64_t first, int64_t last,
                              float *out, float *scratch);
  int64_t (*norm_sums_size)(const NormShape &);
  void (*norm_tokens_backward)(const NormShape &, const NormInputs &, const NormWeights &, const float *grad,
                               int64_t first, int64_t last, const NormGradients &, float *sums, float *scratch);
  void (*norm_tokens_centre)(const NormShape &, const NormInputs &, const NormWeights &, const float *sums,
                             int64_t first, int64_t last, float *grad);
  void (*norm_unpack)(const NormShape &, const float *sums, const NormGradients &);
  int64_t (*norm_stem_scratch)(const NormStemShape &);
  int64_t (*norm_stem_weights_size)(const NormStemShape &);
  NormStemWeights (*norm_stem_prepare)(const NormStemShape &, const NormStemInputs &, float *memory);
  void (*norm_stem_item)(const NormStemShape &, const NormStemInputs &, const NormStemWeights &, const StageItem &,
                         float *out, float *scratch);
  int64_t (*stem_scratch)(const StemShape &);
  void (*stem_prepare)(const StemShape &, const StemInputs &, void *scratch);
  void (*stem_rows)(const StemShape &, const StemInputs &, int64_t first, int64_t last, float *out, void *scratch);
  int64_t (*conv_stem_scratch)(const StemShape &);
  void (*conv_stem_prepare)(const StemShape &, const ConvStemInputs &, void *scratch);
  void (*conv_stem_rows)(const StemShape &, const ConvStemInputs &, int64_t first, int64_t last, float *out,
                         void *scratch);
  int64_t (*conv_stem_backward_scratch)(const StemShape &);
  int64_t (*conv_stem_sums_size)(const StemShape &);
  void (*conv_stem_backward_rows)(const StemShape &, const float *image, const float *grad, int64_t first, int64_t last,
                                  float *sums, float *scratch);
  void (*conv_stem_unpack)(const StemShape &, const float *sums, float *grad_weight, float *grad_bias);
  // See limits_kernel.h for what is returned.
  float (*multiply_add_rounds)(int64_t rounds, float factor, float addend);
  float (*exponential_rounds)(int64_t rounds, float factor);
  void (*scale_stream)(const float *from, int64_t count, float factor, float *to);
};

#ifdef LIGHTM_X86
extern const KernelTable kernels_avx512, kernels_avx2;
#endif
extern const KernelTable kernels_portable;

}  // namespace lightm
