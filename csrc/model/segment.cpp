#include "model/segment.h"

#include <algorithm>
#include <optional>

#include "images/intensities.h"
#include "images/likeness.h"
#include "images/prepare.h"
#include "images/restore.h"
#include "images/windows.h"
#include "model/window_sums.h"

namespace lightm {
namespace {

// Parts of the time, for the progress: until the network begins, and until it ends.
constexpr double kPrepared = 0.02, kRun = 0.97;

// Everything that is known before the intensities are looked at.
struct Plan {
  GridRecord record;
  Grid run_grid;                   // of one pass of the network: the whole grid, or a window
  std::optional<Windows> windows;  // where the model works by windows
  int64_t held = 0;                // planes of sums, see WindowSums
  // Places in the arena: the network's input, its logits or sums of them, one window's input and logits, scratch, and
  // the network's memory, which is scratch while the network does not run.
  int64_t input, logits, window_in = 0, window_out = 0, restoring, working;
  int64_t bytes;
};

Status make_plan(const Description &description, const Network &network, const Image &image,
                 const SegmentOptions &options, bool probabilities, Plan *plan) {
  const Preprocessing &preprocessing = description.preprocessing;
  if (Status status = check_image(description, image, options.memory_limit, &plan->record); !status.ok()) return status;
  const GridRecord &record = plan->record;
  plan->run_grid = record.seen;
  for (size_t i = 0; i < preprocessing.roi_size.size(); ++i)
    plan->run_grid[static_cast<int>(i) + 3 - record.dims] = preprocessing.roi_size[i];
  if (Status status = network.check(plan->run_grid); !status.ok()) return status;

  const int64_t channels = preprocessing.channels, classes = network.options().classes;
  const int threads = options.run.threads;
  Places places;
  const auto take = [&places](int64_t floats) { return places.take(floats * static_cast<int64_t>(sizeof(float))); };
  plan->input = take(channels * record.seen.voxels());
  if (preprocessing.roi_size.empty()) {
    plan->logits = take(classes * record.seen.voxels());
  } else {
    plan->windows.emplace(record.seen, plan->run_grid, options.overlap);
    plan->held = WindowSums::depth(*plan->windows, record);
    plan->logits = take(WindowSums::floats(*plan->windows, plan->held, classes));
    plan->window_in = take(channels * plan->run_grid.voxels());
    plan->window_out = take(classes * plan->run_grid.voxels());
  }
  plan->restoring = take(Restorer::scratch(record, classes, probabilities, threads));
  int64_t floats =
      std::max(intensity_scratch(), prepare_scratch(record, ResizedAxes(record.canonical, record.seen), threads));
  if (description.profile) floats = std::max(floats, measure_scratch(record.dims, channels, record.seen));
  plan->working = places.take(
      std::max(network.memory_bytes(plan->run_grid, threads), floats * static_cast<int64_t>(sizeof(float))));
  plan->bytes = places.bytes;
  return {};
}

// A part of the work reports its own progress, from 0 to 1, as a part of the whole.
struct Stretch {
  const Run &whole;
  double from, to;

  static int report(void *user, double done) {
    const Stretch &own = *static_cast<const Stretch *>(user);
    return own.whole.progress(own.whole.user, own.from + (own.to - own.from) * done);
  }
  Run run() {
    if (whole.progress == nullptr) return whole;
    return {whole.threads, report, this};
  }
};

Status cancelled() { return Status(Code::cancelled, "cancelled"); }

// One image on its way.
class Segmentation {
 public:
  Segmentation(const Description &description, const Network &network, const Image &image,
               const SegmentOptions &options, const Plan &plan, char *memory, uint8_t *labels, float *probabilities)
      : description_(description),
        network_(network),
        image_(image),
        options_(options),
        plan_(plan),
        memory_(memory),
        classes_(network.options().classes),
        restorer_(plan.record, classes_, labels, probabilities),
        found_(classes_) {}

  Status run(Judgement *judgement) {
    if (!options_.run.report(0)) return cancelled();
    if (Status status = prepare(); !status.ok()) return status;
    MeasuredImage measured;
    if (description_.profile)
      measured = measure_image(input(), plan_.record.dims, channels(), plan_.record.seen, floats(plan_.working));
    Status status = plan_.windows ? run_windows(*plan_.windows) : run_whole();
    if (!status.ok()) return status;
    *judgement = {};
    if (description_.profile && comparable(*description_.profile, measured, found_)) {
      const Profile &profile = *description_.profile;
      const Likeness likeness = compare(profile, measured, found_);
      judgement->judged = true;
      judgement->score = likeness.score, judgement->limit = profile.limit;
      judgement->unlike = likeness.score > profile.limit;
      judgement->most_unusual = profile.features[likeness.most_unusual];
    }
    return options_.run.report(1) ? Status() : cancelled();
  }

 private:
  float *floats(int64_t place) const { return reinterpret_cast<float *>(memory_ + place); }
  float *input() const { return floats(plan_.input); }
  int64_t channels() const { return description_.preprocessing.channels; }

  Status prepare() {
    const GridRecord &record = plan_.record;
    const int64_t voxels = record.canonical.voxels();
    const int64_t broken = count_not_finite(image_.values, channels() * voxels);
    if (broken > 0)
      return bad_image(std::to_string(broken) + " NaN or infinite voxels", "finite intensities",
                       "replace them, for example by the background's value");
    const ResizedAxes axes(record.canonical, record.seen);
    for (int64_t channel = 0; channel < channels(); ++channel) {
      const float *values = image_.values + channel * voxels;
      const IntensityScale scale = intensity_scale(values, voxels, description_.preprocessing, floats(plan_.working));
      prepare_channel(values, record, axes, scale, input() + channel * record.seen.voxels(), floats(plan_.working),
                      options_.run.threads);
      if (!options_.run.report(kPrepared * static_cast<double>(channel + 1) / static_cast<double>(channels())))
        return cancelled();
    }
    return {};
  }

  Status run_whole() {
    const Grid &grid = plan_.record.seen;
    float *logits = floats(plan_.logits);
    Stretch stretch{options_.run, kPrepared, kRun};
    Status status = network_.run(input(), grid, logits, memory_ + plan_.working, stretch.run());
    if (!status.ok()) return status;
    return finish({logits, grid.voxels(), grid.height * grid.width, grid.width}, 0, grid.depth);
  }

  Status run_windows(const Windows &windows) {
    WindowSums sums(windows, plan_.held, classes_, floats(plan_.logits));
    const float padding = padding_value(description_.preprocessing);
    const std::vector<int64_t> &depths = windows.starts[0];
    const double share = (kRun - kPrepared) / static_cast<double>(windows.count());
    double from = kPrepared;
    int64_t finished = 0;
    for (size_t i = 0; i < depths.size(); ++i) {
      for (int64_t height : windows.starts[1])
        for (int64_t width : windows.starts[2]) {
          const Grid start{depths[i], height, width};
          for (int64_t channel = 0; channel < channels(); ++channel)
            windows.cut(input() + channel * windows.grid.voxels(), start, padding,
                        floats(plan_.window_in) + channel * windows.roi.voxels());
          Stretch stretch{options_.run, from, from + share};
          Status status = network_.run(floats(plan_.window_in), windows.roi, floats(plan_.window_out),
                                       memory_ + plan_.working, stretch.run());
          if (!status.ok()) return status;
          sums.add(floats(plan_.window_out), start);
          from += share;
        }
      const int64_t ready = i + 1 < depths.size() ? depths[i + 1] : windows.padded.depth;
      const LogitPlanes planes = sums.finish(ready);
      const int64_t to = std::min(std::max(ready - windows.before.depth, finished), windows.grid.depth);
      if (Status status = finish(planes, finished, to); !status.ok()) return status;
      finished = to;
      sums.drop(restorer_.needed() + windows.before.depth);
    }
    return {};
  }

  // Logits of the depths [from, to) are there for good.
  Status finish(const LogitPlanes &planes, int64_t from, int64_t to) {
    const Grid &grid = plan_.record.seen;
    int64_t broken = 0;
    for (int64_t label = 0; label < classes_; ++label)
      for (int64_t d = from; d < to; ++d)
        for (int64_t h = 0; h < grid.height; ++h) broken += count_not_finite(planes.row(label, d, h), grid.width);
    if (broken > 0)
      return bad_image("an image for which the network gives NaN or infinite values", "finite ones",
                       "check the model's weights and the image's intensities");
    if (description_.profile) found_.add(planes, grid, from, to);
    restorer_.advance(planes, to, floats(plan_.restoring), options_.run.threads);
    return {};
  }

  const Description &description_;
  const Network &network_;
  const Image &image_;
  const SegmentOptions &options_;
  const Plan &plan_;
  char *memory_;
  int64_t classes_;
  Restorer restorer_;
  MeasuredLabels found_;
};

}  // namespace

Status segment_memory(const Description &description, const Network &network, const Image &image,
                      const SegmentOptions &options, uint64_t *bytes) {
  Plan plan;
  if (Status status = make_plan(description, network, image, options, true, &plan); !status.ok()) return status;
  *bytes = static_cast<uint64_t>(plan.bytes);
  return {};
}

Status segment(const Description &description, const Network &network, const Image &image,
               const SegmentOptions &options, Arena *arena, uint8_t *labels, float *probabilities,
               Judgement *judgement) {
  Plan plan;
  if (Status status = make_plan(description, network, image, options, probabilities != nullptr, &plan); !status.ok())
    return status;
  if (Status status = arena->reserve(plan.bytes, options.memory_limit); !status.ok()) return status;
  return Segmentation(description, network, image, options, plan, static_cast<char *>(arena->data()), labels,
                      probabilities)
      .run(judgement);
}

}  // namespace lightm
