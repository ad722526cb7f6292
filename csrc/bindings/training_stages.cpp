#include "bindings/training_stages.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/grids.h"
#include "ops/mix_stage.h"
#include "ops/norm_stage.h"

namespace lightm_bindings {

using namespace nb::literals;
using MaybeIn = std::optional<DenseIn>;
using MaybeOut = std::optional<DenseOut>;

namespace {

// The forward pass is decoder_stage without `last`. Gradients that are None are not wanted.
void mix_stage_backward(const DenseIn &grad, const MaybeIn &low, const DenseIn &skip,
                        const std::vector<int64_t> &grid_sizes, int64_t factor, const DenseIn &depthwise,
                        const MaybeIn &depthwise_bias, const DenseIn &pointwise, const MaybeIn &scale,
                        const MaybeOut &grad_low, const MaybeOut &grad_skip, const MaybeOut &grad_depthwise,
                        const MaybeOut &grad_depthwise_bias, const MaybeOut &grad_pointwise,
                        const MaybeOut &grad_pointwise_bias, const MaybeOut &grad_scale, int threads) {
  check_axes(pointwise, 2, "pointwise");
  const lightm::DecoderShape s = decoder_shape(skip, grid_sizes, factor, size_of(pointwise, 0));
  const int64_t batch = s.grid.batch, c = s.grid.channels, o = s.grid.out_channels, length = length_of(s);
  const lightm::DecoderInputs in = decoder_inputs(s, low, skip, depthwise, depthwise_bias, pointwise, scale, o);
  if (grad_low && (!grad_skip || factor != 2))
    throw nb::value_error("grad_low needs grad_skip, and a low grid of half the size; expected both");
  if (grad_depthwise.has_value() != grad_pointwise.has_value())
    throw nb::value_error("grad_depthwise and grad_pointwise belong together; expected both or neither");
  if (!grad_pointwise && (grad_depthwise_bias || grad_pointwise_bias || grad_scale))
    throw nb::value_error("gradients of biases and scale need grad_pointwise, which is missing");
  if (grad_scale && !scale) throw nb::value_error("grad_scale needs scale, which is missing");
  const lightm::MixGradients gradients = {dense(grad_low, {batch, low_length_of(s), c}, "grad_low"),
                                          dense(grad_skip, {batch, length, c}, "grad_skip"),
                                          dense(grad_depthwise, {c, s.grid.flat ? 9 : 27}, "grad_depthwise"),
                                          dense(grad_depthwise_bias, {c}, "grad_depthwise_bias"),
                                          dense(grad_pointwise, {o, c}, "grad_pointwise"),
                                          dense(grad_pointwise_bias, {o}, "grad_pointwise_bias"),
                                          dense(grad_scale, {c}, "grad_scale")};
  const float *grad_data = dense(grad, {batch, length, o}, "grad");
  nb::gil_scoped_release release;
  lightm::mix_stage_backward(s, in, grad_data, gradients, threads);
}

lightm::NormShape norm_shape(const DenseIn &x, const MaybeIn &last) {
  check_axes(x, 3, "x");
  if (last) check_axes(*last, 2, "last");
  const int64_t channels = size_of(x, 2);
  return {product({size_of(x, 0), size_of(x, 1)}, "x"), channels, last ? size_of(*last, 0) : channels};
}

lightm::NormInputs norm_inputs(const lightm::NormShape &s, const DenseIn &x, const MaybeIn &weight, const MaybeIn &bias,
                               float epsilon, const MaybeIn &last, const MaybeIn &last_bias, float slope) {
  if (weight.has_value() != bias.has_value())
    throw nb::value_error("weight and bias belong together; expected both or neither");
  if (last_bias && !last) throw nb::value_error("last_bias needs last, which is missing");
  if (!(slope >= 0 && slope <= 1))
    throw nb::value_error(("slope is " + std::to_string(slope) + "; expected one from 0 to 1").c_str());
  return {x.data(),
          dense(weight, {s.channels}, "weight"),
          dense(bias, {s.channels}, "bias"),
          dense(last, {s.out_channels, s.channels}, "last"),
          dense(last_bias, {s.out_channels}, "last_bias"),
          epsilon,
          slope};
}

lightm::NormStatistics norm_statistics(const lightm::NormShape &s, const MaybeIn &weight, const MaybeOut &mean,
                                       const MaybeOut &variance) {
  if (mean.has_value() != weight.has_value() || variance.has_value() != weight.has_value())
    throw nb::value_error("mean and variance go with weight; expected all or none");
  return {dense(mean, {s.channels}, "mean"), dense(variance, {s.channels}, "variance")};
}

// mean and variance are filled.
void norm_stage(const DenseIn &x, const MaybeIn &weight, const MaybeIn &bias, float epsilon, const MaybeIn &last,
                const MaybeIn &last_bias, float slope, const DenseOut &out, const MaybeOut &mean,
                const MaybeOut &variance, int threads) {
  const lightm::NormShape s = norm_shape(x, last);
  const lightm::NormInputs in = norm_inputs(s, x, weight, bias, epsilon, last, last_bias, slope);
  const lightm::NormStatistics statistics = norm_statistics(s, weight, mean, variance);
  float *out_data = dense(out, {size_of(x, 0), size_of(x, 1), s.out_channels}, "out");
  nb::gil_scoped_release release;
  lightm::norm_stage(s, in, statistics, out_data, threads);
}

// mean and variance are read. Gradients that are None are not wanted.
void norm_stage_backward(const DenseIn &grad, const DenseIn &x, const MaybeIn &weight, const MaybeIn &bias,
                         float epsilon, const MaybeIn &last, float slope, const MaybeOut &mean,
                         const MaybeOut &variance, const MaybeOut &grad_x, const MaybeOut &grad_weight,
                         const MaybeOut &grad_bias, const MaybeOut &grad_last, const MaybeOut &grad_last_bias,
                         int threads) {
  const lightm::NormShape s = norm_shape(x, last);
  const lightm::NormInputs in = norm_inputs(s, x, weight, bias, epsilon, last, std::nullopt, slope);
  const lightm::NormStatistics statistics = norm_statistics(s, weight, mean, variance);
  if ((grad_weight || grad_bias) && !weight)
    throw nb::value_error("grad_weight and grad_bias need weight, which is missing");
  if ((grad_last || grad_last_bias) && !last)
    throw nb::value_error("grad_last and grad_last_bias need last, which is missing");
  const int64_t batch = size_of(x, 0), length = size_of(x, 1);
  const lightm::NormGradients gradients = {
      dense(grad_x, {batch, length, s.channels}, "grad_x"), dense(grad_weight, {s.channels}, "grad_weight"),
      dense(grad_bias, {s.channels}, "grad_bias"), dense(grad_last, {s.out_channels, s.channels}, "grad_last"),
      dense(grad_last_bias, {s.out_channels}, "grad_last_bias")};
  const float *grad_data = dense(grad, {batch, length, s.out_channels}, "grad");
  nb::gil_scoped_release release;
  lightm::norm_stage_backward(s, in, statistics, grad_data, gradients, threads);
}

void conv_stem_backward(const DenseIn &grad, const DenseIn &image, const DenseOut &grad_weight,
                        const DenseOut &grad_bias, int threads) {
  const lightm::StemShape s = stem_shape(image, grad_weight);
  float *weight_data = dense(grad_weight, {s.out_channels, s.channels * (s.flat ? 9 : 27)}, "grad_weight");
  float *bias_data = dense(grad_bias, {s.out_channels}, "grad_bias");
  const float *grad_data = dense(grad, {s.batch, s.depth * s.height * s.width, s.out_channels}, "grad");
  nb::gil_scoped_release release;
  lightm::conv_stem_backward(s, image.data(), grad_data, weight_data, bias_data, threads);
}

}  // namespace

void define_training_stages(nb::module_ &m) {
  m.def("mix_stage_backward", &mix_stage_backward, "grad"_a, "low"_a.none(), "skip"_a, "grid"_a, "factor"_a,
        "depthwise"_a, "depthwise_bias"_a.none(), "pointwise"_a, "scale"_a.none(), "grad_low"_a.none(),
        "grad_skip"_a.none(), "grad_depthwise"_a.none(), "grad_depthwise_bias"_a.none(), "grad_pointwise"_a.none(),
        "grad_pointwise_bias"_a.none(), "grad_scale"_a.none(), "threads"_a);
  m.def("norm_stage", &norm_stage, "x"_a, "weight"_a.none(), "bias"_a.none(), "epsilon"_a, "last"_a.none(),
        "last_bias"_a.none(), "slope"_a, "out"_a, "mean"_a.none(), "variance"_a.none(), "threads"_a);
  m.def("norm_stage_backward", &norm_stage_backward, "grad"_a, "x"_a, "weight"_a.none(), "bias"_a.none(), "epsilon"_a,
        "last"_a.none(), "slope"_a, "mean"_a.none(), "variance"_a.none(), "grad_x"_a.none(), "grad_weight"_a.none(),
        "grad_bias"_a.none(), "grad_last"_a.none(), "grad_last_bias"_a.none(), "threads"_a);
  m.def("conv_stem_backward", &conv_stem_backward, "grad"_a, "image"_a, "grad_weight"_a, "grad_bias"_a, "threads"_a);
}

}  // namespace lightm_bindings
