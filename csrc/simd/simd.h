// Vectors of LIGHTM_WIDTH floats through the compilers' vector extensions, and the few operations
// that deserve more: exp2, log1p, loads of part of a vector, sums across lanes.
//
// This file is compiled once for each instruction set. Everything lives in an unnamed namespace, so
// that the linker can't swap one set's code for another's; for the same reason the kernels use
// no templates of the standard library.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define LIGHTM_NEON
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define LIGHTM_WIDTH 16
#elif defined(__AVX2__)
#define LIGHTM_WIDTH 8
#else
#define LIGHTM_WIDTH 4
#endif

#if defined(__AVX512F__) || defined(LIGHTM_NEON)
#define LIGHTM_REGISTERS 32
#else
#define LIGHTM_REGISTERS 16
#endif

#define LIGHTM_INLINE inline __attribute__((always_inline))
// Once in a file that is downloaded, however often it is called; elsewhere as often as the compiler likes.
#ifdef __wasm__
#define LIGHTM_ONCE inline __attribute__((noinline))
#else
#define LIGHTM_ONCE inline
#endif

namespace {

constexpr int kWidth = LIGHTM_WIDTH;
constexpr int kRegisters = LIGHTM_REGISTERS;  // of vectors, for the sizes of blocks
typedef float vf __attribute__((vector_size(LIGHTM_WIDTH * 4)));
typedef int32_t vi __attribute__((vector_size(LIGHTM_WIDTH * 4)));
typedef uint32_t vu __attribute__((vector_size(LIGHTM_WIDTH * 4)));  // for sums of a NaN's bits, which may overflow

LIGHTM_INLINE vf splat(float x) { return x - vf{}; }  // x - 0 is x for every x: no operation is left

LIGHTM_INLINE vf load(const float *p) {
#if defined(LIGHTM_NEON)
  return (vf)vld1q_f32(p);  // GCC takes the numbers of a copy through its general registers
#else
  vf v;
  std::memcpy(&v, p, sizeof v);
  return v;
#endif
}
LIGHTM_INLINE void store(float *p, vf v) {
#if defined(LIGHTM_NEON)
  vst1q_f32(p, (float32x4_t)v);
#else
  std::memcpy(p, &v, sizeof v);
#endif
}

#if !defined(__AVX512F__) && !defined(__AVX2__)
// Lane by lane, for the last vector of a row alone.
LIGHTM_ONCE vf load_lanes(const float *p, int lanes) {
  vf v{};
  for (int i = 0; i < lanes; ++i) v[i] = p[i];
  return v;
}
LIGHTM_ONCE void store_lanes(float *p, vf v, int lanes) {
  for (int i = 0; i < lanes; ++i) p[i] = v[i];
}
#endif

// The first `lanes` lanes; the others are zero, respectively left alone.
LIGHTM_INLINE vf load_part(const float *p, int lanes) {
  if (lanes == kWidth) return load(p);
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << lanes) - 1), p);
#elif defined(__AVX2__)
  return (vf)_mm256_maskload_ps(p, (__m256i)(vi{0, 1, 2, 3, 4, 5, 6, 7} < vi{} + lanes));
#else
  return load_lanes(p, lanes);
#endif
}
LIGHTM_INLINE void store_part(float *p, vf v, int lanes) {
  if (lanes == kWidth) return store(p, v);
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << lanes) - 1), (__m512)v);
#elif defined(__AVX2__)
  // In pieces of 4, 2 and 1, since AMD's processors take some 40 steps for a store under a mask.
  __m128 rest = _mm256_castps256_ps128((__m256)v);
  if (lanes & 4) {
    _mm_storeu_ps(p, rest);
    rest = _mm256_extractf128_ps((__m256)v, 1), p += 4;
  }
  if (lanes & 2) {
    _mm_storel_pi((__m64 *)p, rest);
    rest = _mm_movehl_ps(rest, rest), p += 2;
  }
  if (lanes & 1) _mm_store_ss(p, rest);
#else
  store_lanes(p, v, lanes);
#endif
}

// The first `lanes` lanes from and to bytes, numbers from 0 to 255; the others are zero, respectively left
// alone.
typedef unsigned char vb __attribute__((vector_size(LIGHTM_WIDTH)));
LIGHTM_INLINE vi load_bytes(const unsigned char *p, int lanes) {
  vb v{};
  if (lanes == kWidth)
    std::memcpy(&v, p, sizeof v);
  else
    std::memcpy(&v, p, static_cast<size_t>(lanes));
  return __builtin_convertvector(v, vi);
}
LIGHTM_INLINE void store_bytes(unsigned char *p, vi x, int lanes) {
  const vb v = __builtin_convertvector(x, vb);
  if (lanes == kWidth)
    std::memcpy(p, &v, sizeof v);
  else
    std::memcpy(p, &v, static_cast<size_t>(lanes));
}

// True unless every lane of a is at most the same lane of b; a NaN makes it true.
LIGHTM_INLINE bool any_above(vf a, vf b) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_NLE_UQ) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_NLE_UQ)) != 0;
#elif defined(LIGHTM_NEON)
  return vminvq_u32(vcleq_f32((float32x4_t)a, (float32x4_t)b)) == 0;
#else
  bool any = false;
  for (int i = 0; i < kWidth; ++i) any |= !(a[i] <= b[i]);
  return any;
#endif
}

// a > b ? a : b, so b where either is NaN.
LIGHTM_INLINE vf vmax(vf a, vf b) {
#if defined(__AVX512F__)
  return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__wasm_simd128__)
  return __builtin_wasm_pmax_f32x4(b, a);  // relaxed SIMD's maximum, into which a choice is turned, may lose NaN
#else
  return a > b ? a : b;
#endif
}
// The larger one; NaN if either is.
LIGHTM_INLINE vf max_or_nan(vf a, vf b) {
#if defined(LIGHTM_NEON)
  return (vf)vmaxq_f32((float32x4_t)a, (float32x4_t)b);
#else
  return ((a > b) | (a != a)) ? a : b;
#endif
}
// a < b ? a : b, likewise.
LIGHTM_INLINE vf vmin(vf a, vf b) {
#if defined(__wasm_simd128__)
  return __builtin_wasm_pmin_f32x4(b, a);
#else
  return a < b ? a : b;
#endif
}
LIGHTM_INLINE vf vsqrt(vf a) {
#if defined(__AVX512F__)
  return (vf)_mm512_sqrt_ps((__m512)a);
#elif defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)a);
#elif defined(LIGHTM_NEON)
  return (vf)vsqrtq_f32((float32x4_t)a);
#else
  for (int i = 0; i < kWidth; ++i) a[i] = __builtin_sqrtf(a[i]);
  return a;
#endif
}
LIGHTM_INLINE vf vabs(vf a) { return (vf)((vi)a & 0x7fffffff); }
// The larger of |a| and b, where b has no sign either; NaN, whose bits are above infinity's, if either
// is.
LIGHTM_INLINE vf max_abs(vf a, vf b) {
  const vi x = (vi)vabs(a), y = (vi)b;
#if defined(__AVX512F__)
  return (vf)_mm512_max_epi32((__m512i)x, (__m512i)y);
#elif defined(__AVX2__)
  return (vf)_mm256_max_epi32((__m256i)x, (__m256i)y);
#else
  return (vf)(x > y ? x : y);
#endif
}

// 2^(s * m) for |s * m| <= kExp2Limit, exactly 1 at zero.
//
// Adding 1.5 * 2^(23 - b) rounds to multiples of 2^-b and leaves them in the mantissa's low bits.
// The low b bits choose 2^(j / 2^b) from a table held in registers, the others go into the exponent,
// and a polynomial takes care of the rest r. Relative error before rounding: 2e-7 with 32 entries and
// a square, 5e-8 with 8 entries and a cube, 1e-7 with no table and degree 5.
//
// The square: 2^r is close to S ((r + a)^2 + c), of which S hides in the table and a in the number
// that is subtracted, so that one multiply-add is left of the polynomial. a must be a multiple of
// 1/32 for that, and 46/32 happens to lie where the best parabola has its own. The cube is
// S ((r + a)^2 + c)(r + a + b), where a must be a multiple of 1/8, and 1 is close to the best.
constexpr float kExp2Limit = 121.0f;  // S takes away another 5 of the smallest exponent

LIGHTM_INLINE vf exp2_product(vf s, vf m) {
#if defined(__AVX512F__)
  // Entry j is the bits of S * 2^(j / 32), less j << 18, which the shift below adds back.
  const vi low = {0x3e76e2cc, 0x3e784ac2, 0x3e78e883, 0x3e77bb21, 0x3e769d92, 0x3e75902e, 0x3e749350, 0x3e73a755,
                  0x3e72cc9c, 0x3e720384, 0x3e714c72, 0x3e70a7c9, 0x3e7015f2, 0x3e6f9755, 0x3e6f2c5e, 0x3e6ed57d};
  const vi high = {0x3e6e9320, 0x3e6e65bc, 0x3e6e4dc5, 0x3e6e4bb5, 0x3e6e6005, 0x3e6e8b33, 0x3e6ecdbf, 0x3e6f282d,
                   0x3e6f9b01, 0x3e7026c6, 0x3e70cc06, 0x3e718b51, 0x3e726538, 0x3e735a51, 0x3e746b35, 0x3e75987e};
  const vf t = s * m + splat(393216.0f);
  const vf v = s * m - (t - splat(393216.0f + 1.4375f));
  const vf square = v * v + splat(2.0812583f);
  const vi index = (vi)t;
  const vi entry = (vi)_mm512_permutex2var_epi32((__m512i)low, (__m512i)index, (__m512i)high);
  return (vf)(entry + (index << 18)) * square;
#elif defined(__AVX2__)
  // Entry j is the bits of S * 2^(j / 8), less j << 20.
  const vi table = {0x3d65623e, 0x3d6a250f, 0x3d686474, 0x3d64bcaa, 0x3d6232e5, 0x3d60e10a, 0x3d60e353, 0x3d625889};
  vf x = s * m;
  __asm__("" : "+x"(x));  // keeps the product out of two multiply-adds: additions have units of their own
  const vf t = x + splat(1572864.0f);
  const vf v = x - (t - splat(1572864.0f + 1.0f));
  const vf cube = (v * v + splat(6.796583652f)) * (v + splat(1.290302992f));
  const vi index = (vi)t;
  const vi entry = (vi)_mm256_permutevar8x32_epi32((__m256i)table, (__m256i)index);
  return cube * (vf)(entry + (index << 20));
#elif defined(LIGHTM_NEON)
  // The exponent's bias is in the number that rounds. The polynomial is in two halves: each constant that a
  // multiply-add begins with has to be copied to where its result goes.
  const vf magic = splat(12582912.0f + 127.0f);
  const vf t = s * m + magic;
  const vf r = s * m + (magic - t);
  const vf r2 = r * r;
  const vf low = splat(0.24022107f) + r * splat(0.05550357f), high = splat(0.00967603f) + r * splat(0.00133909f);
  const vf q = r * splat(0.69314719f) + r2 * (low + r2 * high);
  const vf power = (vf)((vi)t << 23);
  return power + power * q;
#else
  const vf magic = splat(12582912.0f);
  const vf x = s * m;
  const vf t = x + magic;
  const vf r = x - (t - magic);
  const vf q = r * (0.69314719f + r * (0.24022107f + r * (0.05550357f + r * (0.00967603f + r * splat(0.00133909f)))));
  const vf power = (vf)(((vu)t << 23) + 0x3f800000u);
  return power + power * q;
#endif
}

// The same for any argument: below the limit it stays at 2^-121, which is as good as nothing after
// one step; above it at 2^121; NaN stays NaN.
LIGHTM_INLINE vf exp2_any(vf x) {
  const vf clamped = vmax(vmin(x, splat(kExp2Limit)), splat(-kExp2Limit));
  return x == x ? exp2_product(clamped, splat(1.0f)) : x;
}

// 2^x for -1/2 <= x <= 0, exactly 1 at zero: a polynomial alone, relative error 1.7e-7 before rounding.
LIGHTM_INLINE vf exp2_small(vf x) {
  return 1.0f + x * (0.69314718f + x * (0.24017872f + x * (0.055055358f + x * splat(0.0082837241f))));
}
constexpr float kExp2Small = 0.5f;

constexpr float kLog2e = 1.44269504f;

// exp(-|x|), never overflowing; NaN stays NaN.
LIGHTM_INLINE vf exp_minus_abs(vf x) {
  const vf lowest = splat(-kExp2Limit / kLog2e);
  return exp2_product(vmax(lowest, -vabs(x)), splat(kLog2e));
}

// log(1 + y) for 0 <= y <= 1: y times a Chebyshev fit of log(1 + y) / y; relative error below 1e-7.
// Even and odd powers make two chains of half the latency.
LIGHTM_INLINE vf log1p_unit(vf y) {
  const vf y2 = y * y;
  vf even = splat(-0.0031760570f), odd = splat(0.019542528f);
  even = even * y2 - 0.056373615f, odd = odd * y2 + 0.10543624f;
  even = even * y2 - 0.15269667f, odd = odd * y2 + 0.19663274f;
  even = even * y2 - 0.24951616f, odd = odd * y2 + 0.33329710f;
  even = even * y2 - 0.49999893f;
  return (even + odd * y) * y2 + y;
}

// The logistic function of x, given y = exp(-|x|).
LIGHTM_INLINE vf sigmoid_from(vf x, vf y) {
  const vf positive = 1.0f / (1.0f + y);
  return x > 0.0f ? positive : y * positive;
}
LIGHTM_INLINE vf sigmoid(vf x) { return sigmoid_from(x, exp_minus_abs(x)); }

// A leaky ReLU. NaN stays NaN: vmax gives its second where one is.
LIGHTM_INLINE vf leaky(vf x, float slope) { return vmax(slope == 0.0f ? vf{} : slope * x, x); }

// Lane l of the result is the sum of all lanes of v[l]: a transposition folded into the sums, 3
// operations for each pair of vectors instead of a full reduction of each.
template <int kHalf, int... kLane>
struct Lanes {
  // Two vectors become one: in groups of 2 * kHalf lanes, the low half sums a's group, the high b's.
  static LIGHTM_INLINE vf fold(vf a, vf b) {
    return __builtin_shufflevector(a, b, keep(kLane)...) + __builtin_shufflevector(a, b, cross(kLane)...);
  }
  static constexpr bool low(int l) { return l % (2 * kHalf) < kHalf; }
  static constexpr int keep(int l) { return low(l) ? l : kWidth + l - kHalf; }
  static constexpr int cross(int l) { return low(l) ? l + kHalf : kWidth + l; }
};

template <int kHalf>
LIGHTM_INLINE vf fold(vf a, vf b) {
#if LIGHTM_WIDTH == 16
  return Lanes<kHalf, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>::fold(a, b);
#elif LIGHTM_WIDTH == 8
  return Lanes<kHalf, 0, 1, 2, 3, 4, 5, 6, 7>::fold(a, b);
#else
  return Lanes<kHalf, 0, 1, 2, 3>::fold(a, b);
#endif
}

template <int kHalf>
LIGHTM_INLINE vf sums_of_each(const vf *v) {
  if constexpr (kHalf == 0) {
    return v[0];
  } else {
    // v holds 2 * kHalf vectors; their sums come out in the order of their index.
    vf half[kHalf];
    for (int i = 0; i < kHalf; ++i) half[i] = fold<kHalf>(v[i], v[i + kHalf]);
    return sums_of_each<kHalf / 2>(half);
  }
}

// v: kWidth vectors.
LIGHTM_INLINE vf sums_across_lanes(const vf *v) {
#if defined(LIGHTM_NEON)
  return (vf)vpaddq_f32(vpaddq_f32((float32x4_t)v[0], (float32x4_t)v[1]),
                        vpaddq_f32((float32x4_t)v[2], (float32x4_t)v[3]));
#else
  return sums_of_each<kWidth / 2>(v);
#endif
}

LIGHTM_INLINE float lane_sum(vf v) {
#if defined(LIGHTM_NEON)
  return vaddvq_f32((float32x4_t)v);
#else
#if LIGHTM_WIDTH == 16
  v = fold<8>(v, v);
#endif
#if LIGHTM_WIDTH >= 8
  v = fold<4>(v, v);
#endif
  v = fold<2>(v, v);
  return fold<1>(v, v)[0];
#endif
}

}  // namespace
