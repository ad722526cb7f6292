// Shapes of what lies on an image's grid, from the arrays that Python hands over.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "ops/decoder.h"
#include "ops/stem.h"

namespace lightm_bindings {

// Sizes of an image's grid, (rows, columns) or (depth, height, width).
struct Grid {
  int64_t depth, height, width, size;
  bool flat;
};

inline Grid grid_of(const std::vector<int64_t> &sizes, bool must_be_even, const char *name) {
  const bool flat = sizes.size() == 2;
  bool fits = flat || sizes.size() == 3;
  for (const int64_t size : sizes) fits = fits && size > 0 && (!must_be_even || size % 2 == 0);
  if (!fits)
    throw nb::value_error((std::string(name) + " is " + shape_text(sizes.begin(), sizes.end()) + "; expected 2 or 3 " +
                           (must_be_even ? "positive even" : "positive") + " sizes")
                              .c_str());
  const int64_t depth = flat ? 1 : sizes[0], height = sizes[sizes.size() - 2], width = sizes.back();
  return {depth, height, width, product({depth, height, width}, name), flat};
}

// Of a stage whose skip, (batch, length, channels), lies on a grid of these sizes.
inline lightm::DecoderShape decoder_shape(const DenseIn &skip, const std::vector<int64_t> &grid_sizes, int64_t factor,
                                          int64_t out_channels) {
  if (factor != 1 && factor != 2)
    throw nb::value_error(("factor is " + std::to_string(factor) + "; expected 1 or 2").c_str());
  const Grid grid = grid_of(grid_sizes, factor == 2, "grid");
  check_axes(skip, 3, "skip");
  // A 2D image's rows are the kernel's depth.
  return {{size_of(skip, 0), grid.flat ? grid.height : grid.depth, grid.flat ? 1 : grid.height, grid.width,
           size_of(skip, 2), out_channels, grid.flat},
          factor};
}

inline int64_t length_of(const lightm::DecoderShape &s) { return s.grid.depth * s.grid.height * s.grid.width; }
inline int64_t low_length_of(const lightm::DecoderShape &s) {
  return length_of(s) / (s.factor == 1 ? 1 : s.grid.flat ? 4 : 8);
}

// What a stage reads in front of its activation, but for the pointwise bias. outputs: of pointwise.
inline lightm::DecoderInputs decoder_inputs(const lightm::DecoderShape &s, const std::optional<DenseIn> &low,
                                            const DenseIn &skip, const DenseIn &depthwise,
                                            const std::optional<DenseIn> &depthwise_bias, const DenseIn &pointwise,
                                            const std::optional<DenseIn> &scale, int64_t outputs) {
  const int64_t batch = s.grid.batch, c = s.grid.channels;
  if (!low && s.factor != 1) throw nb::value_error("factor is 2; expected 1, since there is no low");
  lightm::DecoderInputs in = {};
  in.low = dense(low, {batch, low_length_of(s), c}, "low");
  in.skip = dense(skip, {batch, length_of(s), c}, "skip");
  in.stage.depthwise = dense(depthwise, {c, s.grid.flat ? 9 : 27}, "depthwise");
  in.stage.depthwise_bias = dense(depthwise_bias, {c}, "depthwise_bias");
  in.stage.pointwise = dense(pointwise, {outputs, c}, "pointwise");
  in.stage.scale = dense(scale, {outputs}, "scale");
  if (scale && outputs != c)
    throw nb::value_error(("pointwise has " + std::to_string(outputs) + " outputs; expected " + std::to_string(c) +
                           ", as many as there are channels, since there is a scale")
                              .c_str());
  return in;
}

// image: (batch, channels, *grid). weight: (out_channels, ...).
template <class Weight>
lightm::StemShape stem_shape(const DenseIn &image, const Weight &weight) {
  const bool flat = image.ndim() == 4;
  check_axes(image, flat ? 4 : 5, "image");
  check_axes(weight, 2, "weight");
  const size_t last = image.ndim() - 1;
  return {size_of(image, 0),
          size_of(image, 1),
          flat ? 1 : size_of(image, 2),
          size_of(image, last - 1),
          size_of(image, last),
          size_of(weight, 0),
          flat};
}

}  // namespace lightm_bindings
