#include "model/network_weights.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace lightm {
namespace {

constexpr float kLeak = 0.01f;  // slope of leaky ReLUs below zero

// Names of an RVM layer's tensors, in the order of LIGHTM_RVM_WEIGHTS.
constexpr const char *kRvmNames[] = {"norm.weight",
                                     "norm.bias",
                                     "vssm.in_proj.weight",
                                     "vssm.conv.weight",
                                     "vssm.conv.bias",
                                     "vssm.ssm.0.x_proj.weight",
                                     "vssm.ssm.0.dt_proj.weight",
                                     "vssm.ssm.0.dt_proj.bias",
                                     "vssm.ssm.0.A_log",
                                     "vssm.ssm.0.D",
                                     "vssm.norm.weight",
                                     "vssm.norm.bias",
                                     "vssm.out_proj.weight",
                                     "scale",
                                     "projection_norm.weight",
                                     "projection_norm.bias",
                                     "projection.weight",
                                     "projection.bias"};
static_assert(std::size(kRvmNames) == RvmWeight::count, "a name for each weight");

using Shape = std::vector<int64_t>;

// A tensor that the file must have, and where its numbers go; nullptr: they are not needed.
struct Wanted {
  std::string name;
  Shape shape;
  const float **to;
};

// A norm as it is stored. mean and variance: of BatchNorms.
struct StoredNorm {
  const float *weight = nullptr, *bias = nullptr, *mean = nullptr, *variance = nullptr;
};

Status damaged(const std::string &found) {
  return {Code::bad_model,
          "model.safetensors and model.json do not fit together: " + found + "; copy the whole model folder again"};
}

// First notes what the network needs, then reads it, then makes BatchNorms part of the weights before them.
class Builder {
 public:
  Builder(const NetworkOptions &options, const Safetensors &file, NetworkWeights *weights)
      : o_(options), file_(file), w_(*weights) {}

  Status build() {
    // Every layer has more tensors than one, so that a network of more layers than that need not be laid out.
    int64_t layers = o_.bottleneck_layers;
    for (const int64_t count : o_.encoder_layers) layers += count;
    if (layers > static_cast<int64_t>(file_.tensors().size()))
      return damaged(std::to_string(file_.tensors().size()) + " tensors for " + std::to_string(layers) + " layers");

    const size_t blocks = o_.encoder_layers.size();
    decoder_norms_.resize(blocks);
    w_.encoder.resize(blocks), w_.decoder.resize(blocks);
    want_stem();
    for (size_t level = 0; level < blocks; ++level)
      want_layers("encoder." + std::to_string(level), channels(level), channels(level + 1), o_.encoder_layers[level],
                  &w_.encoder[level]);
    want_layers("bottleneck", channels(blocks), channels(blocks), o_.bottleneck_layers, &w_.bottleneck);
    for (size_t i = 0; i < blocks; ++i) want_decoder_block(i, channels(blocks - i), channels(blocks - i - 1));
    want_head();
    if (Status status = check(); !status.ok()) return status;
    if (Status status = read(); !status.ok()) return status;
    finish();
    return {};
  }

 private:
  int64_t taps() const { return o_.dims == 2 ? 9 : 27; }
  // On the grid of a level; 0 is the image's own.
  int64_t channels(size_t level) const {
    return level == o_.encoder_layers.size() ? o_.bottleneck_width : o_.width << level;
  }
  // Of a convolution's weight: (outputs, inputs, 3, 3(, 3)), or with ones.
  Shape filter(int64_t outputs, int64_t inputs, int64_t size) const {
    Shape shape(static_cast<size_t>(o_.dims) + 2, size);
    shape[0] = outputs, shape[1] = inputs;
    return shape;
  }

  void want(std::string name, Shape shape, const float **to) {
    wanted_.push_back({std::move(name), std::move(shape), to});
  }

  void want_norm(const std::string &name, int64_t size, StoredNorm *norm) {
    if (o_.norm == NormKind::none) return;
    want(name + ".weight", {size}, &norm->weight);
    want(name + ".bias", {size}, &norm->bias);
    if (o_.norm == NormKind::instance) return;
    want(name + ".running_mean", {size}, &norm->mean);
    want(name + ".running_var", {size}, &norm->variance);
    want(name + ".num_batches_tracked", {}, nullptr);
  }

  // A DWConv without biases.
  void want_dwconv(const std::string &name, int64_t inputs, int64_t outputs, StageInputs *to) {
    want(name + ".depthwise.weight", filter(inputs, 1, 3), &to->depthwise);
    want(name + ".pointwise.weight", filter(outputs, inputs, 1), &to->pointwise);
  }

  void want_stem() {
    StemPart &stem = w_.stem;
    switch (o_.stem) {
      case StemKind::dwconv_bias:
        want("stem.depthwise.bias", {o_.in_channels}, &stem_biases_[0]);
        want("stem.pointwise.bias", {o_.width}, &stem_biases_[1]);
        [[fallthrough]];
      case StemKind::dwconv:
        want("stem.depthwise.weight", filter(o_.in_channels, 1, 3), &stem.depthwise);
        want("stem.pointwise.weight", filter(o_.width, o_.in_channels, 1), &stem.pointwise);
        break;
      case StemKind::conv:
        want("stem.conv.weight", filter(o_.width, o_.in_channels, 3), &stem.weight);
        want("stem.conv.bias", {o_.width}, &stem.bias);
        break;
      case StemKind::conv_norm:
        want("stem.conv.weight", filter(o_.width, o_.in_channels, 3), &stem.weight);
        want_norm("stem.conv_norm", o_.width, &stem_norms_[0]);
        stem.stage = {o_.width, o_.width, {}, {}};
        stem.stage.inputs.slope = kLeak;
        want_dwconv("stem.dwconv", o_.width, o_.width, &stem.stage.inputs);
        want_norm("stem.dwconv_norm", o_.width, &stem_norms_[1]);
        break;
    }
  }

  void want_layers(const std::string &name, int64_t inputs, int64_t outputs, int64_t count,
                   std::vector<RvmPart> *layers) {
    layers->resize(static_cast<size_t>(count));
    for (size_t i = 0; i < layers->size(); ++i) {
      RvmShape &s = (*layers)[i].shape;
      RvmWeights &w = (*layers)[i].weights;
      s = {};
      s.batch = 1, s.channels = inputs, s.state = o_.d_state, s.conv_width = o_.d_conv;
      s.inner = static_cast<int64_t>(std::nearbyint(o_.expand * static_cast<double>(inputs)));
      s.rank = (inputs + 15) / 16;
      s.out_channels = i + 1 == layers->size() ? outputs : inputs;
      w.epsilon = kNormEpsilon;
      const std::string prefix = name + "." + std::to_string(i) + ".";
      const char *const *next = kRvmNames;
#define LIGHTM_WANT(weight, ...) want(prefix + *next++, {__VA_ARGS__}, &w.weight);
      LIGHTM_RVM_WEIGHTS(LIGHTM_WANT)
#undef LIGHTM_WANT
    }
  }

  void want_decoder_block(size_t i, int64_t inputs, int64_t outputs) {
    StagePart &block = w_.decoder[i];
    block = {inputs, outputs, {}, {}};
    const std::string name = "decoder." + std::to_string(i);
    Shape scale(static_cast<size_t>(o_.dims) + 1, 1);
    scale[0] = inputs;
    want(name + ".scale", std::move(scale), &block.inputs.scale);
    want_dwconv(name + ".dwconv", inputs, inputs, &block.inputs);
    want_norm(name + ".norm", inputs, &decoder_norms_[i]);
    want(name + ".halve.weight", filter(outputs, inputs, 1), &block.inputs.last);
  }

  void want_head() {
    w_.head = {o_.width, o_.classes, {}, {}};
    StageInputs &in = w_.head.inputs;
    if (o_.head == HeadKind::dwconv) {
      want("head.depthwise.bias", {o_.width}, &in.depthwise_bias);
      want("head.pointwise.bias", {o_.classes}, &in.pointwise_bias);
      want_dwconv("head", o_.width, o_.classes, &in);
      in.slope = 1;
    } else {
      want_dwconv("head.dwconv", o_.width, o_.width, &in);
      want_norm("head.norm", o_.width, &head_norm_);
      want("head.pointwise.weight", filter(o_.classes, o_.width, 1), &in.last);
      want("head.pointwise.bias", {o_.classes}, &in.last_bias);
      in.slope = kLeak;
    }
  }

  Status check() const {
    for (const Wanted &wanted : wanted_) {
      const StoredTensor *found = file_.find(wanted.name);
      if (found == nullptr) return damaged(quoted(wanted.name) + " is missing");
      const auto text = [](const Shape &shape) { return sizes_text(shape.data(), static_cast<int64_t>(shape.size())); };
      if (found->shape != wanted.shape)
        return damaged(quoted(wanted.name) + " is " + text(found->shape) + ", expected " + text(wanted.shape));
      if (wanted.to != nullptr && !found->holds_floats())
        return {Code::unsupported_model, "model.safetensors: " + quoted(wanted.name) + " has numbers of the kind " +
                                             found->kind + "; this library reads F32, F16 and BF16"};
    }
    if (file_.tensors().size() == wanted_.size()) return {};
    for (const StoredTensor &tensor : file_.tensors()) {
      const auto is_it = [&](const Wanted &wanted) { return wanted.name == tensor.name; };
      if (std::none_of(wanted_.begin(), wanted_.end(), is_it))
        return damaged(quoted(tensor.name) + ", which the network has not");
    }
    return {};
  }

  Status read() {
    const auto rounded = [](int64_t count) { return (count + 15) / 16 * 16; };
    // Besides what is stored: the stem as one convolution with its bias.
    int64_t floats = rounded(o_.width * o_.in_channels * taps()) + rounded(o_.width);
    for (const Wanted &wanted : wanted_)
      if (wanted.to != nullptr) floats += rounded(file_.find(wanted.name)->count);
    const uint64_t bytes = static_cast<uint64_t>(floats) * sizeof(float);
    if (bytes <= SIZE_MAX / 2) w_.memory.reset(try_allocate_aligned(static_cast<size_t>(bytes)));
    if (!w_.memory)
      return {Code::no_memory, "the system did not give " + megabytes_text(bytes) + " of memory for the weights"};
    float *next = static_cast<float *>(w_.memory.get());
    for (const Wanted &wanted : wanted_) {
      if (wanted.to == nullptr) continue;
      const StoredTensor *stored = file_.find(wanted.name);
      stored->copy(next);
      *wanted.to = next;
      next += rounded(stored->count);
    }
    extra_ = next;
    return {};
  }

  // What the layers take and the file has not.
  void finish() {
    StemPart &stem = w_.stem;
    const int64_t inputs = o_.in_channels * taps();
    float *bias = extra_, *weight = extra_ + (o_.width + 15) / 16 * 16;
    if (o_.stem == StemKind::dwconv_bias) {
      // The image is padded once, before the first, so that both are one full convolution.
      for (int64_t out = 0; out < o_.width; ++out) {
        bias[out] = stem_biases_[1][out];
        for (int64_t in = 0; in < o_.in_channels; ++in) {
          const float share = stem.pointwise[out * o_.in_channels + in];
          bias[out] += share * stem_biases_[0][in];
          for (int64_t tap = 0; tap < taps(); ++tap)
            weight[out * inputs + in * taps() + tap] = share * stem.depthwise[in * taps() + tap];
        }
      }
      stem.weight = weight, stem.bias = bias;
    }
    if (o_.stem == StemKind::conv_norm) {
      std::fill(bias, bias + o_.width, 0.0f);
      stem.bias = bias;
      fold(stem_norms_[0], o_.width, inputs, stem.weight, nullptr, &stem.bias, &stem.norm);
      fold_stage(stem_norms_[1], &stem.stage);
    }
    for (size_t i = 0; i < w_.decoder.size(); ++i) fold_stage(decoder_norms_[i], &w_.decoder[i]);
    if (o_.head == HeadKind::dwconv_norm) fold_stage(head_norm_, &w_.head);
  }

  // Only here are the numbers changed, of which everyone else reads.
  static float *writable(const float *weight) { return const_cast<float *>(weight); }

  void fold_stage(const StoredNorm &norm, StagePart *stage) const {
    StageInputs &in = stage->inputs;
    fold(norm, stage->channels, stage->channels, in.pointwise, in.scale, &in.pointwise_bias, &stage->norm);
  }

  // weight: (size, inputs). A BatchNorm multiplies it and the scale, and is the bias; an instance norm stays.
  void fold(const StoredNorm &norm, int64_t size, int64_t inputs, const float *weight, const float *scale,
            const float **bias, InstanceNorm *instance) const {
    if (o_.norm == NormKind::instance) *instance = {norm.weight, norm.bias};
    if (o_.norm != NormKind::batch) return;
    for (int64_t c = 0; c < size; ++c) {
      const float factor = norm.weight[c] * (1.0f / std::sqrt(norm.variance[c] + kNormEpsilon));
      for (int64_t i = 0; i < inputs; ++i) writable(weight)[c * inputs + i] *= factor;
      if (scale != nullptr) writable(scale)[c] *= factor;
      writable(norm.bias)[c] -= norm.mean[c] * factor;
    }
    *bias = norm.bias;
  }

  const NetworkOptions &o_;
  const Safetensors &file_;
  NetworkWeights &w_;
  std::vector<Wanted> wanted_;
  const float *stem_biases_[2] = {};
  StoredNorm stem_norms_[2], head_norm_;
  std::vector<StoredNorm> decoder_norms_;
  float *extra_ = nullptr;
};

}  // namespace

Status NetworkWeights::read(const NetworkOptions &options, const Safetensors &file, NetworkWeights *weights) {
  return Builder(options, file, weights).build();
}

}  // namespace lightm
