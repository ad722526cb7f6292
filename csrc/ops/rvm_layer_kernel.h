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
#pragma once

#include "ops/rvm_steps_kernel.h"

namespace {

// Last rows of x that may be in use at once: those of the tile after each tile in hand, and one that
// is being written.
inline int64_t halo_slots(int members) { return members + 1; }

// In floats: from the start of what all threads share, and from the start of each thread's own.
struct RvmLayout {
  Taken take;
  RvmPacked weights;
  int64_t h, halos, shared_size;
  int64_t normed, x, z, u, dbc, delta, y, unpooled, own_size;

  RvmLayout(const RvmShape &s, int members) : weights(s, take) {
    const int64_t c = padded(s.channels), d = padded(s.inner), rows = tile_rows(s);
    h = take(d * s.state);
    halos = take(halo_slots(members) * (s.conv_width - 1) * d);
    shared_size = take.next;
    Taken own;
    normed = own(rows * c);
    x = own((rows + s.conv_width - 1) * d);
    z = own(rows * d), u = own(rows * d), delta = own(rows * d), y = own(rows * d);
    dbc = own(rows * (padded(2 * s.state) + padded(s.rank)));
    unpooled = own(s.pool ? rows * padded(s.out_channels) : 0);
    own_size = own.next;
  }
};

int64_t rvm_scratch(const RvmShape &s, int members) {
  const RvmLayout at(s, members);
  return (at.shared_size + members * at.own_size) / kWidth;
}

// Everything that is the same for all tiles; prepared by one thread before the others start.
void rvm_prepare(const RvmShape &s, const RvmWeights &w, int members, float *scratch) {
  const RvmLayout at(s, members);
  rvm_pack(s, w, at.weights, scratch, scratch + at.h);
}

// A tile's rows of the layer's result into the maximum over their cells. In raster order the corner of a
// cell comes before its other tokens, so it is what starts the maximum. Of equal numbers the first stays
// the maximum, and NaN does.
template <bool kKeep>
void pool_rows(const RvmShape &s, const TileAt &tile, const float *unpooled, float *out, unsigned char *winners) {
  for_pairs(s, tile, [&](int t, int64_t cell, int place) {
    for (int64_t v = 0; v < vectors(s.out_channels); ++v) {
      const int lanes = lanes_at(s.out_channels, v);
      const int64_t at = cell * s.out_channels + v * kWidth;
      const float *pair = unpooled + t * tile.o + v * kWidth;
      const vf first = load(pair), second = load(pair + tile.o);
      const vf value = max_or_nan(second, first);
      const vf before = place == 0 ? value : load_part(out + at, lanes);
      store_part(out + at, max_or_nan(value, before), lanes);
      if (kKeep) {
        // A comparison gives -1 where it is true.
        const vi here = place - (vi)((second > first) | (second != second));
        const vi earlier = place == 0 ? here : load_bytes(winners + at, lanes);
        store_bytes(winners + at, (vi)((value > before) | (value != value)) ? here : earlier, lanes);
      }
    }
  });
}

// Tile `number` of all batch entries' tiles, counted through; all its steps.
template <bool kKeep>
void rvm_tile(const RvmShape &s, const RvmWeights &w, const RvmLayout &layout, const float *x_all, float *out_all,
              const RvmKept &kept, int64_t number, float *shared, float *own, int members, RvmTurns &turns) {
  const RvmPacked &at = layout.weights;
  const TileAt tile(s, number);
  const int rows = tile.rows, halo = tile.halo, n_count = static_cast<int>(s.state);
  const int64_t c = tile.c, d = tile.d, o = tile.o;
  const float *x = x_all + (tile.batch * s.length + tile.t0) * s.channels;
  float *out = out_all + tile.batch * s.out_length() * s.out_channels;

  const auto halo_of = [&](int64_t i) {
    return kKeep ? kept.halos + i * halo * d : shared + layout.halos + i % halo_slots(members) * halo * d;
  };
  float *normed = own + layout.normed, *z = own + layout.z, *u = own + layout.u, *y = own + layout.y;
  float *delta = own + layout.delta, *dbc = own + layout.dbc, *unpooled = own + layout.unpooled;
  float *x_before = own + layout.x, *xs = x_before + halo * d;
  const vf *rates = reinterpret_cast<const vf *>(shared + at.rates);
  const vf *fastest = reinterpret_cast<const vf *>(shared + at.fastest);
  vf *h = reinterpret_cast<vf *>(shared + layout.h);

  norm_input(s, w, at, tile, shared, x, normed);
  project_to_x(s, at, tile, shared, normed, xs);
  if (!tile.last) std::memcpy(halo_of(number + 1), xs + (rows - halo) * d, halo * d * sizeof(float));
  turns.halo.wait_for(number);
  turns.halo.advance();
  if (tile.first)
    std::memset(x_before, 0, halo * d * sizeof(float));
  else
    std::memcpy(x_before, halo_of(number), halo * d * sizeof(float));
  project_to_gate(s, at, tile, shared, normed, z);
  if (kKeep && keeps_projection(s)) {
    float *row = kept.projected + (tile.batch * s.length + tile.t0) * 2 * s.inner;
    for (int t = 0; t < rows; ++t, row += 2 * s.inner) {
      std::memcpy(row, xs + t * d, s.inner * sizeof(float));
      std::memcpy(row + s.inner, z + t * d, s.inner * sizeof(float));
    }
  }
  convolve_rows(s, at, tile, shared, x_before,
                [&](int t, int64_t v, vf p) { store(u + t * d + v * kWidth, p * sigmoid(p)); });
  project_steps(s, at, tile, shared, u, dbc, delta);

  const ScanInputs scan = scan_of_tile(s, at, tile, shared, u, dbc, delta);
  Tile steps_of_tile;
  const Ahead ahead[kAheads];
  for (int64_t v = 0; v < vectors(s.inner); ++v) {
    const vf skip = load(shared + at.D + v * kWidth);
    vf *state = h + v * n_count;
    turns.scanned[v].wait_for(number);
    if (tile.first)
      for (int n = 0; n < n_count; ++n) state[n] = vf{};
    for (int t1 = 0; t1 < rows; t1 += kStateInterval) {
      const int steps = rows - t1 < kStateInterval ? rows - t1 : kStateInterval;
      if (kKeep) std::memcpy(kept.states_at(s, number, t1, v), state, n_count * sizeof(vf));
      load_tile<false>(scan, 0, t1, steps, v * kWidth, kWidth, steps_of_tile, nullptr);
      run_tile(scan, 0, t1, steps, n_count, rates + v * n_count, fastest[v], state, steps_of_tile, ahead);
      for (int t = 0; t < steps; ++t) {
        const int64_t place = (t1 + t) * d + v * kWidth;
        const vf value = steps_of_tile.y[t] + skip * load(u + place);
        store(y + place, value);
        if (kKeep)
          store_part(kept.scanned + (tile.batch * s.length + tile.t0 + t1 + t) * s.inner + v * kWidth, value,
                     lanes_at(s.inner, v));
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
  float *mixed = normed;
  add_scaled_input(s, at, tile, shared, y, x, [&](int t, int64_t v, vf value) {
    store(mixed + t * c + v * kWidth, value);
    if (kKeep)
      store_part(kept.mixed + (tile.batch * s.length + tile.t0 + t) * s.channels + v * kWidth, value,
                 lanes_at(s.channels, v));
  });
  norm_mixed(s, w, at, tile, shared, mixed, c, normed);
  multiply_with_bias(normed, c, rows, s.channels, shared + at.projection, s.out_channels, shared + at.projection_bias,
                     s.pool ? unpooled : out + tile.t0 * s.out_channels, s.pool ? o : s.out_channels);
  if (s.pool) {
    turns.pooled.wait_for(number);
    pool_rows<kKeep>(s, tile, unpooled, out,
                     kKeep ? kept.winners + tile.batch * s.out_length() * s.out_channels : nullptr);
    turns.pooled.advance();
  }
}

// One thread's tiles. kept: as rvm_kept_size says, or nullptr unless kKeep.
template <bool kKeep>
void rvm_take_tiles(const RvmShape &s, const RvmWeights &w, const float *x, float *out, float *kept, float *scratch,
                    int rank, int members, RvmTurns &turns) {
  const RvmLayout at(s, members);
  float *own = scratch + at.shared_size + rank * at.own_size;
  const int64_t count = rvm_tiles(s);
  const RvmKept keep = kKeep ? rvm_kept(s, kept) : RvmKept{};
  // Acquire and release: whoever takes a tile overwrites last rows of x that were read before a tile in
  // between could be finished and another taken.
  for (int64_t i; (i = turns.next_tile.fetch_add(1, std::memory_order_acq_rel)) < count;)
    rvm_tile<kKeep>(s, w, at, x, out, keep, i, scratch, own, members, turns);
}

void rvm_member(const RvmShape &s, const RvmWeights &w, const float *x, float *out, float *kept, float *scratch,
                int rank, int members, RvmTurns &turns) {
  const auto take_tiles = kept ? rvm_take_tiles<true> : rvm_take_tiles<false>;
  take_tiles(s, w, x, out, kept, scratch, rank, members, turns);
}

}  // namespace
