#include "images/percentiles.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lightm {
namespace {

// Keys are ordered as the numbers are; -0 and 0 are one number.
uint32_t key_of(float value) {
  value += 0.0f;
  int32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint32_t>(bits ^ (bits >> 31 | INT32_MIN));  // all bits of a negative number, or its sign
}

float value_of(uint32_t key) {
  const uint32_t bits = key ^ (key >> 31 ? 0x80000000u : 0xffffffffu);
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

constexpr int kBits[3] = {11, 11, 10}, kShift[3] = {21, 10, 0};
constexpr int64_t kBins = 1 << 11;
// Histograms that take turns: adding to one number again and again, as equal neighbours would, is slow.
constexpr int64_t kTurns = 2;

// The keys are looked at in three pieces, the highest first. Every group of ranks whose keys begin alike has a
// histogram of the next piece; what belongs to no group is counted in one more, which nobody reads.
struct Groups {
  int count = 1;
  uint8_t of_first[kBins] = {};  // group, by the first piece
  uint8_t *of_second;            // group, by the group of the first piece and the second piece

  template <int kRound>
  int64_t bin(uint32_t key) const {
    if constexpr (kRound == 0) return piece(0, key);
    const int64_t first = of_first[piece(0, key)];
    if constexpr (kRound == 1) return first * kBins + piece(1, key);
    return of_second[first * kBins + piece(1, key)] * kBins + piece(2, key);
  }
  static uint32_t piece(int round, uint32_t key) { return key >> kShift[round] & ((1u << kBits[round]) - 1); }

  // The first bin of a key's group.
  int64_t bins_of(int round, uint32_t key) const {
    return (round == 0 ? bin<0>(key) : round == 1 ? bin<1>(key) : bin<2>(key)) / kBins * kBins;
  }
};

// Keys in blocks, since their arithmetic is done in vectors.
template <int kRound>
void count_keys(const Numbers &numbers, const Groups &groups, int64_t each, int64_t *bins) {
  constexpr int64_t kBlock = 512;
  uint32_t keys[kBlock];
  for (int64_t from = 0; from < numbers.count; from += kBlock) {
    const int64_t count = std::min(kBlock, numbers.count - from);
    for (int64_t i = 0; i < count; ++i) keys[i] = key_of(numbers.values[from + i] / numbers.divisor);
    for (int64_t i = 0; i < count; ++i) ++bins[i % kTurns * each + groups.bin<kRound>(keys[i])];
  }
}

// For each rank a group, and one more.
int64_t most_bins(int count) { return (count + 1) * kBins; }

}  // namespace

int64_t rank_scratch(int count) {
  constexpr int64_t kEach = kTurns * int64_t{sizeof(int64_t)} + 1;  // bytes of a bin, and of its place in of_second
  return most_bins(count) * kEach / int64_t{sizeof(float)};
}

void select_ranks(const Numbers &numbers, const int64_t *ranks, int count, float *found, float *scratch) {
  int64_t *bins = reinterpret_cast<int64_t *>(scratch);
  Groups groups;
  groups.of_second = reinterpret_cast<uint8_t *>(bins + kTurns * most_bins(count));
  uint32_t keys[kMostRanks] = {};  // as far as they are known
  int64_t rest[kMostRanks];        // rank among the numbers that begin with what is known
  for (int i = 0; i < count; ++i) rest[i] = ranks[i];
  for (int round = 0; round < 3; ++round) {
    const int64_t each = (groups.count + 1) * kBins;
    std::fill(bins, bins + kTurns * each, 0);
    (round == 0 ? count_keys<0> : round == 1 ? count_keys<1> : count_keys<2>)(numbers, groups, each, bins);
    for (int64_t i = each; i < kTurns * each; ++i) bins[i % each] += bins[i];
    // Each rank's next piece; ranks come in any order, but few of them.
    int64_t bins_of_rank[kMostRanks];
    for (int i = 0; i < count; ++i) {
      bins_of_rank[i] = groups.bins_of(round, keys[i]);
      const int64_t *own = bins + bins_of_rank[i];
      uint32_t piece = 0;
      while (rest[i] >= own[piece]) rest[i] -= own[piece++];
      keys[i] |= piece << kShift[round];
    }
    if (round == 2) break;
    // New groups: ranks with equal keys so far share one.
    const int old = groups.count;
    groups.count = 0;
    int fresh[kMostRanks];
    for (int i = 0; i < count; ++i) {
      int same = 0;
      while (same < i && keys[same] != keys[i]) ++same;
      fresh[i] = same < i ? fresh[same] : groups.count++;
    }
    if (round == 0)
      std::memset(groups.of_first, groups.count, sizeof groups.of_first);
    else
      std::memset(groups.of_second, groups.count, most_bins(old));
    for (int i = 0; i < count; ++i) {
      if (round == 0)
        groups.of_first[Groups::piece(0, keys[i])] = static_cast<uint8_t>(fresh[i]);
      else
        groups.of_second[bins_of_rank[i] + Groups::piece(1, keys[i])] = static_cast<uint8_t>(fresh[i]);
    }
  }
  for (int i = 0; i < count; ++i) found[i] = value_of(keys[i]);
}

PercentilePlace PercentilePlace::of(double percent, int64_t count) {
  const double place = static_cast<double>(count - 1) * (percent / 100);
  if (place >= static_cast<double>(count - 1)) return {count - 1, count - 1, 0};
  const double before = std::floor(place);
  return {static_cast<int64_t>(before), static_cast<int64_t>(before) + 1, place - before};
}

double PercentilePlace::between(float a, float b) const {
  const double step = b - a;
  return part >= 0.5 ? b - step * (1 - part) : a + step * part;
}

float PercentilePlace::between_float32(float a, float b) const {
  const float step = b - a;
  return part >= 0.5 ? b - step * static_cast<float>(1 - part) : a + step * static_cast<float>(part);
}

void find_percentiles(const Numbers &numbers, const double *percents, int count, double *percentiles, float *scratch) {
  PercentilePlace places[kMostRanks / 2];
  int64_t ranks[kMostRanks] = {};
  float found[kMostRanks];
  for (int i = 0; i < count; ++i) {
    places[i] = PercentilePlace::of(percents[i], numbers.count);
    ranks[2 * i] = places[i].before;
    ranks[2 * i + 1] = places[i].after;
  }
  select_ranks(numbers, ranks, 2 * count, found, scratch);
  for (int i = 0; i < count; ++i) percentiles[i] = places[i].between(found[2 * i], found[2 * i + 1]);
}

}  // namespace lightm
