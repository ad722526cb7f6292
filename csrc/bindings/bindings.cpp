// Python's view of the kernels: arrays come and go by DLPack, so no torch header is needed.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/grids.h"
#include "bindings/training_stages.h"
#include "ops/causal_conv.h"
#include "ops/decoder.h"
#include "ops/gated_norm.h"
#include "ops/instruction_set.h"
#include "ops/limits.h"
#include "ops/rvm_layer.h"
#include "ops/selective_scan.h"
#include "ops/stem.h"
#include "runtime/buffer_pool.h"
#include "runtime/fork.h"
#include "runtime/workspace.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace lightm_bindings;

namespace {

lightm::ScanShape shape_of(const RowsIn &u, const DenseIn &A) {
  check_axes(A, 2, "A");
  return {size_of(u, 0), size_of(u, 1), size_of(u, 2), size_of(A, 1)};
}

lightm::ScanInputs inputs_of(const lightm::ScanShape &s, const RowsIn &u, const RowsIn &delta, const DenseIn &A,
                             const RowsIn &B, const RowsIn &C, const std::optional<DenseIn> &D,
                             const std::optional<RowsIn> &z, const std::optional<DenseIn> &delta_bias,
                             bool delta_softplus) {
  lightm::ScanInputs in;
  in.u = rows(u, {s.batch, s.length, s.channels}, "u");
  in.delta = rows(delta, {s.batch, s.length, s.channels}, "delta");
  in.A = dense(A, {s.channels, s.state}, "A");
  in.B = rows(B, {s.batch, s.length, s.state}, "B");
  in.C = rows(C, {s.batch, s.length, s.state}, "C");
  in.D = dense(D, {s.channels}, "D");
  if (z) in.z = rows(*z, {s.batch, s.length, s.channels}, "z");
  in.delta_bias = dense(delta_bias, {s.channels}, "delta_bias");
  in.delta_softplus = delta_softplus;
  return in;
}

void forward(const RowsIn &u, const RowsIn &delta, const DenseIn &A, const RowsIn &B, const RowsIn &C,
             const std::optional<DenseIn> &D, const std::optional<RowsIn> &z, const std::optional<DenseIn> &delta_bias,
             bool delta_softplus, const DenseOut &out, const std::optional<DenseOut> &states, int threads) {
  const lightm::ScanShape s = shape_of(u, A);
  const lightm::ScanInputs in = inputs_of(s, u, delta, A, B, C, D, z, delta_bias, delta_softplus);
  float *out_data = dense(out, {s.batch, s.length, s.channels}, "out");
  float *states_data = dense(states, {s.batch, s.intervals(), s.state, s.channels}, "states");
  nb::gil_scoped_release release;
  lightm::scan_forward(s, in, out_data, states_data, threads);
}

void backward(const RowsIn &grad_out, const DenseIn &states, const RowsIn &u, const RowsIn &delta, const DenseIn &A,
              const RowsIn &B, const RowsIn &C, const std::optional<DenseIn> &D, const std::optional<RowsIn> &z,
              const std::optional<DenseIn> &delta_bias, bool delta_softplus, const DenseOut &grad_u,
              const DenseOut &grad_delta, const DenseOut &grad_A, const DenseOut &grad_B, const DenseOut &grad_C,
              const std::optional<DenseOut> &grad_D, const std::optional<DenseOut> &grad_z,
              const std::optional<DenseOut> &grad_delta_bias, int threads) {
  const lightm::ScanShape s = shape_of(u, A);
  const lightm::ScanInputs in = inputs_of(s, u, delta, A, B, C, D, z, delta_bias, delta_softplus);
  if (z.has_value() != grad_z.has_value())
    throw nb::value_error("z and grad_z belong together; expected both or neither");
  const lightm::ScanGradients gradients = {
      dense(grad_u, {s.batch, s.length, s.channels}, "grad_u"),
      dense(grad_delta, {s.batch, s.length, s.channels}, "grad_delta"),
      dense(grad_A, {s.channels, s.state}, "grad_A"),
      dense(grad_B, {s.batch, s.length, s.state}, "grad_B"),
      dense(grad_C, {s.batch, s.length, s.state}, "grad_C"),
      dense(grad_D, {s.channels}, "grad_D"),
      dense(grad_z, {s.batch, s.length, s.channels}, "grad_z"),
      dense(grad_delta_bias, {s.channels}, "grad_delta_bias"),
  };
  const float *states_data = dense(states, {s.batch, s.intervals(), s.state, s.channels}, "states");
  const lightm::Rows grad_rows = rows(grad_out, {s.batch, s.length, s.channels}, "grad_out");
  nb::gil_scoped_release release;
  lightm::scan_backward(s, in, states_data, grad_rows, gradients, threads);
}

lightm::ConvInputs conv_inputs_of(const lightm::ConvShape &s, const RowsIn &x, const DenseIn &weight,
                                  const DenseIn &bias, bool silu) {
  return {rows(x, {s.batch, s.length, s.channels}, "x"), dense(weight, {s.channels, s.width}, "weight"),
          dense(bias, {s.channels}, "bias"), silu};
}

lightm::ConvShape conv_shape_of(const RowsIn &x, const DenseIn &weight) {
  check_axes(weight, 2, "weight");
  return {size_of(x, 0), size_of(x, 1), size_of(x, 2), size_of(weight, 1)};
}

void conv_forward(const RowsIn &x, const DenseIn &weight, const DenseIn &bias, bool silu, const DenseOut &out,
                  int threads) {
  const lightm::ConvShape s = conv_shape_of(x, weight);
  const lightm::ConvInputs in = conv_inputs_of(s, x, weight, bias, silu);
  float *out_data = dense(out, {s.batch, s.length, s.channels}, "out");
  nb::gil_scoped_release release;
  lightm::conv_forward(s, in, out_data, threads);
}

void conv_backward(const RowsIn &grad_out, const RowsIn &x, const DenseIn &weight, const DenseIn &bias, bool silu,
                   const DenseOut &grad_x, const DenseOut &grad_weight, const DenseOut &grad_bias, int threads) {
  const lightm::ConvShape s = conv_shape_of(x, weight);
  const lightm::ConvInputs in = conv_inputs_of(s, x, weight, bias, silu);
  const lightm::Rows grad_rows = rows(grad_out, {s.batch, s.length, s.channels}, "grad_out");
  float *x_data = dense(grad_x, {s.batch, s.length, s.channels}, "grad_x");
  float *weight_data = dense(grad_weight, {s.channels, s.width}, "grad_weight");
  float *bias_data = dense(grad_bias, {s.channels}, "grad_bias");
  nb::gil_scoped_release release;
  lightm::conv_backward(s, in, grad_rows, x_data, weight_data, bias_data, threads);
}

lightm::GatedNormShape norm_shape_of(const RowsIn &x) { return {size_of(x, 0), size_of(x, 1), size_of(x, 2)}; }

lightm::GatedNormInputs norm_inputs_of(const lightm::GatedNormShape &s, const RowsIn &x, const RowsIn &gate,
                                       const DenseIn &weight, const DenseIn &bias, float epsilon) {
  return {rows(x, {s.batch, s.length, s.channels}, "x"), rows(gate, {s.batch, s.length, s.channels}, "gate"),
          dense(weight, {s.channels}, "weight"), dense(bias, {s.channels}, "bias"), epsilon};
}

void gated_norm_forward(const RowsIn &x, const RowsIn &gate, const DenseIn &weight, const DenseIn &bias, float epsilon,
                        const DenseOut &out, int threads) {
  const lightm::GatedNormShape s = norm_shape_of(x);
  const lightm::GatedNormInputs in = norm_inputs_of(s, x, gate, weight, bias, epsilon);
  float *out_data = dense(out, {s.batch, s.length, s.channels}, "out");
  nb::gil_scoped_release release;
  lightm::gated_norm_forward(s, in, out_data, threads);
}

void gated_norm_backward(const RowsIn &grad_out, const RowsIn &x, const RowsIn &gate, const DenseIn &weight,
                         const DenseIn &bias, float epsilon, const DenseOut &grad_x, const DenseOut &grad_gate,
                         const DenseOut &grad_weight, const DenseOut &grad_bias, int threads) {
  const lightm::GatedNormShape s = norm_shape_of(x);
  const lightm::GatedNormInputs in = norm_inputs_of(s, x, gate, weight, bias, epsilon);
  const lightm::Rows grad_rows = rows(grad_out, {s.batch, s.length, s.channels}, "grad_out");
  const lightm::GatedNormGradients gradients = {dense(grad_x, {s.batch, s.length, s.channels}, "grad_x"),
                                                dense(grad_gate, {s.batch, s.length, s.channels}, "grad_gate"),
                                                dense(grad_weight, {s.channels}, "grad_weight"),
                                                dense(grad_bias, {s.channels}, "grad_bias")};
  nb::gil_scoped_release release;
  lightm::gated_norm_backward(s, in, grad_rows, gradients, threads);
}

// weights: in the order of LIGHTM_RVM_WEIGHTS. pool_grid: the sizes of what is pooled, or empty.
lightm::RvmShape rvm_shape(const DenseIn &x, const std::vector<DenseIn> &weights,
                           const std::vector<int64_t> &pool_grid) {
  using lightm::RvmWeight;
  check_axes(x, 3, "x");
  if (weights.size() != RvmWeight::count)
    throw nb::value_error((std::to_string(weights.size()) + " weights; expected " + std::to_string(RvmWeight::count) +
                           ", those of RVM_WEIGHTS")
                              .c_str());
  check_axes(weights[RvmWeight::conv_weight], 2, "conv_weight");
  check_axes(weights[RvmWeight::dt_weight], 2, "dt_weight");
  check_axes(weights[RvmWeight::A_log], 2, "A_log");
  check_axes(weights[RvmWeight::projection_weight], 2, "projection_weight");
  lightm::RvmShape s;
  s.batch = size_of(x, 0), s.length = size_of(x, 1), s.channels = size_of(x, 2);
  s.inner = size_of(weights[RvmWeight::conv_weight], 0), s.conv_width = size_of(weights[RvmWeight::conv_weight], 1);
  s.state = size_of(weights[RvmWeight::A_log], 1), s.rank = size_of(weights[RvmWeight::dt_weight], 1);
  s.out_channels = size_of(weights[RvmWeight::projection_weight], 0);
  if (!pool_grid.empty()) {
    const Grid grid = grid_of(pool_grid, true, "pool_grid");
    if (grid.size != s.length)
      throw nb::value_error(("pool_grid holds " + std::to_string(grid.size) + " tokens; expected the " +
                             std::to_string(s.length) + " of x")
                                .c_str());
    s.pool = true, s.flat = grid.flat;
    s.depth = grid.depth, s.height = grid.height, s.width = grid.width;
  }
  return s;
}

lightm::RvmWeights rvm_weights(const lightm::RvmShape &s, const std::vector<DenseIn> &weights, float epsilon) {
  lightm::RvmWeights w;
  const DenseIn *next = weights.data();
#define LIGHTM_CHECK(name, ...) w.name = dense(*next++, {__VA_ARGS__}, #name);
  LIGHTM_RVM_WEIGHTS(LIGHTM_CHECK)
#undef LIGHTM_CHECK
  w.epsilon = epsilon;
  return w;
}

void rvm_layer(const DenseIn &x, const std::vector<DenseIn> &weights, float epsilon,
               const std::vector<int64_t> &pool_grid, const DenseOut &out, const std::optional<DenseOut> &kept,
               int threads) {
  const lightm::RvmShape s = rvm_shape(x, weights, pool_grid);
  const lightm::RvmWeights w = rvm_weights(s, weights, epsilon);
  float *out_data = dense(out, {s.batch, s.out_length(), s.out_channels}, "out");
  float *kept_data = kept ? dense(kept, {lightm::rvm_kept_floats(s)}, "kept") : nullptr;
  nb::gil_scoped_release release;
  lightm::rvm_layer(s, w, x.data(), out_data, kept_data, threads);
}

// dims: of the grid that is pooled, or 0.
int64_t rvm_kept_floats(int64_t batch, int64_t length, int64_t channels, int64_t inner, int64_t state,
                        int64_t conv_width, int64_t out_channels, int64_t dims) {
  lightm::RvmShape s = {batch, length, channels, inner, state, 1, conv_width, out_channels};
  s.pool = dims != 0, s.flat = dims == 2;
  return lightm::rvm_kept_floats(s);
}

// gradients: of the weights, in their order.
void rvm_backward(const DenseIn &grad_out, const DenseIn &x, const DenseIn &kept, const std::vector<DenseIn> &weights,
                  float epsilon, const std::vector<int64_t> &pool_grid, const DenseOut &grad_x,
                  const std::vector<DenseOut> &gradients, int threads) {
  const lightm::RvmShape s = rvm_shape(x, weights, pool_grid);
  const lightm::RvmWeights w = rvm_weights(s, weights, epsilon);
  if (gradients.size() != weights.size())
    throw nb::value_error("gradients and weights belong together; expected as many of both");
  lightm::RvmGradients g;
  const DenseOut *next = gradients.data();
#define LIGHTM_CHECK(name, ...) g.name = dense(*next++, {__VA_ARGS__}, "gradient of " #name);
  LIGHTM_RVM_WEIGHTS(LIGHTM_CHECK)
#undef LIGHTM_CHECK
  const float *grad_data = dense(grad_out, {s.batch, s.out_length(), s.out_channels}, "grad_out");
  const float *kept_data = dense(kept, {lightm::rvm_kept_floats(s)}, "kept");
  float *x_data = dense(grad_x, {s.batch, s.length, s.channels}, "grad_x");
  nb::gil_scoped_release release;
  lightm::rvm_backward(s, w, x.data(), kept_data, grad_data, x_data, g, threads);
}

// grid: of skip. factor: 2 where low has half its size, 1 where it has the same, or there is none. See
// ops/grid_stage.h for the others.
void decoder_stage(const std::optional<DenseIn> &low, const DenseIn &skip, const std::vector<int64_t> &grid_sizes,
                   int64_t factor, const DenseIn &depthwise, const std::optional<DenseIn> &depthwise_bias,
                   const DenseIn &pointwise, const std::optional<DenseIn> &pointwise_bias,
                   const std::optional<DenseIn> &scale, const std::optional<DenseIn> &last,
                   const std::optional<DenseIn> &last_bias, float slope, const DenseOut &out, int threads) {
  if (!last && last_bias) throw nb::value_error("last_bias needs last, which is missing");
  check_axes(out, 3, "out");
  const lightm::DecoderShape s = decoder_shape(skip, grid_sizes, factor, size_of(out, 2));
  const int64_t c = s.grid.channels, o = s.grid.out_channels, middle = last ? c : o;
  lightm::DecoderInputs in = decoder_inputs(s, low, skip, depthwise, depthwise_bias, pointwise, scale, middle);
  in.stage.pointwise_bias = dense(pointwise_bias, {middle}, "pointwise_bias");
  in.stage.last = dense(last, {o, c}, "last");
  in.stage.last_bias = dense(last_bias, {o}, "last_bias");
  in.stage.slope = slope;
  float *out_data = dense(out, {s.grid.batch, length_of(s), o}, "out");
  nb::gil_scoped_release release;
  lightm::decoder_stage(s, in, out_data, threads);
}

void stem(const DenseIn &image, const DenseIn &depthwise, const DenseIn &pointwise, const DenseOut &out, int threads) {
  const lightm::StemShape s = stem_shape(image, pointwise);
  const lightm::StemInputs in = {image.data(), dense(depthwise, {s.channels, s.flat ? 9 : 27}, "depthwise"),
                                 dense(pointwise, {s.out_channels, s.channels}, "pointwise")};
  float *out_data = dense(out, {s.batch, s.depth * s.height * s.width, s.out_channels}, "out");
  nb::gil_scoped_release release;
  lightm::stem(s, in, out_data, threads);
}

void conv_stem(const DenseIn &image, const DenseIn &weight, const DenseIn &bias, const DenseOut &out, int threads) {
  const lightm::StemShape s = stem_shape(image, weight);
  const lightm::ConvStemInputs in = {image.data(),
                                     dense(weight, {s.out_channels, s.channels * (s.flat ? 9 : 27)}, "weight"),
                                     dense(bias, {s.out_channels}, "bias")};
  float *out_data = dense(out, {s.batch, s.depth * s.height * s.width, s.out_channels}, "out");
  nb::gil_scoped_release release;
  lightm::conv_stem(s, in, out_data, threads);
}

void norm_stem(const DenseIn &image, const DenseIn &conv, const DenseIn &conv_bias, const DenseIn &depthwise,
               const DenseIn &pointwise, const DenseIn &pointwise_bias, float slope, const DenseOut &out, int threads) {
  const lightm::StemShape s = stem_shape(image, conv);
  const int64_t taps = s.flat ? 9 : 27, o = s.out_channels;
  lightm::NormStemInputs in = {};
  in.conv = {image.data(), dense(conv, {o, s.channels * taps}, "conv"), dense(conv_bias, {o}, "conv_bias")};
  in.stage.depthwise = dense(depthwise, {o, taps}, "depthwise");
  in.stage.pointwise = dense(pointwise, {o, o}, "pointwise");
  in.stage.pointwise_bias = dense(pointwise_bias, {o}, "pointwise_bias");
  in.stage.slope = slope;
  float *out_data = dense(out, {s.batch, s.depth * s.height * s.width, o}, "out");
  nb::gil_scoped_release release;
  lightm::norm_stem(s, in, out_data, threads);
}

void double_stream(const DenseIn &from, const DenseOut &to, int threads) {
  check_axes(from, 1, "from");
  float *to_data = dense(to, {size_of(from, 0)}, "to");
  nb::gil_scoped_release release;
  lightm::double_stream(from.data(), size_of(from, 0), to_data, threads);
}

// Not filled; a DLPack capsule.
nb::ndarray<float> empty(const std::vector<size_t> &shape) {
  int64_t size = 1;
  for (const size_t n : shape) size = product({size, static_cast<int64_t>(n)}, "the array");
  void *buffer = lightm::take_buffer(static_cast<size_t>(size) * sizeof(float));
  const nb::capsule owner(buffer, [](void *p) noexcept { lightm::give_buffer(p); });
  return nb::ndarray<float>(buffer, shape.size(), shape.data(), owner);
}

void release_memory() {
  lightm::Workspace::release();
  lightm::release_buffers();
}

size_t kept_bytes() { return lightm::Workspace::kept_bytes() + lightm::kept_buffer_bytes(); }

}  // namespace

NB_MODULE(_C, m) {
  m.doc() = "CPU kernels of lightm_unet.ops; ops/cpu.py is the only caller and checks the arguments.";
  lightm::reset_in_forked_children();
  m.attr("STATE_INTERVAL") = lightm::kStateInterval;
  nb::list names;
  for (const char *name : lightm::kRvmWeightNames) names.append(name);
  m.attr("RVM_WEIGHTS") = nb::tuple(names);
  m.def("instruction_set", &lightm::instruction_set);
  m.def("scan_forward", &forward, "u"_a, "delta"_a, "A"_a, "B"_a, "C"_a, "D"_a.none(), "z"_a.none(),
        "delta_bias"_a.none(), "delta_softplus"_a, "out"_a, "states"_a.none(), "threads"_a);
  m.def("scan_backward", &backward, "grad_out"_a, "states"_a, "u"_a, "delta"_a, "A"_a, "B"_a, "C"_a, "D"_a.none(),
        "z"_a.none(), "delta_bias"_a.none(), "delta_softplus"_a, "grad_u"_a, "grad_delta"_a, "grad_A"_a, "grad_B"_a,
        "grad_C"_a, "grad_D"_a.none(), "grad_z"_a.none(), "grad_delta_bias"_a.none(), "threads"_a);
  m.def("conv_forward", &conv_forward, "x"_a, "weight"_a, "bias"_a, "silu"_a, "out"_a, "threads"_a);
  m.def("conv_backward", &conv_backward, "grad_out"_a, "x"_a, "weight"_a, "bias"_a, "silu"_a, "grad_x"_a,
        "grad_weight"_a, "grad_bias"_a, "threads"_a);
  m.def("gated_norm_forward", &gated_norm_forward, "x"_a, "gate"_a, "weight"_a, "bias"_a, "epsilon"_a, "out"_a,
        "threads"_a);
  m.def("gated_norm_backward", &gated_norm_backward, "grad_out"_a, "x"_a, "gate"_a, "weight"_a, "bias"_a, "epsilon"_a,
        "grad_x"_a, "grad_gate"_a, "grad_weight"_a, "grad_bias"_a, "threads"_a);
  m.def("rvm_layer", &rvm_layer, "x"_a, "weights"_a, "epsilon"_a, "pool_grid"_a, "out"_a, "kept"_a.none(), "threads"_a);
  m.def("rvm_kept_floats", &rvm_kept_floats, "batch"_a, "length"_a, "channels"_a, "inner"_a, "state"_a, "conv_width"_a,
        "out_channels"_a, "dims"_a);
  m.def("rvm_backward", &rvm_backward, "grad_out"_a, "x"_a, "kept"_a, "weights"_a, "epsilon"_a, "pool_grid"_a,
        "grad_x"_a, "gradients"_a, "threads"_a);
  m.def("decoder_stage", &decoder_stage, "low"_a.none(), "skip"_a, "grid"_a, "factor"_a, "depthwise"_a,
        "depthwise_bias"_a.none(), "pointwise"_a, "pointwise_bias"_a.none(), "scale"_a.none(), "last"_a.none(),
        "last_bias"_a.none(), "slope"_a, "out"_a, "threads"_a);
  m.def("stem", &stem, "image"_a, "depthwise"_a, "pointwise"_a, "out"_a, "threads"_a);
  m.def("conv_stem", &conv_stem, "image"_a, "weight"_a, "bias"_a, "out"_a, "threads"_a);
  m.def("norm_stem", &norm_stem, "image"_a, "conv"_a, "conv_bias"_a, "depthwise"_a, "pointwise"_a, "pointwise_bias"_a,
        "slope"_a, "out"_a, "threads"_a);
  define_training_stages(m);
  m.def("multiply_adds", &lightm::multiply_adds, "rounds"_a, "threads"_a, nb::call_guard<nb::gil_scoped_release>());
  m.def("exponentials", &lightm::exponentials, "rounds"_a, "threads"_a, nb::call_guard<nb::gil_scoped_release>());
  m.def("double_stream", &double_stream, "from_"_a, "to"_a, "threads"_a);
  m.def("empty", &empty, "shape"_a);
  m.def("release_memory", &release_memory);
  m.def("kept_bytes", &kept_bytes);
  m.def("kept_limit", &lightm::kept_buffer_limit);
  m.def("limit_kept_memory", &lightm::limit_kept_buffers, "bytes"_a);
}
