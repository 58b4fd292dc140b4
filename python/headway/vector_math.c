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
 */
#define _GNU_SOURCE
#include <fenv.h>
#include <math.h>
#include <stdint.h>

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
    for (unsigned lane = 0; lane < sizeof(v) / sizeof(v)[0]; lane++) (v)[lane] = (value)

/* A narrow vector repeated over a wide one. */
#define WIDEN(wide, narrow)                                                                        \
    for (unsigned at = 0; at < sizeof(wide); at += sizeof(narrow))                                 \
    __builtin_memcpy((char *)&(wide) + at, &(narrow), sizeof(narrow))

static inline int any_d(mask_d mask)
{
    int64_t bits = 0;
    for (unsigned lane = 0; lane < LANES_D; lane++) bits |= mask[lane];
    return bits != 0;
}

static inline int any_f(mask_f mask)
{
    int32_t bits = 0;
    for (unsigned lane = 0; lane < LANES_F; lane++) bits |= mask[lane];
    return bits != 0;
}

static inline wide_d abs_d(wide_d x)
{
    return (wide_d)((mask_d)x & INT64_MAX);
}

static inline wide_f abs_f(wide_f x)
{
    return (wide_f)((mask_f)x & INT32_MAX);
}

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
        if (lanes[lane]) y[lane] = (double)exact(x[lane]);
    fesetexceptflag(&flags, FE_ALL_EXCEPT);
    return y;
}

static __attribute__((noinline, cold)) wide_f recompute_f(wide_f x, wide_f y, mask_f lanes,
                                                          double (*exact)(double))
{
    for (unsigned lane = 0; lane < LANES_F; lane++)
        if (lanes[lane]) y[lane] = (float)exact(x[lane]);
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
#define NARROWER_D(reach, name)                                                                    \
    reach(double, wide_d, name, c, 4) reach(double, wide_d, name, b, 2)
#define NARROWER_F(reach, name) reach(float, wide_f, name, c, 8) reach(float, wide_f, name, b, 4)
#elif defined __AVX2__ /* AVX2 without FMA: gcc may ask for d, the work is done by AVX's functions */
#define NARROWER_D(reach, name)                                                                    \
    reach(double, wide_d, name, d, 4) reach(double, wide_d, name, b, 2)
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
    HIDDEN VECTOR_CALL wide WIDE(_ZGV, lanes, v, name)(wide x)                                     \
    {                                                                                              \
        return compute_##name(x);                                                                  \
    }
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
    static inline wide_d compute_##name(wide_d x)                                                  \
    {                                                                                              \
        return SLEEF_D(name, ulp)(x);                                                              \
    }                                                                                              \
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
    static inline wide_d compute_##name(wide_d x, wide_d y)                                        \
    {                                                                                              \
        return SLEEF_D(name, ulp)(x, y);                                                           \
    }                                                                                              \
    NAMES_2(double, wide_d, D, name)

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
#define DOUBLE_EXTREME(name, common)                                                               \
    EXTREME(double, wide_d, mask_d, D, SLEEF_D, name, , common)
#define FLOAT_EXTREME(name, common)                                                                \
    EXTREME(float, wide_f, mask_f, F, SLEEF_F, name, f, common)

#define FLOAT_1(name, ulp)                                                                         \
    wide_f SLEEF_F(name, ulp)(wide_f);                                                             \
    static inline wide_f compute_##name##f(wide_f x)                                               \
    {                                                                                              \
        return SLEEF_F(name, ulp)(x);                                                              \
    }                                                                                              \
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
DOUBLE_1(log, u10)
DOUBLE_1(log2, u10)
DOUBLE_1(log10, u10)
DOUBLE_1_WITHIN(log1p, u10, x > 0x1p1015, log1pl)
DOUBLE_1(cbrt, u10)
#ifndef HW_SIGNGAM /* the module reads it: lgamma is libm's */
DOUBLE_1_WITHIN(lgamma, u10, ((x < -2) & (abs_d(y) < 0.5)) | (x > 0x1p1013), lgamma_long)
#endif
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
