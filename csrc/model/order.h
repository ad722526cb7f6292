// Sorting without a copy of std::sort for every type, each of which takes 3 kB of WebAssembly.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace lightm {

// The numbers below `count`, ordered. before(a, b): whether number a must come before number b; of two different
// numbers one must.
std::vector<size_t> ordered(size_t count, const std::function<bool(size_t, size_t)> &before);

}  // namespace lightm
