// Damaged models and images that fit no model, thousands of them: whatever comes, a code and a sentence, and nothing
// for AddressSanitizer and UndefinedBehaviorSanitizer to find. Built and run by test_sanitizers.py.
//
//     fuzz ROUNDS MODEL.json MODEL.safetensors ...
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "files.h"

namespace {

std::mt19937 g_source(20261128);

int64_t below(int64_t count) { return static_cast<int64_t>(g_source() % static_cast<uint64_t>(count)); }

template <class T, size_t kCount>
const T &one_of(const T (&values)[kCount]) {
  return values[below(kCount)];
}

constexpr const char *kPieces[] = {"0",
                                   "-1",
                                   "1e999",
                                   "-0.0",
                                   "1048576",
                                   "9007199254740993",
                                   "18446744073709551616",
                                   "null",
                                   "true",
                                   "[]",
                                   "{}",
                                   "\"\"",
                                   "[[",
                                   "}",
                                   "\"",
                                   ",",
                                   ":",
                                   "\\u",
                                   "\\ud800",
                                   "\x80",
                                   "\xff",
                                   "\"F32\"",
                                   "1e-9",
                                   "2",
                                   "3",
                                   "[0,0]",
                                   "\"instance\"",
                                   "\"batch\""};

std::string mutated(std::string text) {
  for (int64_t changes = 1 + below(3); changes > 0; --changes) {
    if (text.empty()) return text;
    const size_t at = static_cast<size_t>(below(static_cast<int64_t>(text.size())));
    const size_t size = static_cast<size_t>(1 + below(12));
    switch (below(6)) {
      case 0:
        text[at] = static_cast<char>(g_source());
        break;
      case 1:
        text.erase(at, size);
        break;
      case 2:
        text.insert(at, one_of(kPieces));
        break;
      case 3:
        text.insert(at, text.substr(at, size * 8));
        break;
      case 4: {  // another number where there is one
        const size_t first = text.find_first_of("0123456789", at);
        if (first == std::string::npos) break;
        const size_t last = text.find_first_not_of("0123456789.", first);
        text.replace(first, (last == std::string::npos ? text.size() : last) - first, one_of(kPieces));
        break;
      }
      default:
        text.resize(at);
    }
  }
  return text;
}

// A safetensors file whose table is damaged, or its numbers, or its length.
std::string mutated_weights(std::string file) {
  uint64_t table_size;
  std::memcpy(&table_size, file.data(), 8);
  switch (below(4)) {
    case 0: {  // the table, its size being right
      const std::string table = mutated(file.substr(8, table_size));
      table_size = table.size();
      std::string whole(8, '\0');
      std::memcpy(&whole[0], &table_size, 8);
      return whole + table + file.substr(8 + static_cast<size_t>(table_size));
    }
    case 1:
      file.resize(static_cast<size_t>(below(static_cast<int64_t>(file.size()))));
      return file;
    case 2:
      table_size = below(2) ? static_cast<uint64_t>(below(static_cast<int64_t>(2 * file.size())))
                            : static_cast<uint64_t>(g_source()) << 40;
      std::memcpy(&file[0], &table_size, 8);
      return file;
    default:  // the numbers, which may then be anything
      for (int i = 0; i < 20; ++i) {
        const size_t numbers = file.size() - 8 - static_cast<size_t>(table_size);
        file[file.size() - 1 - static_cast<size_t>(below(static_cast<int64_t>(numbers)))] ^=
            static_cast<char>(1 << below(8));
      }
      return file;
  }
}

int64_t a_size() {
  constexpr int64_t kSizes[] = {1, 1, 2, 3, 5, 7, 8, 9, 16, 17, 24, 31};
  constexpr int64_t kAbsurd[] = {0,
                                 -1,
                                 100000,
                                 100001,
                                 int64_t{1} << 31,
                                 int64_t{1} << 62,
                                 std::numeric_limits<int64_t>::min(),
                                 std::numeric_limits<int64_t>::max()};
  return below(8) == 0 ? one_of(kAbsurd) : one_of(kSizes);
}

double a_number() {
  constexpr double kNumbers[] = {0,
                                 1,
                                 -1,
                                 0.5,
                                 3,
                                 -2.5,
                                 1e-30,
                                 1e30,
                                 1e300,
                                 std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::quiet_NaN()};
  return one_of(kNumbers);
}

lightm_options some_options() {
  lightm_options options = LIGHTM_DEFAULT_OPTIONS;
  options.memory_limit = 20 << 20;
  if (below(4) == 0) options.overlap = a_number();
  if (below(8) == 0) options.threads = static_cast<int32_t>(g_source());
  if (below(8) == 0) options.struct_size = static_cast<size_t>(below(64));
  return options;
}

void try_network(lightm_model *model) {
  const lightm_options options = some_options();
  const int64_t grid[3] = {a_size(), a_size(), a_size()};
  uint64_t bytes = 0;
  if (lightm_network_memory(model, grid, &options, &bytes) == LIGHTM_OK && bytes <= options.memory_limit)
    run_network(model, grid, options);
}

void try_image(lightm_model *model) {
  const lightm_options options = some_options();
  lightm_image image = {};
  image.struct_size = below(16) == 0 ? static_cast<size_t>(below(80)) : sizeof image;
  image.dims = below(8) == 0 ? static_cast<int32_t>(below(6)) - 1 : lightm_dims(model);
  for (int64_t &size : image.shape) size = a_size();
  double affine[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
  for (int64_t i = below(3) ? 0 : below(12); i > 0; --i) affine[below(16)] = a_number();
  if (below(3)) image.affine = affine;
  uint64_t bytes = 0;
  if (lightm_memory(model, &image, &options, &bytes) != LIGHTM_OK || bytes > options.memory_limit) return;
  const int64_t voxels = product(image.shape, image.dims);
  if (voxels > int64_t{1} << 20) return;
  std::vector<float> values(static_cast<size_t>(voxels * lightm_channels(model)));
  for (float &value : values)
    value = below(64) == 0 && below(4) == 0 ? static_cast<float>(a_number()) : static_cast<float>(below(1000));
  std::vector<uint8_t> labels(static_cast<size_t>(voxels));
  std::vector<float> probabilities(static_cast<size_t>(voxels * lightm_label_count(model)));
  image.values = values.data();
  lightm_result result = {};
  result.struct_size = sizeof result;
  result.labels = labels.data();
  result.probabilities = below(2) ? probabilities.data() : nullptr;
  if (lightm_segment(model, &image, &options, &result) != LIGHTM_OK) return;
  for (const uint8_t label : labels)
    if (label >= lightm_label_count(model)) std::fprintf(stderr, "a label that there is not\n"), std::abort();
}

void try_model(const std::string &json, const std::string &weights, int *opened) {
  lightm_model *model = nullptr;
  const int code = open_model(json, weights, &model);
  if ((code == LIGHTM_OK) != (model != nullptr)) std::fprintf(stderr, "a model in spite of an error\n"), std::abort();
  if (code != LIGHTM_OK && (code == LIGHTM_INTERNAL || *lightm_error() == '\0'))
    std::fprintf(stderr, "code %d: %s\n", code, lightm_error()), std::abort();
  if (code != LIGHTM_OK) return;
  ++*opened;
  try_network(model);
  try_image(model);
  lightm_close(model);
}

}  // namespace

int main(int count, char **words) {
  const int rounds = std::atoi(words[1]);
  for (int file = 2; file + 1 < count; file += 2) {
    const std::string json = read_file(words[file]), weights = read_file(words[file + 1]);
    int opened = 0;
    for (int round = 0; round < rounds; ++round) {
      try_model(mutated(json), weights, &opened);
      try_model(json, mutated_weights(weights), &opened);
      if (round % 8 == 0) try_model(json, weights, &opened);
    }
    std::printf("%d\n", opened);
  }
}
