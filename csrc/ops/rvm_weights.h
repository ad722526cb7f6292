// The weights of an RVM layer: the one list of their names, order and shapes.
//
// X(name, sizes...) for each; `s` in the sizes is the layer's RvmShape. Python hands the weights over in
// this order, which it takes from the extension.
#pragma once

// clang-format off
#define LIGHTM_RVM_WEIGHTS(X)                           \
  X(norm_weight, s.channels)                            \
  X(norm_bias, s.channels)                              \
  X(in_proj, 2 * s.inner, s.channels)                   \
  X(conv_weight, s.inner, s.conv_width)                 \
  X(conv_bias, s.inner)                                 \
  X(x_proj, s.rank + 2 * s.state, s.inner)              \
  X(dt_weight, s.inner, s.rank)                         \
  X(dt_bias, s.inner)                                   \
  X(A_log, s.inner, s.state)                            \
  X(D, s.inner)                                         \
  X(scan_norm_weight, s.inner)                          \
  X(scan_norm_bias, s.inner)                            \
  X(out_proj, s.channels, s.inner)                      \
  X(scale, s.channels)                                  \
  X(projection_norm_weight, s.channels)                 \
  X(projection_norm_bias, s.channels)                   \
  X(projection_weight, s.out_channels, s.channels)      \
  X(projection_bias, s.out_channels)
// clang-format on

namespace lightm {

// All dense, named and shaped as the layer's parameters.
struct RvmWeights {
#define LIGHTM_POINTER(name, ...) const float *name;
  LIGHTM_RVM_WEIGHTS(LIGHTM_POINTER)
#undef LIGHTM_POINTER
  float epsilon;  // of all three LayerNorms
};

// A weight's place in the list, such as RvmWeight::A_log.
struct RvmWeight {
  enum Place {
#define LIGHTM_PLACE(name, ...) name,
    LIGHTM_RVM_WEIGHTS(LIGHTM_PLACE)
#undef LIGHTM_PLACE
        count
  };
};

constexpr const char *kRvmWeightNames[] = {
#define LIGHTM_NAME(name, ...) #name,
    LIGHTM_RVM_WEIGHTS(LIGHTM_NAME)
#undef LIGHTM_NAME
};

}  // namespace lightm
