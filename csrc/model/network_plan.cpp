#include "model/network_plan.h"

#include <algorithm>

namespace lightm {
namespace {

constexpr int64_t kFloat = sizeof(float);

Grid halved(const Grid &grid, int dims) { return {dims == 2 ? 1 : grid.depth / 2, grid.height / 2, grid.width / 2}; }

}  // namespace

Grid padded_grid(const NetworkOptions &options, const Grid &grid) {
  const int64_t multiple = int64_t{1} << options.encoder_layers.size();
  Grid padded = grid;
  int64_t largest = 0;
  for (int axis = options.dims == 2 ? 1 : 0; axis < 3; ++axis) {
    padded[axis] = (grid[axis] + multiple - 1) / multiple * multiple;
    largest = std::max(largest, padded[axis]);
  }
  if (options.norm != NormKind::none && largest == multiple) padded.width *= 2;
  return padded;
}

NetworkPlan::NetworkPlan(const NetworkOptions &options, const NetworkWeights &weights, const Grid &grid, int threads)
    : options_(options), weights_(weights), grid_(grid), padded_(padded_grid(options, grid)), threads_(threads) {
  const size_t blocks = weights.encoder.size();
  std::vector<int> skips = {add_stem()};
  std::vector<Grid> grids = {padded_};
  for (size_t level = 0; level < blocks; ++level) {
    skips.push_back(add_layers(weights.encoder[level], skips[level], grids[level], true));
    grids.push_back(halved(grids[level], options.dims));
  }
  int tokens = add_layers(weights.bottleneck, skips[blocks], grids[blocks], false);
  for (size_t i = 0; i < blocks; ++i)
    tokens = add_stage(weights.decoder[i], tokens, skips[blocks - i], grids[blocks - i], i == 0 ? 1 : 2);
  tokens = add_stage(weights.head, tokens, skips[0], padded_, 2);
  Step logits = {Step::Kind::logits, padded_};
  logits.from = tokens, logits.channels = logits.out_channels = options.classes;
  add(logits);
  memory_.place();
}

// Fills in what follows from the rest: buffers, scratch space and work. Returns the buffer of the result. A step whose
// `to` is set already works in place.
int NetworkPlan::add(Step step) {
  const int number = static_cast<int>(steps_.size());
  for (const int read : {step.from, step.low})
    if (read != Step::kNone) memory_.keep_until(read, number);
  if (step.to == Step::kNone && step.kind != Step::Kind::logits) {
    int64_t voxels = step.grid.voxels();
    if (step.pools) voxels = halved(step.grid, options_.dims).voxels();
    if (step.kind == Step::Kind::pad) voxels = padded_.voxels();
    step.to = memory_.add(voxels * step.out_channels * kFloat, number);
  }
  if (const int64_t bytes = scratch_bytes(step); bytes > 0) step.scratch = memory_.add(bytes, number);
  step.work = work(step);
  steps_.push_back(step);
  return step.to;
}

int NetworkPlan::add_stem() {
  int image = Step::kNone;
  if (!(padded_ == grid_)) {
    Step pad = {Step::Kind::pad, grid_};
    pad.channels = pad.out_channels = options_.in_channels;
    image = add(pad);
  }
  const StemPart &part = weights_.stem;
  Step stem = {Step::Kind::conv_stem, padded_};
  if (options_.stem == StemKind::dwconv) stem.kind = Step::Kind::stem;
  if (options_.stem == StemKind::conv_norm && part.norm.weight == nullptr) stem.kind = Step::Kind::norm_stem;
  stem.from = image, stem.channels = options_.in_channels, stem.out_channels = options_.width;
  const int tokens = add(stem);
  if (part.norm.weight == nullptr) return tokens;

  Step norm = {Step::Kind::norm, padded_};
  norm.norm = &part.norm, norm.stage = &part.stage;
  norm.channels = norm.out_channels = options_.width;
  norm.from = norm.to = tokens;
  add(norm);
  return add_stage(part.stage, Step::kNone, tokens, padded_, 1);
}

int NetworkPlan::add_layers(const std::vector<RvmPart> &layers, int tokens, const Grid &grid, bool pools) {
  const int first = tokens;  // a skip, which is needed later on
  for (const RvmPart &layer : layers) {
    Step step = {Step::Kind::rvm, grid};
    step.rvm = &layer;
    step.pools = pools && &layer == &layers.back();
    step.from = tokens;
    step.channels = layer.shape.channels, step.out_channels = layer.shape.out_channels;
    if (tokens != first && !step.pools && step.channels == step.out_channels) step.to = tokens;
    tokens = add(step);
  }
  return tokens;
}

int NetworkPlan::add_stage(const StagePart &part, int low, int skip, const Grid &grid, int64_t factor) {
  Step stage = {Step::Kind::stage, grid};
  stage.stage = &part, stage.norm = part.norm.weight != nullptr ? &part.norm : nullptr;
  stage.low = low, stage.from = skip, stage.factor = factor;
  stage.channels = part.channels, stage.out_channels = stage.norm ? part.channels : part.out_channels;
  const int mixed = add(stage);
  if (stage.norm == nullptr) return mixed;

  Step norm = {Step::Kind::norm, grid};
  norm.norm = &part.norm, norm.stage = &part;
  norm.channels = part.channels, norm.out_channels = part.out_channels;
  norm.from = mixed;
  if (part.inputs.last == nullptr) norm.to = mixed;
  return add(norm);
}

StemShape NetworkPlan::stem_shape(const Step &step) const {
  return {1, step.channels, step.grid.depth, step.grid.height, step.grid.width, step.out_channels, options_.dims == 2};
}

RvmShape NetworkPlan::rvm_shape(const Step &step) const {
  RvmShape shape = step.rvm->shape;
  shape.length = step.grid.voxels();
  if (step.pools) {
    shape.pool = true, shape.flat = options_.dims == 2;
    shape.depth = step.grid.depth, shape.height = step.grid.height, shape.width = step.grid.width;
  }
  return shape;
}

DecoderShape NetworkPlan::stage_shape(const Step &step) const {
  const bool flat = options_.dims == 2;  // then the image's rows are the stage's depth
  return {{1, flat ? step.grid.height : step.grid.depth, flat ? 1 : step.grid.height, step.grid.width, step.channels,
           step.out_channels, flat},
          step.factor};
}

int64_t NetworkPlan::scratch_bytes(const Step &step) const {
  switch (step.kind) {
    case Step::Kind::stem:
      return stem_memory(stem_shape(step), threads_);
    case Step::Kind::conv_stem:
      return conv_stem_memory(stem_shape(step), threads_);
    case Step::Kind::norm_stem:
      return norm_stem_memory(stem_shape(step), threads_);
    case Step::Kind::rvm:
      return rvm_layer_memory(rvm_shape(step), threads_);
    case Step::Kind::stage:
      return decoder_memory(stage_shape(step), threads_);
    case Step::Kind::norm:
      return statistics_bytes(step) + norm_stage_memory(norm_shape(step), threads_);
    default:
      return 0;
  }
}

double NetworkPlan::work(const Step &step) const {
  const double voxels = static_cast<double>(step.grid.voxels()), taps = options_.dims == 2 ? 9 : 27;
  const double in = static_cast<double>(step.channels), out = static_cast<double>(step.out_channels);
  switch (step.kind) {
    case Step::Kind::stem:
      return voxels * in * (taps + out);
    case Step::Kind::conv_stem:
      return voxels * in * out * taps;
    case Step::Kind::norm_stem:
      return voxels * out * (in * taps + taps + out);
    case Step::Kind::rvm: {
      const RvmShape &s = step.rvm->shape;
      const double inner = static_cast<double>(s.inner), state = static_cast<double>(s.state);
      // The scan has an exponential for each state, which costs as much as several multiply-adds.
      return voxels * (inner * (3 * in + 2 * static_cast<double>(s.rank) + 12 * state) + in * out);
    }
    case Step::Kind::stage:
      return voxels * in * (taps + in + out);
    default:
      return voxels * out;
  }
}

}  // namespace lightm
