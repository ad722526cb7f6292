// An image to labels and probabilities, by a trained model: models/predict_image.py.
#pragma once

#include <cstdint>
#include <string>

#include "model/arena.h"
#include "model/description.h"
#include "model/image_checks.h"
#include "model/network.h"
#include "model/status.h"

namespace lightm {

struct SegmentOptions {
  double overlap = 0.5;       // of neighbouring windows, 0 to below 1; models of whole images ignore it
  uint64_t memory_limit = 0;  // the most bytes that may be taken; 0: any number
  Run run;                    // threads, progress from 0 to 1, cancelling
};

// The image compared with those that the model was trained on.
struct Judgement {
  bool judged = false;  // false without a profile, and for a grid too small to be measured like those of the profile
  bool unlike = false;  // the score is above the limit
  double score = 0;     // 1 is usual
  double limit = 0;     // the largest usual score
  std::string most_unusual;  // the feature farthest from its mean
};

// What segment() needs of the arena, before it runs. Refuses (bad_argument, bad_image, too_large) what segment() would
// refuse without a look at the intensities.
Status segment_memory(const Description &description, const Network &network, const Image &image,
                      const SegmentOptions &options, uint64_t *bytes);

// labels: one for each voxel, on the image's own grid. probabilities: (labels, shape), or nullptr; the softmax of the
// resized logits, largest at the label.
//
// Windows are averaged slab by slab along the first axis, and what is finished goes to the labels at once, so that
// only as many planes of logits are held as a window is deep. After a failure labels and probabilities are undefined.
Status segment(const Description &description, const Network &network, const Image &image,
               const SegmentOptions &options, Arena *arena, uint8_t *labels, float *probabilities,
               Judgement *judgement);

}  // namespace lightm
