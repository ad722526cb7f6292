#include "model/image_checks.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace lightm {
namespace {

constexpr double kLonger = 1.5;      // a volume may be this many times as long as the longest one in training
constexpr double kFarthest = 1e12;   // mm
constexpr double kSingular = 1e-4;   // determinant of unit directions: 1 for right angles, 0 for a flattened grid
constexpr double kMostBytes = 4e13;  // of an image; no memory is as large

Status refuse(Code code, std::string_view found, std::string_view expected, std::string_view advice) {
  std::string sentence = "found ";
  sentence.append(found).append("; expected ").append(expected).append("; ").append(advice);
  return Status(code, std::move(sentence));
}

// A positive number with 6 digits that count, as Python's format "g" but never with an exponent.
std::string number_text(double value) {
  double power = 1;
  size_t decimals = 0;
  for (; decimals < 12 && value * power < 99999.5; ++decimals) power *= 10;
  const double scaled = std::rint(value * power);
  if (scaled > 9e18) return "more than 9000000000000000000";
  std::string text = std::to_string(static_cast<int64_t>(scaled));
  if (text.size() <= decimals) text.insert(0, decimals + 1 - text.size(), '0');
  if (decimals == 0) return text;
  text.insert(text.size() - decimals, 1, '.');
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

// "30 x 41 x 20 mm", rounded.
std::string lengths_text(const double *lengths_mm, int count) {
  int64_t whole[3];
  for (int axis = 0; axis < count; ++axis)
    whole[axis] = static_cast<int64_t>(std::min(std::rint(lengths_mm[axis]), 9e18));
  return sizes_text(whole, count) + " mm";
}

Status check_shape(const Image &image, int64_t channels) {
  if (image.dims != 2 && image.dims != 3)
    return refuse(Code::bad_argument, "an image of " + std::to_string(image.dims) + " dimensions", "2 or 3",
                  "pass one picture or volume");
  double bytes = sizeof(float) * static_cast<double>(channels);
  for (int axis = 0; axis < image.dims; ++axis) {
    if (image.shape[axis] < 1)
      return refuse(Code::bad_argument, "shape " + sizes_text(image.shape, image.dims), "at least one voxel",
                    "pass a whole image");
    if (image.shape[axis] > kLongestAxis)
      return refuse(Code::too_large, "shape " + sizes_text(image.shape, image.dims),
                    "at most " + std::to_string(kLongestAxis) + " voxels along an axis", "cut the image into parts");
    bytes *= static_cast<double>(image.shape[axis]);
  }
  if (bytes > kMostBytes)
    return refuse(Code::too_large, "shape " + sizes_text(image.shape, image.dims), "an image that a memory holds",
                  "check its sizes");
  return {};
}

Status check_affine(const double *affine) {
  const char *expected = "16 finite numbers that map voxels to mm";
  const char *advice = "export the image again with its position and voxel size";
  double largest = 0;
  for (int i = 0; i < 16; ++i) {
    if (!std::isfinite(affine[i])) return bad_image("an affine with NaN or infinite numbers", expected, advice);
    largest = std::max(largest, std::fabs(affine[i]));
  }
  if (largest > kFarthest) return bad_image("an affine with " + number_text(largest), expected, advice);
  const auto singular = [&] { return bad_image("a singular affine", "an affine that can be inverted", advice); };
  double unit[3][3];
  for (int axis = 0; axis < 3; ++axis) {
    const double x = affine[axis], y = affine[4 + axis], z = affine[8 + axis];
    const double length = std::sqrt(x * x + y * y + z * z);
    if (length < 1 / kFarthest) return singular();
    unit[0][axis] = x / length, unit[1][axis] = y / length, unit[2][axis] = z / length;
  }
  const double determinant = unit[0][0] * (unit[1][1] * unit[2][2] - unit[1][2] * unit[2][1]) -
                             unit[0][1] * (unit[1][0] * unit[2][2] - unit[1][2] * unit[2][0]) +
                             unit[0][2] * (unit[1][0] * unit[2][1] - unit[1][1] * unit[2][0]);
  return std::fabs(determinant) < kSingular ? singular() : Status();
}

FileGrid file_grid(const Image &image) {
  FileGrid grid;
  grid.dims = image.dims;
  grid.picture = image.affine == nullptr && image.dims == 2;
  for (int axis = 0; axis < image.dims; ++axis) grid.shape[axis] = image.shape[axis];
  for (int row = 0; row < 3; ++row)
    for (int axis = 0; axis < 3; ++axis)
      grid.steps[row][axis] = image.affine == nullptr ? row == axis : image.affine[4 * row + axis];
  return grid;
}

// A grid that no memory holds, from voxels that are too large.
Status check_grid(const GridRecord &record, int64_t channels, uint64_t memory_limit) {
  double bytes = sizeof(float) * static_cast<double>(channels);
  int64_t longest = 0;
  for (int axis = 0; axis < 3; ++axis) {
    bytes *= static_cast<double>(record.seen[axis]);
    longest = std::max(longest, record.seen[axis]);
  }
  const double most = memory_limit != 0 ? std::min(static_cast<double>(memory_limit), kMostBytes) : kMostBytes;
  if (bytes <= most && longest <= kLongestAxis) return {};
  std::string found = "voxels of ";
  for (int axis = 3 - record.dims; axis < 3; ++axis)
    found.append(axis > 3 - record.dims ? " x " : "").append(number_text(record.spacing_mm[axis]));
  const char *advice = "check the voxel size and its unit in the file's header";
  if (bytes <= most)
    return refuse(Code::too_large, found + " mm, which on the model's grid are " + std::to_string(longest) + " voxels",
                  "at most " + std::to_string(kLongestAxis) + " along an axis", advice);
  found.append(" mm, which on the model's grid take ").append(number_text(std::rint(bytes / 1e6))).append(" MB");
  return refuse(Code::too_large, found, "at most " + megabytes_text(static_cast<uint64_t>(most)), advice);
}

// A volume that shows far more of the body than any training volume.
Status check_extent(const Profile &profile, const GridRecord &record) {
  if (profile.longest_mm.empty()) return {};
  double extent_mm[3];
  bool longer = false;
  for (int i = 0; i < record.dims; ++i) {
    const int axis = i + 3 - record.dims;
    extent_mm[i] = static_cast<double>(record.canonical[axis]) * record.spacing_mm[axis];
    longer |= extent_mm[i] > kLonger * profile.longest_mm[i];
  }
  if (!longer) return {};
  return bad_image("a volume of " + lengths_text(extent_mm, record.dims),
                   "at most 1.5 times the largest volume that the model was trained on, " +
                       lengths_text(profile.longest_mm.data(), record.dims),
                   "cut out the region that the model is for, as its card says");
}

}  // namespace

Status check_image(const Description &description, const Image &image, uint64_t memory_limit, GridRecord *record) {
  const Preprocessing &preprocessing = description.preprocessing;
  if (Status status = check_shape(image, preprocessing.channels); !status.ok()) return status;
  if (image.affine != nullptr)
    if (Status status = check_affine(image.affine); !status.ok()) return status;
  const FileGrid grid = match_grid(file_grid(image), preprocessing.dims);
  if (grid.dims != preprocessing.dims) {
    const std::string channels = std::to_string(preprocessing.channels) + " channel(s)";
    return bad_image("a " + std::to_string(grid.dims) + "D image with " + channels,
                     std::to_string(preprocessing.dims) + "D with " + channels,
                     "use the images that the model or the data set was made for");
  }
  *record = record_grid(grid, preprocessing);
  if (Status status = check_grid(*record, preprocessing.channels, memory_limit); !status.ok()) return status;
  return description.profile ? check_extent(*description.profile, *record) : Status();
}

Status bad_image(std::string_view found, std::string_view expected, std::string_view advice) {
  return refuse(Code::bad_image, found, expected, advice);
}

}  // namespace lightm
