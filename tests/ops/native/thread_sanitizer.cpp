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

  std::vector<float> run(int threads) const {
    std::vector<float> out(shape_.batch * shape_.length / (shape_.pool ? 4 : 1) * shape_.out_channels);
    lightm::rvm_layer(shape_, weights_, x_, out.data(), threads);
    return out;
  }

 private:
  const float *random(std::initializer_list<int64_t> sizes) {
    int64_t count = 1;
    for (const int64_t size : sizes) count *= size;
    std::normal_distribution<float> normal(0.0f, 0.3f);
    memory_.emplace_back(count);
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
