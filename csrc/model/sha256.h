// SHA-256, by which a model knows its weights: FIPS 180-4.
#pragma once

#include <cstddef>
#include <string>

namespace lightm {

// 64 hexadecimal digits, small letters.
std::string sha256(const void *bytes, size_t size);

}  // namespace lightm
