// One thread's share of the causal convolution, for the instruction set this file is compiled for.
//
// As in the scan, a tile of rows is visited for one vector of channels after the other, so that the
// rows stay in cache; a tile's first steps read the last rows of the tile before it.
#pragma once

#include "ops/channel_blocks.h"

namespace {

using lightm::ConvInputs;
using lightm::ConvShape;

constexpr int kConvTile = 64;

LIGHTM_INLINE vf conv_at(const ConvShape &shape, const ConvInputs &in, int64_t b, int64_t t, int64_t channel, int lanes,
                         const vf *weight, vf bias) {
  const int width = static_cast<int>(shape.width);
  vf p = bias;
  for (int k = t >= width - 1 ? 0 : static_cast<int>(width - 1 - t); k < width; ++k)
    p += weight[k] * load_part(in.x.at(b, t - width + 1 + k) + channel, lanes);
  return p;
}

void load_weights(const ConvInputs &in, int64_t channel, int lanes, int width, vf *weight) {
  load_channels(in.weight + channel * width, lanes, width, weight);
}

int64_t conv_forward_scratch(const ConvShape &shape, int64_t) { return shape.width; }

void conv_forward_share(const ConvShape &shape, const ConvInputs &in, const Share &share, float *out, void *scratch) {
  vf *weight = static_cast<vf *>(scratch);
  const int64_t b = share.batch;
  for (int64_t t0 = 0; t0 < shape.length; t0 += kConvTile) {
    const int64_t end = t0 + kConvTile < shape.length ? t0 + kConvTile : shape.length;
    for (int64_t channel = share.first_channel; channel < share.last_channel; channel += kWidth) {
      const int lanes = lanes_of(share, channel);
      load_weights(in, channel, lanes, static_cast<int>(shape.width), weight);
      const vf bias = load_part(in.bias + channel, lanes);
      for (int64_t t = t0; t < end; ++t) {
        vf p = conv_at(shape, in, b, t, channel, lanes, weight, bias);
        if (in.silu) p *= sigmoid(p);
        store_part(out + (b * shape.length + t) * shape.channels + channel, p, lanes);
      }
    }
  }
}

// Per block of channels: the gradients of weight and bias, and of p for the `width - 1` steps after
// the tile; for one tile: the gradient of p.
int64_t conv_backward_scratch(const ConvShape &shape, int64_t share_channels) {
  return vectors(share_channels) * (2 * shape.width) + shape.width + kConvTile + shape.width;
}

// sums: this batch entry's gradients, weight (channels, width) and bias (channels,).
void conv_backward_share(const ConvShape &shape, const ConvInputs &in, const Share &share, const Rows &grad_out,
                         float *grad_x, const lightm::ConvSums &sums, void *scratch) {
  const int width = static_cast<int>(shape.width);
  const int64_t count = vectors(share.last_channel - share.first_channel), b = share.batch;
  vf *grad_weight = static_cast<vf *>(scratch), *grad_bias = grad_weight + count * width;
  vf *after = grad_bias + count, *weight = after + count * (width - 1), *grad_p = weight + width;
  for (vf *p = grad_weight; p != weight; ++p) *p = vf{};

  for (int64_t t0 = (shape.length - 1) / kConvTile * kConvTile; t0 >= 0; t0 -= kConvTile) {
    const int steps = static_cast<int>(shape.length - t0 < kConvTile ? shape.length - t0 : kConvTile);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t channel = share.first_channel + i * kWidth;
      const int lanes = lanes_of(share, channel);
      load_weights(in, channel, lanes, width, weight);
      const vf bias = load_part(in.bias + channel, lanes);
      for (int t = 0; t < steps; ++t) {
        vf g = load_part(grad_out.at(b, t0 + t) + channel, lanes);
        if (in.silu) {
          const vf p = conv_at(shape, in, b, t0 + t, channel, lanes, weight, bias);
          const vf s = sigmoid(p);
          g *= s * (1.0f + p * (1.0f - s));
        }
        grad_p[t] = g;
        grad_bias[i] += g;
        for (int k = t0 + t >= width - 1 ? 0 : static_cast<int>(width - 1 - t0 - t); k < width; ++k)
          grad_weight[i * width + k] += g * load_part(in.x.at(b, t0 + t - width + 1 + k) + channel, lanes);
      }
      for (int k = 0; k < width - 1; ++k) grad_p[steps + k] = after[i * (width - 1) + k];
      for (int t = 0; t < steps; ++t) {
        vf g{};
        for (int k = 0; k < width; ++k) g += weight[k] * grad_p[t + width - 1 - k];
        store_part(grad_x + (b * shape.length + t0 + t) * shape.channels + channel, g, lanes);
      }
      for (int k = 0; k < width - 1; ++k) after[i * (width - 1) + k] = grad_p[k];
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    const int64_t channel = share.first_channel + i * kWidth;
    const int lanes = lanes_of(share, channel);
    save_channels(grad_weight + i * width, lanes, width, sums.weight + channel * width);
    store_part(sums.bias + channel, grad_bias[i], lanes);
  }
}

}  // namespace
