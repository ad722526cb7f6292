// The steps of an RVM layer on a tile of tokens, shared by the pass forward and the one backward, and the
// layer's weights as both use them.
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

// One tile's place and its widths in floats.
struct TileAt {
  int64_t number;  // counted through all batch entries
  int64_t batch, t0;
  int rows;
  bool first, last;              // of its batch entry
  int64_t c, d, o, bc, dbc_row;  // padded: channels, inner, out_channels, B and C, these and delta's few
  int halo;                      // rows that the convolution reads of the tile before

  TileAt(const RvmShape &s, int64_t number_)
      : number(number_),
        c(padded(s.channels)),
        d(padded(s.inner)),
        o(padded(s.out_channels)),
        bc(padded(2 * s.state)),
        dbc_row(bc + padded(s.rank)),
        halo(static_cast<int>(s.conv_width) - 1) {
    const int64_t rows_max = tile_rows(s), tiles = s.tiles(rows_max);
    batch = number / tiles, t0 = number % tiles * rows_max;
    rows = static_cast<int>(s.length - t0 < rows_max ? s.length - t0 : rows_max);
    first = t0 == 0, last = t0 + rows == s.length;
  }
};

// Where everything lies in a scratch space, one part after the other.
struct Taken {
  int64_t next = 0;
  int64_t operator()(int64_t floats) {
    const int64_t here = next;
    next += padded(floats);
    return here;
  }
};

// Where the weights lie, in floats from the start of what all threads share.
struct RvmPacked {
  int64_t norm_weight, norm_bias, scan_norm_weight, scan_norm_bias, scale, projection_norm_weight, projection_norm_bias,
      projection_bias, conv_bias, dt_bias, D, conv_weight;
  int64_t in_proj, x_proj, dt_proj, out_proj, projection;
  int64_t rates, fastest;

  RvmPacked(const RvmShape &s, Taken &take) {
    const int64_t c = padded(s.channels), d = padded(s.inner);
    norm_weight = take(c), norm_bias = take(c), scale = take(c);
    projection_norm_weight = take(c), projection_norm_bias = take(c);
    projection_bias = take(s.out_channels);
    scan_norm_weight = take(d), scan_norm_bias = take(d);
    conv_bias = take(d), dt_bias = take(d), D = take(d), conv_weight = take(d * s.conv_width);
    in_proj = take(2 * packed_size(s.inner, s.channels));  // x and z start at a vector each
    x_proj = take(packed_size(2 * s.state, s.inner) + packed_size(s.rank, s.inner));
    dt_proj = take(packed_size(s.inner, s.rank));
    out_proj = take(packed_size(s.channels, s.inner));
    projection = take(packed_size(s.out_channels, s.channels));
    rates = take(d * s.state), fastest = take(d);
  }
};

// work: d * state floats that are free until the first tile.
void rvm_pack(const RvmShape &s, const RvmWeights &w, const RvmPacked &at, float *shared, float *work) {
  pad_to_vectors(w.norm_weight, s.channels, shared + at.norm_weight);
  pad_to_vectors(w.norm_bias, s.channels, shared + at.norm_bias);
  pad_to_vectors(w.scale, s.channels, shared + at.scale);
  pad_to_vectors(w.projection_norm_weight, s.channels, shared + at.projection_norm_weight);
  pad_to_vectors(w.projection_norm_bias, s.channels, shared + at.projection_norm_bias);
  pad_to_vectors(w.projection_bias, s.out_channels, shared + at.projection_bias);
  pad_to_vectors(w.scan_norm_weight, s.inner, shared + at.scan_norm_weight);
  pad_to_vectors(w.scan_norm_bias, s.inner, shared + at.scan_norm_bias);
  pad_to_vectors(w.conv_bias, s.inner, shared + at.conv_bias);
  pad_to_vectors(w.dt_bias, s.inner, shared + at.dt_bias);
  pad_to_vectors(w.D, s.inner, shared + at.D);
  pack(w.conv_weight, s.inner, s.conv_width, shared + at.conv_weight);
  pack(w.in_proj, s.inner, s.channels, shared + at.in_proj);
  pack(w.in_proj + s.inner * s.channels, s.inner, s.channels, shared + at.in_proj + packed_size(s.inner, s.channels));
  // B and C first, which fill whole vectors for 16 states; then delta's few columns.
  pack(w.x_proj + s.rank * s.inner, 2 * s.state, s.inner, shared + at.x_proj);
  pack(w.x_proj, s.rank, s.inner, shared + at.x_proj + packed_size(2 * s.state, s.inner));
  pack(w.dt_weight, s.inner, s.rank, shared + at.dt_proj);
  pack(w.out_proj, s.channels, s.inner, shared + at.out_proj);
  pack(w.projection_weight, s.out_channels, s.channels, shared + at.projection);
  // In here rather than by torch, whose exp wakes up threads that go on spinning on the other cores for
  // milliseconds.
  for (int64_t i = 0; i < s.inner * s.state; ++i) work[i] = -__builtin_expf(w.A_log[i]);
  load_rates(work, 0, s.inner, static_cast<int>(s.state), reinterpret_cast<vf *>(shared + at.rates),
             reinterpret_cast<vf *>(shared + at.fastest));
}

// Whether the input projection's result is kept. To do it again takes `channels` multiply-adds for each of
// its numbers: less than memory for few channels, and more for many, whose tokens are few besides.
inline bool keeps_projection(const RvmShape &s) { return s.channels >= 128; }
inline int64_t projected_size(const RvmShape &s) {
  return keeps_projection(s) ? padded(s.batch * s.length * 2 * s.inner) : 0;
}

// What the forward pass keeps for the backward pass, beside the layer's input.
struct RvmKept {
  float *scanned;          // (batch, length, inner), the scan's output with its skip
  float *mixed;            // (batch, length, channels), M'
  float *projected;        // (batch, length, 2 inner), x and the gate, if keeps_projection
  float *states;           // for each tile and interval, before it: (vectors of inner, state, kWidth)
  float *halos;            // for each tile, the last rows of x before it: (conv_width - 1, inner padded)
  unsigned char *winners;  // (batch, pooled length, out_channels), the maximum's place in its cell

  static int64_t intervals_of_a_tile(const RvmShape &s) { return (tile_rows(s) + kStateInterval - 1) / kStateInterval; }
  float *states_at(const RvmShape &s, int64_t tile, int64_t t1, int64_t v) const {
    const int64_t interval = tile * intervals_of_a_tile(s) + t1 / kStateInterval;
    return states + (interval * vectors(s.inner) + v) * s.state * kWidth;
  }
};

// In floats.
int64_t rvm_kept_size(const RvmShape &s) {
  const int64_t tiles = rvm_tiles(s), d = padded(s.inner);
  const int64_t winners = s.pool ? s.batch * s.length / s.cell() * s.out_channels : 0;
  return padded(s.batch * s.length * s.inner) + padded(s.batch * s.length * s.channels) + projected_size(s) +
         tiles * RvmKept::intervals_of_a_tile(s) * d * s.state + tiles * (s.conv_width - 1) * d + (winners + 3) / 4;
}

RvmKept rvm_kept(const RvmShape &s, float *memory) {
  const int64_t tiles = rvm_tiles(s), d = padded(s.inner);
  RvmKept kept;
  kept.scanned = memory, memory += padded(s.batch * s.length * s.inner);
  kept.mixed = memory, memory += padded(s.batch * s.length * s.channels);
  kept.projected = memory, memory += projected_size(s);
  kept.states = memory, memory += tiles * RvmKept::intervals_of_a_tile(s) * d * s.state;
  kept.halos = memory, memory += tiles * (s.conv_width - 1) * d;
  kept.winners = reinterpret_cast<unsigned char *>(memory);
  return kept;
}

// LayerNorm of the input. x: the tile's first row, dense.
LIGHTM_INLINE void norm_input(const RvmShape &s, const RvmWeights &w, const RvmPacked &at, const TileAt &tile,
                              const float *shared, const float *x, float *normed) {
  layer_norm_into(tile.rows, s.channels, shared + at.norm_weight, shared + at.norm_bias, w.epsilon, x, s.channels,
                  normed, tile.c);
}

LIGHTM_INLINE void project_to_x(const RvmShape &s, const RvmPacked &at, const TileAt &tile, const float *shared,
                                const float *normed, float *xs) {
  multiply_into(normed, tile.c, tile.rows, s.channels, shared + at.in_proj, s.inner, xs, tile.d);
}

LIGHTM_INLINE void project_to_gate(const RvmShape &s, const RvmPacked &at, const TileAt &tile, const float *shared,
                                   const float *normed, float *z) {
  multiply_into(normed, tile.c, tile.rows, s.channels, shared + at.in_proj + packed_size(s.inner, s.channels), s.inner,
                z, tile.d);
}

// put(t, v, p) for the causal convolution p of each row. x_before: the rows before the tile, then its own.
template <class Put>
LIGHTM_INLINE void convolve_rows(const RvmShape &s, const RvmPacked &at, const TileAt &tile, const float *shared,
                                 const float *x_before, const Put &put) {
  for (int64_t v = 0; v < vectors(s.inner); ++v) {
    const float *weight = shared + at.conv_weight + v * s.conv_width * kWidth;
    const vf bias = load(shared + at.conv_bias + v * kWidth);
    for (int t = 0; t < tile.rows; ++t) {
      vf p = bias;
      for (int k = 0; k <= tile.halo; ++k)
        p += load(weight + k * kWidth) * load(x_before + (t + k) * tile.d + v * kWidth);
      put(t, v, p);
    }
  }
}

// The projections of u to B, C and delta.
LIGHTM_INLINE void project_steps(const RvmShape &s, const RvmPacked &at, const TileAt &tile, const float *shared,
                                 const float *u, float *dbc, float *delta) {
  multiply_into(u, tile.d, tile.rows, s.inner, shared + at.x_proj, 2 * s.state, dbc, tile.dbc_row);
  multiply_into(u, tile.d, tile.rows, s.inner, shared + at.x_proj + packed_size(2 * s.state, s.inner), s.rank,
                dbc + tile.bc, tile.dbc_row);
  multiply_into(dbc + tile.bc, tile.dbc_row, tile.rows, s.rank, shared + at.dt_proj, s.inner, delta, tile.d);
}

// The scan's view of a tile's buffers, as a sequence of its own.
LIGHTM_INLINE ScanInputs scan_of_tile(const RvmShape &s, const RvmPacked &at, const TileAt &tile, const float *shared,
                                      const float *u, const float *dbc, const float *delta) {
  ScanInputs scan;
  scan.u = {u, 0, tile.d}, scan.delta = {delta, 0, tile.d};
  scan.B = {dbc, 0, tile.dbc_row}, scan.C = {dbc + s.state, 0, tile.dbc_row};
  scan.delta_bias = shared + at.dt_bias, scan.delta_softplus = true;
  return scan;
}

// put(t, v, M') for each row's output projection plus its scaled input.
template <class Put>
LIGHTM_INLINE void add_scaled_input(const RvmShape &s, const RvmPacked &at, const TileAt &tile, const float *shared,
                                    const float *gated, const float *x, const Put &put) {
  multiply(gated, tile.d, tile.rows, s.inner, shared + at.out_proj, s.channels, [&](int r, int64_t v, vf value) {
    const float *residual = x + r * s.channels + v * kWidth;
    put(r, v, value + load(shared + at.scale + v * kWidth) * load_part(residual, lanes_at(s.channels, v)));
  });
}

// LayerNorm of M', whose rows are `stride` floats apart.
LIGHTM_INLINE void norm_mixed(const RvmShape &s, const RvmWeights &w, const RvmPacked &at, const TileAt &tile,
                              const float *shared, const float *mixed, int64_t stride, float *normed) {
  layer_norm_into(tile.rows, s.channels, shared + at.projection_norm_weight, shared + at.projection_norm_bias,
                  w.epsilon, mixed, stride, normed, tile.c);
}

// Calls visit(t, cell, place) for each pair of tokens t and t + 1 of a tile on the grid that is pooled: the
// cell's row in the pooled tokens of the batch entry, and the first token's place in the cell, 4 z + 2 y.
// Neighbours in x are in one tile, since its rows, and a grid's that is pooled, begin at even numbers.
template <class Visit>
LIGHTM_INLINE void for_pairs(const RvmShape &s, const TileAt &tile, const Visit &visit) {
  int64_t x = tile.t0 % s.width, y = tile.t0 / s.width % s.height, z = tile.t0 / s.width / s.height;
  for (int t = 0; t < tile.rows; t += 2) {
    const int64_t plane = s.flat ? 0 : z / 2 * (s.height / 2);
    visit(t, (plane + y / 2) * (s.width / 2) + x / 2, static_cast<int>((s.flat ? 0 : z % 2 * 4) + y % 2 * 2));
    x += 2;
    if (x == s.width) x = 0, ++y;
    if (y == s.height) y = 0, ++z;
  }
}

}  // namespace
