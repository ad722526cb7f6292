#include "model/network.h"

#include <algorithm>
#include <cstring>

#include "model/network_plan.h"
#include "model/network_weights.h"
#include "runtime/thread_pool.h"

namespace lightm {
namespace {

constexpr int64_t kMostVoxels = int64_t{1} << 36;

void pad(const float *from, int64_t channels, const Grid &grid, const Grid &padded, float *to) {
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t z = 0; z < padded.depth; ++z)
      for (int64_t y = 0; y < padded.height; ++y, to += padded.width) {
        const int64_t plane = c * grid.depth + std::min(z, grid.depth - 1);
        const float *row = from + (plane * grid.height + std::min(y, grid.height - 1)) * grid.width;
        std::memcpy(to, row, static_cast<size_t>(grid.width) * sizeof(float));
        std::fill(to + grid.width, to + padded.width, row[grid.width - 1]);
      }
}

// tokens: (padded, classes). logits: (classes, grid).
void crop_to_planes(const float *tokens, int64_t classes, const Grid &grid, const Grid &padded, float *logits,
                    int threads) {
  parallel_for(grid.depth * grid.height, threads, [&](int64_t row) {
    const int64_t z = row / grid.height, y = row % grid.height;
    const float *from = tokens + (z * padded.height + y) * padded.width * classes;
    for (int64_t k = 0; k < classes; ++k) {
      float *to = logits + (k * grid.depth * grid.height + row) * grid.width;
      for (int64_t x = 0; x < grid.width; ++x) to[x] = from[x * classes + k];
    }
  });
}

// One pass: the plan's steps on the caller's arrays.
class Pass {
 public:
  Pass(const NetworkPlan &plan, const StemPart &stem, const float *input, float *logits, void *memory, int threads)
      : plan_(plan),
        stem_(stem),
        input_(input),
        logits_(logits),
        memory_(static_cast<char *>(memory)),
        threads_(threads) {}

  void run(const Step &step) const {
    const float *from = step.from == Step::kNone ? input_ : at(step.from);
    float *to = at(step.to);
    void *scratch = at(step.scratch);
    switch (step.kind) {
      case Step::Kind::pad:
        return pad(from, step.channels, plan_.grid(), plan_.padded(), to);
      case Step::Kind::stem:
        return stem(plan_.stem_shape(step), {from, stem_.depthwise, stem_.pointwise}, to, threads_, scratch);
      case Step::Kind::conv_stem:
        return conv_stem(plan_.stem_shape(step), {from, stem_.weight, stem_.bias}, to, threads_, scratch);
      case Step::Kind::norm_stem:
        return norm_stem(plan_.stem_shape(step), {{from, stem_.weight, stem_.bias}, stem_.stage.inputs}, to, threads_,
                         scratch);
      case Step::Kind::rvm:
        return rvm_layer(plan_.rvm_shape(step), step.rvm->weights, from, to, nullptr, threads_, scratch);
      case Step::Kind::stage:
        return decoder_stage(plan_.stage_shape(step), {at(step.low), from, stage_inputs(step)}, to, threads_, scratch);
      case Step::Kind::norm:
        return norm(step, from, to);
      case Step::Kind::logits:
        return crop_to_planes(from, step.channels, plan_.grid(), plan_.padded(), logits_, threads_);
    }
  }

 private:
  float *at(int buffer) const {
    return buffer == Step::kNone ? nullptr : reinterpret_cast<float *>(memory_ + plan_.offset(buffer));
  }

  // In front of an instance norm, a stage ends with the mixture.
  static StageInputs stage_inputs(const Step &step) {
    StageInputs inputs = step.stage->inputs;
    if (step.norm != nullptr) inputs.last = inputs.last_bias = nullptr, inputs.slope = 1;
    return inputs;
  }

  void norm(const Step &step, const float *from, float *to) const {
    const StageInputs &stage = step.stage->inputs;
    // Of the stem's two norms, the first is in front of the stage, of which it has the slope only.
    const bool has_last = step.norm == &step.stage->norm;
    float *statistics = at(step.scratch);
    char *rest = memory_ + plan_.offset(step.scratch) + NetworkPlan::statistics_bytes(step);
    norm_stage(plan_.norm_shape(step),
               {from, step.norm->weight, step.norm->bias, has_last ? stage.last : nullptr,
                has_last ? stage.last_bias : nullptr, kNormEpsilon, stage.slope},
               {statistics, statistics + step.channels}, to, threads_, rest);
  }

  const NetworkPlan &plan_;
  const StemPart &stem_;
  const float *input_;
  float *logits_;
  char *memory_;
  int threads_;
};

}  // namespace

Network::Network() = default;
Network::~Network() = default;

Status Network::make(const NetworkOptions &options, const Safetensors &file, std::unique_ptr<Network> *network) {
  auto made = std::make_unique<Network>();
  made->options_ = options;
  made->weights_ = std::make_unique<NetworkWeights>();
  if (Status status = NetworkWeights::read(options, file, made->weights_.get()); !status.ok()) return status;
  *network = std::move(made);
  return {};
}

Status Network::check(const Grid &grid) const {
  const int64_t sizes[3] = {grid.depth, grid.height, grid.width};
  const bool flat = options_.dims == 2;
  const std::string text = sizes_text(sizes + (flat ? 1 : 0), options_.dims);
  if (flat && grid.depth != 1) return {Code::bad_argument, "a picture has depth 1, got " + std::to_string(grid.depth)};
  if (*std::min_element(sizes, sizes + 3) < 1)
    return {Code::bad_argument, "the sizes are " + text + ", expected 1 and more"};
  if (*std::max_element(sizes, sizes + 3) > kLongestAxis)
    return {Code::too_large, "the sizes are " + text + ", expected at most 100000"};
  if (padded_grid(options_, grid).voxels() > kMostVoxels)
    return {Code::too_large, "the sizes are " + text + ", more than any computer holds; expected fewer voxels"};
  return {};
}

int64_t Network::memory_bytes(const Grid &grid, int threads) const {
  return NetworkPlan(options_, *weights_, grid, threads).bytes();
}

Status Network::run(const float *input, const Grid &grid, float *logits, void *memory, const Run &run) const {
  const Status cancelled(Code::cancelled, "the progress function asked to stop");
  const NetworkPlan plan(options_, *weights_, grid, run.threads);
  const Pass pass(plan, weights_->stem, input, logits, memory, run.threads);
  double all = 0, done = 0;
  for (const Step &step : plan.steps()) all += step.work;
  if (!run.report(0)) return cancelled;
  for (const Step &step : plan.steps()) {
    pass.run(step);
    done += step.work;
    if (!run.report(done / all)) return cancelled;
  }
  return {};
}

}  // namespace lightm
