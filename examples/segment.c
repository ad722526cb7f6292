/* Segments a grey picture by a model folder, and writes each pixel's label:
 *
 *     segment MODEL_FOLDER PICTURE.pgm LABELS.pgm
 *
 * docs/deploy.md shows how to build it. */
#include <stdio.h>
#include <stdlib.h>

#include "capi.h"

static void stop(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static char *read_file(const char *folder, const char *name, size_t *size) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) stop(path, "cannot be read");
  *size = (size_t)ftell(file);
  rewind(file);
  char *bytes = malloc(*size + 1);
  if (!bytes || fread(bytes, 1, *size, file) != *size) stop(path, "cannot be read");
  fclose(file);
  return bytes;
}

int main(int count, char **words) {
  if (count != 4) stop("expected", "segment MODEL_FOLDER PICTURE.pgm LABELS.pgm");
  size_t json_size, weights_size;
  char *json = read_file(words[1], "model.json", &json_size);
  char *weights = read_file(words[1], "model.safetensors", &weights_size);
  lightm_model *model;
  if (lightm_open(json, json_size, weights, weights_size, &model)) stop(words[1], lightm_error());
  free(json), free(weights);

  int width, height;
  FILE *picture = fopen(words[2], "rb");
  if (!picture || fscanf(picture, "P5 %d %d 255", &width, &height) != 2 || width < 1 || height < 1 ||
      fgetc(picture) < 0)
    stop(words[2], "is no PGM of 8 bits");
  size_t pixels = (size_t)width * (size_t)height;
  float *values = malloc(pixels * sizeof *values);
  uint8_t *labels = malloc(pixels);
  if (!values || !labels || fread(labels, 1, pixels, picture) != pixels) stop(words[2], "ends early");
  for (size_t i = 0; i < pixels; ++i) values[i] = labels[i];

  lightm_image image = {.struct_size = sizeof image, .values = values, .dims = 2, .shape = {height, width}};
  lightm_result result = {.struct_size = sizeof result, .labels = labels};
  if (lightm_segment(model, &image, NULL, &result)) stop(words[2], lightm_error());
  if (result.unlike) printf("unlike the training images, most in its %s: check the result\n", result.most_unusual);

  FILE *out = fopen(words[3], "wb");
  if (!out || fprintf(out, "P5 %d %d 255\n", width, height) < 0 || fwrite(labels, 1, pixels, out) != pixels ||
      fclose(out))
    stop(words[3], "cannot be written");
  lightm_close(model);
  free(values), free(labels);
  return 0;
}
