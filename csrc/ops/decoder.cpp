#include "ops/decoder.h"

#include <algorithm>
#include <vector>

#include "ops/instruction_set.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace lightm {
namespace {

// Blocks of this many rows keep a ring of three planes in the second-level cache at 32 channels and
// 128 tokens a row.
constexpr int64_t kBlockRows = 16;

// Blocks of rows first; then slabs of depth, until every thread has a few items.
std::vector<DecoderItem> items_of(const DecoderShape &s, int threads) {
  const int64_t blocks = (s.height + kBlockRows - 1) / kBlockRows;
  const int64_t wanted = (4 * threads + s.batch * blocks - 1) / (s.batch * blocks);
  const int64_t slabs = std::max<int64_t>(1, std::min(wanted, s.depth / 8));
  std::vector<DecoderItem> items;
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t slab = 0; slab < slabs; ++slab)
      for (int64_t block = 0; block < blocks; ++block)
        items.push_back({b, s.depth * slab / slabs, s.depth * (slab + 1) / slabs, block * kBlockRows,
                         std::min((block + 1) * kBlockRows, s.height)});
  return items;
}

size_t rounded(int64_t floats) { return static_cast<size_t>((floats + 15) / 16 * 16); }

}  // namespace

void decoder_stage(const DecoderShape &shape, const DecoderInputs &inputs, float *out, int threads) {
  const KernelTable &table = kernels();
  const std::vector<DecoderItem> items = items_of(shape, threads);
  const int64_t count = static_cast<int64_t>(items.size());
  const int64_t members = std::min<int64_t>(threads, count);
  const size_t weights_floats = rounded(table.decoder_weights_size(shape));
  const size_t each = rounded(table.decoder_scratch(shape, kBlockRows) * table.width);
  Workspace workspace((weights_floats + members * each) * sizeof(float));
  const DecoderWeights weights = table.decoder_prepare(shape, inputs, workspace.data());
  // A thread's items use its own scratch space one after another.
  std::atomic<int64_t> next{0};
  parallel_for(members, static_cast<int>(members), [&](int64_t member) {
    float *scratch = workspace.data() + weights_floats + member * each;
    for (int64_t i; (i = next.fetch_add(1)) < count;)
      table.decoder_item(shape, inputs, weights, items[i], out, scratch);
  });
}

}  // namespace lightm
