/* SPDX-License-Identifier: MIT */
/*
 * libm's names for modules compiled with math="vector": one value per argument, however it is met.
 *
 * gcc turns calls of functions declared simd into calls of vector variants whose names the GNU
 * vector ABI fixes: _ZGV, a letter for the instruction set (b SSE, c AVX, d AVX2, e AVX-512,
 * n AdvSIMD), N, the lanes, v per argument, _, the name. It picks letters and lanes loop by loop,
 * and calls the scalar name in remainders, in code that is not in a loop and through pointers.
 * All of these are defined here, hidden in the module, by ONE SLEEF function: the widest the
 * module is compiled for does the work, narrower variants and the scalar name use some of its
 * lanes. So the bits of an element do not depend on where it stands.
 *
 * SLEEF's deterministic functions are used (finz with FMA, cinz without). Its other ones, and its
 * GNU-ABI library, take another path for a whole vector when one lane is large (sin, cos, tan), so
 * that neighbours change an element's bits; these choose lane by lane and are as fast.
 *
 * Where SLEEF leaves its 1 ulp (an argument beyond its domain, lgamma near its negative zeros), the
 * lanes concerned are computed in long double, one by one.
 *
 * log, log1p and lgamma of double have functions of their own here for the arguments one meets, two
 * to five times as fast as SLEEF's and within 0.75 ulp; the lanes of other arguments are SLEEF's.
 * All branches choose lane by lane.
 */
#define _GNU_SOURCE
#include <fenv.h>
#include <math.h>
#include <stdint.h>
#if defined __x86_64__ || defined __i386__
#include <immintrin.h>
#elif defined __aarch64__
#include <arm_neon.h>
#endif

#include "vector_tables.h"

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)

#if defined __AVX512F__
#define WIDE(prefix, lanes, args, name) prefix##eN##lanes##args##_##name
#define SLEEF_D(name, ulp) Sleef_finz_##name##d8_##ulp##avx512f
#define SLEEF_F(name, ulp) Sleef_finz_##name##f16_##ulp##avx512f
#define LANES 8
#elif defined __AVX2__ && defined __FMA__
#define WIDE(prefix, lanes, args, name) prefix##dN##lanes##args##_##name
#define SLEEF_D(name, ulp) Sleef_finz_##name##d4_##ulp##avx2
#define SLEEF_F(name, ulp) Sleef_finz_##name##f8_##ulp##avx2
#define LANES 4
#elif defined __AVX__
#define WIDE(prefix, lanes, args, name) prefix##cN##lanes##args##_##name
#define SLEEF_D(name, ulp) Sleef_cinz_##name##d4_##ulp##avx
#define SLEEF_F(name, ulp) Sleef_cinz_##name##f8_##ulp##avx
#define LANES 4
#elif defined __SSE2__
#define WIDE(prefix, lanes, args, name) prefix##bN##lanes##args##_##name
#define SLEEF_D(name, ulp) Sleef_cinz_##name##d2_##ulp##sse2
#define SLEEF_F(name, ulp) Sleef_cinz_##name##f4_##ulp##sse2
#define LANES 2
#elif defined __aarch64__
#define WIDE(prefix, lanes, args, name) prefix##nN##lanes##args##_##name
#define SLEEF_D(name, ulp) Sleef_finz_##name##d2_##ulp##advsimd
#define SLEEF_F(name, ulp) Sleef_finz_##name##f4_##ulp##advsimd
#define LANES 2
#else
#error "math=\"vector\" has no vector functions for this processor"
#endif

#if LANES == 8
#define LANES_D 8
#define LANES_F 16
#elif LANES == 4
#define LANES_D 4
#define LANES_F 8
#else
#define LANES_D 2
#define LANES_F 4
#endif

#ifdef __aarch64__
#define VECTOR_CALL __attribute__((aarch64_vector_pcs)) /* what the ABI of these names says */
#else
#define VECTOR_CALL
#endif

/* Weak: a module that defines a function of such a name itself keeps its own. */
#define HIDDEN __attribute__((weak, visibility("hidden")))

typedef double wide_d __attribute__((vector_size(8 * LANES_D)));
typedef float wide_f __attribute__((vector_size(4 * LANES_F)));
typedef int64_t mask_d __attribute__((vector_size(8 * LANES_D)));
typedef int32_t mask_f __attribute__((vector_size(4 * LANES_F)));

/* ---- lanes ---------------------------------------------------------------------------------- */

#define EVERY_LANE(v, value)                                                                       \
    for (unsigned lane = 0; lane < sizeof(v) / sizeof(v)[0]; lane++)                               \
    (v)[lane] = (value)

/* A narrow vector repeated over a wide one. */
#define WIDEN(wide, narrow)                                                                        \
    for (unsigned at = 0; at < sizeof(wide); at += sizeof(narrow))                                 \
    __builtin_memcpy((char *)&(wide) + at, &(narrow), sizeof(narrow))

static inline int any_d(mask_d mask)
{
#if defined __AVX512F__
    return _mm512_test_epi64_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined __AVX__
    return _mm256_movemask_pd((__m256d)mask) != 0;
#else
    return (mask[0] | mask[1]) != 0;
#endif
}

static inline int any_f(mask_f mask)
{
#if defined __AVX512F__
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined __AVX__
    return _mm256_movemask_ps((__m256)mask) != 0;
#else
    return (mask[0] | mask[1] | mask[2] | mask[3]) != 0;
#endif
}

/* a where the mask is set, else b. */
static inline wide_d choose(mask_d mask, wide_d a, wide_d b)
{
    return (wide_d)((mask & (mask_d)a) | (~mask & (mask_d)b));
}

static inline wide_d abs_d(wide_d x) { return (wide_d)((mask_d)x & INT64_MAX); }

static inline wide_f abs_f(wide_f x) { return (wide_f)((mask_f)x & INT32_MAX); }

/* ---- beyond SLEEF's domain ------------------------------------------------------------------ */

static long double lgamma_long(long double x)
{
    int sign;
    return lgammal_r(x, &sign);
}

/* Leaves the floating-point flags as they were: the vector functions say nothing either. */
static __attribute__((noinline, cold)) wide_d recompute(wide_d x, wide_d y, mask_d lanes,
                                                        long double (*exact)(long double))
{
    fexcept_t flags;
    fegetexceptflag(&flags, FE_ALL_EXCEPT);
    for (unsigned lane = 0; lane < LANES_D; lane++)
        if (lanes[lane])
            y[lane] = (double)exact(x[lane]);
    fesetexceptflag(&flags, FE_ALL_EXCEPT);
    return y;
}

static __attribute__((noinline, cold)) wide_f recompute_f(wide_f x, wide_f y, mask_f lanes,
                                                          double (*exact)(double))
{
    for (unsigned lane = 0; lane < LANES_F; lane++)
        if (lanes[lane])
            y[lane] = (float)exact(x[lane]);
    return y;
}

/* ---- definitions ---------------------------------------------------------------------------- */

/* compute_##name is the one function; the rest are ways to reach it. */
#define REACH_1(real, wide, name, letter, lanes)                                                   \
    typedef real letter##lanes##_##name __attribute__((vector_size(sizeof(real) * lanes)));        \
    HIDDEN VECTOR_CALL letter##lanes##_##name _ZGV##letter##N##lanes##v_##name(                    \
        letter##lanes##_##name x)                                                                  \
    {                                                                                              \
        wide all;                                                                                  \
        WIDEN(all, x);                                                                             \
        all = compute_##name(all);                                                                 \
        letter##lanes##_##name some;                                                               \
        __builtin_memcpy(&some, &all, sizeof some);                                                \
        return some;                                                                               \
    }

#define REACH_2(real, wide, name, letter, lanes)                                                   \
    typedef real letter##lanes##_##name __attribute__((vector_size(sizeof(real) * lanes)));        \
    HIDDEN VECTOR_CALL letter##lanes##_##name _ZGV##letter##N##lanes##vv_##name(                   \
        letter##lanes##_##name x, letter##lanes##_##name y)                                        \
    {                                                                                              \
        wide all_x, all_y;                                                                         \
        WIDEN(all_x, x);                                                                           \
        WIDEN(all_y, y);                                                                           \
        all_x = compute_##name(all_x, all_y);                                                      \
        letter##lanes##_##name some;                                                               \
        __builtin_memcpy(&some, &all_x, sizeof some);                                              \
        return some;                                                                               \
    }

/* The variants narrower than the widest. AArch64 has 64-bit vectors of two floats. */
#if defined __AVX512F__
#define NARROWER_D(reach, name)                                                                    \
    reach(double, wide_d, name, d, 4) reach(double, wide_d, name, c, 4)                            \
        reach(double, wide_d, name, b, 2)
#define NARROWER_F(reach, name)                                                                    \
    reach(float, wide_f, name, d, 8) reach(float, wide_f, name, c, 8)                              \
        reach(float, wide_f, name, b, 4)
#elif defined __AVX2__ && defined __FMA__
#define NARROWER_D(reach, name) reach(double, wide_d, name, c, 4) reach(double, wide_d, name, b, 2)
#define NARROWER_F(reach, name) reach(float, wide_f, name, c, 8) reach(float, wide_f, name, b, 4)
#elif defined __AVX2__ /* without FMA: AVX's functions serve d as well */
#define NARROWER_D(reach, name) reach(double, wide_d, name, d, 4) reach(double, wide_d, name, b, 2)
#define NARROWER_F(reach, name) reach(float, wide_f, name, d, 8) reach(float, wide_f, name, b, 4)
#elif defined __AVX__
#define NARROWER_D(reach, name) reach(double, wide_d, name, b, 2)
#define NARROWER_F(reach, name) reach(float, wide_f, name, b, 4)
#elif defined __aarch64__
#define NARROWER_D(reach, name)
#define NARROWER_F(reach, name) reach(float, wide_f, name, n, 2)
#else
#define NARROWER_D(reach, name)
#define NARROWER_F(reach, name)
#endif

#define WIDEST_1(wide, lanes, name)                                                                \
    HIDDEN VECTOR_CALL wide WIDE(_ZGV, lanes, v, name)(wide x) { return compute_##name(x); }
#define WIDEST_2(wide, lanes, name)                                                                \
    HIDDEN VECTOR_CALL wide WIDE(_ZGV, lanes, vv, name)(wide x, wide y)                            \
    {                                                                                              \
        return compute_##name(x, y);                                                               \
    }
#if LANES == 8
#define WIDEST_D(n, name) PASTE(WIDEST_, n)(wide_d, 8, name)
#define WIDEST_F(n, name) PASTE(WIDEST_, n)(wide_f, 16, name)
#elif LANES == 4
#define WIDEST_D(n, name) PASTE(WIDEST_, n)(wide_d, 4, name)
#define WIDEST_F(n, name) PASTE(WIDEST_, n)(wide_f, 8, name)
#else
#define WIDEST_D(n, name) PASTE(WIDEST_, n)(wide_d, 2, name)
#define WIDEST_F(n, name) PASTE(WIDEST_, n)(wide_f, 4, name)
#endif

#define NAMES_1(real, wide, kind, name)                                                            \
    WIDEST_##kind(1, name) NARROWER_##kind(REACH_1, name) HIDDEN real name(real x)                 \
    {                                                                                              \
        wide all;                                                                                  \
        EVERY_LANE(all, x);                                                                        \
        return compute_##name(all)[0];                                                             \
    }

#define NAMES_2(real, wide, kind, name)                                                            \
    WIDEST_##kind(2, name) NARROWER_##kind(REACH_2, name) HIDDEN real name(real x, real y)         \
    {                                                                                              \
        wide all_x, all_y;                                                                         \
        EVERY_LANE(all_x, x);                                                                      \
        EVERY_LANE(all_y, y);                                                                      \
        return compute_##name(all_x, all_y)[0];                                                    \
    }

#define DOUBLE_1(name, ulp)                                                                        \
    wide_d SLEEF_D(name, ulp)(wide_d);                                                             \
    static inline wide_d compute_##name(wide_d x) { return SLEEF_D(name, ulp)(x); }                \
    NAMES_1(double, wide_d, D, name)

/* As DOUBLE_1; the lanes for which `beyond`, of the arguments x and SLEEF's results y, holds are
 * recomputed by `exact`. */
#define DOUBLE_1_WITHIN(name, ulp, beyond, exact)                                                  \
    wide_d SLEEF_D(name, ulp)(wide_d);                                                             \
    static inline wide_d compute_##name(wide_d x)                                                  \
    {                                                                                              \
        wide_d y = SLEEF_D(name, ulp)(x);                                                          \
        mask_d lanes = (beyond);                                                                   \
        return __builtin_expect(any_d(lanes), 0) ? recompute(x, y, lanes, exact) : y;              \
    }                                                                                              \
    NAMES_1(double, wide_d, D, name)

#define DOUBLE_2(name, ulp)                                                                        \
    wide_d SLEEF_D(name, ulp)(wide_d, wide_d);                                                     \
    static inline wide_d compute_##name(wide_d x, wide_d y) { return SLEEF_D(name, ulp)(x, y); }   \
    NAMES_2(double, wide_d, D, name)

/* As DOUBLE_1_WITHIN, with a function of ours for the arguments it is good for. The lanes for which
 * `rest`, of the arguments x, holds are SLEEF's. */
#define DOUBLE_1_OWN(name, ulp, own, rest, beyond, exact)                                          \
    wide_d SLEEF_D(name, ulp)(wide_d);                                                             \
    static __attribute__((noinline, cold)) wide_d rest_of_##name(wide_d x, wide_d ours)            \
    {                                                                                              \
        wide_d y = SLEEF_D(name, ulp)(x);                                                          \
        mask_d lanes = (beyond);                                                                   \
        if (any_d(lanes))                                                                          \
            y = recompute(x, y, lanes, exact);                                                     \
        return choose((rest), y, ours);                                                            \
    }                                                                                              \
    static inline wide_d compute_##name(wide_d x)                                                  \
    {                                                                                              \
        wide_d ours = own(x);                                                                      \
        return __builtin_expect(any_d(rest), 0) ? rest_of_##name(x, ours) : ours;                  \
    }                                                                                              \
    NAMES_1(double, wide_d, D, name)

/* Zeros of both signs are equal, and the compiler swaps arguments as it likes: the larger is the
 * positive one (the bits in common), the smaller the negative one (the bits in either). */
#define EXTREME(real, wide, mask, kind, SLEEF, name, suffix, common)                               \
    wide SLEEF(name, )(wide, wide);                                                                \
    static inline wide compute_##name##suffix(wide x, wide y)                                      \
    {                                                                                              \
        wide z = SLEEF(name, )(x, y);                                                              \
        mask equal = x == y;                                                                       \
        return (wide)((((mask)x common(mask) y) & equal) | ((mask)z & ~equal));                    \
    }                                                                                              \
    NAMES_2(real, wide, kind, name##suffix)
#define DOUBLE_EXTREME(name, common) EXTREME(double, wide_d, mask_d, D, SLEEF_D, name, , common)
#define FLOAT_EXTREME(name, common) EXTREME(float, wide_f, mask_f, F, SLEEF_F, name, f, common)

#define FLOAT_1(name, ulp)                                                                         \
    wide_f SLEEF_F(name, ulp)(wide_f);                                                             \
    static inline wide_f compute_##name##f(wide_f x) { return SLEEF_F(name, ulp)(x); }             \
    NAMES_1(float, wide_f, F, name##f)

/* As DOUBLE_1_WITHIN; the function for double, defined above, is the exact one. */
#define FLOAT_1_WITHIN(name, ulp, beyond)                                                          \
    wide_f SLEEF_F(name, ulp)(wide_f);                                                             \
    static inline wide_f compute_##name##f(wide_f x)                                               \
    {                                                                                              \
        wide_f y = SLEEF_F(name, ulp)(x);                                                          \
        mask_f lanes = (beyond);                                                                   \
        return __builtin_expect(any_f(lanes), 0) ? recompute_f(x, y, lanes, name) : y;             \
    }                                                                                              \
    NAMES_1(float, wide_f, F, name##f)

#define FLOAT_2(name, ulp)                                                                         \
    wide_f SLEEF_F(name, ulp)(wide_f, wide_f);                                                     \
    static inline wide_f compute_##name##f(wide_f x, wide_f y)                                     \
    {                                                                                              \
        return SLEEF_F(name, ulp)(x, y);                                                           \
    }                                                                                              \
    NAMES_2(float, wide_f, F, name##f)

/* ---- our own: log, log1p, lgamma ------------------------------------------------------------ */

#if LANES == 8 || defined __FMA__ || defined __aarch64__
#define OWN_FUNCTIONS 1

#define BITS_OF_1 0x3ff0000000000000 /* of the double 1, and so on */
#define BITS_OF_HALF 0x3fe0000000000000
#define BITS_OF_8 0x4020000000000000
#define BITS_OF_2_50 0x4310000000000000
#define BITS_OF_2_52 0x4330000000000000
#define BITS_OF_LEAST 0x0010000000000000 /* the least normal number */
#define BITS_OF_INFINITY 0x7ff0000000000000

typedef struct pair {
    wide_d high, low; /* their sum is the value */
} pair;

/* a * b + c, rounded once. */
static inline wide_d fused(wide_d a, wide_d b, wide_d c)
{
#if defined __AVX512F__
    return _mm512_fmadd_pd(a, b, c);
#elif defined __FMA__
    return _mm256_fmadd_pd(a, b, c);
#else
    return vfmaq_f64(c, a, b);
#endif
}

static inline wide_d all(double value) { return value - (wide_d){0}; }

/* The entries of a table of 16, by lane; index is below 16. */
static inline wide_d look_up(const double *table, mask_d index)
{
#if defined __AVX512F__
    return _mm512_permutex2var_pd(_mm512_load_pd(table), (__m512i)index, _mm512_load_pd(table + 8));
#else
    wide_d found;
    EVERY_LANE(found, table[index[lane]]);
    return found;
#endif
}

/*
 * log(u + low) for a positive normal u, and a low below its last place where `with_low`.
 *
 * u = 2^k z with z in [0.73, 1.47), which 16 intervals cover; with 1/c near the inverse of the
 * interval's middle, r = z/c - 1 is at most 1/30 and log u = k log 2 + log c + log(1 + r). Around
 * 1, where log c and log(1 + r) cancel, r is exact: 1/c is 1, or of six bits in the next intervals.
 * k LOG2_HIGH + log_high is exact (11 + 42 bits). After P. T. P. Tang,
 * "Table-driven implementation of the logarithm function", ACM TOMS 16 (1990) 378.
 */
static inline __attribute__((always_inline)) pair log_pair(wide_d u, wide_d low, int with_low)
{
    mask_d bits = (mask_d)u, above = bits - LOG_FIRST;
    mask_d index = (above >> LOG_WIDTH_BITS) & 15, exponent = above & -(INT64_C(1) << 52);
    wide_d z = (wide_d)(bits - exponent), inverse = look_up(log_inverse, index);
    /* k: the biased exponent in the last places of 2^52 */
    wide_d k = (wide_d)(((mask_d)(above + BITS_OF_1) >> 52) | BITS_OF_2_52) - (0x1p52 + 1023);
    wide_d r = fused(z, inverse, all(-1));

    const double *s = log_series;
    wide_d r2 = r * r, r4 = r2 * r2;
    wide_d even = fused(r2, fused(r, all(s[3]), all(s[2])), fused(r, all(s[1]), all(s[0])));
    wide_d odd = fused(r2, fused(r, all(s[7]), all(s[6])), fused(r, all(s[5]), all(s[4])));
    wide_d series = fused(r4, fused(r4, all(s[8]), odd), even);

    wide_d base = fused(k, all(LOG2_HIGH), look_up(log_high, index));
    pair sum = {base + r, fused(k, all(LOG2_LOW), look_up(log_low, index))};
    sum.low = fused(r2, series, sum.low + ((base - sum.high) + r));
    if (with_low) { /* log(1 + r + d) is log(1 + r) + d / (1 + r) */
        wide_d d = low * (wide_d)(BITS_OF_1 - exponent) * inverse;
        sum.low += fused(-d, r, d);
    }
    return sum;
}

static inline wide_d own_log(wide_d x)
{
    pair sum = log_pair(x, x, 0);
    return sum.high + sum.low;
}

static inline mask_d rest_log(wide_d x)
{
    return ((mask_d)x < BITS_OF_LEAST) | ((mask_d)x >= BITS_OF_INFINITY);
}

/* log(1 + x); 1 + x is exactly u + low. */
static inline wide_d own_log1p(wide_d x)
{
    wide_d u = 1 + x, added = u - 1;
    pair sum = log_pair(u, (1 - (u - added)) + (x - added), 1);
    return choose(abs_d(x) < 0x1p-54, x, sum.high + sum.low);
}

static inline mask_d rest_log1p(wide_d x) { return ~((x > -1) & (x < 0x1p1000)); }

/*
 * lgamma on [1/2, 8): the product of x - 1, x - 2 and a polynomial of degree 14 for each quarter of
 * a power of two; its zeros at 1 and 2 are those of exact factors.
 */
static inline wide_d small_lgamma(wide_d x)
{
    mask_d bits = (mask_d)x, quarter = INT64_C(1) << 50 | (mask_d){0};
    mask_d index = ((bits - BITS_OF_HALF) >> 50) & 15;
    wide_d t = x - (wide_d)((bits & -quarter) | quarter >> 1), t2 = t * t, t4 = t2 * t2;
#define TERMS(n, m) fused(t, look_up(lgamma_##m, index), look_up(lgamma_##n, index))
    wide_d p1 = fused(t2, TERMS(3, 4), TERMS(1, 2)), p5 = fused(t2, TERMS(7, 8), TERMS(5, 6));
    wide_d p9 = fused(t2, TERMS(11, 12), TERMS(9, 10)), p13 = TERMS(13, 14);
#undef TERMS
    wide_d slope = fused(t4 * t4, fused(t4, p13, p9), fused(t4, p5, p1));

    wide_d first = look_up(lgamma_0, index);
    wide_d rest = fused(t, slope, look_up(lgamma_0_low, index));
    pair quotient = {first + rest, {0}};
    quotient.low = (first - quotient.high) + rest;
    wide_d a = x - 1, b = x - 2, b_low = (-2 - b) + x; /* below 1, x - 2 is rounded */
    wide_d factor = a * b, factor_low = fused(a, b_low, fused(a, b, -factor));
    wide_d product = factor * quotient.high, low = fused(factor, quotient.high, -product);
    return product + fused(factor_low, quotient.high, fused(factor, quotient.low, low));
}

/* lgamma on [8, 2^50): (x - 1/2) log x - x + log(2 pi)/2 + 1/(12 x) - ..., Stirling's formula. */
static inline wide_d large_lgamma(wide_d x)
{
    pair sum = log_pair(x, x, 0), l = {sum.high + sum.low, {0}};
    l.low = (sum.high - l.high) + sum.low;
    wide_d inverse = 1 / x, y = inverse * inverse, y2 = y * y;
    const double *s = stirling;
    wide_d even = fused(y2, fused(y, all(s[3]), all(s[2])), fused(y, all(s[1]), all(s[0])));
    wide_d odd = fused(y2, fused(y, all(s[7]), all(s[6])), fused(y, all(s[5]), all(s[4])));
    wide_d tail = fused(inverse, fused(y2 * y2, odd, even), all(HALF_LOG_2PI));

    wide_d factor = x - 0.5, product = factor * l.high, high = product - x;
    wide_d low = fused(factor, l.low, fused(factor, l.high, -product));
    return high + (((product - high) - x) + low + tail);
}

static inline wide_d own_lgamma(wide_d x)
{
    mask_d bits = (mask_d)x, small = (bits >= BITS_OF_HALF) & (bits < BITS_OF_8);
    mask_d large = (bits >= BITS_OF_8) & (bits < BITS_OF_2_50);
    wide_d y = x;
    if (any_d(small))
        y = small_lgamma(x);
    if (any_d(large))
        y = choose(large, large_lgamma(x), y);
    return y;
}

static inline mask_d rest_lgamma(wide_d x)
{
    return ((mask_d)x < BITS_OF_HALF) | ((mask_d)x >= BITS_OF_2_50);
}
#endif

/* ---- the functions -------------------------------------------------------------------------- */

DOUBLE_1(sin, u10)
DOUBLE_1(cos, u10)
DOUBLE_1(tan, u10)
DOUBLE_1(asin, u10)
DOUBLE_1(acos, u10)
DOUBLE_1(atan, u10)
DOUBLE_1_WITHIN(sinh, u10, abs_d(x) > 709, sinhl)
DOUBLE_1_WITHIN(cosh, u10, abs_d(x) > 709, coshl)
DOUBLE_1(tanh, u10)
DOUBLE_1_WITHIN(asinh, u10, abs_d(x) > 0x1p500, asinhl)
DOUBLE_1_WITHIN(acosh, u10, x > 0x1p500, acoshl)
DOUBLE_1(atanh, u10)
DOUBLE_1(exp, u10)
DOUBLE_1(exp2, u10)
DOUBLE_1(exp10, u10)
DOUBLE_1(expm1, u10)
DOUBLE_1(log2, u10)
DOUBLE_1(log10, u10)
#ifdef OWN_FUNCTIONS
DOUBLE_1_OWN(log, u10, own_log, rest_log(x), (mask_d){0}, logl)
DOUBLE_1_OWN(log1p, u10, own_log1p, rest_log1p(x), x > 0x1p1000, log1pl)
#else
DOUBLE_1(log, u10)
DOUBLE_1_WITHIN(log1p, u10, x > 0x1p1000, log1pl)
#endif
#define LGAMMA_BEYOND ((x < -2) & (abs_d(y) < 0.5)) | (x > 0x1p1013)
#ifdef HW_SIGNGAM /* the module reads it: lgamma is libm's */
#elif defined OWN_FUNCTIONS
DOUBLE_1_OWN(lgamma, u10, own_lgamma, rest_lgamma(x), LGAMMA_BEYOND, lgamma_long)
#else
DOUBLE_1_WITHIN(lgamma, u10, LGAMMA_BEYOND, lgamma_long)
#endif
DOUBLE_1(cbrt, u10)
DOUBLE_1_WITHIN(tgamma, u10, (x < -160) | (abs_d(x) < 0x1p-1020), tgammal)
DOUBLE_1(erf, u10)
DOUBLE_1_WITHIN(erfc, u15, x > 26, erfcl)
DOUBLE_2(pow, u10)
DOUBLE_2(atan2, u10)
DOUBLE_2(hypot, u05)
DOUBLE_1(round, )
DOUBLE_EXTREME(fmax, &)
DOUBLE_EXTREME(fmin, |)
DOUBLE_2(fdim, )

FLOAT_1(sin, u10)
FLOAT_1(cos, u10)
FLOAT_1(tan, u10)
FLOAT_1(asin, u10)
FLOAT_1(acos, u10)
FLOAT_1(atan, u10)
FLOAT_1_WITHIN(sinh, u10, abs_f(x) > 88)
FLOAT_1_WITHIN(cosh, u10, abs_f(x) > 88)
FLOAT_1(tanh, u10)
FLOAT_1_WITHIN(asinh, u10, abs_f(x) > 0x1p60f)
FLOAT_1_WITHIN(acosh, u10, x > 0x1p60f)
FLOAT_1(atanh, u10)
FLOAT_1(exp, u10)
FLOAT_1(exp2, u10)
FLOAT_1(exp10, u10)
FLOAT_1(expm1, u10)
FLOAT_1(log, u10)
FLOAT_1(log2, u10)
FLOAT_1(log10, u10)
FLOAT_1_WITHIN(log1p, u10, x > 0x1p120f)
FLOAT_1(cbrt, u10)
#ifndef HW_SIGNGAM /* the module reads it: lgamma is libm's */
FLOAT_1_WITHIN(lgamma, u10, ((x < -2) & (abs_f(y) < 0.5f)) | (x > 0x1p121f))
#endif
FLOAT_1_WITHIN(tgamma, u10, (x < -30) | (abs_f(x) < 0x1p-120f))
FLOAT_1_WITHIN(erf, u10, abs_f(x) < 0x1p-110f)
FLOAT_1_WITHIN(erfc, u15, x > 8)
FLOAT_2(pow, u10)
FLOAT_2(atan2, u10)
FLOAT_2(hypot, u05)
FLOAT_1(round, )
FLOAT_EXTREME(fmax, &)
FLOAT_EXTREME(fmin, |)
FLOAT_2(fdim, )
