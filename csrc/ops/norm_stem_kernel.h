// Rows of P in the stem with norms: a full convolution of the image, and a leaky ReLU.
#pragma once

#include "ops/conv_stem_kernel.h"
#include "ops/grid_stage_kernel.h"

namespace {

using lightm::NormStemInputs;
using lightm::NormStemShape;
using lightm::NormStemWeights;

// In floats: a stage's, and the image's rows under the filter.
int64_t norm_stem_scratch(const NormStemShape &s) {
  return stage_scratch(s.grid) + rows_under_filter(s.image) * padded_row(s.image);
}

int64_t norm_stem_weights_size(const NormStemShape &s) {
  return stage_weights_size(s.grid) + packed_size(s.grid.channels, 3 * rows_under_filter(s.image) + 1);
}

NormStemWeights norm_stem_prepare(const NormStemShape &s, const NormStemInputs &in, float *memory) {
  float *packed = memory + stage_weights_size(s.grid);
  conv_stem_pack(s.image, in.conv.weight, in.conv.bias, packed);
  return {stage_prepare(s.grid, in.stage, memory), packed};
}

void norm_stem_item(const NormStemShape &s, const NormStemInputs &in, const NormStemWeights &w, const StageItem &item,
                    float *out, float *scratch) {
  const int64_t c = padded(s.grid.channels);
  float *copies = scratch + stage_scratch(s.grid);
  conv_stem_clear(s.image, copies);
  stage_item(
      s.grid, w.stage, item,
      [&](int64_t z, int64_t y, float *row) {
        convolve_row(s.image, in.conv.image, item.batch, s.grid.flat ? 0 : z, s.grid.flat ? z : y, copies, w.conv,
                     in.stage.slope, row, c);
      },
      out, scratch);
}

}  // namespace
