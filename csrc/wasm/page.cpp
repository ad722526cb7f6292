// The C API as the page's worker calls it: one model, and numbers instead of structs, whose layout JavaScript would
// have to repeat. Functions that can fail return a lightm_status; last_error() then has the sentence.
#include <cstdlib>

#include "capi.h"
#include "wasm/exports.h"
#include "wasm/memory.h"

// Given by the page: 1 to stop.
extern "C" __attribute__((import_module("page"), import_name("progress"))) int page_progress(double done);

extern "C" void __wasm_call_ctors();  // the linker's

namespace {

lightm_model *g_model = nullptr;
lightm_result g_result = {};

lightm_options options_for(int32_t threads) {
  lightm_options options = LIGHTM_DEFAULT_OPTIONS;
  options.threads = threads;
  options.progress = [](void *, double done) { return page_progress(done); };
  return options;
}

}  // namespace

// Called once, by the first worker alone.
LIGHTM_EXPORT(start) void start() { __wasm_call_ctors(); }

// 0 where there is no such memory.
LIGHTM_EXPORT(take_memory) void *take_memory(size_t bytes) { return std::malloc(bytes); }
LIGHTM_EXPORT(give_memory) void give_memory(void *p) { std::free(p); }
LIGHTM_EXPORT(memory_was_refused) bool memory_was_refused() { return lightm::memory_was_refused(); }

LIGHTM_EXPORT(last_error) const char *last_error() { return lightm_error(); }

LIGHTM_EXPORT(open_model)
int32_t open_model(const char *json, size_t json_size, const void *weights, size_t weights_size) {
  return lightm_open(json, json_size, weights, weights_size, &g_model);
}

LIGHTM_EXPORT(dims) int32_t dims() { return lightm_dims(g_model); }
LIGHTM_EXPORT(channels) int32_t channels() { return lightm_channels(g_model); }
LIGHTM_EXPORT(label_count) int32_t label_count() { return lightm_label_count(g_model); }
LIGHTM_EXPORT(label_name) const char *label_name(int32_t label) { return lightm_label_name(g_model, label); }
LIGHTM_EXPORT(label_colour) uint32_t label_colour(int32_t label) { return lightm_label_colour(g_model, label); }

// values: (channels, first, second[, third]); third is 1 in 2D. affine: 16 numbers, or 0. labels: one for each voxel.
LIGHTM_EXPORT(segment)
int32_t segment(const float *values, int32_t image_dims, int32_t first, int32_t second, int32_t third,
                const double *affine, int32_t threads, uint8_t *labels) {
  const lightm_image image = {sizeof image, values, image_dims, {first, second, third}, affine};
  const lightm_options options = options_for(threads);
  g_result = {};
  g_result.struct_size = sizeof g_result;
  g_result.labels = labels;
  return lightm_segment(g_model, &image, &options, &g_result);
}

// Of the last image that was segmented.
LIGHTM_EXPORT(unlike) bool unlike() { return g_result.judged != 0 && g_result.unlike != 0; }
LIGHTM_EXPORT(score) double score() { return g_result.score; }
LIGHTM_EXPORT(score_limit) double score_limit() { return g_result.limit; }
LIGHTM_EXPORT(most_unusual) const char *most_unusual() { return g_result.most_unusual; }

// The network alone: input (channels, grid), logits (labels, grid); depth is 1 in 2D.
LIGHTM_EXPORT(run_network)
int32_t run_network(const float *input, int32_t depth, int32_t height, int32_t width, int32_t threads, float *logits) {
  const int64_t volume[] = {depth, height, width}, picture[] = {height, width};
  const lightm_options options = options_for(threads);
  return lightm_run_network(g_model, input, lightm_dims(g_model) == 3 ? volume : picture, &options, logits);
}
