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
  const int64_t fewer = s.pool ? (s.flat ? 4 : 8) : 1;
  lightm::rvm_layer(s, w, a.make({s.batch, s.length, s.channels}), a.make({s.batch, s.length / fewer, s.out_channels}),
                    threads);
}

void decoder_stage(lightm::DecoderShape s, bool is_head, int threads) {
  Arrays a;
  const int64_t length = s.depth * s.height * s.width, taps = s.flat ? 9 : 27;
  const int64_t fewer = s.factor == 1 ? 1 : s.flat ? 4 : 8;
  lightm::DecoderInputs in = {};
  in.low = a.make({s.batch, length / fewer, s.channels}), in.skip = a.make({s.batch, length, s.channels});
  in.depthwise = a.make({s.channels, taps});
  in.pointwise = a.make({is_head ? s.out_channels : s.channels, s.channels});
  if (is_head) {
    in.depthwise_bias = a.make({s.channels}), in.pointwise_bias = a.make({s.out_channels});
  } else {
    in.scale = a.make({s.channels}), in.halve = a.make({s.out_channels, s.channels});
  }
  lightm::decoder_stage(s, in, a.make({s.batch, length, s.out_channels}), threads);
}

void stems(lightm::StemShape s, int threads) {
  Arrays a;
  const int64_t taps = s.flat ? 9 : 27, length = s.depth * s.height * s.width;
  const float *image = a.make({s.batch, s.channels, length});
  lightm::stem(s, {image, a.make({s.channels, taps}), a.make({s.out_channels, s.channels})},
               a.make({s.batch, length, s.out_channels}), threads);
  lightm::conv_stem(s, {image, a.make({s.out_channels, s.channels * taps}), a.make({s.out_channels})},
                    a.make({s.batch, length, s.out_channels}), threads);
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
    for (const bool is_head : {false, true}) {
      decoder_stage({2, 7, 1, 9, 5, 3, 1, true}, is_head, threads);
      decoder_stage({1, 8, 1, 22, 19, 17, 2, true}, is_head, threads);
      decoder_stage({1, 3, 5, 7, 6, 3, 1, false}, is_head, threads);
      decoder_stage({1, 18, 20, 10, 33, 16, 2, false}, is_head, threads);
    }
    stems({2, 3, 1, 7, 21, 5, true}, threads);
    stems({1, 1, 5, 3, 17, 33, false}, threads);
    stems({1, 2, 1, 1, 1, 1, true}, threads);
  }
  buffers();
  lightm::Workspace::release();
  std::puts(lightm::instruction_set());
}
