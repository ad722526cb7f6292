/* LightM-UNet for programs in C, and in whatever can call C.
 *
 *     lightm_model *model = NULL;
 *     if (lightm_open(json, json_size, weights, weights_size, &model) != LIGHTM_OK)
 *       fprintf(stderr, "%s\n", lightm_error());
 *     lightm_image image = {sizeof image};    // values, dims, shape
 *     lightm_result result = {sizeof result};  // labels
 *     lightm_segment(model, &image, NULL, &result);
 *     lightm_close(model);
 *
 * examples/segment.c is a whole program.
 *
 * - Every function that can fail returns a code of `enum lightm_status`, and lightm_error() has a sentence. No
 *   exception and no signal comes out. After a failure the model is as before.
 * - A structure's first member is its size as the caller's compiler knows it, `sizeof`, and all that is not set must be
 *   0. So a newer library knows what an older program means; a program newer than the library is refused.
 * - One model runs one call at a time; a second one, on another thread, is refused. Several models may run at once.
 * - Arrays are dense, the last axis fastest. Nothing is kept of them after a call.
 */
#ifndef LIGHTM_CAPI_H
#define LIGHTM_CAPI_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(LIGHTM_SHARED)
#if defined(LIGHTM_BUILDS_LIBRARY)
#define LIGHTM_API __declspec(dllexport)
#else
#define LIGHTM_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define LIGHTM_API __attribute__((visibility("default")))
#else
#define LIGHTM_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when a program must be compiled anew. */
#define LIGHTM_ABI 1

enum lightm_status {
  LIGHTM_OK = 0,
  LIGHTM_BAD_ARGUMENT = 1,      /* a call that no model could do: a missing pointer, a size of 0 */
  LIGHTM_BAD_MODEL = 2,         /* damaged files, or files that do not belong together */
  LIGHTM_UNSUPPORTED_MODEL = 3, /* a sound model that this library cannot run */
  LIGHTM_BAD_IMAGE = 4,         /* not an image for this model */
  LIGHTM_TOO_LARGE = 5,         /* it needs more memory than memory_limit allows, or than can be addressed */
  LIGHTM_NO_MEMORY = 6,         /* the system did not give it */
  LIGHTM_CANCELLED = 7,         /* as the progress function asked */
  LIGHTM_INTERNAL = 8           /* a fault of this library */
};

typedef struct lightm_model lightm_model;

typedef struct {
  size_t struct_size;
  const float *values;  /* (channels, shape) */
  int32_t dims;         /* 2 or 3; a single slice may be either */
  int64_t shape[3];     /* (height, width) of a picture; of a volume the axes of its file, i, j, k, the last fastest */
  const double *affine; /* 16 numbers, row by row: from a voxel's i, j, k, 1 to millimetres to the right, to the front
                           and upwards; NULL for a picture */
} lightm_image;

typedef struct {
  size_t struct_size;
  int32_t threads;       /* at most; 0: one. The result does not depend on it */
  double overlap;        /* of neighbouring windows, 0 to below 1; models of whole images ignore it */
  uint64_t memory_limit; /* most bytes that a call may take, as lightm_memory counts them; 0: any number */
  /* Called now and then, on the caller's thread, with the part that is done, 0 to 1. Not 0: stop. May be NULL. It must
     not throw, and must not call the model. */
  int (*progress)(void *user, double done);
  void *user; /* handed to progress */
} lightm_options;

/* What a call uses where its options are NULL. */
#define LIGHTM_DEFAULT_OPTIONS {sizeof(lightm_options), 1, 0.5, 0, NULL, NULL}

typedef struct {
  size_t struct_size;
  /* The caller's arrays, set before the call. */
  uint8_t *labels;      /* as many as voxels, on the image's own grid */
  float *probabilities; /* (labels, shape), or NULL */
  /* Filled by the call. */
  int32_t judged;           /* whether the model can tell usual images from others */
  int32_t unlike;           /* whether the image is unlike those it was trained on: check the result */
  double score, limit;      /* 1 is usual; above the limit it is unlike */
  const char *most_unusual; /* the feature that is farthest from usual, or ""; valid until the model's next call */
} lightm_result;

/* LIGHTM_ABI of the library, and its version as text. */
LIGHTM_API uint32_t lightm_abi(void);
LIGHTM_API const char *lightm_version(void);

/* Opens a model from the text of its model.json and the bytes of its model.safetensors, which may be freed afterwards.
 *model is NULL unless it succeeds. */
LIGHTM_API int lightm_open(const char *json, size_t json_size, const void *weights, size_t weights_size,
                           lightm_model **model);

/* Frees a model; NULL is none. */
LIGHTM_API void lightm_close(lightm_model *model);

/* What the last failure on this thread was, a sentence in UTF-8; "" before the first. */
LIGHTM_API const char *lightm_error(void);

/* 2 or 3; channels of its images; labels, the background included. 0 for NULL. */
LIGHTM_API int32_t lightm_dims(const lightm_model *model);
LIGHTM_API int32_t lightm_channels(const lightm_model *model);
LIGHTM_API int32_t lightm_label_count(const lightm_model *model);

/* A label's name in UTF-8, valid until the model is closed, and its colour, red << 16 | green << 8 | blue. NULL and 0
   where there is no such label; 0 is the background. */
LIGHTM_API const char *lightm_label_name(const lightm_model *model, int32_t label);
LIGHTM_API uint32_t lightm_label_colour(const lightm_model *model, int32_t label);

/* The most bytes that lightm_segment will hold for this image, besides the opened model, the caller's arrays and lists
   that grow with the axes' lengths, 0.1 MB for 1,000 x 1,000. Takes none; image->values may be NULL. */
LIGHTM_API int lightm_memory(const lightm_model *model, const lightm_image *image, const lightm_options *options,
                             uint64_t *bytes);

/* Segments an image of any size: prepares it, runs the network on the whole or in windows, and brings the labels back
   onto the image's grid. */
LIGHTM_API int lightm_segment(lightm_model *model, const lightm_image *image, const lightm_options *options,
                              lightm_result *result);

/* The network alone, for prepared images. grid: its sizes, as many as lightm_dims says. input: (channels, grid).
   logits: (labels, grid). */
LIGHTM_API int lightm_run_network(lightm_model *model, const float *input, const int64_t *grid,
                                  const lightm_options *options, float *logits);

/* As lightm_memory, for lightm_run_network. */
LIGHTM_API int lightm_network_memory(const lightm_model *model, const int64_t *grid, const lightm_options *options,
                                     uint64_t *bytes);

/* Gives back what a model keeps from call to call, so that the next one is fast. */
LIGHTM_API void lightm_release_memory(lightm_model *model);

#ifdef __cplusplus
}
#endif

#endif
