#include "images/resizing.h"

#include <algorithm>
#include <cmath>

namespace lightm {

// As torch computes them for float32 images, in float32.
ResizedAxis::ResizedAxis(int64_t before, int64_t after) {
  if (before == after) return;
  const float scale = static_cast<float>(before) / static_cast<float>(after);
  const float support = scale >= 1 ? scale : 1, inverse = scale >= 1 ? 1 / scale : 1;
  most_ = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  first_.resize(after);
  count_.resize(after);
  weights_.assign(after * most_, 0);
  for (int64_t place = 0; place < after; ++place) {
    const float centre = scale * (static_cast<float>(place) + 0.5f);
    const int64_t first = std::max(static_cast<int64_t>(centre - support + 0.5), int64_t{0});
    const int64_t end = std::min(static_cast<int64_t>(centre + support + 0.5), before);
    const int64_t count = std::min(std::max(end - first, int64_t{0}), most_);
    float *weights = &weights_[place * most_], total = 0;
    for (int64_t i = 0; i < count; ++i) {
      const float off = std::fabs((static_cast<float>(i + first) - centre + 0.5f) * inverse);
      weights[i] = off < 1 ? 1 - off : 0;
      total += weights[i];
    }
    if (total != 0)
      for (int64_t i = 0; i < count; ++i) weights[i] /= total;
    first_[place] = first;
    count_[place] = count;
  }
}

void ResizedAxis::resize_row(const float *values, float *out) const {
  const int64_t places = static_cast<int64_t>(first_.size());
  for (int64_t place = 0; place < places; ++place) {
    const float *weights = &weights_[place * most_], *in = values + first_[place];
    float sum = in[0] * weights[0];
    for (int64_t i = 1; i < count_[place]; ++i) sum += in[i] * weights[i];
    out[place] = sum;
  }
}

void set_scaled(const float *in, float weight, int64_t count, float *out) {
  for (int64_t i = 0; i < count; ++i) out[i] = weight * in[i];
}

void add_scaled(const float *in, float weight, int64_t count, float *out) {
  for (int64_t i = 0; i < count; ++i) out[i] += weight * in[i];
}

}  // namespace lightm
