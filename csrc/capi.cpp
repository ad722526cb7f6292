#include "capi.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include "model/arena.h"
#include "model/description.h"
#include "model/network.h"
#include "model/safetensors.h"
#include "model/segment.h"
#include "model/sha256.h"
#include "model/status.h"
#include "runtime/fork.h"

struct lightm_model {
  lightm::Description description;
  std::unique_ptr<lightm::Network> network;
  lightm::Arena arena;
  std::string most_unusual;
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
};

namespace {

using lightm::Code;
using lightm::Status;

static_assert(static_cast<int>(Code::internal) == LIGHTM_INTERNAL &&
                  static_cast<int>(Code::bad_image) == LIGHTM_BAD_IMAGE,
              "the codes have the numbers of lightm_status");

constexpr int kMostThreads = 1024;

// No std::string: nothing to be made when a thread starts, or to be freed when it ends.
thread_local char g_error[1024] = "";

int code_of(const Status &status) {
  if (!status.ok()) {
    const std::string &text = status.sentence();
    size_t size = std::min(text.size(), sizeof g_error - 1);
    while (size < text.size() && size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
    std::memcpy(g_error, text.data(), size);
    g_error[size] = '\0';
  }
  return static_cast<int>(status.code());
}

Status bad_argument(const std::string &sentence) { return {Code::bad_argument, sentence}; }

// What `work` returns; no exception comes out.
template <class Work>
int guarded(const Work &work) noexcept {
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
  try {
    return code_of(work());
  } catch (const std::bad_alloc &) {
    std::strcpy(g_error, "the system did not give the memory that is needed; close other programs");
    return LIGHTM_NO_MEMORY;
  } catch (const std::exception &error) {
    std::strcpy(g_error, "a fault of this library: ");
    std::strncat(g_error, error.what(), 200);
    return LIGHTM_INTERNAL;
  }
#else
  return code_of(work());
#endif
}

// A copy of a caller's structure as this library knows it. When one grows, its earlier sizes stay allowed here.
template <class Struct>
Status read_struct(const Struct *from, const char *name, Struct *to) {
  *to = Struct();
  if (from == nullptr) return bad_argument(std::string(name) + " is NULL");
  if (from->struct_size != sizeof(Struct))
    return bad_argument(std::string(name) + "->struct_size is " + std::to_string(from->struct_size) +
                        ", expected sizeof, " + std::to_string(sizeof(Struct)) +
                        "; a program that was compiled for a newer library needs that one");
  *to = *from;
  return {};
}

Status read_options(const lightm_options *given, lightm_options *options) {
  *options = LIGHTM_DEFAULT_OPTIONS;
  if (given == nullptr) return {};
  if (Status status = read_struct(given, "options", options); !status.ok()) return status;
  if (options->threads < 0 || options->threads > kMostThreads)
    return bad_argument("options->threads is " + std::to_string(options->threads) + ", expected 0 to 1024");
  if (!(options->overlap >= 0 && options->overlap < 1))
    return bad_argument("options->overlap needs a number from 0 to below 1");
  options->threads = std::max(options->threads, 1);
  return {};
}

lightm::Run run_of(const lightm_options &options) { return {options.threads, options.progress, options.user}; }

lightm::SegmentOptions segment_options(const lightm_options &options) {
  return {options.overlap, options.memory_limit, run_of(options)};
}

Status read_image(const lightm_image *given, lightm::Image *to) {
  lightm_image image;
  if (Status status = read_struct(given, "image", &image); !status.ok()) return status;
  if (image.dims != 2 && image.dims != 3)
    return bad_argument("image->dims is " + std::to_string(image.dims) + ", expected 2 or 3");
  to->values = image.values, to->dims = image.dims, to->affine = image.affine;
  for (int axis = 0; axis < image.dims; ++axis) {
    to->shape[axis] = image.shape[axis];
    if (image.shape[axis] < 1)
      return bad_argument("image->shape is " + lightm::sizes_text(image.shape, image.dims) + ", expected 1 and more");
  }
  return {};
}

Status read_grid(const lightm_model *model, const int64_t *sizes, lightm::Grid *grid) {
  if (sizes == nullptr) return bad_argument("grid is NULL");
  const bool flat = model->network->options().dims == 2;
  *grid = {flat ? 1 : sizes[0], sizes[flat ? 0 : 1], sizes[flat ? 1 : 2]};
  return model->network->check(*grid);
}

// A model that one call has for itself.
class Use {
 public:
  explicit Use(lightm_model *model) : model_(model), has_(!model->busy.test_and_set(std::memory_order_acquire)) {}
  ~Use() {
    if (has_) model_->busy.clear(std::memory_order_release);
  }
  Use(const Use &) = delete;
  Use &operator=(const Use &) = delete;

  bool has() const { return has_; }
  Status status() const {
    return has_ ? Status() : bad_argument("the model is in use by another call; open it once for each thread");
  }

 private:
  lightm_model *model_;
  bool has_;
};

Status open_model(const char *json, size_t json_size, const void *weights, size_t weights_size, lightm_model **model) {
  if (json == nullptr || weights == nullptr) return bad_argument("json and weights need bytes, not NULL");
  if (json_size > PTRDIFF_MAX || weights_size > PTRDIFF_MAX)
    return bad_argument("json_size or weights_size is more than any file has");
#if !defined(__wasm__)
  lightm::reset_in_forked_children();
#endif
  auto made = std::make_unique<lightm_model>();
  if (Status status = lightm::read_description({json, json_size}, &made->description); !status.ok()) return status;
  lightm::Safetensors file;
  if (Status status = lightm::Safetensors::read(weights, weights_size, &file); !status.ok()) return status;
  if (Status status = lightm::Network::make(made->description.network, file, &made->network); !status.ok())
    return status;
  const std::string &digest = made->description.weights_sha256;
  if (!digest.empty() && digest != lightm::sha256(weights, weights_size))
    return {
        Code::bad_model,
        "model.safetensors is not the file that model.json was written with: its SHA-256 is another; copy the whole "
        "model folder again"};
  *model = made.release();
  return {};
}

Status run_network(lightm_model *model, const float *input, const int64_t *sizes, const lightm_options *given,
                   float *logits) {
  if (model == nullptr || input == nullptr || logits == nullptr) return bad_argument("model, input or logits is NULL");
  lightm_options options;
  if (Status status = read_options(given, &options); !status.ok()) return status;
  lightm::Grid grid;
  if (Status status = read_grid(model, sizes, &grid); !status.ok()) return status;
  const Use use(model);
  if (!use.has()) return use.status();
  const int64_t bytes = model->network->memory_bytes(grid, options.threads);
  if (Status status = model->arena.reserve(bytes, options.memory_limit); !status.ok()) return status;
  return model->network->run(input, grid, logits, model->arena.data(), run_of(options));
}

Status network_memory(const lightm_model *model, const int64_t *sizes, const lightm_options *given, uint64_t *bytes) {
  if (model == nullptr || bytes == nullptr) return bad_argument("model or bytes is NULL");
  lightm_options options;
  if (Status status = read_options(given, &options); !status.ok()) return status;
  lightm::Grid grid;
  if (Status status = read_grid(model, sizes, &grid); !status.ok()) return status;
  *bytes = static_cast<uint64_t>(model->network->memory_bytes(grid, options.threads));
  return {};
}

Status segment_image(lightm_model *model, const lightm_image *given_image, const lightm_options *given,
                     lightm_result *given_result) {
  if (model == nullptr) return bad_argument("model is NULL");
  lightm_options options;
  if (Status status = read_options(given, &options); !status.ok()) return status;
  lightm::Image image;
  if (Status status = read_image(given_image, &image); !status.ok()) return status;
  lightm_result result;
  if (Status status = read_struct(given_result, "result", &result); !status.ok()) return status;
  if (image.values == nullptr || result.labels == nullptr)
    return bad_argument("image->values or result->labels is NULL");
  const Use use(model);
  if (!use.has()) return use.status();
  lightm::Judgement judgement;
  if (Status status = lightm::segment(model->description, *model->network, image, segment_options(options),
                                      &model->arena, result.labels, result.probabilities, &judgement);
      !status.ok())
    return status;
  model->most_unusual = std::move(judgement.most_unusual);
  given_result->judged = judgement.judged, given_result->unlike = judgement.unlike;
  given_result->score = judgement.score, given_result->limit = judgement.limit;
  given_result->most_unusual = model->most_unusual.c_str();
  return {};
}

Status segment_memory(const lightm_model *model, const lightm_image *given_image, const lightm_options *given,
                      uint64_t *bytes) {
  if (model == nullptr || bytes == nullptr) return bad_argument("model or bytes is NULL");
  lightm_options options;
  if (Status status = read_options(given, &options); !status.ok()) return status;
  lightm::Image image;
  if (Status status = read_image(given_image, &image); !status.ok()) return status;
  return lightm::segment_memory(model->description, *model->network, image, segment_options(options), bytes);
}

const lightm::Label *label_of(const lightm_model *model, int32_t label) {
  if (label < 0 || label >= lightm_label_count(model)) return nullptr;
  return &model->description.labels[static_cast<size_t>(label)];
}

}  // namespace

uint32_t lightm_abi(void) { return LIGHTM_ABI; }

const char *lightm_version(void) {
#if defined(LIGHTM_VERSION)
  return LIGHTM_VERSION;
#else
  return "unknown";
#endif
}

const char *lightm_error(void) { return g_error; }

int lightm_open(const char *json, size_t json_size, const void *weights, size_t weights_size, lightm_model **model) {
  if (model != nullptr) *model = nullptr;
  return guarded([&] {
    return model == nullptr ? bad_argument("model is NULL") : open_model(json, json_size, weights, weights_size, model);
  });
}

void lightm_close(lightm_model *model) { delete model; }

int32_t lightm_dims(const lightm_model *model) {
  return model == nullptr ? 0 : static_cast<int32_t>(model->description.network.dims);
}

int32_t lightm_channels(const lightm_model *model) {
  return model == nullptr ? 0 : static_cast<int32_t>(model->description.network.in_channels);
}

int32_t lightm_label_count(const lightm_model *model) {
  return model == nullptr ? 0 : static_cast<int32_t>(model->description.labels.size());
}

const char *lightm_label_name(const lightm_model *model, int32_t label) {
  const lightm::Label *found = label_of(model, label);
  return found == nullptr ? nullptr : found->name.c_str();
}

uint32_t lightm_label_colour(const lightm_model *model, int32_t label) {
  const lightm::Label *found = label_of(model, label);
  if (found == nullptr) return 0;
  const uint8_t *rgb = found->colour;
  return static_cast<uint32_t>(rgb[0]) << 16 | static_cast<uint32_t>(rgb[1]) << 8 | rgb[2];
}

int lightm_memory(const lightm_model *model, const lightm_image *image, const lightm_options *options,
                  uint64_t *bytes) {
  return guarded([&] { return segment_memory(model, image, options, bytes); });
}

int lightm_segment(lightm_model *model, const lightm_image *image, const lightm_options *options,
                   lightm_result *result) {
  return guarded([&] { return segment_image(model, image, options, result); });
}

int lightm_run_network(lightm_model *model, const float *input, const int64_t *grid, const lightm_options *options,
                       float *logits) {
  return guarded([&] { return run_network(model, input, grid, options, logits); });
}

int lightm_network_memory(const lightm_model *model, const int64_t *grid, const lightm_options *options,
                          uint64_t *bytes) {
  return guarded([&] { return network_memory(model, grid, options, bytes); });
}

void lightm_release_memory(lightm_model *model) {
  if (model == nullptr) return;
  const Use use(model);
  if (use.has()) model->arena.release();
}
