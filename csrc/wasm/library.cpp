// The little of the C++ library that is no header, so that none needs to be built: that takes minutes.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>

// The headers count on the library to hold the code of strings.
template class std::basic_string<char>;
template std::string std::operator+(const char *, const std::string &);

namespace {

std::string digits_of(unsigned long long size, bool negative = false) {
  char text[21], *first = text + sizeof text;
  do *--first = static_cast<char>('0' + size % 10);
  while ((size /= 10) != 0);
  if (negative) *--first = '-';
  return {first, text + sizeof text};
}
std::string signed_digits_of(long long number) {
  const unsigned long long bits = static_cast<unsigned long long>(number);
  return digits_of(number < 0 ? -bits : bits, number < 0);
}

}  // namespace

std::string std::to_string(int number) { return signed_digits_of(number); }
std::string std::to_string(unsigned number) { return digits_of(number); }
std::string std::to_string(long number) { return signed_digits_of(number); }
std::string std::to_string(unsigned long number) { return digits_of(number); }
std::string std::to_string(long long number) { return signed_digits_of(number); }
std::string std::to_string(unsigned long long number) { return digits_of(number); }

// Called by headers where they would throw.
[[noreturn]] void std::__libcpp_verbose_abort(const char *, ...) noexcept { abort(); }

extern "C" {

// Zig's runtime library has the other functions of <cmath> and <cstring> that are called.
double log1p(double x) {
  const double sum = 1 + x;  // what it lost to rounding is in the quotient
  return sum == 1 ? x : std::isinf(sum) ? sum : std::log(sum) * (x / (sum - 1));
}
double atanh(double x) { return 0.5 * log1p(2 * x / (1 - x)); }

void *memchr(const void *text, int byte, size_t size) {
  const unsigned char *at = static_cast<const unsigned char *>(text), *end = at + size;
  while (at != end && *at != static_cast<unsigned char>(byte)) ++at;
  return at == end ? nullptr : const_cast<unsigned char *>(at);
}

// Ends the instance: JavaScript catches a RuntimeError.
void abort() { __builtin_trap(); }

[[noreturn]] void __cxa_pure_virtual() { abort(); }

}  // extern "C"
