// The selective scan on the CPU, forward and backward. No torch, no Python: plain pointers.
//
// Layout is token-major: a row is one step of the sequence and holds all channels (or all states)
// side by side; rows may be slices of wider rows. The recurrence, the symbols and the derivation of
// the gradients stand in src/lightm_unet/ops/reference.py and src/lightm_unet/ops/README.md.
#pragma once

#include <cstdint>

namespace lightm {

// One state is kept for the backward pass every so many steps; everything between two kept states
// is computed again. 32 keeps the memory at half the input's for 16 states per channel.
constexpr int kStateInterval = 32;

struct ScanShape {
  int64_t batch, length, channels, state;
  int64_t intervals() const { return (length + kStateInterval - 1) / kStateInterval; }
};

// Rows of a (batch, length, width) array whose last axis is dense; strides count floats.
struct Rows {
  const float *data = nullptr;
  int64_t batch_stride = 0, row_stride = 0;
  const float *at(int64_t batch, int64_t step) const { return data + batch * batch_stride + step * row_stride; }
};

struct ScanInputs {
  Rows u, delta, B, C;
  Rows z;                             // data == nullptr: no gate
  const float *A;                     // (channels, state), dense
  const float *D = nullptr;           // (channels,) or nullptr
  const float *delta_bias = nullptr;  // (channels,) or nullptr
  bool delta_softplus = false;
};

// out: (batch, length, channels), dense.
// states: (batch, intervals, state, channels), dense, the state before each interval; or nullptr.
void scan_forward(const ScanShape &shape, const ScanInputs &inputs, float *out, float *states, int threads);

// Where the gradients go; all dense. A pointer is null exactly where the input is absent.
struct ScanGradients {
  float *u, *delta, *A, *B, *C, *D, *z, *delta_bias;
};

void scan_backward(const ScanShape &shape, const ScanInputs &inputs, const float *states, Rows grad_out,
                   const ScanGradients &gradients, int threads);

}  // namespace lightm
