// What the programs of this folder share: a model's files, and calls on small images.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "capi.h"

inline std::string read_file(const char *path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) std::fprintf(stderr, "cannot read %s\n", path), std::exit(2);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Memory of exactly this size: nothing behind it may be read.
inline std::vector<char> exactly(const std::string &bytes) { return {bytes.begin(), bytes.end()}; }

inline int open_model(const std::string &json, const std::string &weights, lightm_model **model) {
  const std::vector<char> a = exactly(json), b = exactly(weights);
  return lightm_open(a.data(), a.size(), b.data(), b.size(), model);
}

inline int64_t product(const int64_t *sizes, int count) {
  int64_t all = 1;
  for (int i = 0; i < count; ++i) all *= sizes[i];
  return all;
}

// The network alone, on zeros.
inline int run_network(lightm_model *model, const int64_t *grid, const lightm_options &options) {
  const size_t voxels = static_cast<size_t>(product(grid, lightm_dims(model)));
  const std::vector<float> input(voxels * static_cast<size_t>(lightm_channels(model)));
  std::vector<float> logits(voxels * static_cast<size_t>(lightm_label_count(model)));
  return lightm_run_network(model, input.data(), grid, &options, logits.data());
}
