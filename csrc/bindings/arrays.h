// Arrays that come from Python, checked before a kernel sees a pointer.
//
// An array that does not fit raises a ValueError that says what was found and what was expected.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <initializer_list>
#include <optional>
#include <string>

#include "ops/selective_scan.h"

namespace lightm_bindings {

namespace nb = nanobind;
using Sizes = std::initializer_list<int64_t>;

// (batch, length, width) whose last axis is dense; rows may be slices of wider rows.
using RowsIn = nb::ndarray<const float, nb::ndim<3>, nb::device::cpu>;
using DenseIn = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using DenseOut = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

// The product; an error if it is too large for an address.
inline int64_t product(Sizes factors, const char *name) {
  int64_t result = 1;
  for (const int64_t factor : factors)
    if (factor < 0 || __builtin_mul_overflow(result, factor, &result))
      throw nb::value_error((std::string(name) + " has more numbers than memory has addresses").c_str());
  if (result > INT64_MAX / static_cast<int64_t>(sizeof(float)))
    throw nb::value_error((std::string(name) + " has more numbers than memory has addresses").c_str());
  return result;
}

template <class Iterator>
std::string shape_text(Iterator first, Iterator last) {
  std::string text = "(";
  for (Iterator size = first; size != last; ++size) text += (size == first ? "" : ", ") + std::to_string(*size);
  return text + (last - first == 1 ? ",)" : ")");
}

template <class Array>
int64_t size_of(const Array &a, size_t axis) {
  return static_cast<int64_t>(a.shape(axis));
}

template <class Array>
void check_shape(const Array &a, Sizes expected, const char *name) {
  bool fits = a.ndim() == expected.size();
  for (size_t axis = 0; fits && axis < a.ndim(); ++axis) fits = size_of(a, axis) == expected.begin()[axis];
  if (!fits)
    throw nb::value_error((std::string(name) + " has shape " + shape_text(a.shape_ptr(), a.shape_ptr() + a.ndim()) +
                           "; expected " + shape_text(expected.begin(), expected.end()))
                              .c_str());
}

template <class Array>
void check_axes(const Array &a, size_t expected, const char *name) {
  if (a.ndim() != expected)
    throw nb::value_error(
        (std::string(name) + " has " + std::to_string(a.ndim()) + " axes; expected " + std::to_string(expected))
            .c_str());
}

inline lightm::Rows rows(const RowsIn &a, Sizes expected, const char *name) {
  check_shape(a, expected, name);
  if (a.shape(2) > 1 && a.stride(2) != 1)
    throw nb::value_error((std::string(name) + " has steps of " + std::to_string(a.stride(2)) +
                           " along its last axis; expected a dense one")
                              .c_str());
  return {a.data(), a.stride(0), a.stride(1)};
}

template <class Array>
auto dense(const Array &a, Sizes expected, const char *name) {
  check_shape(a, expected, name);
  return a.data();
}

template <class Array>
auto dense(const std::optional<Array> &a, Sizes expected, const char *name) {
  return a ? dense(*a, expected, name) : nullptr;
}

}  // namespace lightm_bindings
