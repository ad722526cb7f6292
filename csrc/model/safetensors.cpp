#include "model/safetensors.h"

#include <algorithm>
#include <cstring>

#include "model/json.h"
#include "model/order.h"

namespace lightm {
namespace {

struct NumberKind {
  const char *name;
  int64_t bytes;
};
constexpr NumberKind kNumberKinds[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8},     {"I64", 8},
                                       {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U64", 8},     {"U32", 4},
                                       {"U16", 2}, {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};

Status damaged(const std::string &found) {
  return {Code::bad_model, "model.safetensors is damaged (" + found + "); copy the whole model folder again"};
}

uint64_t little_endian(const unsigned char *bytes, int count) {
  uint64_t value = 0;
  for (int i = count - 1; i >= 0; --i) value = value << 8 | bytes[i];
  return value;
}

float float_of_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// IEEE 754's binary16.
float float_of_half(uint32_t half) {
  const uint32_t sign = (half & 0x8000) << 16, exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
  if (exponent == 0x1f) return float_of_bits(sign | 0x7f800000 | fraction << 13);
  if (exponent != 0) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
  const float small = static_cast<float>(fraction) * 0x1p-24f;
  return sign ? -small : small;
}

// A tensor of the table; `data` is all that lies behind it.
Status read_entry(const Json::Entry &entry, const unsigned char *data, uint64_t data_size, StoredTensor *tensor,
                  uint64_t *first, uint64_t *last) {
  const std::string name = quoted(entry.first);
  const Json *kind = entry.second.find("dtype"), *shape = entry.second.find("shape");
  const Json *offsets = entry.second.find("data_offsets");
  if (kind == nullptr || !kind->is(Json::Kind::text) || shape == nullptr || !shape->is(Json::Kind::list) ||
      offsets == nullptr || offsets->list().size() != 2 || !offsets->list()[0].is_whole() ||
      !offsets->list()[1].is_whole())
    return damaged(name + " lacks dtype, shape or data_offsets");
  int64_t bytes_each = 0;
  for (const NumberKind &known : kNumberKinds)
    if (kind->text() == known.name) bytes_each = known.bytes;
  if (bytes_each == 0) return damaged(name + " has numbers of the unknown kind " + quoted(kind->text()));
  int64_t count = 1;
  for (const Json &size : shape->list()) {
    if (!size.is_whole() || size.whole() < 0) return damaged("a size of " + name + " is " + size.in_words());
    tensor->shape.push_back(size.whole());
    // No more than the file could hold, so that nothing below overflows. An axis of 0 leaves nothing to count.
    if (size.whole() != 0 && count > static_cast<int64_t>(data_size) / size.whole())
      return damaged(name + " is larger than the file");
    count *= size.whole();
  }
  const int64_t from = offsets->list()[0].whole(), to = offsets->list()[1].whole();
  if (from < 0 || to < from || static_cast<uint64_t>(to) > data_size) return damaged(name + " lies outside the file");
  if (count > (to - from) / bytes_each || count * bytes_each != to - from)
    return damaged(name + " has " + std::to_string(to - from) + " bytes; its shape and kind need others");
  tensor->name = entry.first, tensor->kind = kind->text(), tensor->count = count, tensor->bytes = data + from;
  *first = static_cast<uint64_t>(from), *last = static_cast<uint64_t>(to);
  return {};
}

}  // namespace

void StoredTensor::copy(float *to) const {
  const auto bits = [&](int64_t i, int width) {
    return static_cast<uint32_t>(little_endian(bytes + width * i, width));
  };
  if (kind == "F32") {
    for (int64_t i = 0; i < count; ++i) to[i] = float_of_bits(bits(i, 4));
  } else if (kind == "F16") {
    for (int64_t i = 0; i < count; ++i) to[i] = float_of_half(bits(i, 2));
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = float_of_bits(bits(i, 2) << 16);
  }
}

Status Safetensors::read(const void *file, size_t size, Safetensors *result) {
  const unsigned char *bytes = static_cast<const unsigned char *>(file);
  if (size < 8) return damaged("it has " + std::to_string(size) + " bytes");
  const uint64_t table_size = little_endian(bytes, 8);
  if (table_size > size - 8) return damaged("its table ends behind the file");
  Json table;
  const std::string_view text(reinterpret_cast<const char *>(bytes) + 8, static_cast<size_t>(table_size));
  if (const Status status = Json::read(text, &table); !status.ok()) return damaged("its table: " + status.sentence());
  if (!table.is(Json::Kind::object)) return damaged("its table is no object");

  struct Extent {
    uint64_t first, last;
  };
  std::vector<Extent> extents;
  result->tensors_.clear();
  const uint64_t data_size = size - 8 - table_size;
  for (const Json::Entry &entry : table.object()) {
    if (entry.first == "__metadata__") continue;
    result->tensors_.emplace_back();
    extents.emplace_back();
    if (Status status = read_entry(entry, bytes + 8 + table_size, data_size, &result->tensors_.back(),
                                   &extents.back().first, &extents.back().last);
        !status.ok())
      return status;
  }
  const std::vector<size_t> by_place = ordered(extents.size(), [&](size_t i, size_t k) {
    const Extent &a = extents[i], &b = extents[k];
    return a.first != b.first ? a.first < b.first : a.last != b.last ? a.last < b.last : i < k;
  });
  uint64_t end = 0;
  for (const size_t number : by_place) {
    if (extents[number].first != end) return damaged("its tensors overlap or leave a gap");
    end = extents[number].last;
  }
  if (end != data_size)
    return damaged(std::to_string(data_size) + " bytes behind its table, which needs " + std::to_string(end));
  const std::vector<StoredTensor> &tensors = result->tensors_;
  result->by_name_ =
      ordered(tensors.size(), [&](size_t a, size_t b) { return tensors[a].name.compare(tensors[b].name) < 0; });
  return {};
}

const StoredTensor *Safetensors::find(std::string_view name) const {
  const auto found = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                      [this](size_t a, std::string_view b) { return tensors_[a].name < b; });
  return found != by_name_.end() && tensors_[*found].name == name ? &tensors_[*found] : nullptr;
}

}  // namespace lightm
