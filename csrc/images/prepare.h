// One channel of an image to the network's input: from the file's axes to canonical ones, normalised and resized, row
// by row. No copy of the channel is made.
#pragma once

#include <cstdint>

#include "images/grid_record.h"
#include "images/intensities.h"
#include "images/resizing.h"

namespace lightm {

// Floats of scratch for all threads.
int64_t prepare_scratch(const GridRecord &record, const ResizedAxes &axes, int threads);

// channel: as the file stores it. axes: from record.canonical to record.seen. out: (record.seen), dense.
void prepare_channel(const float *channel, const GridRecord &record, const ResizedAxes &axes,
                     const IntensityScale &scale, float *out, float *scratch, int threads);

}  // namespace lightm
