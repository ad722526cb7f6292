#include "model/description.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "images/grid.h"
#include "model/json.h"

namespace lightm {
namespace {

constexpr int64_t kLargestOption = int64_t{1} << 20, kMostLayers = 1000, kMostBlocks = 16, kMostLabels = 256;
constexpr double kSmallestSpacing = 1e-6, kLargestSpacing = 1000, kLargestIntensity = 1e30;

// Reads one object's entries. The first fault goes to `status`, and everything after it reads as nothing.
class Fields {
 public:
  // object: nullptr is an empty one.
  Fields(const Json *object, std::string place, Status *status)
      : object_(object), place_(std::move(place)), status_(status) {
    if (object != nullptr && !object->is(Json::Kind::object)) fail("", *object, "an object");
  }

  // The entry; nullptr where it is missing or null.
  const Json *find(const char *name) {
    names_.push_back(name);
    const Json *found = object_ == nullptr ? nullptr : object_->find(name);
    return found != nullptr && !found->is(Json::Kind::null) ? found : nullptr;
  }
  const Json *need(const char *name, const char *expected) {
    const Json *found = find(name);
    if (found == nullptr) fail(name, Json(), expected);
    return found;
  }

  void fail(const std::string &name, const Json &found, const std::string &expected) {
    refuse(Code::bad_model,
           place_ + (name.empty() ? "" : "." + name) + " is " + found.in_words() + ", expected " + expected);
  }
  void refuse(Code code, const std::string &sentence) {
    if (status_->ok()) *status_ = {code, "model.json: " + sentence};
  }

  void whole(const char *name, int64_t least, int64_t most, int64_t *to) {
    if (const Json *found = find(name)) read_whole(name, *found, least, most, to);
  }
  void needed_whole(const char *name, int64_t least, int64_t most, int64_t *to) {
    if (const Json *found = need(name, "a whole number")) read_whole(name, *found, least, most, to);
  }
  void wholes(const char *name, int64_t least, int64_t most, std::vector<int64_t> *to) {
    each(name, to, [&](const std::string &place, const Json &found, int64_t *one) {
      read_whole(place, found, least, most, one);
    });
  }
  // Whether it was there.
  bool number(const char *name, double *to) {
    const Json *found = find(name);
    if (found != nullptr) read_number(name, *found, to);
    return found != nullptr;
  }
  void numbers(const char *name, std::vector<double> *to) {
    each(name, to, [&](const std::string &place, const Json &found, double *one) { read_number(place, found, one); });
  }
  void texts(const char *name, std::vector<std::string> *to) {
    each(name, to, [&](const std::string &place, const Json &found, std::string *one) {
      if (!found.is(Json::Kind::text)) return fail(place, found, "text");
      *one = found.text();
    });
  }
  // One of several names, to its place among them.
  template <class Choice>
  void choice(const char *name, std::initializer_list<const char *> choices, Choice *to) {
    const Json *found = find(name);
    if (found == nullptr) return;
    int place = 0;
    std::string known;
    for (const char *each : choices) {
      if (found->is(Json::Kind::text) && found->text() == each) {
        *to = static_cast<Choice>(place);
        return;
      }
      known += (place++ ? ", " : "one of ") + quoted(each);
    }
    fail(name, *found, known);
  }
  void flag(const char *name) {
    const Json *found = find(name);
    if (found != nullptr && !found->is(Json::Kind::boolean)) fail(name, *found, "true or false");
  }

  // Refuses entries that none of the above was asked for.
  void refuse_others() {
    if (object_ == nullptr) return;
    for (const Json::Entry &entry : object_->object())
      if (std::find(names_.begin(), names_.end(), entry.first) == names_.end())
        refuse(Code::bad_model, place_ + " has " + quoted(entry.first) +
                                    ", which this version does not know; use one "
                                    "as new as the model");
  }

 private:
  void read_whole(const std::string &place, const Json &found, int64_t least, int64_t most, int64_t *to) {
    if (!found.is_whole() || found.whole() < least || found.whole() > most)
      return fail(place, found, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    *to = found.whole();
  }
  void read_number(const std::string &place, const Json &found, double *to) {
    if (!found.is(Json::Kind::number)) return fail(place, found, "a number");
    *to = found.number();
  }
  template <class T, class Read>
  void each(const char *name, std::vector<T> *to, const Read &read) {
    const Json *found = find(name);
    if (found == nullptr) return;
    if (!found->is(Json::Kind::list)) return fail(name, *found, "a list");
    to->assign(found->list().size(), T());
    for (size_t i = 0; i < to->size() && status_->ok(); ++i)
      read(std::string(name) + "[" + std::to_string(i) + "]", found->list()[i], &(*to)[i]);
  }

  const Json *object_;
  std::string place_;
  Status *status_;
  std::vector<std::string_view> names_;
};

// The network's name, and what it has that this engine lacks.
void refuse_other_networks(const Json *name, Fields *network) {
  static constexpr const char *kNames[] = {"lightm-unet", "lightm-unet-small", "lightm-unet-tiny", "lightm-unet-nano"};
  if (name == nullptr) return;
  if (!name->is(Json::Kind::text)) return network->fail("name", *name, "a network's name");
  if (std::find(std::begin(kNames), std::end(kNames), name->text()) == std::end(kNames))
    network->refuse(Code::unsupported_model, "the network is " + quoted(name->text()) +
                                                 "; this library runs LightM-UNets only, named \"lightm-unet\"");
}

void read_network(const Json &object, Status *status, NetworkOptions *to) {
  Fields network(&object, "network", status);
  refuse_other_networks(network.need("name", "a network's name"), &network);
  Fields options(network.need("options", "an object"), "network.options", status);
  if (!status->ok()) return;

  int64_t dims = 2;
  options.needed_whole("spatial_dims", 2, 3, &dims);
  to->dims = static_cast<int>(dims);
  options.needed_whole("in_channels", 1, kLargestOption, &to->in_channels);
  options.needed_whole("out_channels", 1, kLargestOption, &to->classes);
  options.whole("width", 1, kLargestOption, &to->width);
  options.choice("stem", {"dwconv", "dwconv-bias", "conv", "conv-norm"}, &to->stem);
  options.choice("norm", {"none", "batch", "instance"}, &to->norm);
  options.choice("head", {"dwconv", "dwconv-norm"}, &to->head);
  options.wholes("encoder_layers", 1, kMostLayers, &to->encoder_layers);
  options.whole("bottleneck_layers", 1, kMostLayers, &to->bottleneck_layers);
  int64_t bottleneck_width = 0;
  options.whole("bottleneck_width", 1, kLargestOption, &bottleneck_width);
  options.number("expand", &to->expand);
  options.whole("d_state", 1, kLargestOption, &to->d_state);
  options.whole("d_conv", 1, kLargestOption, &to->d_conv);
  options.flag("checkpoint_layers");
  bool spatial = false;
  options.choice("conv", {"causal", "spatial"}, &spatial);
  int64_t directions = 1;
  options.whole("directions", 1, 4, &directions);
  options.refuse_others();
  if (!status->ok()) return;

  const bool stem_has_norm = to->stem == StemKind::conv_norm, head_has_norm = to->head == HeadKind::dwconv_norm;
  if ((stem_has_norm || head_has_norm) && to->norm == NormKind::none)
    options.refuse(Code::bad_model, "network.options has a stem or head with a norm, and the norm is \"none\"");
  const int64_t blocks = static_cast<int64_t>(to->encoder_layers.size());
  if (blocks < 1 || blocks > kMostBlocks || to->width > kLargestOption >> blocks)
    return options.refuse(Code::bad_model, "network.options has " + std::to_string(blocks) +
                                               " encoder blocks of width " + std::to_string(to->width) +
                                               "; expected 1 to 16 blocks, and no more than 1048576 channels");
  to->bottleneck_width = bottleneck_width != 0 ? bottleneck_width : to->width << blocks;
  if (!(std::fabs(to->expand) <= static_cast<double>(kLargestOption)) ||
      std::nearbyint(to->expand * static_cast<double>(to->width)) < 1)
    options.refuse(Code::bad_model, "network.options.expand leaves no inner channels, or more than any network has");
  if (directions == 3) options.refuse(Code::bad_model, "network.options.directions is 3, expected 1, 2 or 4");
  if (spatial)
    options.refuse(Code::unsupported_model,
                   "the network has conv \"spatial\"; this library runs networks with conv \"causal\" only");
  if (directions != 1)
    options.refuse(Code::unsupported_model, "the network scans in " + std::to_string(directions) +
                                                " directions; this library runs networks with directions 1 only");
}

// One number for each axis, each within its bounds.
template <class T>
void check_axes(Fields *fields, const char *name, const std::vector<T> &found, int dims, T least, T most,
                const char *expected) {
  const bool fits = std::all_of(found.begin(), found.end(), [&](T each) { return least <= each && each <= most; });
  if (!found.empty() && (static_cast<int>(found.size()) != dims || !fits))
    fields->refuse(Code::bad_model, std::string("preprocessing.") + name + " has other sizes than expected, " +
                                        expected + " for each of " + std::to_string(dims) + " axes");
}

void read_preprocessing(const Json &object, Status *status, Preprocessing *to) {
  Fields fields(&object, "preprocessing", status);
  int64_t dims = 2;
  fields.needed_whole("spatial_dims", 2, 3, &dims);
  to->dims = static_cast<int>(dims);
  fields.needed_whole("channels", 1, kLargestOption, &to->channels);
  fields.wholes("size", 1, kLongestAxis, &to->size);
  fields.numbers("spacing_mm", &to->spacing_mm);
  fields.wholes("roi_size", 1, kLongestAxis, &to->roi_size);
  fields.choice("normalization", {"zscore", "ct"}, &to->normalization);
  fields.choice("outliers", {"compress", "clip"}, &to->outliers);
  fields.choice("flat_axes", {"anatomical", "stored"}, &to->flat_axes);
  std::vector<double> range;
  fields.numbers("intensity_range", &range);
  const bool has_mean = fields.number("intensity_mean", &to->intensity_mean);
  const bool has_std = fields.number("intensity_std", &to->intensity_std);
  fields.refuse_others();

  const auto refuse = [&](const char *sentence) {
    fields.refuse(Code::bad_model, std::string("preprocessing ") + sentence);
  };
  if (to->size.empty() == to->roi_size.empty()) refuse("needs either size or roi_size");
  if (!to->size.empty() && !to->spacing_mm.empty()) refuse("has size and spacing_mm, which goes with roi_size");
  check_axes<int64_t>(&fields, "size", to->size, to->dims, 1, kLongestAxis, "1 to 100000 voxels");
  check_axes<int64_t>(&fields, "roi_size", to->roi_size, to->dims, 1, kLongestAxis, "1 to 100000 voxels");
  check_axes<double>(&fields, "spacing_mm", to->spacing_mm, to->dims, kSmallestSpacing, kLargestSpacing,
                     "0.000001 to 1000 mm");
  if (!range.empty() && range.size() != 2) return refuse("needs two numbers as intensity_range");
  if (!range.empty()) to->intensity_low = range[0], to->intensity_high = range[1];
  for (const double each : {to->intensity_low, to->intensity_high, to->intensity_mean, to->intensity_std})
    if (!(std::fabs(each) < kLargestIntensity)) refuse("has intensities of 1e30 or more");
  if (has_std && to->intensity_std < 1 / kLargestIntensity) refuse("needs an intensity_std above 1e-30");
  if (!range.empty() && (to->intensity_low > to->intensity_high ||
                         (to->intensity_low == to->intensity_high && to->outliers == Outliers::compress)))
    refuse("needs the smaller number of intensity_range first");
  if (to->normalization == Normalization::ct && (range.empty() || !has_mean || !has_std))
    refuse("needs intensity_range, intensity_mean and intensity_std for \"ct\"");
}

void read_labels(const Json &list, Status *status, std::vector<Label> *to) {
  Fields all(nullptr, "labels", status);
  const int64_t count = static_cast<int64_t>(list.list().size());
  if (!list.is(Json::Kind::list) || count < 1 || count > kMostLabels)
    return all.fail("", list, "a list of 1 to 256 labels");
  for (int64_t value = 0; value < count && status->ok(); ++value) {
    const std::string place = "labels[" + std::to_string(value) + "]";
    Fields fields(&list.list()[static_cast<size_t>(value)], place, status);
    Label label;
    int64_t same = value;
    fields.whole("value", value, value, &same);
    const Json *name = fields.need("name", "text");
    if (name != nullptr && !name->is(Json::Kind::text)) fields.fail("name", *name, "text");
    std::vector<int64_t> colour;
    fields.wholes("colour", 0, 255, &colour);
    if (status->ok() && colour.size() != 3)
      fields.refuse(Code::bad_model, place + ".colour needs three whole numbers from 0 to 255");
    if (!status->ok()) return;
    label.name = name->text();
    if (label.name.find('\0') != std::string::npos) fields.fail("name", *name, "text without a zero byte");
    for (int i = 0; i < 3; ++i) label.colour[i] = static_cast<uint8_t>(colour[static_cast<size_t>(i)]);
    for (const Label &other : *to)
      if (other.name == label.name) fields.refuse(Code::bad_model, "labels has " + quoted(label.name) + " twice");
    to->push_back(std::move(label));
  }
}

void read_profile(const Json &object, int dims, Status *status, Profile *to) {
  Fields fields(&object, "profile", status);
  int64_t cases = 0;
  double false_alarms = 0;
  fields.texts("features", &to->features);
  fields.numbers("mean", &to->mean);
  fields.numbers("std", &to->std);
  fields.numbers("layout", &to->layout);
  fields.numbers("longest_mm", &to->longest_mm);
  const bool has_limit = fields.number("limit", &to->limit);
  fields.whole("training_cases", 0, int64_t{1} << 53, &cases);
  fields.number("false_alarms", &false_alarms);
  const Json *rows = fields.find("inverse_correlation");
  fields.refuse_others();
  if (!status->ok()) return;

  const size_t count = to->features.size();
  const size_t row_count = rows == nullptr ? 0 : rows->list().size();
  bool fits = count > 0 && to->mean.size() == count && to->std.size() == count && row_count == count && has_limit;
  for (size_t i = 0; fits && i < count; ++i) {
    const std::vector<Json> &row = rows->list()[i].list();
    fits = row.size() == count && to->std[i] > 0;
    for (size_t k = 0; fits && k < count; ++k) {
      fits = row[k].is(Json::Kind::number);
      to->inverse_correlation.push_back(row[k].number());
    }
  }
  const size_t layout_voxels = dims == 2 ? 16 * 16 : 8 * 8 * 8;
  fits = fits && to->layout.size() == layout_voxels &&
         (to->longest_mm.empty() || static_cast<int>(to->longest_mm.size()) == dims);
  for (const std::string &name : to->features) fits = fits && name.find('\0') == std::string::npos;
  if (!fits)
    fields.refuse(Code::bad_model,
                  "profile has parts that are missing or do not fit together; expected a mean, a "
                  "positive std and a row of inverse_correlation for each feature, and a layout of " +
                      std::to_string(layout_voxels) + " numbers");
}

void read_digest(const Json *weights, Status *status, std::string *to) {
  Fields fields(weights, "weights", status);
  if (weights == nullptr || !status->ok()) return;
  const Json *digest = fields.need("sha256", "64 hexadecimal digits");
  if (digest == nullptr) return;
  if (digest->text().size() != 64) return fields.fail("sha256", *digest, "64 hexadecimal digits");
  *to = digest->text();
}

void check_fit(const Description &all, Fields *card) {
  const auto check = [&](const char *what, int64_t found, int64_t wanted) {
    if (found != wanted)
      card->refuse(Code::bad_model, std::string("network, preprocessing and labels do not fit together: ") + what +
                                        " is " + std::to_string(found) + ", but the network has " +
                                        std::to_string(wanted));
  };
  check("preprocessing.spatial_dims", all.preprocessing.dims, all.network.dims);
  check("preprocessing.channels", all.preprocessing.channels, all.network.in_channels);
  check("the number of labels", static_cast<int64_t>(all.labels.size()), all.network.classes);
}

}  // namespace

Status read_description(std::string_view json, Description *description) {
  Json card;
  if (const Status read = Json::read(json, &card); !read.ok())
    return {Code::bad_model, "model.json is no JSON (" + read.sentence() + "); copy the whole model folder again"};
  *description = Description();
  Status status;
  Fields fields(&card, "it", &status);
  if (!status.ok()) return status;
  if (const Json *format = card.find("format"); format != nullptr && !(format->is_whole() && format->whole() == 1))
    return {Code::unsupported_model,
            "model.json: format is " + format->in_words() + ", expected 1; use a newer version of this library"};
  const Json *network = fields.need("network", "an object");
  const Json *preprocessing = fields.need("preprocessing", "an object");
  const Json *labels = fields.need("labels", "a list");
  if (!status.ok()) return status;
  read_network(*network, &status, &description->network);
  read_preprocessing(*preprocessing, &status, &description->preprocessing);
  read_labels(*labels, &status, &description->labels);
  if (const Json *profile = fields.find("profile")) {
    description->profile.emplace();
    read_profile(*profile, description->preprocessing.dims, &status, &*description->profile);
  }
  read_digest(fields.find("weights"), &status, &description->weights_sha256);
  if (status.ok()) check_fit(*description, &fields);
  return status;
}

}  // namespace lightm
