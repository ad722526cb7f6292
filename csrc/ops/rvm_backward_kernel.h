// Gradients of the RVM layer, streamed as the layer is, from the last tile to the first.
//
// A tile's steps are done again from its input, up to the scan, whose output and states at intervals were
// kept, as M' was and, for many channels, the input projection. Then every step is undone, the last first, and
// the gradients of the weights are added up: all while the tile's rows are in cache. Two steps need the tile
// behind, and are passed on as in the forward pass: the scan the gradient of its states, the convolution that
// of its first rows.
#pragma once

#include "ops/outer_product_kernel.h"
#include "ops/rvm_steps_kernel.h"

namespace {

using lightm::OrderedSums;
using lightm::RvmBackwardTurns;
using lightm::RvmGradients;

// Sums of the weights' gradients over tiles, in floats. Matrices lie as the Linear layer stores them, or
// transposed where more numbers fill the vectors then.
struct RvmSums {
  int64_t norm_weight, norm_bias, scan_norm_weight, scan_norm_bias, projection_norm_weight, projection_norm_bias;
  int64_t in_proj;      // (2, inner, channels padded): x, then z
  int64_t conv_weight;  // (vectors of inner, conv_width, kWidth)
  int64_t conv_bias, dt_bias, D, scale, projection_bias;
  int64_t x_proj;      // (2 state + rank, inner padded): B and C, then delta's few
  int64_t dt_proj;     // (rank, inner padded)
  int64_t A;           // (vectors of inner, state, kWidth)
  int64_t out_proj;    // (channels, inner padded)
  int64_t projection;  // (out_channels, channels padded)
  int64_t size;

  explicit RvmSums(const RvmShape &s) {
    const int64_t c = padded(s.channels), d = padded(s.inner);
    Taken take;
    norm_weight = take(c), norm_bias = take(c), projection_norm_weight = take(c), projection_norm_bias = take(c);
    scan_norm_weight = take(d), scan_norm_bias = take(d);
    in_proj = take(2 * s.inner * c);
    conv_weight = take(s.conv_width * d);
    conv_bias = take(d), dt_bias = take(d), D = take(d), scale = take(c), projection_bias = take(s.out_channels);
    x_proj = take((2 * s.state + s.rank) * d);
    dt_proj = take(s.rank * d);
    A = take(s.state * d);
    out_proj = take(s.channels * d);
    projection = take(s.out_channels * c);
    size = take.next;
  }
};

// Vectors of folded sums (see add_folded) that a step has for all its states.
inline int64_t folds_of_a_step(const RvmShape &s) { return s.state * kFolds; }

struct RvmBackwardLayout {
  Taken take;
  RvmPacked weights;
  // Matrices that lead from gradients of outputs to those of inputs.
  int64_t in_proj, x_proj, dt_proj, out_proj, projection;
  int64_t g, conv_after, shared_size;
  int64_t normed, x, p, u, z, delta, gated, grad_y, dbc, grad_dbc, grad_mixed, grad_out, folded, states, own_size;

  explicit RvmBackwardLayout(const RvmShape &s) : weights(s, take) {
    const int64_t c = padded(s.channels), d = padded(s.inner), rows = tile_rows(s), halo = s.conv_width - 1;
    in_proj = take(2 * packed_size(s.channels, s.inner));
    x_proj = take(packed_size(s.inner, 2 * s.state + s.rank));
    dt_proj = take(packed_size(s.rank, s.inner));
    out_proj = take(packed_size(s.inner, s.channels));
    projection = take(packed_size(s.channels, s.out_channels));
    g = take(d * s.state);
    conv_after = take(halo * d);
    shared_size = take.next;
    Taken own;
    normed = own(rows * c), grad_mixed = own(rows * c);
    x = own((rows + halo) * d);
    gated = own(rows * c > (rows + halo) * d ? rows * c : (rows + halo) * d);
    p = own(rows * d), u = own(rows * d), z = own(rows * d), delta = own(rows * d), grad_y = own(rows * d);
    const int64_t dbc_row = padded(2 * s.state) + padded(s.rank);
    dbc = own(rows * dbc_row), grad_dbc = own(rows * (2 * s.state + s.rank));
    grad_out = own(rows * padded(s.out_channels));
    folded = own(rows * folds_of_a_step(s) * kWidth);
    states = own((2 * s.state + 2 * kStateInterval * kGroupBackward) * kWidth);
    own_size = own.next;
  }
};

// In floats.
int64_t rvm_backward_scratch(const RvmShape &s, int members) {
  const RvmBackwardLayout at(s);
  return at.shared_size + members * at.own_size;
}
int64_t rvm_sums_size(const RvmShape &s) { return RvmSums(s).size; }

void rvm_backward_prepare(const RvmShape &s, const RvmWeights &w, float *shared) {
  const RvmBackwardLayout at(s);
  rvm_pack(s, w, at.weights, shared, shared + at.g);
  const int64_t half = packed_size(s.channels, s.inner);
  pack_transposed(w.in_proj, s.inner, s.channels, shared + at.in_proj);
  pack_transposed(w.in_proj + s.inner * s.channels, s.inner, s.channels, shared + at.in_proj + half);
  // The rows of x_proj in the order of the gradients: B and C, then delta's few. So the packed matrix is put
  // together of both.
  const int64_t steps = 2 * s.state, all = steps + s.rank;
  for (int64_t v = 0; v < vectors(s.inner); ++v) {
    for (int64_t k = 0; k < all; ++k) {
      const float *row = w.x_proj + (k < steps ? s.rank + k : k - steps) * s.inner + v * kWidth;
      store(shared + at.x_proj + (v * all + k) * kWidth, load_part(row, lanes_at(s.inner, v)));
    }
  }
  pack_transposed(w.dt_weight, s.inner, s.rank, shared + at.dt_proj);
  pack_transposed(w.out_proj, s.channels, s.inner, shared + at.out_proj);
  pack_transposed(w.projection_weight, s.out_channels, s.channels, shared + at.projection);
}

// The gradient of the layer's rows before pooling, padded.
void unpool_rows(const RvmShape &s, const TileAt &tile, const RvmKept &kept, const float *grad_out, float *rows) {
  const int64_t o = tile.o;
  if (!s.pool) {
    const float *from = grad_out + (tile.batch * s.length + tile.t0) * s.out_channels;
    for (int t = 0; t < tile.rows; ++t) pad_to_vectors(from + t * s.out_channels, s.out_channels, rows + t * o);
    return;
  }
  const int64_t entry = tile.batch * s.out_length() * s.out_channels;
  for_pairs(s, tile, [&](int t, int64_t cell, int place) {
    for (int64_t v = 0; v < vectors(s.out_channels); ++v) {
      const int lanes = lanes_at(s.out_channels, v);
      const int64_t at = entry + cell * s.out_channels + v * kWidth;
      const vf g = load_part(grad_out + at, lanes);
      const vi winner = load_bytes(kept.winners + at, lanes);
      store(rows + t * o + v * kWidth, winner == place ? g : vf{});
      store(rows + (t + 1) * o + v * kWidth, winner == place + 1 ? g : vf{});
    }
  });
}

// The scan backward over a tile, for the v-th vector of channels. g: the gradient that comes from behind the
// tile, for each state; becomes that from before it. grad_y: of the scan's output with its skip. delta becomes
// its gradient. True if a state was visited alone.
bool scan_tile_backward(const RvmShape &s, const RvmPacked &at, const TileAt &tile, const float *shared,
                        const RvmKept &kept, const ScanInputs &scan, int64_t v, const float *grad_y_rows, vf *g,
                        float *grad_u, float *delta, vf *folded, vf *work, const RvmSums &to, float *sums) {
  const int n_count = static_cast<int>(s.state);
  const int64_t d = tile.d, folds = folds_of_a_step(s);
  const vf *rate = reinterpret_cast<const vf *>(shared + at.rates) + v * n_count;
  const vf fastest = reinterpret_cast<const vf *>(shared + at.fastest)[v];
  const vf skip = load(shared + at.D + v * kWidth);
  vf *grad_A = reinterpret_cast<vf *>(sums + to.A) + v * n_count;
  vf *before = work, *h = before + n_count, *decays = h + n_count, *states = decays + kStateInterval * kGroupBackward;
  vf bias_sum = load(sums + to.dt_bias + v * kWidth), D_sum = load(sums + to.D + v * kWidth);
  const Ahead nothing_ahead;
  bool any_single = false;
  Tile steps_of_tile;
  vf slope[kStateInterval], grad_y[kStateInterval], through_input[kStateInterval], through_decay[kStateInterval];
  for (int t1 = (tile.rows - 1) / kStateInterval * kStateInterval; t1 >= 0; t1 -= kStateInterval) {
    const int steps = tile.rows - t1 < kStateInterval ? tile.rows - t1 : kStateInterval;
    std::memcpy(before, kept.states_at(s, tile.number, t1, v), n_count * sizeof(vf));
    std::memcpy(h, before, n_count * sizeof(vf));
    load_tile<true>(scan, 0, t1, steps, v * kWidth, kWidth, steps_of_tile, slope);
    for (int t = 0; t < steps; ++t) {
      grad_y[t] = load(grad_y_rows + (t1 + t) * d + v * kWidth);
      through_input[t] = through_decay[t] = vf{};
    }
    for_groups<kGroupBackward>(scan, steps_of_tile, rate, fastest, n_count, [&](auto group, auto exponents, int n) {
      constexpr int kGroup = decltype(group)::value;
      any_single |= kGroup == 1;
      run_group<kGroup, decltype(exponents)::value, true, false>(scan, 0, t1, steps, n, rate + n, h + n, steps_of_tile,
                                                                 decays, states, nothing_ahead);
      vf group_sums[kStateInterval * kFolds];
      for (int i = 0; i < steps * kFolds; ++i) group_sums[i] = vf{};
      reverse_group<kGroup>(scan, 0, t1, steps, n, rate + n, decays, states, before + n, grad_y, steps_of_tile, g + n,
                            grad_A + n, group_sums, through_input, through_decay);
      for (int t = 0; t < steps; ++t)
        for (int i = 0; i < kFolds; ++i) folded[(t1 + t) * folds + n * kFolds + i] += group_sums[t * kFolds + i];
    });
    for (int t = 0; t < steps; ++t) {
      const int64_t place = (t1 + t) * d + v * kWidth;
      const vf u = load(scan.u.data + place);
      // rates are A * log2(e), so the sum through the decay is divided by log2(e) here.
      const vf grad_step = (through_decay[t] * (1.0f / kLog2e) + through_input[t] * u) * slope[t];
      D_sum += grad_y[t] * u;
      bias_sum += grad_step;
      store(delta + place, grad_step);
      store(grad_u + place, through_input[t] * steps_of_tile.step[t] + grad_y[t] * skip);
    }
  }
  store(sums + to.dt_bias + v * kWidth, bias_sum);
  store(sums + to.D + v * kWidth, D_sum);
  return any_single;
}

// The gradients of B and C out of the folded sums. A state that was visited alone has its own; others' are
// where their group begins.
void unfold_rows(const RvmShape &s, const TileAt &tile, const vf *folded, bool any_single, float *grad_dbc) {
  const int n_count = static_cast<int>(s.state);
  const int64_t row = 2 * s.state + s.rank, folds = folds_of_a_step(s);
  for (int t = 0; t < tile.rows; ++t) {
    float *B = grad_dbc + t * row, *C = B + n_count;
    for (int n = 0; n < 2 * n_count; ++n) B[n] = 0.0f;
    for (int n = 0; n < n_count; n += any_single ? 1 : kGroupBackward) {
      const int rest = n_count - n, whole = rest < kGroupBackward ? rest : kGroupBackward;
      take_folded(folded + t * folds + n * kFolds, whole, C + n, B + n);
    }
  }
}

// One tile; `number` counts from the end.
void rvm_backward_tile(const RvmShape &s, const RvmWeights &w, const RvmBackwardLayout &layout, const RvmSums &to,
                       const float *x_all, const RvmKept &kept, const float *grad_out_all, float *grad_x_all,
                       int64_t number, int64_t tiles, float *shared, float *own, OrderedSums &all_sums,
                       RvmBackwardTurns &turns) {
  const RvmPacked &at = layout.weights;
  const TileAt tile(s, tiles - 1 - number);
  const int rows = tile.rows, halo = tile.halo;
  const int64_t c = tile.c, d = tile.d, o = tile.o, steps_row = 2 * s.state + s.rank;
  const int64_t first_row = tile.batch * s.length + tile.t0;
  const float *x = x_all + first_row * s.channels, *scanned = kept.scanned + first_row * s.inner;
  const float *mixed = kept.mixed + first_row * s.channels;
  float *grad_x = grad_x_all + first_row * s.channels;
  float *normed = own + layout.normed, *grad_mixed = own + layout.grad_mixed;
  float *x_before = own + layout.x, *xs = x_before + halo * d, *p = own + layout.p, *u = own + layout.u;
  float *z = own + layout.z, *delta = own + layout.delta, *gated = own + layout.gated, *dbc = own + layout.dbc;
  float *grad_y = own + layout.grad_y, *grad_dbc = own + layout.grad_dbc, *grad_out = own + layout.grad_out;
  vf *folded = reinterpret_cast<vf *>(own + layout.folded);

  // The steps again.
  norm_input(s, w, at, tile, shared, x, normed);
  if (keeps_projection(s)) {
    const float *row = kept.projected + first_row * 2 * s.inner;
    for (int t = 0; t < rows; ++t, row += 2 * s.inner) {
      pad_to_vectors(row, s.inner, xs + t * d);
      pad_to_vectors(row + s.inner, s.inner, z + t * d);
    }
  } else {
    project_to_x(s, at, tile, shared, normed, xs);
    project_to_gate(s, at, tile, shared, normed, z);
  }
  if (tile.first)
    std::memset(x_before, 0, halo * d * sizeof(float));
  else
    std::memcpy(x_before, kept.halos + tile.number * halo * d, halo * d * sizeof(float));
  convolve_rows(s, at, tile, shared, x_before, [&](int t, int64_t v, vf value) {
    store(p + t * d + v * kWidth, value);
    store(u + t * d + v * kWidth, value * sigmoid(value));
  });
  project_steps(s, at, tile, shared, u, dbc, delta);
  const auto scanned_at = [&](int t, int64_t v) {
    return load_part(scanned + t * s.inner + v * kWidth, lanes_at(s.inner, v));
  };
  const auto mixed_at = [&](int t, int64_t v) {
    return load_part(mixed + t * s.channels + v * kWidth, lanes_at(s.channels, v));
  };

  float *sums = all_sums.begin(number);

  // Projection and its LayerNorm.
  float *normed_mixed = gated;  // free as yet
  norm_mixed(s, w, at, tile, shared, mixed, s.channels, normed_mixed);
  unpool_rows(s, tile, kept, grad_out_all, grad_out);
  add_outer(grad_out, o, s.out_channels, normed_mixed, c, s.channels, rows, sums + to.projection, c);
  add_rows(grad_out, o, s.out_channels, rows, sums + to.projection_bias);
  multiply_into(grad_out, o, rows, s.out_channels, shared + layout.projection, s.channels, grad_mixed, c);
  layer_norm_backward(
      rows, s.channels, shared + at.projection_norm_weight, w.epsilon, mixed_at,
      [&](int t, int64_t v, vf) { return load(grad_mixed + t * c + v * kWidth); }, grad_mixed, c,
      sums + to.projection_norm_weight, sums + to.projection_norm_bias,
      [&](int t, int64_t v, vf value) { store(grad_mixed + t * c + v * kWidth, value); });

  // The residual and the output projection.
  for (int64_t v = 0; v < vectors(s.channels); ++v) {
    vf sum = load(sums + to.scale + v * kWidth);
    for (int t = 0; t < rows; ++t)
      sum +=
          load(grad_mixed + t * c + v * kWidth) * load_part(x + t * s.channels + v * kWidth, lanes_at(s.channels, v));
    store(sums + to.scale + v * kWidth, sum);
  }
  multiply_into(grad_mixed, c, rows, s.channels, shared + layout.out_proj, s.inner, grad_y, d);

  // The gate and the LayerNorm of what was scanned. z becomes the gradient of the gate, grad_y that of the scan.
  layer_norm_backward(
      rows, s.inner, shared + at.scan_norm_weight, w.epsilon, scanned_at,
      [&](int t, int64_t v, vf n) {
        float *gate_at = z + t * d + v * kWidth;
        const vf gate = load(gate_at), open = sigmoid(gate), g = load(grad_y + t * d + v * kWidth);
        const vf value =
            n * load(shared + at.scan_norm_weight + v * kWidth) + load(shared + at.scan_norm_bias + v * kWidth);
        store(gated + t * d + v * kWidth, value * gate * open);
        store(gate_at, g * value * open * (1.0f + gate * (1.0f - open)));
        return g * gate * open;
      },
      grad_y, d, sums + to.scan_norm_weight, sums + to.scan_norm_bias,
      [&](int t, int64_t v, vf value) {
        // Zero beyond the last channel, since lanes are summed for B and C.
        float *to_scan = grad_y + t * d + v * kWidth;
        store(to_scan, value);
        for (int lane = lanes_at(s.inner, v); lane < kWidth; ++lane) to_scan[lane] = 0.0f;
      });
  add_outer(grad_mixed, c, s.channels, gated, d, s.inner, rows, sums + to.out_proj, d);

  // The scan.
  float *grad_u = gated;  // no longer needed
  for (int64_t i = 0; i < rows * folds_of_a_step(s); ++i) folded[i] = vf{};
  const ScanInputs scan = scan_of_tile(s, at, tile, shared, u, dbc, delta);
  bool any_single = false;
  for (int64_t v = 0; v < vectors(s.inner); ++v) {
    vf *g = reinterpret_cast<vf *>(shared + layout.g) + v * s.state;
    turns.scanned[v].wait_for(number);
    if (tile.last)
      for (int64_t n = 0; n < s.state; ++n) g[n] = vf{};
    any_single |= scan_tile_backward(s, at, tile, shared, kept, scan, v, grad_y, g, grad_u, delta, folded,
                                     reinterpret_cast<vf *>(own + layout.states), to, sums);
    turns.scanned[v].advance();
  }
  unfold_rows(s, tile, folded, any_single, grad_dbc);

  // The projections to delta, B and C.
  const float *dt = dbc + tile.bc;
  add_outer(dt, tile.dbc_row, s.rank, delta, d, s.inner, rows, sums + to.dt_proj, d);
  multiply(delta, d, rows, s.inner, shared + layout.dt_proj, s.rank, [&](int r, int64_t v, vf value) {
    store_part(grad_dbc + r * steps_row + 2 * s.state + v * kWidth, value, lanes_at(s.rank, v));
  });
  add_outer(grad_dbc, steps_row, steps_row, u, d, s.inner, rows, sums + to.x_proj, d);
  multiply(grad_dbc, steps_row, rows, steps_row, shared + layout.x_proj, s.inner, [&](int r, int64_t v, vf value) {
    // Through SiLU too: grad_u becomes the gradient of the convolution p.
    float *place = grad_u + r * d + v * kWidth;
    const vf before_silu = load(p + r * d + v * kWidth), open = sigmoid(before_silu);
    store(place, (load(place) + value) * open * (1.0f + before_silu * (1.0f - open)));
  });

  // The convolution: its rows behind the tile were passed on by the tile behind. p becomes the gradient of xs.
  float *grad_p = grad_u, *behind = grad_p + rows * d, *conv_after = shared + layout.conv_after;
  turns.convolved.wait_for(number);
  if (tile.last)
    std::memset(behind, 0, halo * d * sizeof(float));
  else
    std::memcpy(behind, conv_after, halo * d * sizeof(float));
  if (!tile.first) std::memcpy(conv_after, grad_p, halo * d * sizeof(float));
  turns.convolved.advance();
  for (int64_t v = 0; v < vectors(s.inner); ++v) {
    const float *weight = shared + at.conv_weight + v * s.conv_width * kWidth;
    float *weight_sums = sums + to.conv_weight + v * s.conv_width * kWidth;
    for (int64_t k = 0; k <= halo; ++k) {
      vf sum = load(weight_sums + k * kWidth);
      for (int t = 0; t < rows; ++t)
        sum += load(grad_p + t * d + v * kWidth) * load(x_before + (t + k) * d + v * kWidth);
      store(weight_sums + k * kWidth, sum);
    }
    for (int t = 0; t < rows; ++t) {
      vf sum{};
      for (int64_t k = 0; k <= halo; ++k)
        sum += load(weight + k * kWidth) * load(grad_p + (t + halo - k) * d + v * kWidth);
      store(p + t * d + v * kWidth, sum);
    }
  }
  add_rows(grad_p, d, s.inner, rows, sums + to.conv_bias);

  // The input projection and its LayerNorm; the residual joins.
  const float *grad_xs = p, *grad_z = z;
  const int64_t half = packed_size(s.channels, s.inner);
  add_outer(grad_xs, d, s.inner, normed, c, s.channels, rows, sums + to.in_proj, c);
  add_outer(grad_z, d, s.inner, normed, c, s.channels, rows, sums + to.in_proj + s.inner * c, c);
  multiply(grad_xs, d, rows, s.inner, shared + layout.in_proj, s.channels,
           [&](int r, int64_t v, vf value) { store(normed + r * c + v * kWidth, value); });
  multiply(grad_z, d, rows, s.inner, shared + layout.in_proj + half, s.channels, [&](int r, int64_t v, vf value) {
    float *place = normed + r * c + v * kWidth;
    store(place, load(place) + value);
  });
  layer_norm_backward(
      rows, s.channels, shared + at.norm_weight, w.epsilon,
      [&](int t, int64_t v) { return load_part(x + t * s.channels + v * kWidth, lanes_at(s.channels, v)); },
      [&](int t, int64_t v, vf) { return load(normed + t * c + v * kWidth); }, normed, c, sums + to.norm_weight,
      sums + to.norm_bias,
      [&](int t, int64_t v, vf value) {
        const vf residual = load(shared + at.scale + v * kWidth) * load(grad_mixed + t * c + v * kWidth);
        store_part(grad_x + t * s.channels + v * kWidth, value + residual, lanes_at(s.channels, v));
      });
  all_sums.end(number);
}

// kept: as rvm_kept_size says.
void rvm_backward_member(const RvmShape &s, const RvmWeights &w, const float *x, const float *kept,
                         const float *grad_out, float *grad_x, float *scratch, int rank, OrderedSums &sums,
                         RvmBackwardTurns &turns) {
  const RvmBackwardLayout at(s);
  const RvmSums to(s);
  float *own = scratch + at.shared_size + rank * at.own_size;
  const int64_t count = rvm_tiles(s);
  const RvmKept keep = rvm_kept(s, const_cast<float *>(kept));  // only read from
  for (int64_t i; (i = turns.next_tile.fetch_add(1, std::memory_order_acq_rel)) < count;)
    rvm_backward_tile(s, w, at, to, x, keep, grad_out, grad_x, i, count, scratch, own, sums, turns);
}

// (rows, columns padded) to (rows, columns).
inline void copy_rows(const float *from, int64_t rows, int64_t columns, float *to) {
  for (int64_t r = 0; r < rows; ++r) std::memcpy(to + r * columns, from + r * padded(columns), columns * sizeof(float));
}

// (columns, rows padded) to (rows, columns).
inline void copy_transposed(const float *from, int64_t rows, int64_t columns, float *to) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < columns; ++k) to[r * columns + k] = from[k * padded(rows) + r];
}

// From the sums to the gradients.
void rvm_take_gradients(const RvmShape &s, const RvmWeights &w, const float *sums, const RvmGradients &grads) {
  const RvmSums at(s);
  const int64_t d = padded(s.inner), steps = 2 * s.state;
  copy_rows(sums + at.norm_weight, 1, s.channels, grads.norm_weight);
  copy_rows(sums + at.norm_bias, 1, s.channels, grads.norm_bias);
  copy_rows(sums + at.in_proj, 2 * s.inner, s.channels, grads.in_proj);
  copy_rows(sums + at.conv_bias, 1, s.inner, grads.conv_bias);
  copy_rows(sums + at.x_proj + steps * d, s.rank, s.inner, grads.x_proj);
  copy_rows(sums + at.x_proj, steps, s.inner, grads.x_proj + s.rank * s.inner);
  copy_transposed(sums + at.dt_proj, s.inner, s.rank, grads.dt_weight);
  copy_rows(sums + at.dt_bias, 1, s.inner, grads.dt_bias);
  copy_rows(sums + at.D, 1, s.inner, grads.D);
  copy_rows(sums + at.scan_norm_weight, 1, s.inner, grads.scan_norm_weight);
  copy_rows(sums + at.scan_norm_bias, 1, s.inner, grads.scan_norm_bias);
  copy_rows(sums + at.out_proj, s.channels, s.inner, grads.out_proj);
  copy_rows(sums + at.scale, 1, s.channels, grads.scale);
  copy_rows(sums + at.projection_norm_weight, 1, s.channels, grads.projection_norm_weight);
  copy_rows(sums + at.projection_norm_bias, 1, s.channels, grads.projection_norm_bias);
  copy_rows(sums + at.projection, s.out_channels, s.channels, grads.projection_weight);
  copy_rows(sums + at.projection_bias, 1, s.out_channels, grads.projection_bias);
  for (int64_t i = 0; i < s.inner; ++i) {
    const int64_t v = i / kWidth, lane = i % kWidth;
    for (int64_t k = 0; k < s.conv_width; ++k)
      grads.conv_weight[i * s.conv_width + k] = sums[at.conv_weight + (v * s.conv_width + k) * kWidth + lane];
    // A = -exp(A_log), so the gradient of A_log is A times that of A.
    for (int64_t n = 0; n < s.state; ++n)
      grads.A_log[i * s.state + n] =
          -__builtin_expf(w.A_log[i * s.state + n]) * sums[at.A + (v * s.state + n) * kWidth + lane];
  }
}

}  // namespace
