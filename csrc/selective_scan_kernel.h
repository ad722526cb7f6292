// One thread's share of the scan, for the instruction set that this file is compiled for.
//
// kWidth channels lie in the lanes of a vector, and the states of a group in registers while a tile
// of kStateInterval steps goes by; then the next channels take the same tile. So a tile's rows are
// read while they are in cache, B and C are broadcast from there, and the state moves to memory and
// back once per tile.
#pragma once

#include "channel_blocks.h"

namespace {

using lightm::kStateInterval;
using lightm::ScanGradients;
using lightm::ScanInputs;
using lightm::ScanShape;
using lightm::ShareSums;

// States that are in registers at once. All 16 would fit 32 registers, but leave none for the rates:
// 8 are 8 % faster in the forward recurrence.
constexpr int kGroupOfStates = kWidth == 16 ? 8 : 4;

// Rows from one step of a tile to the same step of the tile that is visited next.
template <bool kForward>
constexpr int kAheadOf = kForward ? kStateInterval : -kStateInterval;

// Steps of one tile, for one block of channels.
struct Tile {
  vf step[kStateInterval];   // delta, after bias and softplus
  vf drive[kStateInterval];  // delta * u
  vf y[kStateInterval];
  vf longest;  // of |step| over the tile; NaN where a step is
};

LIGHTM_INLINE vf step_size(const ScanInputs &in, vf raw) { return in.delta_softplus ? softplus(raw) : raw; }

template <bool kForward>
LIGHTM_INLINE void load_tile(const ScanInputs &in, int64_t b, int64_t t0, int steps, int64_t channel,
                             int lanes, Tile &tile) {
  constexpr int kAhead = kAheadOf<kForward>;
  const vf bias = in.delta_bias ? load_part(in.delta_bias + channel, lanes) : vf{};
  tile.longest = vf{};
  for (int t = 0; t < steps; ++t) {
    const vf raw = load_part(in.delta.at(b, t0 + t) + channel, lanes) + bias;
    // The next tile's rows: their distance is too large for the hardware to foresee them.
    __builtin_prefetch(in.delta.at(b, t0 + t) + kAhead * in.delta.row_stride + channel);
    __builtin_prefetch(in.u.at(b, t0 + t) + kAhead * in.u.row_stride + channel);
    tile.step[t] = step_size(in, raw);
    tile.drive[t] = tile.step[t] * load_part(in.u.at(b, t0 + t) + channel, lanes);
    tile.y[t] = vf{};
    tile.longest = max_or_nan(vabs(tile.step[t]), tile.longest);
  }
}

// The recurrence for kGroup states n0, n0 + 1, ... over one tile. h and rates point at state n0 and
// hold one vector per state; rates are A * log2(e). With kKeep, all decays and states are written
// to `decays` and `states`, n_count vectors for each step.
template <int kGroup, bool kSafe, bool kKeep>
void run_group(const ScanInputs &in, int64_t b, int64_t t0, int steps, int n0, int n_count, const vf *rates,
               vf *h_memory, Tile &tile, vf *decays, vf *states) {
  vf h[kGroup];
  for (int n = 0; n < kGroup; ++n) h[n] = h_memory[n];
  for (int t = 0; t < steps; ++t) {
    const float *B = in.B.at(b, t0 + t) + n0;
    const float *C = in.C.at(b, t0 + t) + n0;
    const vf step = tile.step[t], drive = tile.drive[t];
    vf y[2] = {tile.y[t], vf{}};
#pragma GCC unroll 8
    for (int n = 0; n < kGroup; ++n) {
      const vf decay = kSafe ? exp2_any(step * rates[n]) : exp2_product(step, rates[n]);
      h[n] = decay * h[n] + drive * B[n];
      y[n % 2] += h[n] * C[n];
      if (kKeep) {
        decays[t * n_count + n0 + n] = decay;
        states[t * n_count + n0 + n] = h[n];
      }
    }
    tile.y[t] = y[0] + y[1];
  }
  for (int n = 0; n < kGroup; ++n) h_memory[n] = h[n];
}

// All states over one tile: in groups, then single ones.
template <bool kKeep>
void run_tile(const ScanInputs &in, int64_t b, int64_t t0, int steps, int n_count, const vf *rates,
              vf fastest, vf *h, Tile &tile, vf *decays, vf *states) {
  const bool safe = any_above(tile.longest * fastest, splat(kExp2Limit));
  int n = 0;
  const auto groups = [&](auto group, auto is_safe) {
    constexpr int kGroup = decltype(group)::value;
    constexpr bool kSafe = decltype(is_safe)::value;
    for (; n + kGroup <= n_count; n += kGroup)
      run_group<kGroup, kSafe, kKeep>(in, b, t0, steps, n, n_count, rates + n, h + n, tile, decays, states);
  };
  struct Group { enum { value = kGroupOfStates }; };
  struct Single { enum { value = 1 }; };
  struct Yes { enum { value = true }; };
  struct No { enum { value = false }; };
  if (safe) {
    groups(Single{}, Yes{});
  } else {
    groups(Group{}, No{});
    groups(Single{}, No{});
  }
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

inline int steps_of(const ScanShape &shape, int64_t t0) {
  const int64_t left = shape.length - t0;
  return static_cast<int>(left < kStateInterval ? left : kStateInterval);
}

// Vectors of scratch space that forward_share needs.
int64_t forward_scratch(const ScanShape &shape, int64_t share_channels) {
  return blocks(share_channels) * (2 * shape.state + 1);
}

void forward_share(const ScanShape &shape, const ScanInputs &in, const Share &share, float *out,
                   float *states, void *scratch) {
  const int n_count = static_cast<int>(shape.state);
  const int64_t count = blocks(share.last_channel - share.first_channel);
  vf *rates = static_cast<vf *>(scratch), *fastest = rates + count * n_count, *h_all = fastest + count;
  load_rates(in.A, share.first_channel, share.last_channel, n_count, rates, fastest);
  for (int64_t i = 0; i < count * n_count; ++i) h_all[i] = vf{};

  const int64_t b = share.batch;
  Tile tile;
  for (int64_t t0 = 0; t0 < shape.length; t0 += kStateInterval) {
    const int steps = steps_of(shape, t0);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t channel = share.first_channel + i * kWidth;
      const int lanes = lanes_of(share, channel);
      vf *h = h_all + i * n_count;
      if (states)
        save_state(h, lanes, n_count,
                   states + ((b * shape.intervals() + t0 / kStateInterval) * shape.channels + channel) * n_count);
      load_tile<true>(in, b, t0, steps, channel, lanes, tile);
      run_tile<false>(in, b, t0, steps, n_count, rates + i * n_count, fastest[i], h, tile, nullptr, nullptr);
      const vf skip = in.D ? load_part(in.D + channel, lanes) : vf{};
      for (int t = 0; t < steps; ++t) {
        vf y = tile.y[t];
        if (in.D) y += skip * load_part(in.u.at(b, t0 + t) + channel, lanes);
        if (in.z.data) {
          const vf z = load_part(in.z.at(b, t0 + t) + channel, lanes);
          y *= z * sigmoid(z);
        }
        float *place = out + (b * shape.length + t0 + t) * shape.channels + channel;
        __builtin_prefetch(place + kStateInterval * shape.channels, 1);
        store_part(place, y, lanes);
      }
    }
  }
}

int64_t backward_scratch(const ScanShape &shape, int64_t share_channels) {
  const int64_t n = shape.state;
  return blocks(share_channels) * (3 * n + 3) + n + 4 * kStateInterval * n + n;
}

// The reverse recurrence for kGroup states over one tile; arguments as in run_group. `before` is the
// state before the tile. g holds a_{t+1} g_{t+1}, the gradient that comes from later steps.
template <int kGroup>
void reverse_group(const ScanInputs &in, int64_t b, int64_t t0, int steps, int n0, int n_count,
                   const vf *rates, const vf *decays, const vf *states, const vf *before, const vf *grad_y,
                   const Tile &tile, vf *g_memory, vf *grad_A_memory, vf *grad_B, vf *grad_C,
                   vf *through_input, vf *through_decay) {
  vf g[kGroup], grad_A[kGroup];
  for (int n = 0; n < kGroup; ++n) g[n] = g_memory[n], grad_A[n] = grad_A_memory[n];
  for (int t = steps - 1; t >= 0; --t) {
    const float *B = in.B.at(b, t0 + t) + n0;
    const float *C = in.C.at(b, t0 + t) + n0;
    const int64_t row = static_cast<int64_t>(t) * n_count + n0;
    const vf *previous = t > 0 ? states + row - n_count : before + n0;
    const vf gy = grad_y[t], step = tile.step[t], drive = tile.drive[t];
    vf input{}, decay{};
#pragma GCC unroll 8
    for (int n = 0; n < kGroup; ++n) {
      const vf here = g[n] + gy * C[n];
      grad_C[row + n] += gy * states[row + n];
      grad_B[row + n] += drive * here;
      input += here * B[n];
      g[n] = here * decays[row + n];
      const vf into_decay = g[n] * previous[n];
      decay += into_decay * rates[n];
      grad_A[n] += into_decay * step;
    }
    through_input[t] += input;
    through_decay[t] += decay;
  }
  for (int n = 0; n < kGroup; ++n) g_memory[n] = g[n], grad_A_memory[n] = grad_A[n];
}

// Sums over lanes of `rows` rows of n_count vectors, added to rows of n_count floats.
void add_lane_sums(const vf *v, int rows, int n_count, float *out) {
  for (int t = 0; t < rows; ++t, v += n_count, out += n_count) {
    for (int n = 0; n < n_count; n += kWidth) {
      const int lanes = n_count - n < kWidth ? n_count - n : kWidth;
      vf padded[kWidth];
      for (int i = 0; i < kWidth; ++i) padded[i] = i < lanes ? v[n + i] : vf{};
      store_part(out + n, load_part(out + n, lanes) + sums_across_lanes(padded), lanes);
    }
  }
}

void backward_share(const ScanShape &shape, const ScanInputs &in, const Share &share, const float *states,
                    const Rows &grad_out, const ScanGradients &grads, const ShareSums &sums, void *scratch) {
  const int n_count = static_cast<int>(shape.state);
  const int64_t count = blocks(share.last_channel - share.first_channel);
  const int64_t b = share.batch, per_tile = static_cast<int64_t>(kStateInterval) * n_count;
  vf *rates = static_cast<vf *>(scratch), *fastest = rates + count * n_count;
  vf *g_all = fastest + count, *grad_A_all = g_all + count * n_count;  // both zeroed below
  vf *grad_D = grad_A_all + count * n_count, *grad_bias = grad_D + count;
  vf *before = grad_bias + count, *h = before + n_count;
  vf *decay = h + n_count, *kept = decay + per_tile, *grad_B = kept + per_tile, *grad_C = grad_B + per_tile;
  load_rates(in.A, share.first_channel, share.last_channel, n_count, rates, fastest);
  for (vf *p = g_all; p != before; ++p) *p = vf{};

  Tile tile;
  vf grad_y[kStateInterval], through_input[kStateInterval], through_decay[kStateInterval];
  for (int64_t t0 = (shape.intervals() - 1) * kStateInterval; t0 >= 0; t0 -= kStateInterval) {
    const int steps = steps_of(shape, t0);
    for (int64_t i = 0; i < steps * n_count; ++i) grad_B[i] = grad_C[i] = vf{};

    for (int64_t i = 0; i < count; ++i) {
      const int64_t channel = share.first_channel + i * kWidth;
      const int lanes = lanes_of(share, channel);
      const vf *rate = rates + i * n_count;
      const int64_t row0 = (b * shape.length + t0) * shape.channels + channel;
      load_state(states + ((b * shape.intervals() + t0 / kStateInterval) * shape.channels + channel) * n_count,
                 lanes, n_count, before);
      for (int n = 0; n < n_count; ++n) h[n] = before[n];
      load_tile<false>(in, b, t0, steps, channel, lanes, tile);
      run_tile<true>(in, b, t0, steps, n_count, rate, fastest[i], h, tile, decay, kept);

      const vf skip = in.D ? load_part(in.D + channel, lanes) : vf{};
      for (int t = 0; t < steps; ++t) {
        const vf u = load_part(in.u.at(b, t0 + t) + channel, lanes);
        vf gy = load_part(grad_out.at(b, t0 + t) + channel, lanes);
        __builtin_prefetch(grad_out.at(b, t0 + t) + kAheadOf<false> * grad_out.row_stride + channel);
        if (in.z.data) {
          const vf z = load_part(in.z.at(b, t0 + t) + channel, lanes);
          const vf gate = sigmoid(z);
          const vf grad_z = gy * (tile.y[t] + skip * u) * gate * (1.0f + z * (1.0f - gate));
          store_part(grads.z + row0 + t * shape.channels, grad_z, lanes);
          gy *= z * gate;
        }
        grad_y[t] = gy;
        grad_D[i] += gy * u;
        through_input[t] = through_decay[t] = vf{};
      }

      int n = 0;
      const auto groups = [&](auto group) {
        constexpr int kGroup = decltype(group)::value;
        for (; n + kGroup <= n_count; n += kGroup)
          reverse_group<kGroup>(in, b, t0, steps, n, n_count, rate + n, decay, kept, before, grad_y, tile,
                                g_all + i * n_count + n, grad_A_all + i * n_count + n, grad_B, grad_C,
                                through_input, through_decay);
      };
      struct Group { enum { value = kGroupOfStates }; };
      struct Single { enum { value = 1 }; };
      groups(Group{});
      groups(Single{});

      const vf bias = in.delta_bias ? load_part(in.delta_bias + channel, lanes) : vf{};
      for (int t = 0; t < steps; ++t) {
        const vf u = load_part(in.u.at(b, t0 + t) + channel, lanes);
        // rates are A * log2(e), so the sum through the decay is divided by log2(e) here.
        vf grad_step = through_decay[t] * (1.0f / kLog2e) + through_input[t] * u;
        if (in.delta_softplus)
          grad_step *= sigmoid(load_part(in.delta.at(b, t0 + t) + channel, lanes) + bias);
        grad_bias[i] += grad_step;
        store_part(grads.delta + row0 + t * shape.channels, grad_step, lanes);
        store_part(grads.u + row0 + t * shape.channels, through_input[t] * tile.step[t] + grad_y[t] * skip, lanes);
      }
    }
    add_lane_sums(grad_B, steps, n_count, sums.B + t0 * n_count);
    add_lane_sums(grad_C, steps, n_count, sums.C + t0 * n_count);
  }

  for (int64_t i = 0; i < count; ++i) {
    const int64_t channel = share.first_channel + i * kWidth;
    const int lanes = lanes_of(share, channel);
    save_state(grad_A_all + i * n_count, lanes, n_count, sums.A + channel * n_count);
    store_part(sums.D + channel, grad_D[i], lanes);
    store_part(sums.delta_bias + channel, grad_bias[i], lanes);
  }
}

}  // namespace
