// Streamed layers under ThreadSanitizer, which reports what threads share without an order between
// them; and their results must not depend on the number of threads. Built by
// test_sanitizers.py.
#include <cstdio>
#include <cstring>
#include <deque>
#include <random>
#include <thread>
#include <vector>

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

}  // namespace

int main() {
  for (const bool pool : {false, true}) {
    const Layer layer(pool);
    const std::vector<float> expected = layer.run(1);
    const auto check = [&](int threads) {
      const std::vector<float> found = layer.run(threads);
      if (std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) != 0)
        std::printf("%d threads change the result\n", threads);
    };
    for (const int threads : {2, 3, 5, 2, 3, 5}) check(threads);
    std::thread other([&] { check(2); });  // two callers at once
    check(2);
    other.join();
  }
  std::puts("done");
}
