// Every kernel on odd sizes, in arrays of exactly their size, for AddressSanitizer and
// UndefinedBehaviorSanitizer. Built by test_sanitizers.py.
#include <cstdio>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "ops/causal_conv.h"
#include "ops/decoder.h"
#include "ops/gated_norm.h"
#include "ops/instruction_set.h"
#include "ops/limits.h"
#include "ops/mix_stage.h"
#include "ops/norm_stage.h"
#include "ops/rvm_layer.h"
#include "ops/selective_scan.h"
#include "ops/stem.h"
#include "runtime/buffer_pool.h"
#include "runtime/workspace.h"

namespace {

// Arrays live until the end of a case, each in memory of its own with nothing behind it.
class Arrays {
 public:
  float *make(std::initializer_list<int64_t> sizes) {
    int64_t count = 1;
    for (const int64_t size : sizes) count *= size;
    memory_.emplace_back(new float[count]);
    std::normal_distribution<float> normal(0.0f, 0.3f);
    for (int64_t i = 0; i < count; ++i) memory_.back()[i] = normal(source_);
    return memory_.back().get();
  }
  lightm::Rows rows(int64_t batch, int64_t length, int64_t width) {
    return {make({batch, length, width}), length * width, width};
  }

 private:
  std::mt19937 source_{0};
  std::deque<std::unique_ptr<float[]>> memory_;
};

void scan(int64_t batch, int64_t length, int64_t channels, int64_t state, bool with_options, float fastest,
          int threads) {
  Arrays a;
  const lightm::ScanShape s = {batch, length, channels, state};
  lightm::ScanInputs in;
  in.u = a.rows(batch, length, channels), in.delta = a.rows(batch, length, channels);
  in.B = a.rows(batch, length, state), in.C = a.rows(batch, length, state);
  float *A = a.make({channels, state});
  for (int64_t i = 0; i < channels * state; ++i) A[i] = -fastest;
  in.A = A;
  if (with_options) {
    in.z = a.rows(batch, length, channels);
    in.D = a.make({channels}), in.delta_bias = a.make({channels}), in.delta_softplus = true;
  }
  float *out = a.make({batch, length, channels}), *states = a.make({batch, s.intervals(), state, channels});
  lightm::scan_forward(s, in, out, nullptr, threads);
  lightm::scan_forward(s, in, out, states, threads);
  const lightm::ScanGradients gradients = {a.make({batch, length, channels}),
                                           a.make({batch, length, channels}),
                                           a.make({channels, state}),
                                           a.make({batch, length, state}),
                                           a.make({batch, length, state}),
                                           with_options ? a.make({channels}) : nullptr,
                                           with_options ? a.make({batch, length, channels}) : nullptr,
                                           with_options ? a.make({channels}) : nullptr};
  lightm::scan_backward(s, in, states, a.rows(batch, length, channels), gradients, threads);
}

void convolution(int64_t batch, int64_t length, int64_t channels, int64_t width, int threads) {
  Arrays a;
  const lightm::ConvShape s = {batch, length, channels, width};
  const lightm::ConvInputs in = {a.rows(batch, length, channels), a.make({channels, width}), a.make({channels}), true};
  lightm::conv_forward(s, in, a.make({batch, length, channels}), threads);
  lightm::conv_backward(s, in, a.rows(batch, length, channels), a.make({batch, length, channels}),
                        a.make({channels, width}), a.make({channels}), threads);
}

void gated_norm(int64_t batch, int64_t length, int64_t channels, int threads) {
  Arrays a;
  const lightm::GatedNormShape s = {batch, length, channels};
  const lightm::GatedNormInputs in = {a.rows(batch, length, channels), a.rows(batch, length, channels),
                                      a.make({channels}), a.make({channels}), 1e-5f};
  lightm::gated_norm_forward(s, in, a.make({batch, length, channels}), threads);
  const lightm::GatedNormGradients gradients = {a.make({batch, length, channels}), a.make({batch, length, channels}),
                                                a.make({channels}), a.make({channels})};
  lightm::gated_norm_backward(s, in, a.rows(batch, length, channels), gradients, threads);
}

void rvm_layer(lightm::RvmShape s, int threads) {
  Arrays a;
  lightm::RvmWeights w;
#define LIGHTM_RANDOM(name, ...) w.name = a.make({__VA_ARGS__});
  LIGHTM_RVM_WEIGHTS(LIGHTM_RANDOM)
#undef LIGHTM_RANDOM
  w.epsilon = 1e-5f;
  const float *x = a.make({s.batch, s.length, s.channels});
  float *out = a.make({s.batch, s.out_length(), s.out_channels}), *kept = a.make({lightm::rvm_kept_floats(s)});
  lightm::rvm_layer(s, w, x, out, nullptr, threads);
  lightm::rvm_layer(s, w, x, out, kept, threads);
  lightm::RvmGradients g;
#define LIGHTM_GRADIENT(name, ...) g.name = a.make({__VA_ARGS__});
  LIGHTM_RVM_WEIGHTS(LIGHTM_GRADIENT)
#undef LIGHTM_GRADIENT
  lightm::rvm_backward(s, w, x, kept, out, a.make({s.batch, s.length, s.channels}), g, threads);
}

enum class Stage { block, norm_block, head, norm_head };

void decoder_stage(lightm::DecoderShape s, Stage kind, int threads) {
  Arrays a;
  const lightm::GridShape &g = s.grid;
  const int64_t length = g.depth * g.height * g.width, taps = g.flat ? 9 : 27;
  const int64_t fewer = s.factor == 1 ? 1 : g.flat ? 4 : 8;
  const bool is_block = kind == Stage::block || kind == Stage::norm_block, has_last = kind != Stage::head;
  const int64_t middle = has_last ? g.channels : g.out_channels;
  lightm::DecoderInputs in = {};
  in.low = a.make({g.batch, length / fewer, g.channels}), in.skip = a.make({g.batch, length, g.channels});
  in.stage.depthwise = a.make({g.channels, taps}), in.stage.pointwise = a.make({middle, g.channels});
  in.stage.slope = is_block ? 0.0f : kind == Stage::norm_head ? 0.01f : 1.0f;
  if (kind == Stage::head) in.stage.depthwise_bias = a.make({g.channels});
  if (kind != Stage::block) in.stage.pointwise_bias = a.make({middle});
  if (is_block) in.stage.scale = a.make({g.channels});
  if (has_last) in.stage.last = a.make({g.out_channels, g.channels});
  if (kind == Stage::norm_head) in.stage.last_bias = a.make({g.out_channels});
  lightm::decoder_stage(s, in, a.make({g.batch, length, g.out_channels}), threads);
}

// The forward pass without `last`, and all gradients; of the inputs, of the weights, of both.
void mix_stage(lightm::DecoderShape s, bool has_low, int threads) {
  Arrays a;
  const lightm::GridShape &g = s.grid;
  const int64_t length = g.depth * g.height * g.width, taps = g.flat ? 9 : 27;
  const int64_t low_length = length / (s.factor == 1 ? 1 : g.flat ? 4 : 8);
  const bool has_scale = g.channels == g.out_channels;
  lightm::DecoderInputs in = {};
  in.low = has_low ? a.make({g.batch, low_length, g.channels}) : nullptr;
  in.skip = a.make({g.batch, length, g.channels});
  in.stage.depthwise = a.make({g.channels, taps}), in.stage.pointwise = a.make({g.out_channels, g.channels});
  in.stage.depthwise_bias = a.make({g.channels}), in.stage.pointwise_bias = a.make({g.out_channels});
  in.stage.scale = has_scale ? a.make({g.channels}) : nullptr, in.stage.slope = 1.0f;
  lightm::decoder_stage(s, in, a.make({g.batch, length, g.out_channels}), threads);
  const float *grad = a.make({g.batch, length, g.out_channels});
  lightm::MixGradients inputs = {}, weights = {};
  inputs.low = s.factor == 2 ? a.make({g.batch, low_length, g.channels}) : nullptr;
  inputs.skip = a.make({g.batch, length, g.channels});
  weights.depthwise = a.make({g.channels, taps}), weights.pointwise = a.make({g.out_channels, g.channels});
  weights.depthwise_bias = a.make({g.channels}), weights.pointwise_bias = a.make({g.out_channels});
  weights.scale = has_scale ? a.make({g.channels}) : nullptr;
  lightm::MixGradients both = weights;
  both.low = inputs.low, both.skip = inputs.skip;
  for (const lightm::MixGradients &wanted : {inputs, weights, both})
    lightm::mix_stage_backward(s, in, grad, wanted, threads);
}

void norm_stage(int64_t tokens, int64_t channels, int64_t out_channels, bool has_norm, bool has_last, int threads) {
  Arrays a;
  const lightm::NormShape s = {tokens, channels, has_last ? out_channels : channels};
  lightm::NormInputs in = {};
  in.x = a.make({tokens, channels}), in.epsilon = 1e-5f, in.slope = 0.01f;
  lightm::NormStatistics statistics = {};
  lightm::NormGradients gradients = {};
  gradients.x = a.make({tokens, channels});
  if (has_norm) {
    in.weight = a.make({channels}), in.bias = a.make({channels});
    statistics = {a.make({channels}), a.make({channels})};
    gradients.weight = a.make({channels}), gradients.bias = a.make({channels});
  }
  if (has_last) {
    in.last = a.make({out_channels, channels}), in.last_bias = a.make({out_channels});
    gradients.last = a.make({out_channels, channels}), gradients.last_bias = a.make({out_channels});
  }
  lightm::norm_stage(s, in, statistics, a.make({tokens, s.out_channels}), threads);
  const float *grad = a.make({tokens, s.out_channels});
  lightm::norm_stage_backward(s, in, statistics, grad, gradients, threads);
  gradients.x = nullptr;
  lightm::norm_stage_backward(s, in, statistics, grad, gradients, threads);
}

void stems(lightm::StemShape s, int threads) {
  Arrays a;
  const int64_t taps = s.flat ? 9 : 27, length = s.depth * s.height * s.width;
  const float *image = a.make({s.batch, s.channels, length});
  lightm::stem(s, {image, a.make({s.channels, taps}), a.make({s.out_channels, s.channels})},
               a.make({s.batch, length, s.out_channels}), threads);
  const lightm::ConvStemInputs conv = {image, a.make({s.out_channels, s.channels * taps}), a.make({s.out_channels})};
  lightm::conv_stem(s, conv, a.make({s.batch, length, s.out_channels}), threads);
  lightm::conv_stem_backward(s, image, a.make({s.batch, length, s.out_channels}),
                             a.make({s.out_channels, s.channels * taps}), a.make({s.out_channels}), threads);
  lightm::NormStemInputs in = {};
  in.conv = conv;
  in.stage.depthwise = a.make({s.out_channels, taps}), in.stage.pointwise = a.make({s.out_channels, s.out_channels});
  in.stage.pointwise_bias = a.make({s.out_channels}), in.stage.slope = 0.01f;
  lightm::norm_stem(s, in, a.make({s.batch, length, s.out_channels}), threads);
}

void limits(int threads) {
  Arrays a;
  lightm::multiply_adds(3, threads);
  lightm::exponentials(3, threads);
  for (const int64_t count : {1, 16, 1003}) lightm::double_stream(a.make({count}), count, a.make({count}), threads);
}

void buffers() {
  const size_t before = lightm::limit_kept_buffers(3 << 20);
  std::vector<void *> taken;
  for (size_t bytes : {size_t{1} << 20, size_t{5} << 19, size_t{1}, size_t{4} << 20, size_t{1} << 20})
    taken.push_back(lightm::take_buffer(bytes));
  for (void *buffer : taken) lightm::give_buffer(buffer);
  lightm::give_buffer(lightm::take_buffer(1 << 20));
  lightm::release_buffers();
  lightm::limit_kept_buffers(before);
}

}  // namespace

int main() {
  for (const int threads : {1, 3}) {
    for (const int64_t channels : {1, 5, 16, 35}) {
      scan(2, 1, channels, 1, false, 1.0f, threads);
      scan(2, 67, channels, 5, true, 1.0f, threads);
      scan(1, 67, channels, 3, false, 500.0f, threads);  // decays beyond the fast exponential's range
      scan(1, 600, channels, 16, true, 1.0f, threads);   // cut along the length where threads are left over
      convolution(2, 1, channels, 4, threads);
      convolution(1, 131, channels, 3, threads);
      gated_norm(2, 37, channels, threads);
    }
    lightm::RvmShape layer = {2, 77, 5, 9, 3, 1, 4, 7};
    rvm_layer(layer, threads);
    layer.length = 1, layer.batch = 1;
    rvm_layer(layer, threads);
    rvm_layer({1, 200, 33, 66, 16, 3, 70, 65}, threads);
    rvm_layer({2, 8 * 6, 24, 48, 8, 2, 4, 40, true, true, 1, 8, 6}, threads);
    rvm_layer({1, 4 * 6 * 10, 3, 6, 2, 1, 4, 6, true, false, 4, 6, 10}, threads);
    for (const Stage kind : {Stage::block, Stage::norm_block, Stage::head, Stage::norm_head}) {
      decoder_stage({{2, 7, 1, 9, 5, 3, true}, 1}, kind, threads);
      decoder_stage({{1, 8, 1, 22, 19, 17, true}, 2}, kind, threads);
      decoder_stage({{1, 3, 5, 7, 6, 3, false}, 1}, kind, threads);
      decoder_stage({{1, 18, 20, 10, 33, 16, false}, 2}, kind, threads);
    }
    mix_stage({{2, 7, 1, 9, 5, 3, true}, 1}, true, threads);
    mix_stage({{1, 3, 5, 7, 6, 6, false}, 1}, false, threads);
    mix_stage({{1, 34, 1, 22, 19, 17, true}, 2}, true, threads);
    mix_stage({{2, 18, 20, 10, 33, 33, false}, 2}, true, threads);
    mix_stage({{1, 2, 2, 2, 1, 1, false}, 2}, true, threads);
    for (const bool has_norm : {false, true})
      for (const bool has_last : {false, true})
        for (const int64_t channels : {1, 5, 16, 35}) {
          norm_stage(67, channels, 7, has_norm, has_last, threads);
          norm_stage(1030, channels, 33, has_norm, has_last, threads);
        }
    stems({2, 3, 1, 7, 21, 5, true}, threads);
    stems({1, 1, 5, 3, 17, 33, false}, threads);
    stems({1, 2, 1, 1, 1, 1, true}, threads);
    stems({1, 1, 18, 35, 9, 16, false}, threads);
    limits(threads);
  }
  buffers();
  lightm::Workspace::release();
  std::puts(lightm::instruction_set());
}
