// The streamed RVM layer, for the instruction set that this file is compiled for.
//
// A team of threads takes one tile of tokens after another. Row-wise steps share out the tile's
// rows, the scan shares out the channels; three barriers in a tile keep them apart:
//
//     rows      LayerNorm, input projection
//     --------- convolution reads rows of others
//     rows      convolution, SiLU, projections to delta, B and C
//     --------- the scan reads all rows
//     channels  scan
//     --------- LayerNorm reads all channels
//     rows      LayerNorm, gate, output projection, residual, LayerNorm, Projection
//     --------- with pooling only: neighbours in space are rows of others
//     channels  maximum
//
// Rows of scratch space are padded to whole vectors, and what is beyond the last channel is zero.
#pragma once

#include "layer_norm_kernel.h"
#include "matmul_kernel.h"
#include "selective_scan_kernel.h"

namespace {

using lightm::RvmShape;
using lightm::RvmWeights;
using lightm::Team;

inline int64_t padded(int64_t n) { return vectors(n) * kWidth; }

// Tokens of a tile: all its rows of all buffers should stay in the second-level cache.
inline int64_t tile_rows(const RvmShape &s) {
  const int64_t rows = 8192 / padded(s.inner) / kStateInterval * kStateInterval;
  return rows < 64 ? 64 : rows > 256 ? 256 : rows;
}

// Where everything lies in the scratch space, in floats from its start. Every part begins at a
// multiple of a vector.
struct RvmLayout {
  int64_t norm_weight, norm_bias, scan_norm_weight, scan_norm_bias, scale, projection_norm_weight,
      projection_norm_bias, projection_bias, conv_bias, dt_bias, D, conv_weight;
  int64_t in_proj, x_proj, dt_proj, out_proj, projection;
  int64_t rates, fastest, h;
  int64_t normed, x[2], z, u, dbc, delta, y, unpooled;
  int64_t size;
};

RvmLayout rvm_layout(const RvmShape &s) {
  RvmLayout at;
  int64_t next = 0;
  const auto take = [&](int64_t floats) {
    const int64_t here = next;
    next += padded(floats);
    return here;
  };
  const int64_t c = padded(s.channels), d = padded(s.inner), rows = tile_rows(s);
  at.norm_weight = take(c), at.norm_bias = take(c), at.scale = take(c);
  at.projection_norm_weight = take(c), at.projection_norm_bias = take(c);
  at.projection_bias = take(s.out_channels);
  at.scan_norm_weight = take(d), at.scan_norm_bias = take(d);
  at.conv_bias = take(d), at.dt_bias = take(d), at.D = take(d), at.conv_weight = take(d * s.conv_width);
  at.in_proj = take(2 * packed_size(s.inner, s.channels));  // x and z start at a vector each
  at.x_proj = take(packed_size(2 * s.state, s.inner) + packed_size(s.rank, s.inner));
  at.dt_proj = take(packed_size(s.inner, s.rank));
  at.out_proj = take(packed_size(s.channels, s.inner));
  at.projection = take(packed_size(s.out_channels, s.channels));
  at.rates = take(d * s.state), at.fastest = take(d), at.h = take(d * s.state);
  at.normed = take(rows * c);
  at.x[0] = take((rows + s.conv_width) * d), at.x[1] = take((rows + s.conv_width) * d);
  at.z = take(rows * d), at.u = take(rows * d), at.delta = take(rows * d), at.y = take(rows * d);
  at.dbc = take(rows * (padded(2 * s.state) + padded(s.rank)));
  at.unpooled = take(s.pool ? rows * padded(s.out_channels) : 0);
  at.size = next;
  return at;
}

int64_t rvm_scratch(const RvmShape &s) { return rvm_layout(s).size / kWidth; }

void pad_copy(const float *from, int64_t count, float *to) {
  for (int64_t i = 0; i < padded(count); ++i) to[i] = i < count ? from[i] : 0.0f;
}

// What does not change from tile to tile; done by one thread before the others start.
void rvm_prepare(const RvmShape &s, const RvmWeights &w, float *scratch) {
  const RvmLayout at = rvm_layout(s);
  pad_copy(w.norm_weight, s.channels, scratch + at.norm_weight);
  pad_copy(w.norm_bias, s.channels, scratch + at.norm_bias);
  pad_copy(w.scale, s.channels, scratch + at.scale);
  pad_copy(w.projection_norm_weight, s.channels, scratch + at.projection_norm_weight);
  pad_copy(w.projection_norm_bias, s.channels, scratch + at.projection_norm_bias);
  pad_copy(w.projection_bias, s.out_channels, scratch + at.projection_bias);
  pad_copy(w.scan_norm_weight, s.inner, scratch + at.scan_norm_weight);
  pad_copy(w.scan_norm_bias, s.inner, scratch + at.scan_norm_bias);
  pad_copy(w.conv_bias, s.inner, scratch + at.conv_bias);
  pad_copy(w.dt_bias, s.inner, scratch + at.dt_bias);
  pad_copy(w.D, s.inner, scratch + at.D);
  pack(w.conv_weight, s.inner, s.conv_width, scratch + at.conv_weight);
  pack(w.in_proj, s.inner, s.channels, scratch + at.in_proj);
  pack(w.in_proj + s.inner * s.channels, s.inner, s.channels,
       scratch + at.in_proj + packed_size(s.inner, s.channels));
  // B and C first, which fill whole vectors for 16 states; then delta's few columns.
  pack(w.x_proj + s.rank * s.inner, 2 * s.state, s.inner, scratch + at.x_proj);
  pack(w.x_proj, s.rank, s.inner, scratch + at.x_proj + packed_size(2 * s.state, s.inner));
  pack(w.dt_weight, s.inner, s.rank, scratch + at.dt_proj);
  pack(w.out_proj, s.channels, s.inner, scratch + at.out_proj);
  pack(w.projection_weight, s.out_channels, s.channels, scratch + at.projection);
  // h is free until the first tile. In here rather than by torch, whose exp wakes up threads that go on
  // spinning on the other cores for milliseconds.
  float *A = scratch + at.h;
  for (int64_t i = 0; i < s.inner * s.state; ++i) A[i] = -__builtin_expf(w.A_log[i]);
  load_rates(A, 0, s.inner, static_cast<int>(s.state), reinterpret_cast<vf *>(scratch + at.rates),
             reinterpret_cast<vf *>(scratch + at.fastest));
}

// Rows [t0, t0 + rows) of the layer's result, for vectors [first, last) of their channels, into the
// maximum over their cells. In raster order the corner of a cell comes before its other tokens, so it
// is what starts the maximum.
void pool_rows(const RvmShape &s, const float *unpooled, int64_t t0, int rows, int64_t first, int64_t last,
               float *out) {
  const int64_t o = padded(s.out_channels);
  int64_t x = t0 % s.width, y = t0 / s.width % s.height, z = t0 / s.width / s.height;
  for (int t = 0; t < rows; ++t) {
    const int64_t plane = s.flat ? 0 : z / 2 * (s.height / 2);
    float *cell = out + ((plane + y / 2) * (s.width / 2) + x / 2) * s.out_channels;
    const bool corner = x % 2 == 0 && y % 2 == 0 && (s.flat || z % 2 == 0);
    for (int64_t v = first; v < last; ++v) {
      const int64_t left = s.out_channels - v * kWidth;
      const int lanes = static_cast<int>(left < kWidth ? left : kWidth);
      const vf value = load(unpooled + t * o + v * kWidth);
      float *place = cell + v * kWidth;
      store_part(place, corner ? value : max_or_nan(value, load_part(place, lanes)), lanes);
    }
    if (++x == s.width) x = 0, ++y;
    if (y == s.height) y = 0, ++z;
  }
}

void rvm_team_member(const RvmShape &s, const RvmWeights &w, const float *x_all, float *out_all, float *scratch,
                     int rank, Team &team) {
  const int members = team.members();
  const RvmLayout at = rvm_layout(s);
  const int64_t c = padded(s.channels), d = padded(s.inner), rows_max = tile_rows(s);
  const int64_t bc = padded(2 * s.state), dbc_row = bc + padded(s.rank);
  const int n_count = static_cast<int>(s.state), halo = static_cast<int>(s.conv_width) - 1;
  const int64_t block_count = vectors(s.inner);
  const int64_t first_block = block_count * rank / members, last_block = block_count * (rank + 1) / members;
  const auto lanes_at = [](int64_t channels, int64_t v) {
    const int64_t left = channels - v * kWidth;
    return static_cast<int>(left < kWidth ? left : kWidth);
  };
  float *normed = scratch + at.normed, *z = scratch + at.z, *u = scratch + at.u, *y = scratch + at.y;
  float *delta = scratch + at.delta, *dbc = scratch + at.dbc, *unpooled = scratch + at.unpooled;
  const int64_t o = padded(s.out_channels);
  vf *rates = reinterpret_cast<vf *>(scratch + at.rates), *h = reinterpret_cast<vf *>(scratch + at.h);
  const vf *fastest = reinterpret_cast<const vf *>(scratch + at.fastest);

  // The scan sees the tile's buffers as a sequence of its own.
  ScanInputs scan;
  scan.u = {u, 0, d}, scan.delta = {delta, 0, d}, scan.B = {dbc, 0, dbc_row}, scan.C = {dbc + s.state, 0, dbc_row};
  scan.delta_bias = scratch + at.dt_bias, scan.delta_softplus = true;

  int rows_before = 0;
  for (int64_t b = 0; b < s.batch; ++b) {
    const float *x = x_all + b * s.length * s.channels;
    float *out = out_all + b * (s.pool ? s.length / (s.flat ? 4 : 8) : s.length) * s.out_channels;
    for (int64_t block = first_block; block < last_block; ++block)
      for (int n = 0; n < n_count; ++n) h[block * n_count + n] = vf{};
    // Nothing comes before the first step. The buffer is this rank's: barriers lie between the last
    // tile's convolutions and this.
    if (rank == 0)
      for (int64_t i = 0; i < halo * d; ++i) scratch[at.x[0] + i] = 0.0f;

    int64_t turn = 0;
    for (int64_t t0 = 0; t0 < s.length; t0 += rows_max, ++turn) {
      const int rows = static_cast<int>(s.length - t0 < rows_max ? s.length - t0 : rows_max);
      // Between the last step of one tile and the first of the next there is no barrier, since both
      // touch a member's own rows; unless these are others now.
      if (rows != rows_before) team.wait();
      rows_before = rows;
      // Whole groups of rows for every member but the last.
      const int groups = (rows + kRows - 1) / kRows;
      const int low = groups * rank / members * kRows, wish = groups * (rank + 1) / members * kRows;
      const int high = wish < rows ? wish : rows, mine = high > low ? high - low : 0;
      float *xs = scratch + at.x[turn % 2] + halo * d, *xs_next = scratch + at.x[(turn + 1) % 2];

      for (int t = low; t < low + mine; ++t) {
        const float *row = x + (t0 + t) * s.channels;
        layer_norm(s.channels, scratch + at.norm_weight, scratch + at.norm_bias, w.epsilon,
                   [&](int64_t v) { return load_part(row + v * kWidth, lanes_at(s.channels, v)); },
                   [&](int64_t v, vf value) { store(normed + t * c + v * kWidth, value); });
      }
      multiply(normed + low * c, c, mine, s.channels, scratch + at.in_proj, s.inner,
               [&](int r, int64_t v, vf value) { store(xs + (low + r) * d + v * kWidth, value); });
      multiply(normed + low * c, c, mine, s.channels, scratch + at.in_proj + packed_size(s.inner, s.channels),
               s.inner, [&](int r, int64_t v, vf value) { store(z + (low + r) * d + v * kWidth, value); });
      for (int t = low > rows - halo ? low : rows - halo; t < low + mine; ++t)
        if (t >= 0) std::memcpy(xs_next + (t - rows + halo) * d, xs + t * d, d * sizeof(float));
      team.wait();

      for (int64_t v = 0; v < block_count; ++v) {
        const float *weight = scratch + at.conv_weight + v * s.conv_width * kWidth;
        const vf bias = load(scratch + at.conv_bias + v * kWidth);
        for (int t = low; t < low + mine; ++t) {
          vf p = bias;
          for (int k = 0; k <= halo; ++k)
            p += load(weight + k * kWidth) * load(xs + (t - halo + k) * d + v * kWidth);
          store(u + t * d + v * kWidth, p * sigmoid(p));
        }
      }
      multiply(u + low * d, d, mine, s.inner, scratch + at.x_proj, 2 * s.state,
               [&](int r, int64_t v, vf value) { store(dbc + (low + r) * dbc_row + v * kWidth, value); });
      multiply(u + low * d, d, mine, s.inner, scratch + at.x_proj + packed_size(2 * s.state, s.inner), s.rank,
               [&](int r, int64_t v, vf value) { store(dbc + (low + r) * dbc_row + bc + v * kWidth, value); });
      multiply(dbc + low * dbc_row + bc, dbc_row, mine, s.rank, scratch + at.dt_proj, s.inner,
               [&](int r, int64_t v, vf value) { store(delta + (low + r) * d + v * kWidth, value); });
      team.wait();

      Tile tile;
      const Ahead ahead[kAheads];
      for (int t1 = 0; t1 < rows; t1 += kStateInterval) {
        const int steps = rows - t1 < kStateInterval ? rows - t1 : kStateInterval;
        for (int64_t v = first_block; v < last_block; ++v) {
          load_tile<false>(scan, 0, t1, steps, v * kWidth, kWidth, tile, nullptr);
          run_tile(scan, 0, t1, steps, n_count, rates + v * n_count, fastest[v], h + v * n_count, tile, ahead);
          const vf skip = load(scratch + at.D + v * kWidth);
          for (int t = 0; t < steps; ++t) {
            const int64_t place = (t1 + t) * d + v * kWidth;
            store(y + place, tile.y[t] + skip * load(u + place));
          }
        }
      }
      team.wait();

      for (int t = low; t < low + mine; ++t) {
        float *row = y + t * d;
        layer_norm(s.inner, scratch + at.scan_norm_weight, scratch + at.scan_norm_bias, w.epsilon,
                   [&](int64_t v) { return load(row + v * kWidth); },
                   [&](int64_t v, vf value) {
                     const vf gate = load(z + t * d + v * kWidth);
                     store(row + v * kWidth, value * gate * sigmoid(gate));
                   });
      }
      multiply(y + low * d, d, mine, s.inner, scratch + at.out_proj, s.channels,
               [&](int r, int64_t v, vf value) {
                 const float *residual = x + (t0 + low + r) * s.channels + v * kWidth;
                 store(normed + (low + r) * c + v * kWidth,
                       value + load(scratch + at.scale + v * kWidth) *
                                   load_part(residual, lanes_at(s.channels, v)));
               });
      for (int t = low; t < low + mine; ++t) {
        float *row = normed + t * c;
        layer_norm(s.channels, scratch + at.projection_norm_weight, scratch + at.projection_norm_bias, w.epsilon,
                   [&](int64_t v) { return load(row + v * kWidth); },
                   [&](int64_t v, vf value) { store(row + v * kWidth, value); });
      }
      if (!s.pool) {
        multiply(normed + low * c, c, mine, s.channels, scratch + at.projection, s.out_channels,
                 [&](int r, int64_t v, vf value) {
                   store_part(out + (t0 + low + r) * s.out_channels + v * kWidth,
                              value + load(scratch + at.projection_bias + v * kWidth),
                              lanes_at(s.out_channels, v));
                 });
        continue;
      }
      multiply(normed + low * c, c, mine, s.channels, scratch + at.projection, s.out_channels,
               [&](int r, int64_t v, vf value) {
                 store(unpooled + (low + r) * o + v * kWidth,
                       value + load(scratch + at.projection_bias + v * kWidth));
               });
      team.wait();
      pool_rows(s, unpooled, t0, rows, vectors(s.out_channels) * rank / members,
                vectors(s.out_channels) * (rank + 1) / members, out);
    }
  }
}

}  // namespace
