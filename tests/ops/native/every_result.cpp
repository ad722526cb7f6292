// Every kernel's results on numbers that are the same everywhere, into the file that is named. Built by
// test_aarch64.py for two processors, whose results are compared. A record is a line, "NAME COUNT", and as many
// floats.
#include <cmath>
#include <cstdio>
#include <deque>
#include <string>
#include <vector>

#include "ops/causal_conv.h"
#include "ops/decoder.h"
#include "ops/gated_norm.h"
#include "ops/instruction_set.h"
#include "ops/mix_stage.h"
#include "ops/norm_stage.h"
#include "ops/rvm_layer.h"
#include "ops/selective_scan.h"
#include "ops/stem.h"

namespace {

constexpr int kThreads = 2;

int64_t product(std::initializer_list<int64_t> sizes) {
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  return count;
}

// The arrays of one case. Results are written when it ends. No two arrays of a kind are made in the arguments of
// one call, whose order is the compiler's choice.
class Case {
 public:
  Case(FILE *file, std::string name) : file_(file), name_(std::move(name)) {}
  ~Case() {
    for (const Result &result : results_) {
      std::fprintf(file_, "%s:%s %zu\n", name_.c_str(), result.name, result.values.size());
      std::fwrite(result.values.data(), sizeof(float), result.values.size(), file_);
    }
  }

  // Between -0.5 and 0.5; not by the standard library's distributions, which differ between libraries.
  float *input(std::initializer_list<int64_t> sizes) {
    inputs_.emplace_back(product(sizes));
    for (float &value : inputs_.back()) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      value = static_cast<float>(state_ >> 40) / (1 << 24) - 0.5f;
    }
    return inputs_.back().data();
  }
  lightm::Rows rows(int64_t batch, int64_t length, int64_t width) {
    return {input({batch, length, width}), length * width, width};
  }
  // The same moved by `shift`.
  float *input_around(float shift, std::initializer_list<int64_t> sizes) {
    float *values = input(sizes);
    for (int64_t i = 0; i < product(sizes); ++i) values[i] += shift;
    return values;
  }
  // NaN as yet, so that what a kernel leaves out is seen.
  float *result(const char *name, std::initializer_list<int64_t> sizes) {
    results_.push_back({name, std::vector<float>(product(sizes), std::nanf(""))});
    return results_.back().values.data();
  }

 private:
  struct Result {
    const char *name;
    std::vector<float> values;
  };
  FILE *file_;
  std::string name_;
  uint64_t state_ = 1;
  std::deque<std::vector<float>> inputs_;
  std::deque<Result> results_;
};

void scan(FILE *file, const char *name, const lightm::ScanShape &s, bool with_options, float rate) {
  Case c(file, name);
  const auto [batch, length, channels, state] = s;
  lightm::ScanInputs in;
  in.u = c.rows(batch, length, channels);
  // Without softplus, steps are positive by themselves.
  in.delta = {c.input_around(with_options ? 0.0f : 0.6f, {batch, length, channels}), length * channels, channels};
  in.B = c.rows(batch, length, state), in.C = c.rows(batch, length, state);
  in.A = c.input_around(-rate, {channels, state});
  if (with_options) {
    in.z = c.rows(batch, length, channels);
    in.D = c.input({channels}), in.delta_bias = c.input({channels}), in.delta_softplus = true;
  }
  float *states = c.result("states", {batch, s.intervals(), state, channels});
  lightm::scan_forward(s, in, c.result("out", {batch, length, channels}), states, kThreads);
  const lightm::ScanGradients gradients = {c.result("grad_u", {batch, length, channels}),
                                           c.result("grad_delta", {batch, length, channels}),
                                           c.result("grad_A", {channels, state}),
                                           c.result("grad_B", {batch, length, state}),
                                           c.result("grad_C", {batch, length, state}),
                                           with_options ? c.result("grad_D", {channels}) : nullptr,
                                           with_options ? c.result("grad_z", {batch, length, channels}) : nullptr,
                                           with_options ? c.result("grad_bias", {channels}) : nullptr};
  lightm::scan_backward(s, in, states, c.rows(batch, length, channels), gradients, kThreads);
}

void convolution(FILE *file, const char *name, const lightm::ConvShape &s) {
  Case c(file, name);
  const auto [batch, length, channels, width] = s;
  const lightm::ConvInputs in = {c.rows(batch, length, channels), c.input({channels, width}), c.input({channels}),
                                 true};
  lightm::conv_forward(s, in, c.result("out", {batch, length, channels}), kThreads);
  float *grad_x = c.result("grad_x", {batch, length, channels});
  float *grad_weight = c.result("grad_weight", {channels, width}), *grad_bias = c.result("grad_bias", {channels});
  lightm::conv_backward(s, in, c.rows(batch, length, channels), grad_x, grad_weight, grad_bias, kThreads);
}

void gated_norm(FILE *file, const char *name, const lightm::GatedNormShape &s) {
  Case c(file, name);
  const auto [batch, length, channels] = s;
  const lightm::GatedNormInputs in = {c.rows(batch, length, channels), c.rows(batch, length, channels),
                                      c.input({channels}), c.input({channels}), 1e-5f};
  lightm::gated_norm_forward(s, in, c.result("out", {batch, length, channels}), kThreads);
  const lightm::GatedNormGradients gradients = {c.result("grad_x", {batch, length, channels}),
                                                c.result("grad_gate", {batch, length, channels}),
                                                c.result("grad_weight", {channels}), c.result("grad_bias", {channels})};
  lightm::gated_norm_backward(s, in, c.rows(batch, length, channels), gradients, kThreads);
}

void rvm_layer(FILE *file, const char *name, const lightm::RvmShape &s) {
  Case c(file, name);
  lightm::RvmWeights w;
#define LIGHTM_INPUT(name, ...) w.name = c.input({__VA_ARGS__});
  LIGHTM_RVM_WEIGHTS(LIGHTM_INPUT)
#undef LIGHTM_INPUT
  w.epsilon = 1e-5f;
  const float *x = c.input({s.batch, s.length, s.channels});
  std::vector<float> kept(lightm::rvm_kept_floats(s));
  lightm::rvm_layer(s, w, x, c.result("inferred", {s.batch, s.out_length(), s.out_channels}), nullptr, kThreads);
  lightm::rvm_layer(s, w, x, c.result("out", {s.batch, s.out_length(), s.out_channels}), kept.data(), kThreads);
  lightm::RvmGradients g;
#define LIGHTM_RESULT(name, ...) g.name = c.result("grad_" #name, {__VA_ARGS__});
  LIGHTM_RVM_WEIGHTS(LIGHTM_RESULT)
#undef LIGHTM_RESULT
  lightm::rvm_backward(s, w, x, kept.data(), c.input({s.batch, s.out_length(), s.out_channels}),
                       c.result("grad_x", {s.batch, s.length, s.channels}), g, kThreads);
}

// With `last`, a decoder block as in inference; without, what it is in training, and its gradients.
void decoder_stage(FILE *file, const char *name, const lightm::DecoderShape &s, bool has_last) {
  Case c(file, name);
  const lightm::GridShape &g = s.grid;
  const int64_t length = g.depth * g.height * g.width, taps = g.flat ? 9 : 27;
  const int64_t low_length = length / (s.factor == 1 ? 1 : g.flat ? 4 : 8);
  const int64_t middle = has_last ? g.channels : g.out_channels;
  const bool has_scale = middle == g.channels;
  lightm::DecoderInputs in = {};
  in.low = c.input({g.batch, low_length, g.channels}), in.skip = c.input({g.batch, length, g.channels});
  in.stage.depthwise = c.input({g.channels, taps}), in.stage.depthwise_bias = c.input({g.channels});
  in.stage.pointwise = c.input({middle, g.channels}), in.stage.pointwise_bias = c.input({middle});
  if (has_scale) in.stage.scale = c.input({g.channels});
  if (has_last) in.stage.last = c.input({g.out_channels, g.channels}), in.stage.last_bias = c.input({g.out_channels});
  in.stage.slope = has_last ? 0.01f : 1.0f;
  lightm::decoder_stage(s, in, c.result("out", {g.batch, length, g.out_channels}), kThreads);
  if (has_last) return;
  lightm::MixGradients to = {};
  if (s.factor == 2) to.low = c.result("grad_low", {g.batch, low_length, g.channels});
  to.skip = c.result("grad_skip", {g.batch, length, g.channels});
  to.depthwise = c.result("grad_depthwise", {g.channels, taps});
  to.depthwise_bias = c.result("grad_depthwise_bias", {g.channels});
  to.pointwise = c.result("grad_pointwise", {middle, g.channels});
  to.pointwise_bias = c.result("grad_pointwise_bias", {middle});
  if (has_scale) to.scale = c.result("grad_scale", {g.channels});
  lightm::mix_stage_backward(s, in, c.input({g.batch, length, g.out_channels}), to, kThreads);
}

void norm_stage(FILE *file, const char *name, const lightm::NormShape &s, bool has_norm, bool has_last) {
  Case c(file, name);
  lightm::NormInputs in = {};
  in.x = c.input({s.tokens, s.channels}), in.epsilon = 1e-5f, in.slope = 0.01f;
  if (has_norm) in.weight = c.input({s.channels}), in.bias = c.input({s.channels});
  if (has_last) in.last = c.input({s.out_channels, s.channels}), in.last_bias = c.input({s.out_channels});
  lightm::NormStatistics statistics = {};
  lightm::NormGradients to = {};
  to.x = c.result("grad_x", {s.tokens, s.channels});
  if (has_norm) {
    statistics = {c.result("mean", {s.channels}), c.result("variance", {s.channels})};
    to.weight = c.result("grad_weight", {s.channels}), to.bias = c.result("grad_bias", {s.channels});
  }
  if (has_last) {
    to.last = c.result("grad_last", {s.out_channels, s.channels});
    to.last_bias = c.result("grad_last_bias", {s.out_channels});
  }
  lightm::norm_stage(s, in, statistics, c.result("out", {s.tokens, s.out_channels}), kThreads);
  lightm::norm_stage_backward(s, in, statistics, c.input({s.tokens, s.out_channels}), to, kThreads);
}

void stems(FILE *file, const char *name, const lightm::StemShape &s) {
  Case c(file, name);
  const int64_t taps = s.flat ? 9 : 27, length = s.depth * s.height * s.width;
  const float *image = c.input({s.batch, s.channels, length});
  lightm::stem(s, {image, c.input({s.channels, taps}), c.input({s.out_channels, s.channels})},
               c.result("stem", {s.batch, length, s.out_channels}), kThreads);
  const lightm::ConvStemInputs conv = {image, c.input({s.out_channels, s.channels * taps}), c.input({s.out_channels})};
  lightm::conv_stem(s, conv, c.result("conv_stem", {s.batch, length, s.out_channels}), kThreads);
  float *grad_weight = c.result("grad_weight", {s.out_channels, s.channels * taps});
  float *grad_bias = c.result("grad_bias", {s.out_channels});
  lightm::conv_stem_backward(s, image, c.input({s.batch, length, s.out_channels}), grad_weight, grad_bias, kThreads);
  lightm::NormStemInputs in = {};
  in.conv = conv;
  in.stage.depthwise = c.input({s.out_channels, taps}), in.stage.pointwise = c.input({s.out_channels, s.out_channels});
  in.stage.pointwise_bias = c.input({s.out_channels}), in.stage.slope = 0.01f;
  lightm::norm_stem(s, in, c.result("norm_stem", {s.batch, length, s.out_channels}), kThreads);
}

}  // namespace

int main(int, char **arguments) {
  FILE *file = std::fopen(arguments[1], "wb");
  if (!file) return 1;
  scan(file, "scan", {2, 67, 19, 16}, true, 1.0f);
  scan(file, "scan-odd-states", {1, 70, 8, 13}, false, 1.0f);
  scan(file, "scan-long", {1, 600, 6, 16}, true, 1.0f);         // cut along the length
  scan(file, "scan-fast-decay", {1, 67, 5, 3}, false, 500.0f);  // beyond the fast exponential's range
  convolution(file, "conv", {2, 131, 19, 4});
  gated_norm(file, "gated-norm", {2, 37, 35});
  rvm_layer(file, "rvm", {2, 299, 33, 66, 16, 3, 4, 40});
  rvm_layer(file, "rvm-few-states", {1, 77, 5, 9, 3, 1, 4, 7});
  rvm_layer(file, "rvm-pool-2d", {2, 8 * 6, 24, 48, 8, 2, 4, 40, true, true, 1, 8, 6});
  rvm_layer(file, "rvm-pool-3d", {1, 4 * 6 * 10, 3, 6, 2, 1, 4, 6, true, false, 4, 6, 10});
  for (const bool has_last : {true, false}) {
    const std::string end = has_last ? "" : "-training";
    decoder_stage(file, ("decoder-2d" + end).c_str(), {{1, 8, 1, 22, 19, 17, true}, 2}, has_last);
    decoder_stage(file, ("decoder-3d" + end).c_str(), {{1, 18, 20, 10, 33, 33, false}, 2}, has_last);
    decoder_stage(file, ("decoder-no-upsampling" + end).c_str(), {{2, 3, 5, 37, 8, 3, false}, 1}, has_last);
  }
  norm_stage(file, "norm", {1003, 19, 5}, true, true);
  norm_stage(file, "norm-alone", {77, 33, 33}, true, false);
  norm_stage(file, "no-norm", {77, 16, 2}, false, true);
  stems(file, "stems-2d", {2, 3, 1, 7, 21, 21, true});
  stems(file, "stems-3d", {1, 1, 5, 18, 35, 16, false});
  if (std::fclose(file) != 0) return 1;
  std::puts(lightm::instruction_set());
}
