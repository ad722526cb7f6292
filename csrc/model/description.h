// What model.json says about a model. models/model_folder.py, networks/lightm_unet.py,
// preprocessing/preprocessing.py and models/likeness.py define its entries; the same are refused here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "images/preprocessing.h"
#include "images/profile.h"
#include "model/status.h"

namespace lightm {

enum class StemKind { dwconv, dwconv_bias, conv, conv_norm };
enum class NormKind { none, batch, instance };
enum class HeadKind { dwconv, dwconv_norm };

// Of a LightM-UNet with one raster-order scan and the causal convolution.
struct NetworkOptions {
  int dims = 2;  // 2 or 3
  int64_t in_channels = 1, classes = 2;
  int64_t width = 32;  // channels behind the stem
  StemKind stem = StemKind::dwconv;
  NormKind norm = NormKind::none;
  HeadKind head = HeadKind::dwconv;
  std::vector<int64_t> encoder_layers = {1, 2, 2};  // RVM layers of each encoder block
  int64_t bottleneck_layers = 4;
  int64_t bottleneck_width = 256;  // channels; always filled in
  double expand = 2;
  int64_t d_state = 16, d_conv = 4;
};

struct Label {
  std::string name;
  uint8_t colour[3];  // red, green, blue
};

struct Description {
  NetworkOptions network;
  Preprocessing preprocessing;
  std::vector<Label> labels;  // the index is the value; 1 to 256
  std::optional<Profile> profile;
  std::string weights_sha256;  // 64 hexadecimal digits, or empty in models of earlier versions
};

// json: the text of model.json, UTF-8. Leaves `description` undefined unless it succeeds.
Status read_description(std::string_view json, Description *description);

}  // namespace lightm
