// What is known of an image before its intensities are looked at, and what is refused then, in the words of Python's
// DataError.
#pragma once

#include <cstdint>
#include <string_view>

#include "images/grid_record.h"
#include "model/description.h"
#include "model/status.h"

namespace lightm {

// An image as its file stores it.
struct Image {
  const float *values = nullptr;  // (channels of the model, shape), dense; the checks do not read it
  int dims = 2;                   // 2 or 3
  int64_t shape[3] = {1, 1, 1};
  const double *affine = nullptr;  // 4x4, row by row, voxel to world in mm, RAS+; nullptr for a picture
};

// Refuses an image of other dimensions than the model's, one that lies nowhere, one far larger than any that the model
// was trained on, and one whose grid takes more than `memory_limit` bytes (0: than any memory has).
Status check_image(const Description &description, const Image &image, uint64_t memory_limit, GridRecord *record);

// Code::bad_image.
Status bad_image(std::string_view found, std::string_view expected, std::string_view advice);

}  // namespace lightm
