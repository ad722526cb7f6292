// Streamed layers under ThreadSanitizer, which reports what threads share without an order between
// them; and their results must not depend on the number of threads. Built by
// test_sanitizers.py.
#include <cstdio>
#include <cstring>
#include <deque>
#include <random>
#include <thread>
#include <vector>

#include "ops/mix_stage.h"
#include "ops/norm_stage.h"
#include "ops/rvm_layer.h"

namespace {

using lightm::RvmShape;
using lightm::RvmWeights;

class Layer {
 public:
  explicit Layer(bool pool) {
    shape_.batch = 2, shape_.channels = 24, shape_.inner = 48, shape_.state = 3, shape_.rank = 2;
    shape_.conv_width = 4, shape_.out_channels = 40;
    shape_.pool = pool, shape_.flat = true, shape_.height = 40, shape_.width = 64;
    shape_.length = shape_.height * shape_.width;
    const RvmShape &s = shape_;
#define LIGHTM_RANDOM(name, ...) weights_.name = random({__VA_ARGS__});
    LIGHTM_RVM_WEIGHTS(LIGHTM_RANDOM)
#undef LIGHTM_RANDOM
    weights_.epsilon = 1e-5f;
    x_ = random({s.batch, s.length, s.channels});
  }

  // The result, the gradient of the input, and those of all weights.
  std::vector<float> run(int threads) const {
    const RvmShape &s = shape_;
    const int64_t outputs = s.batch * s.out_length() * s.out_channels, inputs = s.batch * s.length * s.channels;
    int64_t count = outputs + inputs;
#define LIGHTM_COUNT(name, ...) count += size({__VA_ARGS__});
    LIGHTM_RVM_WEIGHTS(LIGHTM_COUNT)
#undef LIGHTM_COUNT
    std::vector<float> all(count), kept(lightm::rvm_kept_floats(s));
    lightm::RvmGradients gradients;
    float *next = all.data() + outputs + inputs;
#define LIGHTM_GRADIENT(name, ...) gradients.name = next, next += size({__VA_ARGS__});
    LIGHTM_RVM_WEIGHTS(LIGHTM_GRADIENT)
#undef LIGHTM_GRADIENT
    lightm::rvm_layer(s, weights_, x_, all.data(), kept.data(), threads);
    lightm::rvm_backward(s, weights_, x_, kept.data(), all.data(), all.data() + outputs, gradients, threads);
    return all;
  }

 private:
  static int64_t size(std::initializer_list<int64_t> sizes) {
    int64_t count = 1;
    for (const int64_t n : sizes) count *= n;
    return count;
  }
  const float *random(std::initializer_list<int64_t> sizes) {
    std::normal_distribution<float> normal(0.0f, 0.3f);
    memory_.emplace_back(size(sizes));
    for (float &value : memory_.back()) value = normal(source_);
    return memory_.back().data();
  }

  std::mt19937 source_{0};
  std::deque<std::vector<float>> memory_;
  RvmShape shape_{};
  RvmWeights weights_{};
  const float *x_;
};

// Gradients of a mixture and of a norm behind it, whose sums all threads add to.
class TrainingStages {
 public:
  TrainingStages() {
    skip_ = random(kLength * kChannels), low_ = random(kLength / 4 * kChannels), grad_ = random(kLength * kChannels);
    depthwise_ = random(9 * kChannels), pointwise_ = random(kChannels * kChannels), norm_ = random(kChannels);
  }

  std::vector<float> run(int threads) const {
    const int64_t sizes[] = {kLength * kChannels, kLength / 4 * kChannels,
                             9 * kChannels,       kChannels * kChannels,
                             kChannels,           kLength * kChannels,
                             kChannels,           kChannels,
                             kChannels,           kChannels,
                             kLength * kChannels};
    std::vector<float *> at;
    int64_t size = 0;
    for (const int64_t each : sizes) size += each;
    std::vector<float> out(size);
    float *next = out.data();
    for (const int64_t each : sizes) at.push_back(next), next += each;
    const lightm::DecoderShape shape = {{1, kRows, 1, kLength / kRows, kChannels, kChannels, true}, 2};
    lightm::DecoderInputs in = {};
    in.low = low_.data(), in.skip = skip_.data(), in.stage.depthwise = depthwise_.data();
    in.stage.pointwise = pointwise_.data(), in.stage.scale = norm_.data(), in.stage.slope = 1.0f;
    lightm::decoder_stage(shape, in, at[0], threads);
    lightm::MixGradients mix = {};
    mix.low = at[1], mix.skip = at[5], mix.depthwise = at[2], mix.pointwise = at[3], mix.scale = at[4];
    lightm::mix_stage_backward(shape, in, grad_.data(), mix, threads);
    const lightm::NormShape tokens = {kLength, kChannels, kChannels};
    lightm::NormInputs norm = {};
    norm.x = at[0], norm.weight = norm_.data(), norm.bias = norm_.data(), norm.epsilon = 1e-5f;
    const lightm::NormStatistics statistics = {at[6], at[7]};
    lightm::norm_stage(tokens, norm, statistics, at[10], threads);
    lightm::NormGradients gradients = {};
    gradients.x = at[10], gradients.weight = at[8], gradients.bias = at[9];
    lightm::norm_stage_backward(tokens, norm, statistics, grad_.data(), gradients, threads);
    return out;
  }

 private:
  static constexpr int64_t kRows = 128, kLength = kRows * 20, kChannels = 12;
  std::vector<float> random(int64_t count) {
    std::normal_distribution<float> normal(0.0f, 0.3f);
    std::vector<float> values(count);
    for (float &value : values) value = normal(source_);
    return values;
  }

  std::mt19937 source_{0};
  std::vector<float> skip_, low_, grad_, depthwise_, pointwise_, norm_;
};

template <class Work>
void compare_threads(const Work &work) {
  const std::vector<float> expected = work.run(1);
  const auto check = [&](int threads) {
    const std::vector<float> found = work.run(threads);
    if (std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) != 0)
      std::printf("%d threads change the result\n", threads);
  };
  for (const int threads : {2, 3, 5, 2, 3, 5}) check(threads);
  std::thread other([&] { check(2); });  // two callers at once
  check(2);
  other.join();
}

}  // namespace

int main() {
  for (const bool pool : {false, true}) compare_threads(Layer(pool));
  compare_threads(TrainingStages());
  std::puts("done");
}
