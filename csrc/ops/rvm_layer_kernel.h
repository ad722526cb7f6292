// The streamed RVM layer, for the instruction set that this file is compiled for.
//
// Each thread takes the next tile of tokens through all steps by itself, in buffers of its own: what
// it reads was written by its own core. Only two steps need the tile before, which another thread may
// have in hand: the causal convolution its last rows, and the scan its states. Each is passed on in
// the order of the tiles, the scan's states as soon as a vector of channels is done; so the next
// tile's scan follows one vector behind, and threads seldom wait for each other:
//
//     LayerNorm, input projection
//     ---------> last rows of x to the next tile
//     convolution, SiLU, projections to delta, B and C
//     for each vector of channels:  scan
//     --------->                    states to the next tile
//     LayerNorm, gate, output projection, residual, LayerNorm, Projection
//     with pooling only, in the order of the tiles: maximum, since a cell's rows lie in several tiles
//
// Rows of scratch space are padded to whole vectors, and what is beyond the last channel is zero.
#pragma once

#include "ops/layer_norm_kernel.h"
#include "ops/matmul_kernel.h"
#include "ops/selective_scan_kernel.h"

namespace {

using lightm::RvmShape;
using lightm::RvmTurns;
using lightm::RvmWeights;

// Tokens of a tile, an even number: all its rows of all buffers should stay in the second-level
// cache. No fewer than the convolution reads of the tile before.
inline int64_t tile_rows(const RvmShape &s) {
  const int64_t rows = 8192 / padded(s.inner) / kStateInterval * kStateInterval;
  const int64_t enough = rows < 64 ? 64 : rows > 256 ? 256 : rows;
  return enough < s.conv_width ? s.conv_width + s.conv_width % 2 : enough;
}

// Of all batch entries.
int64_t rvm_tiles(const RvmShape &s) { return s.batch * s.tiles(tile_rows(s)); }

// Where everything lies in the scratch space, in floats from its start: what all threads share, then
// each thread's own, in floats from the start of that. Every part begins at a multiple of a vector.
struct RvmLayout {
  int64_t norm_weight, norm_bias, scan_norm_weight, scan_norm_bias, scale, projection_norm_weight, projection_norm_bias,
      projection_bias, conv_bias, dt_bias, D, conv_weight;
  int64_t in_proj, x_proj, dt_proj, out_proj, projection;
  int64_t rates, fastest, h, halos;
  int64_t shared_size;
  int64_t normed, x, z, u, dbc, delta, y, unpooled;
  int64_t own_size;
};

// Last rows of x that may be in use at once: those of the tile after each tile in hand, and one that
// is being written.
inline int64_t halo_slots(int members) { return members + 1; }

RvmLayout rvm_layout(const RvmShape &s, int members) {
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
  at.halos = take(halo_slots(members) * (s.conv_width - 1) * d);
  at.shared_size = next;
  next = 0;
  at.normed = take(rows * c);
  at.x = take((rows + s.conv_width - 1) * d);
  at.z = take(rows * d), at.u = take(rows * d), at.delta = take(rows * d), at.y = take(rows * d);
  at.dbc = take(rows * (padded(2 * s.state) + padded(s.rank)));
  at.unpooled = take(s.pool ? rows * padded(s.out_channels) : 0);
  at.own_size = next;
  return at;
}

int64_t rvm_scratch(const RvmShape &s, int members) {
  const RvmLayout at = rvm_layout(s, members);
  return (at.shared_size + members * at.own_size) / kWidth;
}

// Everything that is the same for all tiles; prepared by one thread before the others start.
void rvm_prepare(const RvmShape &s, const RvmWeights &w, int members, float *scratch) {
  const RvmLayout at = rvm_layout(s, members);
  pad_to_vectors(w.norm_weight, s.channels, scratch + at.norm_weight);
  pad_to_vectors(w.norm_bias, s.channels, scratch + at.norm_bias);
  pad_to_vectors(w.scale, s.channels, scratch + at.scale);
  pad_to_vectors(w.projection_norm_weight, s.channels, scratch + at.projection_norm_weight);
  pad_to_vectors(w.projection_norm_bias, s.channels, scratch + at.projection_norm_bias);
  pad_to_vectors(w.projection_bias, s.out_channels, scratch + at.projection_bias);
  pad_to_vectors(w.scan_norm_weight, s.inner, scratch + at.scan_norm_weight);
  pad_to_vectors(w.scan_norm_bias, s.inner, scratch + at.scan_norm_bias);
  pad_to_vectors(w.conv_bias, s.inner, scratch + at.conv_bias);
  pad_to_vectors(w.dt_bias, s.inner, scratch + at.dt_bias);
  pad_to_vectors(w.D, s.inner, scratch + at.D);
  pack(w.conv_weight, s.inner, s.conv_width, scratch + at.conv_weight);
  pack(w.in_proj, s.inner, s.channels, scratch + at.in_proj);
  pack(w.in_proj + s.inner * s.channels, s.inner, s.channels, scratch + at.in_proj + packed_size(s.inner, s.channels));
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

// Rows [t0, t0 + rows) of the layer's result into the maximum over their cells. Neighbours in x are in
// one tile, since its rows, and a grid's that is pooled, begin at even numbers. In raster order the
// corner of a cell comes before its other tokens, so it is what starts the maximum.
void pool_rows(const RvmShape &s, const float *unpooled, int64_t t0, int rows, float *out) {
  const int64_t o = padded(s.out_channels);
  int64_t x = t0 % s.width, y = t0 / s.width % s.height, z = t0 / s.width / s.height;
  for (int t = 0; t < rows; t += 2) {
    const int64_t plane = s.flat ? 0 : z / 2 * (s.height / 2);
    float *cell = out + ((plane + y / 2) * (s.width / 2) + x / 2) * s.out_channels;
    const bool starts = y % 2 == 0 && (s.flat || z % 2 == 0);
    for (int64_t v = 0; v < vectors(s.out_channels); ++v) {
      const int lanes = lanes_at(s.out_channels, v);
      const float *pair = unpooled + t * o + v * kWidth;
      const vf value = max_or_nan(load(pair), load(pair + o));
      float *place = cell + v * kWidth;
      store_part(place, starts ? value : max_or_nan(value, load_part(place, lanes)), lanes);
    }
    x += 2;
    if (x == s.width) x = 0, ++y;
    if (y == s.height) y = 0, ++z;
  }
}

// Tile `number` of all batch entries' tiles, counted through; all its steps.
void rvm_tile(const RvmShape &s, const RvmWeights &w, const RvmLayout &at, const float *x_all, float *out_all,
              int64_t number, float *shared, float *own, int members, RvmTurns &turns) {
  const int64_t rows_max = tile_rows(s), tiles = s.tiles(rows_max), b = number / tiles;
  const int64_t t0 = number % tiles * rows_max;
  const int rows = static_cast<int>(s.length - t0 < rows_max ? s.length - t0 : rows_max);
  const bool first = t0 == 0, last = t0 + rows == s.length;
  const float *x = x_all + b * s.length * s.channels;
  float *out = out_all + b * (s.pool ? s.length / (s.flat ? 4 : 8) : s.length) * s.out_channels;

  const int64_t c = padded(s.channels), d = padded(s.inner), o = padded(s.out_channels);
  const int64_t bc = padded(2 * s.state), dbc_row = bc + padded(s.rank);
  const int n_count = static_cast<int>(s.state), halo = static_cast<int>(s.conv_width) - 1;
  const auto halo_of = [&](int64_t tile) { return shared + at.halos + tile % halo_slots(members) * halo * d; };
  float *normed = own + at.normed, *z = own + at.z, *u = own + at.u, *y = own + at.y;
  float *delta = own + at.delta, *dbc = own + at.dbc, *unpooled = own + at.unpooled;
  float *x_before = own + at.x, *xs = x_before + halo * d;
  const vf *rates = reinterpret_cast<const vf *>(shared + at.rates);
  const vf *fastest = reinterpret_cast<const vf *>(shared + at.fastest);
  vf *h = reinterpret_cast<vf *>(shared + at.h);

  layer_norm(
      rows, s.channels, shared + at.norm_weight, shared + at.norm_bias, w.epsilon,
      [&](int t, int64_t v) { return load_part(x + (t0 + t) * s.channels + v * kWidth, lanes_at(s.channels, v)); },
      [&](int t, int64_t v, vf value) { store(normed + t * c + v * kWidth, value); });
  multiply(normed, c, rows, s.channels, shared + at.in_proj, s.inner,
           [&](int r, int64_t v, vf value) { store(xs + r * d + v * kWidth, value); });
  if (!last) std::memcpy(halo_of(number + 1), xs + (rows - halo) * d, halo * d * sizeof(float));
  turns.halo.wait_for(number);
  turns.halo.advance();
  if (first)
    std::memset(x_before, 0, halo * d * sizeof(float));
  else
    std::memcpy(x_before, halo_of(number), halo * d * sizeof(float));
  multiply(normed, c, rows, s.channels, shared + at.in_proj + packed_size(s.inner, s.channels), s.inner,
           [&](int r, int64_t v, vf value) { store(z + r * d + v * kWidth, value); });

  for (int64_t v = 0; v < vectors(s.inner); ++v) {
    const float *weight = shared + at.conv_weight + v * s.conv_width * kWidth;
    const vf bias = load(shared + at.conv_bias + v * kWidth);
    for (int t = 0; t < rows; ++t) {
      vf p = bias;
      for (int k = 0; k <= halo; ++k) p += load(weight + k * kWidth) * load(x_before + (t + k) * d + v * kWidth);
      store(u + t * d + v * kWidth, p * sigmoid(p));
    }
  }
  multiply(u, d, rows, s.inner, shared + at.x_proj, 2 * s.state,
           [&](int r, int64_t v, vf value) { store(dbc + r * dbc_row + v * kWidth, value); });
  multiply(u, d, rows, s.inner, shared + at.x_proj + packed_size(2 * s.state, s.inner), s.rank,
           [&](int r, int64_t v, vf value) { store(dbc + r * dbc_row + bc + v * kWidth, value); });
  multiply(dbc + bc, dbc_row, rows, s.rank, shared + at.dt_proj, s.inner,
           [&](int r, int64_t v, vf value) { store(delta + r * d + v * kWidth, value); });

  // The scan sees the tile's buffers as a sequence of its own.
  ScanInputs scan;
  scan.u = {u, 0, d}, scan.delta = {delta, 0, d}, scan.B = {dbc, 0, dbc_row}, scan.C = {dbc + s.state, 0, dbc_row};
  scan.delta_bias = shared + at.dt_bias, scan.delta_softplus = true;
  Tile tile;
  const Ahead ahead[kAheads];
  for (int64_t v = 0; v < vectors(s.inner); ++v) {
    const vf skip = load(shared + at.D + v * kWidth);
    vf *state = h + v * n_count;
    turns.scanned[v].wait_for(number);
    if (first)
      for (int n = 0; n < n_count; ++n) state[n] = vf{};
    for (int t1 = 0; t1 < rows; t1 += kStateInterval) {
      const int steps = rows - t1 < kStateInterval ? rows - t1 : kStateInterval;
      load_tile<false>(scan, 0, t1, steps, v * kWidth, kWidth, tile, nullptr);
      run_tile(scan, 0, t1, steps, n_count, rates + v * n_count, fastest[v], state, tile, ahead);
      for (int t = 0; t < steps; ++t) {
        const int64_t place = (t1 + t) * d + v * kWidth;
        store(y + place, tile.y[t] + skip * load(u + place));
      }
    }
    turns.scanned[v].advance();
  }

  layer_norm(
      rows, s.inner, shared + at.scan_norm_weight, shared + at.scan_norm_bias, w.epsilon,
      [&](int t, int64_t v) { return load(y + t * d + v * kWidth); },
      [&](int t, int64_t v, vf value) {
        const vf gate = load(z + t * d + v * kWidth);
        store(y + t * d + v * kWidth, value * gate * sigmoid(gate));
      });
  multiply(y, d, rows, s.inner, shared + at.out_proj, s.channels, [&](int r, int64_t v, vf value) {
    const float *residual = x + (t0 + r) * s.channels + v * kWidth;
    store(normed + r * c + v * kWidth,
          value + load(shared + at.scale + v * kWidth) * load_part(residual, lanes_at(s.channels, v)));
  });
  layer_norm(
      rows, s.channels, shared + at.projection_norm_weight, shared + at.projection_norm_bias, w.epsilon,
      [&](int t, int64_t v) { return load(normed + t * c + v * kWidth); },
      [&](int t, int64_t v, vf value) { store(normed + t * c + v * kWidth, value); });
  const float *bias = shared + at.projection_bias;
  if (s.pool) {
    multiply(normed, c, rows, s.channels, shared + at.projection, s.out_channels, [&](int r, int64_t v, vf value) {
      store(unpooled + r * o + v * kWidth, value + load(bias + v * kWidth));
    });
    turns.pooled.wait_for(number);
    pool_rows(s, unpooled, t0, rows, out);
    turns.pooled.advance();
  } else {
    multiply(normed, c, rows, s.channels, shared + at.projection, s.out_channels, [&](int r, int64_t v, vf value) {
      store_part(out + (t0 + r) * s.out_channels + v * kWidth, value + load(bias + v * kWidth),
                 lanes_at(s.out_channels, v));
    });
  }
}

void rvm_member(const RvmShape &s, const RvmWeights &w, const float *x, float *out, float *scratch, int rank,
                int members, RvmTurns &turns) {
  const RvmLayout at = rvm_layout(s, members);
  float *own = scratch + at.shared_size + rank * at.own_size;
  const int64_t count = rvm_tiles(s);
  // Acquire and release: whoever takes a tile overwrites last rows of x that were read before a tile in
  // between could be finished and another taken.
  for (int64_t i; (i = turns.next_tile.fetch_add(1, std::memory_order_acq_rel)) < count;)
    rvm_tile(s, w, at, x, out, i, scratch, own, members, turns);
}

}  // namespace
