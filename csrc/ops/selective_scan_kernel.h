// One thread's share of the scan, for the instruction set that this file is compiled for.
//
// kWidth channels lie in the lanes of a vector, and the states of a group in registers while a tile
// of kStateInterval steps goes by; then the next channels take the same tile. So a tile's rows are
// read while they are in cache, B and C are broadcast from there, and the state moves to memory and
// back once per tile.
#pragma once

#include "ops/channel_blocks.h"

namespace {

using lightm::kStateInterval;
using lightm::ScanGradients;
using lightm::ScanInputs;
using lightm::ScanShape;
using lightm::Segment;
using lightm::ShareSums;

// States that are in registers at once. All 16 would fit 32 registers, but leave none for the rates:
// 8 are 8 % faster in the forward recurrence.
constexpr int kGroupOfStates = kRegisters == 32 ? 8 : 4;

// Where to look when there is nothing to be asked for: not at address 0, whose missing page the
// processor would search for again each time, which took an eighth of the recurrence.
alignas(64) const float kNothing[kWidth] = {};

// Two arrays' rows of the tile that will be visited next, at this block of channels: their distance
// is too large for the hardware to foresee them. They are asked for one by one between the steps of a
// recurrence, since a burst of them would wait for memory.
struct Ahead {
  const float *rows[2] = {kNothing, kNothing};
  int64_t stride[2] = {0, 0};
};

// Lines of `rows` at a channel, `distance` steps from t0.
inline void look_ahead(Ahead &ahead, int i, const Rows &rows, int64_t b, int64_t t0, int64_t channel) {
  ahead.rows[i] = rows.at(b, t0) + channel;
  ahead.stride[i] = rows.row_stride;
}

// Steps of one tile, for one block of channels.
struct Tile {
  vf step[kStateInterval];   // delta, after bias and softplus
  vf drive[kStateInterval];  // delta * u
  vf y[kStateInterval];
  vf longest;  // of |step| over the tile; NaN where a step is
};

// In two loops over the steps, since the chain of operations from delta to its softplus is too long
// for a processor to overlap one step with enough others. With kSlope, slope[t] becomes the
// derivative of the step by what goes into softplus.
template <bool kSlope>
LIGHTM_INLINE void load_tile(const ScanInputs &in, int64_t b, int64_t t0, int steps, int64_t channel, int lanes,
                             Tile &tile, vf *slope) {
  const vf bias = in.delta_bias ? load_part(in.delta_bias + channel, lanes) : vf{};
  const float *delta = in.delta.at(b, t0) + channel, *u = in.u.at(b, t0) + channel;
  for (int t = 0; t < steps; ++t, delta += in.delta.row_stride) {
    tile.step[t] = load_part(delta, lanes) + bias;
    if (in.delta_softplus) tile.y[t] = exp_minus_abs(tile.step[t]);
  }
  vf longest{};
  for (int t = 0; t < steps; ++t, u += in.u.row_stride) {
    const vf raw = tile.step[t], y = tile.y[t];
    const vf step = in.delta_softplus ? vmax(vf{}, raw) + log1p_unit(y) : raw;
    if (kSlope) slope[t] = in.delta_softplus ? sigmoid_from(raw, y) : splat(1.0f);
    tile.step[t] = step;
    tile.drive[t] = step * load_part(u, lanes);
    tile.y[t] = vf{};
    longest = max_abs(step, longest);
  }
  tile.longest = longest;
}

// Where the exponents of a group of states lie in a tile: in [-1/2, 0], where a polynomial is enough;
// in the range of exp2_product; anywhere.
enum class Exponents { small, normal, any };

// With AVX-512 exp2_product has no more work for the multiply-add units than the polynomial.
constexpr bool kSmallPays = kWidth < 16;

template <Exponents kExponents>
LIGHTM_INLINE vf decay_of(vf step, vf rate) {
  if constexpr (kExponents == Exponents::small) return exp2_small(step * rate);
  if constexpr (kExponents == Exponents::any) return exp2_any(step * rate);
  return exp2_product(step, rate);
}

// The recurrence for kGroup states n0, n0 + 1, ... over one tile. h and rates point at state n0 and
// hold one vector per state; rates are A * log2(e). With kKeep, all decays and states are written
// to `decays` and `states`, kGroup vectors for each step. With kOutput, tile.y gets the states' part.
template <int kGroup, Exponents kExponents, bool kKeep, bool kOutput>
void run_group(const ScanInputs &in, int64_t b, int64_t t0, int steps, int n0, const vf *rates, vf *h_memory,
               Tile &tile, vf *decays, vf *states, const Ahead &ahead) {
  vf h[kGroup];
#pragma GCC unroll 8
  for (int n = 0; n < kGroup; ++n) h[n] = h_memory[n];
  const float *B = in.B.at(b, t0) + n0, *C = in.C.at(b, t0) + n0;
  const float *soon[2] = {ahead.rows[0], ahead.rows[1]};
  for (int t = 0; t < steps; ++t, B += in.B.row_stride, C += in.C.row_stride) {
    for (int i = 0; i < 2; ++i) __builtin_prefetch(soon[i]), soon[i] += ahead.stride[i];
    const vf step = tile.step[t], drive = tile.drive[t];
    vf even = kOutput ? tile.y[t] : vf{}, odd{};
#pragma GCC unroll 8
    for (int n = 0; n < kGroup; ++n) {
      const vf decay = decay_of<kExponents>(step, rates[n]);
      h[n] = decay * h[n] + drive * B[n];
      if (kOutput && n % 2 == 0) even += h[n] * C[n];
      if (kOutput && n % 2 == 1) odd = n == 1 ? h[n] * C[n] : odd + h[n] * C[n];
      if (kKeep) {
        decays[t * kGroup + n] = decay;
        states[t * kGroup + n] = h[n];
      }
    }
    if (kOutput) tile.y[t] = kGroup > 1 ? even + odd : even;
  }
#pragma GCC unroll 8
  for (int n = 0; n < kGroup; ++n) h_memory[n] = h[n];
}

template <int kGroup>
struct Group {
  enum { value = kGroup };
};
template <Exponents kExponents>
struct In {
  static constexpr Exponents value = kExponents;
};

// Whether all exponents of kGroup states lie in [-1/2, 0]; steps behind softplus are not negative.
template <int kGroup>
LIGHTM_INLINE bool exponents_are_small(const ScanInputs &in, const Tile &tile, const vf *rates) {
  if (!in.delta_softplus) return false;
  vf lowest = rates[0], highest = rates[0];
  for (int n = 1; n < kGroup; ++n) lowest = vmin(rates[n], lowest), highest = vmax(rates[n], highest);
  return !any_above(tile.longest * -lowest, splat(kExp2Small)) && !any_above(highest, vf{});
}

// Calls visit(Group<k>, In<exponents>, n0) for all states in order: in groups of kGroup, then single ones; one
// by one where an exponent may leave the range of exp2_product.
template <int kGroup, class Visit>
LIGHTM_INLINE void for_groups(const ScanInputs &in, const Tile &tile, const vf *rates, vf fastest, int n_count,
                              const Visit &visit) {
  int n = 0;
  if (any_above(tile.longest * fastest, splat(kExp2Limit))) {
    for (; n < n_count; ++n) visit(Group<1>{}, In<Exponents::any>{}, n);
    return;
  }
  for (; n + kGroup <= n_count; n += kGroup) {
    if constexpr (kSmallPays) {
      if (exponents_are_small<kGroup>(in, tile, rates + n)) {
        visit(Group<kGroup>{}, In<Exponents::small>{}, n);
        continue;
      }
    }
    visit(Group<kGroup>{}, In<Exponents::normal>{}, n);
  }
  for (; n < n_count; ++n) visit(Group<1>{}, In<Exponents::normal>{}, n);
}

// All states over one tile, output included; `ahead` has kAheads entries.
constexpr int kAheads = 2;

void run_tile(const ScanInputs &in, int64_t b, int64_t t0, int steps, int n_count, const vf *rates, vf fastest, vf *h,
              Tile &tile, const Ahead *ahead) {
  for_groups<kGroupOfStates>(in, tile, rates, fastest, n_count, [&](auto group, auto exponents, int n) {
    run_group<decltype(group)::value, decltype(exponents)::value, false, true>(in, b, t0, steps, n, rates + n, h + n,
                                                                               tile, nullptr, nullptr, ahead[n > 0]);
  });
}

// rates[block][state] = A * log2(e), lanes beside the last channel zero; fastest[block] its maximum.
void load_rates(const float *A, int64_t first, int64_t last, int n_count, vf *rates, vf *fastest) {
  for (int64_t c = first; c < last; c += kWidth, rates += n_count, ++fastest) {
    *fastest = vf{};
    for (int n = 0; n < n_count; ++n) {
      vf rate{};
      for (int lane = 0; lane < kWidth && c + lane < last; ++lane) rate[lane] = A[(c + lane) * n_count + n];
      rates[n] = rate * kLog2e;
      *fastest = vmax(vabs(rates[n]), *fastest);
    }
  }
}

inline int steps_of(int64_t last, int64_t t0) {
  const int64_t left = last - t0;
  return static_cast<int>(left < kStateInterval ? left : kStateInterval);
}

// Where a block of channels finds the state before the tile at t0: n_count rows of channels.
inline int64_t state_at(const ScanShape &shape, int64_t b, int64_t t0, int64_t channel) {
  return (b * shape.intervals() + t0 / kStateInterval) * shape.state * shape.channels + channel;
}

// Vectors of scratch space that forward_share and forward_correct_share need.
int64_t forward_scratch(const ScanShape &shape, int64_t share_channels) {
  return vectors(share_channels) * (2 * shape.state + 2);
}

void forward_share(const ScanShape &shape, const ScanInputs &in, const Share &share, const Segment &segment, float *out,
                   float *states, void *scratch) {
  const int n_count = static_cast<int>(shape.state);
  const int64_t count = vectors(share.last_channel - share.first_channel);
  vf *rates = static_cast<vf *>(scratch), *fastest = rates + count * n_count, *h_all = fastest + count;
  vf *step_sums = h_all + count * n_count;
  load_rates(in.A, share.first_channel, share.last_channel, n_count, rates, fastest);
  for (vf *p = h_all; p != step_sums + count; ++p) *p = vf{};

  const int64_t b = share.batch;
  Tile tile;
  for (int64_t t0 = segment.first; t0 < segment.last; t0 += kStateInterval) {
    const int steps = steps_of(segment.last, t0);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t channel = share.first_channel + i * kWidth;
      const int lanes = lanes_of(share, channel);
      vf *h = h_all + i * n_count;
      if (states)
        for (int n = 0; n < n_count; ++n)
          store_part(states + state_at(shape, b, t0, channel) + n * shape.channels, h[n], lanes);
      load_tile<false>(in, b, t0, steps, channel, lanes, tile, nullptr);
      Ahead ahead[kAheads];
      look_ahead(ahead[0], 0, in.delta, b, t0 + kStateInterval, channel);
      look_ahead(ahead[0], 1, in.u, b, t0 + kStateInterval, channel);
      look_ahead(ahead[1], 0, {out, shape.length * shape.channels, shape.channels}, b, t0 + kStateInterval, channel);
      if (in.z.data) look_ahead(ahead[1], 1, in.z, b, t0 + kStateInterval, channel);
      run_tile(in, b, t0, steps, n_count, rates + i * n_count, fastest[i], h, tile, ahead);
      if (segment.step_sums)
        for (int t = 0; t < steps; ++t) step_sums[i] += tile.step[t];
      const vf skip = in.D ? load_part(in.D + channel, lanes) : vf{};
      const float *u = in.u.at(b, t0) + channel;
      float *place = out + (b * shape.length + t0) * shape.channels + channel;
      for (int t = 0; t < steps; ++t, u += in.u.row_stride, place += shape.channels) {
        vf y = tile.y[t];
        if (in.D) y += skip * load_part(u, lanes);
        if (in.z.data) {
          const vf z = load_part(in.z.at(b, t0 + t) + channel, lanes);
          y *= z * sigmoid(z);
        }
        store_part(place, y, lanes);
      }
    }
  }
  if (segment.end == nullptr) return;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t channel = share.first_channel + i * kWidth;
    const int lanes = lanes_of(share, channel);
    store_part(segment.step_sums + channel, step_sums[i], lanes);
    for (int n = 0; n < n_count; ++n)
      store_part(segment.end + n * shape.channels + channel, h_all[i * n_count + n], lanes);
  }
}

// The recurrence is linear: what comes from the state before is the recurrence without input. It is
// over for a block of channels once no state has kept more than e^-28 of it, less than rounding.
void forward_correct_share(const ScanShape &shape, const ScanInputs &in, const Share &share, const Segment &segment,
                           const float *before, float *out, float *states, void *scratch) {
  const int n_count = static_cast<int>(shape.state);
  const int64_t count = vectors(share.last_channel - share.first_channel), b = share.batch;
  vf *rates = static_cast<vf *>(scratch), *fastest = rates + count * n_count, *carried = fastest + count;
  load_rates(in.A, share.first_channel, share.last_channel, n_count, rates, fastest);
  const Ahead nothing_ahead[kAheads];
  const vf gone = splat(-28.0f * kLog2e);
  Tile tile;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t channel = share.first_channel + i * kWidth;
    const int lanes = lanes_of(share, channel);
    vf step_sum{}, *h = carried + i * n_count;
    for (int n = 0; n < n_count; ++n) h[n] = load_part(before + n * shape.channels + channel, lanes);
    for (int64_t t0 = segment.first; t0 < segment.last; t0 += kStateInterval) {
      bool any_left = false;
      for (int n = 0; n < n_count; ++n) any_left |= any_above(step_sum * rates[i * n_count + n], gone);
      if (!any_left) break;
      const int steps = steps_of(segment.last, t0);
      for (int n = 0; states && n < n_count; ++n) {
        float *place = states + state_at(shape, b, t0, channel) + n * shape.channels;
        store_part(place, load_part(place, lanes) + h[n], lanes);
      }
      load_tile<false>(in, b, t0, steps, channel, lanes, tile, nullptr);
      for (int t = 0; t < steps; ++t) step_sum += tile.step[t], tile.drive[t] = vf{};
      run_tile(in, b, t0, steps, n_count, rates + i * n_count, fastest[i], h, tile, nothing_ahead);
      for (int t = 0; t < steps; ++t) {
        vf y = tile.y[t];
        if (in.z.data) {
          const vf z = load_part(in.z.at(b, t0 + t) + channel, lanes);
          y *= z * sigmoid(z);
        }
        float *place = out + (b * shape.length + t0 + t) * shape.channels + channel;
        store_part(place, load_part(place, lanes) + y, lanes);
      }
    }
  }
}

// States that the backward pass takes at once. It is less than forward, since their decays and states
// of a tile lie in memory, and should stay in the first-level cache.
constexpr int kGroupBackward = 4;

// Sums over lanes of two vectors for each state of a group, folded as far as one vector goes.
constexpr int kFolds = kWidth >= 8 ? 1 : 8 / kWidth;

// What is summed over lanes in one step: folded at once as far as two vectors go, so that fewer of them
// wait in registers.
struct Products {
  vf v[8] = {};
  LIGHTM_INLINE void put(int n, vf into_C, vf into_B) {
    if constexpr (kWidth >= 8)
      v[n] = fold<4>(into_C, into_B);
    else
      v[n] = into_C, v[4 + n] = into_B;
  }
  // Adds the sums: of the first four lanes and vectors those into C, then those into B.
  LIGHTM_INLINE void add_to(vf *sums) const {
    if constexpr (kWidth >= 8) {
      sums[0] += sums_of_each<2>(v);
    } else {
      for (int i = 0; i < kFolds; ++i) sums[i] += sums_across_lanes(v + i * kWidth);
    }
  }
};

// Takes them out again, for the first `count` states of the group.
LIGHTM_INLINE void take_folded(const vf *sums, int count, float *C, float *B) {
  float flat[kFolds * kWidth];
  std::memcpy(flat, sums, sizeof flat);
  for (int n = 0; n < count; ++n) {
    C[n] += flat[n] + (kWidth == 16 ? flat[8 + n] : 0.0f);
    B[n] += flat[4 + n] + (kWidth == 16 ? flat[12 + n] : 0.0f);
  }
}

// The reverse recurrence for kGroup states over one tile; arguments as in run_group. `before` is the
// state before the tile. g holds a_{t+1} g_{t+1}, the gradient that comes from later steps. `sums` has
// kFolds vectors for each step.
template <int kGroup>
void reverse_group(const ScanInputs &in, int64_t b, int64_t t0, int steps, int n0, const vf *rates, const vf *decays,
                   const vf *states, const vf *before, const vf *grad_y, const Tile &tile, vf *g_memory,
                   vf *grad_A_memory, vf *sums, vf *through_input, vf *through_decay) {
  vf g[kGroup], grad_A[kGroup];
#pragma GCC unroll 8
  for (int n = 0; n < kGroup; ++n) g[n] = g_memory[n], grad_A[n] = grad_A_memory[n];
  const float *B = in.B.at(b, t0 + steps - 1) + n0, *C = in.C.at(b, t0 + steps - 1) + n0;
  for (int t = steps - 1; t >= 0; --t, B -= in.B.row_stride, C -= in.C.row_stride) {
    const vf *decay = decays + t * kGroup, *state = states + t * kGroup;
    const vf *previous = t > 0 ? state - kGroup : before;
    const vf gy = grad_y[t], step = tile.step[t], drive = tile.drive[t];
    vf input = through_input[t], into_rates = through_decay[t];
    Products products;
#pragma GCC unroll 8
    for (int n = 0; n < kGroup; ++n) {
      const vf here = g[n] + gy * C[n];
      products.put(n, gy * state[n], drive * here);
      input += here * B[n];
      g[n] = here * decay[n];
      const vf into_decay = g[n] * previous[n];
      into_rates += into_decay * rates[n];
      grad_A[n] += into_decay * step;
    }
    products.add_to(sums + t * kFolds);
    through_input[t] = input;
    through_decay[t] = into_rates;
  }
#pragma GCC unroll 8
  for (int n = 0; n < kGroup; ++n) g_memory[n] = g[n], grad_A_memory[n] = grad_A[n];
}

int64_t backward_scratch(const ScanShape &shape, int64_t share_channels) {
  const int64_t n = shape.state;
  return vectors(share_channels) * (3 * n + 3) + 2 * n + kStateInterval * (2 * kGroupBackward + n * kFolds);
}

void backward_share(const ScanShape &shape, const ScanInputs &in, const Share &share, const float *states,
                    const Rows &grad_out, const ScanGradients &grads, const ShareSums &to, void *scratch) {
  const int n_count = static_cast<int>(shape.state);
  const int64_t count = vectors(share.last_channel - share.first_channel);
  const int64_t b = share.batch;
  vf *rates = static_cast<vf *>(scratch), *fastest = rates + count * n_count;
  vf *g_all = fastest + count, *grad_A_all = g_all + count * n_count;  // both zeroed below
  vf *grad_D = grad_A_all + count * n_count, *grad_bias = grad_D + count;
  vf *before = grad_bias + count, *h = before + n_count;
  vf *decays = h + n_count, *kept = decays + kStateInterval * kGroupBackward;
  vf *sums = kept + kStateInterval * kGroupBackward;  // a group's part begins at its first state's
  load_rates(in.A, share.first_channel, share.last_channel, n_count, rates, fastest);
  for (vf *p = g_all; p != before; ++p) *p = vf{};
  const Rows grad_u = {grads.u, shape.length * shape.channels, shape.channels};
  const Rows grad_delta = {grads.delta, shape.length * shape.channels, shape.channels};
  const Rows grad_z = {grads.z, shape.length * shape.channels, shape.channels};

  Tile tile;
  vf slope[kStateInterval], grad_y[kStateInterval], through_input[kStateInterval], through_decay[kStateInterval];
  for (int64_t t0 = (shape.intervals() - 1) * kStateInterval; t0 >= 0; t0 -= kStateInterval) {
    const int steps = steps_of(shape.length, t0);
    for (int64_t i = 0; i < kStateInterval * n_count * kFolds; ++i) sums[i] = vf{};
    bool any_single = false;

    for (int64_t i = 0; i < count; ++i) {
      const int64_t channel = share.first_channel + i * kWidth;
      const int lanes = lanes_of(share, channel);
      const vf *rate = rates + i * n_count;
      const int64_t row0 = (b * shape.length + t0) * shape.channels + channel;
      for (int n = 0; n < n_count; ++n)
        h[n] = before[n] = load_part(states + state_at(shape, b, t0, channel) + n * shape.channels, lanes);
      load_tile<true>(in, b, t0, steps, channel, lanes, tile, slope);
      for (int t = 0; t < steps; ++t) {
        grad_y[t] = load_part(grad_out.at(b, t0 + t) + channel, lanes);
        if (in.z.data) {
          const vf z = load_part(in.z.at(b, t0 + t) + channel, lanes);
          grad_y[t] *= z * sigmoid(z);
        }
        through_input[t] = through_decay[t] = vf{};
      }

      Ahead ahead[4];
      const int64_t next = t0 - kStateInterval;
      look_ahead(ahead[0], 0, in.delta, b, next, channel);
      look_ahead(ahead[0], 1, in.u, b, next, channel);
      look_ahead(ahead[1], 0, grad_out, b, next, channel);
      look_ahead(ahead[1], 1, grad_u, b, next, channel);
      look_ahead(ahead[2], 0, grad_delta, b, next, channel);
      if (in.z.data) {
        look_ahead(ahead[2], 1, in.z, b, next, channel);
        look_ahead(ahead[3], 0, grad_z, b, next, channel);
      }
      look_ahead(ahead[3], 1, {states + state_at(shape, b, next, channel), 0, shape.channels}, 0, 0, 0);
      for_groups<kGroupBackward>(in, tile, rate, fastest[i], n_count, [&](auto group, auto exponents, int n) {
        constexpr int kGroup = decltype(group)::value;
        constexpr Exponents kExponents = decltype(exponents)::value;
        any_single |= kGroup == 1;
        const Ahead &here = ahead[n / kGroupBackward < 4 ? n / kGroupBackward : 3];
        if (in.z.data)
          run_group<kGroup, kExponents, true, true>(in, b, t0, steps, n, rate + n, h + n, tile, decays, kept, here);
        else
          run_group<kGroup, kExponents, true, false>(in, b, t0, steps, n, rate + n, h + n, tile, decays, kept, here);
        reverse_group<kGroup>(in, b, t0, steps, n, rate + n, decays, kept, before + n, grad_y, tile,
                              g_all + i * n_count + n, grad_A_all + i * n_count + n,
                              sums + static_cast<int64_t>(n) * kStateInterval * kFolds, through_input, through_decay);
      });

      const vf skip = in.D ? load_part(in.D + channel, lanes) : vf{};
      for (int t = 0; t < steps; ++t) {
        const int64_t place = row0 + t * shape.channels;
        const vf u = load_part(in.u.at(b, t0 + t) + channel, lanes);
        if (in.z.data) {
          const vf z = load_part(in.z.at(b, t0 + t) + channel, lanes), gate = sigmoid(z);
          const vf gy = load_part(grad_out.at(b, t0 + t) + channel, lanes);
          store_part(grads.z + place, gy * (tile.y[t] + skip * u) * gate * (1.0f + z * (1.0f - gate)), lanes);
        }
        // rates are A * log2(e), so the sum through the decay is divided by log2(e) here.
        const vf grad_step = (through_decay[t] * (1.0f / kLog2e) + through_input[t] * u) * slope[t];
        grad_D[i] += grad_y[t] * u;
        grad_bias[i] += grad_step;
        store_part(grads.delta + place, grad_step, lanes);
        store_part(grads.u + place, through_input[t] * tile.step[t] + grad_y[t] * skip, lanes);
      }
    }
    for (int t = 0; t < steps; ++t) {
      float *C = to.C + (t0 + t) * n_count, *B = to.B + (t0 + t) * n_count;
      for (int n = 0; n < n_count; ++n) C[n] = B[n] = 0.0f;
      // A single state's sums are where a group's would begin.
      for (int n = 0; n < n_count; n += any_single ? 1 : kGroupBackward) {
        const int rest = n_count - n, whole = rest < kGroupBackward ? rest : kGroupBackward;
        take_folded(sums + (n * kStateInterval + t) * kFolds, n % kGroupBackward == 0 ? whole : 1, C + n, B + n);
      }
    }
  }

  for (int64_t i = 0; i < count; ++i) {
    const int64_t channel = share.first_channel + i * kWidth;
    const int lanes = lanes_of(share, channel);
    save_channels(grad_A_all + i * n_count, lanes, n_count, to.A + channel * n_count);
    store_part(to.D + channel, grad_D[i], lanes);
    store_part(to.delta_bias + channel, grad_bias[i], lanes);
  }
}

}  // namespace
