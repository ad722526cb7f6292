// Linear interpolation along an axis that keeps the field of view: preprocessing/resizing.py. Where the axis shrinks,
// the interpolation's triangle is widened by the same factor.
#pragma once

#include <cstdint>
#include <vector>

#include "images/grid.h"

namespace lightm {

// What each place of the new axis is made of: places of the old one, in a row, with weights that sum to 1.
class ResizedAxis {
 public:
  ResizedAxis(int64_t before, int64_t after);

  // Whether nothing is done, to the bit.
  bool same() const { return first_.empty(); }
  int64_t first(int64_t place) const { return same() ? place : first_[place]; }
  int64_t count(int64_t place) const { return same() ? 1 : count_[place]; }
  int64_t end(int64_t place) const { return first(place) + count(place); }
  const float *weights(int64_t place) const { return same() ? &kOne : &weights_[place * most_]; }
  // The largest count.
  int64_t most() const { return same() ? 1 : most_; }

  // out[place] = the sum of weights times `values`, for every place of the new axis.
  void resize_row(const float *values, float *out) const;

 private:
  static constexpr float kOne = 1;
  int64_t most_ = 1;
  std::vector<int64_t> first_, count_;
  std::vector<float> weights_;  // `most_` for each place, zero beyond its count
};

// The axes of a grid.
struct ResizedAxes {
  ResizedAxis depth, height, width;
  ResizedAxes(const Grid &before, const Grid &after)
      : depth(before.depth, after.depth), height(before.height, after.height), width(before.width, after.width) {}
};

// out = weight * in, or out += weight * in.
void set_scaled(const float *in, float weight, int64_t count, float *out);
void add_scaled(const float *in, float weight, int64_t count, float *out);

}  // namespace lightm
