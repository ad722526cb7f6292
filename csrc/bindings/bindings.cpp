// Python's view of the kernels: arrays come and go by DLPack, so no torch header is needed.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <vector>

#include "ops/causal_conv.h"
#include "ops/decoder.h"
#include "ops/gated_norm.h"
#include "runtime/buffer_pool.h"
#include "ops/rvm_layer.h"
#include "ops/selective_scan.h"
#include "ops/stem.h"
#include "runtime/workspace.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using RowsIn = nb::ndarray<const float, nb::ndim<3>, nb::device::cpu>;  // last axis dense: see rows()
using DenseIn = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using DenseOut = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

lightm::Rows rows(const RowsIn &a, int64_t batch, int64_t length, int64_t width, const char *name) {
  if ((int64_t)a.shape(0) != batch || (int64_t)a.shape(1) != length || (int64_t)a.shape(2) != width ||
      (width > 1 && a.stride(2) != 1))
    throw nb::value_error(name);
  return {a.data(), a.stride(0), a.stride(1)};
}

template <class Array>
auto dense(const Array &a, int64_t size, const char *name) {
  if ((int64_t)a.size() != size) throw nb::value_error(name);
  return a.data();
}

template <class Array>
auto dense(const std::optional<Array> &a, int64_t size, const char *name) {
  return a ? dense(*a, size, name) : nullptr;
}

lightm::ScanShape shape_of(const RowsIn &u, const DenseIn &A) {
  if (A.ndim() != 2) throw nb::value_error("A");
  return {(int64_t)u.shape(0), (int64_t)u.shape(1), (int64_t)u.shape(2), (int64_t)A.shape(1)};
}

lightm::ScanInputs inputs_of(const lightm::ScanShape &s, const RowsIn &u, const RowsIn &delta, const DenseIn &A,
                             const RowsIn &B, const RowsIn &C, const std::optional<DenseIn> &D,
                             const std::optional<RowsIn> &z, const std::optional<DenseIn> &delta_bias,
                             bool delta_softplus) {
  lightm::ScanInputs in;
  in.u = rows(u, s.batch, s.length, s.channels, "u");
  in.delta = rows(delta, s.batch, s.length, s.channels, "delta");
  in.A = dense(A, s.channels * s.state, "A");
  in.B = rows(B, s.batch, s.length, s.state, "B");
  in.C = rows(C, s.batch, s.length, s.state, "C");
  in.D = dense(D, s.channels, "D");
  if (z) in.z = rows(*z, s.batch, s.length, s.channels, "z");
  in.delta_bias = dense(delta_bias, s.channels, "delta_bias");
  in.delta_softplus = delta_softplus;
  return in;
}

void forward(const RowsIn &u, const RowsIn &delta, const DenseIn &A, const RowsIn &B, const RowsIn &C,
             const std::optional<DenseIn> &D, const std::optional<RowsIn> &z,
             const std::optional<DenseIn> &delta_bias, bool delta_softplus, const DenseOut &out,
             const std::optional<DenseOut> &states, int threads) {
  const lightm::ScanShape s = shape_of(u, A);
  const lightm::ScanInputs in = inputs_of(s, u, delta, A, B, C, D, z, delta_bias, delta_softplus);
  float *out_data = dense(out, s.batch * s.length * s.channels, "out");
  float *states_data = dense(states, s.batch * s.intervals() * s.channels * s.state, "states");
  nb::gil_scoped_release release;
  lightm::scan_forward(s, in, out_data, states_data, threads);
}

void backward(const RowsIn &grad_out, const DenseIn &states, const RowsIn &u, const RowsIn &delta,
              const DenseIn &A, const RowsIn &B, const RowsIn &C, const std::optional<DenseIn> &D,
              const std::optional<RowsIn> &z, const std::optional<DenseIn> &delta_bias, bool delta_softplus,
              const DenseOut &grad_u, const DenseOut &grad_delta, const DenseOut &grad_A,
              const DenseOut &grad_B, const DenseOut &grad_C, const std::optional<DenseOut> &grad_D,
              const std::optional<DenseOut> &grad_z, const std::optional<DenseOut> &grad_delta_bias,
              int threads) {
  const lightm::ScanShape s = shape_of(u, A);
  const lightm::ScanInputs in = inputs_of(s, u, delta, A, B, C, D, z, delta_bias, delta_softplus);
  if (z.has_value() != grad_z.has_value()) throw nb::value_error("grad_z");
  const int64_t size = s.batch * s.length * s.channels, row = s.batch * s.length * s.state;
  const lightm::ScanGradients gradients = {
      dense(grad_u, size, "grad_u"),
      dense(grad_delta, size, "grad_delta"),
      dense(grad_A, s.channels * s.state, "grad_A"),
      dense(grad_B, row, "grad_B"),
      dense(grad_C, row, "grad_C"),
      dense(grad_D, s.channels, "grad_D"),
      dense(grad_z, size, "grad_z"),
      dense(grad_delta_bias, s.channels, "grad_delta_bias"),
  };
  const float *states_data = dense(states, s.batch * s.intervals() * s.channels * s.state, "states");
  const lightm::Rows grad_rows = rows(grad_out, s.batch, s.length, s.channels, "grad_out");
  nb::gil_scoped_release release;
  lightm::scan_backward(s, in, states_data, grad_rows, gradients, threads);
}

lightm::ConvInputs conv_inputs_of(const lightm::ConvShape &s, const RowsIn &x, const DenseIn &weight,
                                  const DenseIn &bias, bool silu) {
  return {rows(x, s.batch, s.length, s.channels, "x"), dense(weight, s.channels * s.width, "weight"),
          dense(bias, s.channels, "bias"), silu};
}

lightm::ConvShape conv_shape_of(const RowsIn &x, const DenseIn &weight) {
  if (weight.ndim() != 2) throw nb::value_error("weight");
  return {(int64_t)x.shape(0), (int64_t)x.shape(1), (int64_t)x.shape(2), (int64_t)weight.shape(1)};
}

void conv_forward(const RowsIn &x, const DenseIn &weight, const DenseIn &bias, bool silu, const DenseOut &out,
                  int threads) {
  const lightm::ConvShape s = conv_shape_of(x, weight);
  const lightm::ConvInputs in = conv_inputs_of(s, x, weight, bias, silu);
  float *out_data = dense(out, s.batch * s.length * s.channels, "out");
  nb::gil_scoped_release release;
  lightm::conv_forward(s, in, out_data, threads);
}

void conv_backward(const RowsIn &grad_out, const RowsIn &x, const DenseIn &weight, const DenseIn &bias,
                   bool silu, const DenseOut &grad_x, const DenseOut &grad_weight, const DenseOut &grad_bias,
                   int threads) {
  const lightm::ConvShape s = conv_shape_of(x, weight);
  const lightm::ConvInputs in = conv_inputs_of(s, x, weight, bias, silu);
  const lightm::Rows grad_rows = rows(grad_out, s.batch, s.length, s.channels, "grad_out");
  float *x_data = dense(grad_x, s.batch * s.length * s.channels, "grad_x");
  float *weight_data = dense(grad_weight, s.channels * s.width, "grad_weight");
  float *bias_data = dense(grad_bias, s.channels, "grad_bias");
  nb::gil_scoped_release release;
  lightm::conv_backward(s, in, grad_rows, x_data, weight_data, bias_data, threads);
}

lightm::GatedNormShape norm_shape_of(const RowsIn &x) {
  return {(int64_t)x.shape(0), (int64_t)x.shape(1), (int64_t)x.shape(2)};
}

lightm::GatedNormInputs norm_inputs_of(const lightm::GatedNormShape &s, const RowsIn &x, const RowsIn &gate,
                                       const DenseIn &weight, const DenseIn &bias, float epsilon) {
  return {rows(x, s.batch, s.length, s.channels, "x"), rows(gate, s.batch, s.length, s.channels, "gate"),
          dense(weight, s.channels, "weight"), dense(bias, s.channels, "bias"), epsilon};
}

void gated_norm_forward(const RowsIn &x, const RowsIn &gate, const DenseIn &weight, const DenseIn &bias,
                        float epsilon, const DenseOut &out, int threads) {
  const lightm::GatedNormShape s = norm_shape_of(x);
  const lightm::GatedNormInputs in = norm_inputs_of(s, x, gate, weight, bias, epsilon);
  float *out_data = dense(out, s.batch * s.length * s.channels, "out");
  nb::gil_scoped_release release;
  lightm::gated_norm_forward(s, in, out_data, threads);
}

void gated_norm_backward(const RowsIn &grad_out, const RowsIn &x, const RowsIn &gate, const DenseIn &weight,
                         const DenseIn &bias, float epsilon, const DenseOut &grad_x, const DenseOut &grad_gate,
                         const DenseOut &grad_weight, const DenseOut &grad_bias, int threads) {
  const lightm::GatedNormShape s = norm_shape_of(x);
  const lightm::GatedNormInputs in = norm_inputs_of(s, x, gate, weight, bias, epsilon);
  const lightm::Rows grad_rows = rows(grad_out, s.batch, s.length, s.channels, "grad_out");
  const int64_t size = s.batch * s.length * s.channels;
  const lightm::GatedNormGradients gradients = {
      dense(grad_x, size, "grad_x"), dense(grad_gate, size, "grad_gate"),
      dense(grad_weight, s.channels, "grad_weight"), dense(grad_bias, s.channels, "grad_bias")};
  nb::gil_scoped_release release;
  lightm::gated_norm_backward(s, in, grad_rows, gradients, threads);
}

// weights: in the order of RvmWeights. grid: empty, or what is pooled: (depth, height, width) or
// (height, width).
void rvm_layer(const DenseIn &x, const std::vector<DenseIn> &weights, float epsilon,
               const std::vector<int64_t> &grid, const DenseOut &out, int threads) {
  if (x.ndim() != 3 || out.ndim() != 3 || weights.size() != 18) throw nb::value_error("x, out, weights");
  const auto size = [&](int which, int axis) { return (int64_t)weights[which].shape(axis); };
  if (weights[3].ndim() != 2 || weights[6].ndim() != 2 || weights[8].ndim() != 2) throw nb::value_error("weights");
  lightm::RvmShape s = {(int64_t)x.shape(0), (int64_t)x.shape(1), (int64_t)x.shape(2), size(3, 0),
                        size(8, 1),          size(6, 1),          size(3, 1),          (int64_t)out.shape(2)};
  int64_t fewer = 1;
  if (!grid.empty()) {
    s.pool = true, s.flat = grid.size() == 2;
    if (!s.flat && grid.size() != 3) throw nb::value_error("grid");
    s.depth = s.flat ? 1 : grid[0], s.height = grid[grid.size() - 2], s.width = grid.back();
    if (s.depth * s.height * s.width != s.length || s.height % 2 || s.width % 2 || (!s.flat && s.depth % 2))
      throw nb::value_error("grid");
    fewer = s.flat ? 4 : 8;
  }
  const int64_t c = s.channels, d = s.inner, o = s.out_channels;
  const int64_t sizes[] = {c, c, 2 * d * c, d * s.conv_width, d, (s.rank + 2 * s.state) * d, d * s.rank, d,
                           d * s.state, d, d, d, c * d, c, c, c, o * c, o};
  const float *p[18];
  for (int i = 0; i < 18; ++i) p[i] = dense(weights[i], sizes[i], "weights");
  const lightm::RvmWeights w = {p[0], p[1], p[2],  p[3],  p[4],  p[5],  p[6],  p[7],  p[8],   p[9],
                                p[10], p[11], p[12], p[13], p[14], p[15], p[16], p[17], epsilon};
  const float *x_data = x.data();
  float *out_data = dense(out, s.batch * (s.length / fewer) * o, "out");
  nb::gil_scoped_release release;
  lightm::rvm_layer(s, w, x_data, out_data, threads);
}

// grid: (depth, height, width) or (rows, columns). A block has scale and halve, the head has neither.
void decoder_stage(const DenseIn &low, const DenseIn &skip, const std::vector<int64_t> &grid, int64_t factor,
                   const DenseIn &depthwise, const std::optional<DenseIn> &depthwise_bias,
                   const DenseIn &pointwise, const std::optional<DenseIn> &pointwise_bias,
                   const std::optional<DenseIn> &scale, const std::optional<DenseIn> &halve, const DenseOut &out,
                   int threads) {
  const bool flat = grid.size() == 2;
  if ((!flat && grid.size() != 3) || skip.ndim() != 3 || out.ndim() != 3 || (factor != 1 && factor != 2) ||
      scale.has_value() != halve.has_value())
    throw nb::value_error("grid, skip, out, factor or scale");
  const lightm::DecoderShape s = {(int64_t)skip.shape(0), grid[0], flat ? 1 : grid[1], grid.back(),
                                  (int64_t)skip.shape(2), (int64_t)out.shape(2), factor, flat};
  const int64_t length = s.depth * s.height * s.width, c = s.channels, o = s.out_channels;
  const int64_t fewer = factor == 1 ? 1 : flat ? 4 : 8;
  lightm::DecoderInputs in;
  in.low = dense(low, s.batch * (length / fewer) * c, "low");
  in.skip = dense(skip, s.batch * length * c, "skip");
  in.depthwise = dense(depthwise, c * (flat ? 9 : 27), "depthwise");
  in.depthwise_bias = dense(depthwise_bias, c, "depthwise_bias");
  in.pointwise = dense(pointwise, (halve ? c : o) * c, "pointwise");
  in.pointwise_bias = dense(pointwise_bias, o, "pointwise_bias");
  in.scale = dense(scale, c, "scale");
  in.halve = dense(halve, o * c, "halve");
  float *out_data = dense(out, s.batch * length * o, "out");
  nb::gil_scoped_release release;
  lightm::decoder_stage(s, in, out_data, threads);
}

// weight: (out_channels, ...)
lightm::StemShape stem_shape(const DenseIn &image, const DenseIn &weight) {
  const bool flat = image.ndim() == 4;
  if ((!flat && image.ndim() != 5) || weight.ndim() != 2) throw nb::value_error("image or weight");
  const size_t last = image.ndim() - 1;
  return {(int64_t)image.shape(0),        (int64_t)image.shape(1),
          flat ? 1 : (int64_t)image.shape(2), (int64_t)image.shape(last - 1),
          (int64_t)image.shape(last),     (int64_t)weight.shape(0), flat};
}

void stem(const DenseIn &image, const DenseIn &depthwise, const DenseIn &pointwise, const DenseOut &out,
          int threads) {
  const lightm::StemShape s = stem_shape(image, pointwise);
  const lightm::StemInputs in = {image.data(), dense(depthwise, s.channels * (s.flat ? 9 : 27), "depthwise"),
                                 dense(pointwise, s.out_channels * s.channels, "pointwise")};
  float *out_data = dense(out, s.rows() * s.width * s.out_channels, "out");
  nb::gil_scoped_release release;
  lightm::stem(s, in, out_data, threads);
}

void conv_stem(const DenseIn &image, const DenseIn &weight, const DenseIn &bias, const DenseOut &out, int threads) {
  const lightm::StemShape s = stem_shape(image, weight);
  const lightm::ConvStemInputs in = {
      image.data(), dense(weight, s.out_channels * s.channels * (s.flat ? 9 : 27), "weight"),
      dense(bias, s.out_channels, "bias")};
  float *out_data = dense(out, s.rows() * s.width * s.out_channels, "out");
  nb::gil_scoped_release release;
  lightm::conv_stem(s, in, out_data, threads);
}

// Not filled; a DLPack capsule.
nb::ndarray<float> empty(const std::vector<size_t> &shape) {
  size_t bytes = sizeof(float);
  for (const size_t n : shape) bytes *= n;
  void *block = lightm::take_kept(bytes);
  const nb::capsule owner(block, [](void *p) noexcept { lightm::give_kept(p); });
  return nb::ndarray<float>(block, shape.size(), shape.data(), owner);
}

void release_memory() {
  lightm::Workspace::release();
  lightm::release_kept();
}

}  // namespace

NB_MODULE(_C, m) {
  m.doc() = "CPU kernels of lightm_unet.ops; ops/cpu.py is the only caller and checks the arguments.";
  m.attr("STATE_INTERVAL") = lightm::kStateInterval;
  m.def("instruction_set", &lightm::instruction_set);
  m.def("scan_forward", &forward, "u"_a, "delta"_a, "A"_a, "B"_a, "C"_a, "D"_a.none(), "z"_a.none(),
        "delta_bias"_a.none(), "delta_softplus"_a, "out"_a, "states"_a.none(), "threads"_a);
  m.def("scan_backward", &backward, "grad_out"_a, "states"_a, "u"_a, "delta"_a, "A"_a, "B"_a, "C"_a,
        "D"_a.none(), "z"_a.none(), "delta_bias"_a.none(), "delta_softplus"_a, "grad_u"_a, "grad_delta"_a,
        "grad_A"_a, "grad_B"_a, "grad_C"_a, "grad_D"_a.none(), "grad_z"_a.none(),
        "grad_delta_bias"_a.none(), "threads"_a);
  m.def("conv_forward", &conv_forward, "x"_a, "weight"_a, "bias"_a, "silu"_a, "out"_a, "threads"_a);
  m.def("conv_backward", &conv_backward, "grad_out"_a, "x"_a, "weight"_a, "bias"_a, "silu"_a, "grad_x"_a,
        "grad_weight"_a, "grad_bias"_a, "threads"_a);
  m.def("gated_norm_forward", &gated_norm_forward, "x"_a, "gate"_a, "weight"_a, "bias"_a, "epsilon"_a, "out"_a,
        "threads"_a);
  m.def("gated_norm_backward", &gated_norm_backward, "grad_out"_a, "x"_a, "gate"_a, "weight"_a, "bias"_a,
        "epsilon"_a, "grad_x"_a, "grad_gate"_a, "grad_weight"_a, "grad_bias"_a, "threads"_a);
  m.def("rvm_layer", &rvm_layer, "x"_a, "weights"_a, "epsilon"_a, "grid"_a, "out"_a, "threads"_a);
  m.def("decoder_stage", &decoder_stage, "low"_a, "skip"_a, "grid"_a, "factor"_a, "depthwise"_a,
        "depthwise_bias"_a.none(), "pointwise"_a, "pointwise_bias"_a.none(), "scale"_a.none(), "halve"_a.none(),
        "out"_a, "threads"_a);
  m.def("stem", &stem, "image"_a, "depthwise"_a, "pointwise"_a, "out"_a, "threads"_a);
  m.def("conv_stem", &conv_stem, "image"_a, "weight"_a, "bias"_a, "out"_a, "threads"_a);
  m.def("empty", &empty, "shape"_a);
  m.def("release_memory", &release_memory);
}
