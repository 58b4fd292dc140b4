/* SPDX-License-Identifier: MIT */
/*
 * C functions of many types, each with its description, made by one macro:
 *
 *     SIGNATURE(f64, i8, ptr, f32)
 *
 * defines a function (i8, ptr, f32) -> f64 that copies its arguments into `trace` and returns what
 * lies in `planned`; one that calls any such function the way the compiler does; and the entry of
 * `signatures` that describes both. Whatever way a call goes, trace must hold what went in and the
 * caller must get what was planned.
 */
#ifndef HEADWAY_TESTS_SIGNATURES_H
#define HEADWAY_TESTS_SIGNATURES_H

#include <complex.h>
#include <stdlib.h>
#include <string.h>

#include "headway/call.h"
#include "headway/type.h"
#include "support.h"

enum { MOST_PARAMS = 20, MOST_BYTES = 128 };

/* Aligned for every type. */
typedef struct cell {
    _Alignas(16) unsigned char bytes[MOST_BYTES];
} cell;

/* ---- the types: name, as used in SIGNATURE, and description T_name ----------------------------
 */

typedef _Bool boolean;
typedef char ch;
typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long lng;
typedef unsigned long ulng;
typedef long long i64;
typedef unsigned long long u64;
typedef float f32;
typedef double f64;
typedef long double ld;
typedef float _Complex cf;
typedef double _Complex cd;
typedef long double _Complex cld;
typedef void *ptr;

#define T_boolean hw_type_of_HW_BOOL
#define T_ch hw_type_of_HW_CHAR
#define T_i8 hw_type_of_HW_SCHAR
#define T_u8 hw_type_of_HW_UCHAR
#define T_i16 hw_type_of_HW_SHORT
#define T_u16 hw_type_of_HW_USHORT
#define T_i32 hw_type_of_HW_INT
#define T_u32 hw_type_of_HW_UINT
#define T_lng hw_type_of_HW_LONG
#define T_ulng hw_type_of_HW_ULONG
#define T_i64 hw_type_of_HW_LLONG
#define T_u64 hw_type_of_HW_ULLONG
#define T_f32 hw_type_of_HW_FLOAT
#define T_f64 hw_type_of_HW_DOUBLE
#define T_ld hw_type_of_HW_LDOUBLE
#define T_cf hw_type_of_HW_CFLOAT
#define T_cd hw_type_of_HW_CDOUBLE
#define T_cld hw_type_of_HW_CLDOUBLE

static const hw_type T_ptr = {.kind = HW_POINTER,
                              .size = sizeof(void *),
                              .align = _Alignof(void *),
                              .target = &hw_type_void,
                              .name = "void *"};

#define ARRAY(tag, element, n)                                                                     \
    static const hw_type T_##tag = {.kind = HW_ARRAY,                                              \
                                    .size = (n) * sizeof(element),                                 \
                                    .align = _Alignof(element),                                    \
                                    .target = &T_##element,                                        \
                                    .count = n,                                                    \
                                    .name = #element "[" #n "]"}
#define FIELD(tag, member, type) {#member, &T_##type, offsetof(tag, member), 0, -1}
#define RECORD(kind_, tag, ...)                                                                    \
    static const hw_field tag##_fields[] = {__VA_ARGS__};                                          \
    static const hw_type T_##tag = {.kind = kind_,                                                 \
                                    .size = sizeof(tag),                                           \
                                    .align = _Alignof(tag),                                        \
                                    .count = sizeof tag##_fields / sizeof *tag##_fields,           \
                                    .fields = tag##_fields,                                        \
                                    .name = #kind_ " " #tag}
#define STRUCT(tag, ...) RECORD(HW_STRUCT, tag, __VA_ARGS__)

typedef struct s_b {
    i8 a;
} s_b;
STRUCT(s_b, FIELD(s_b, a, i8));
typedef struct s_i {
    i32 a;
} s_i;
STRUCT(s_i, FIELD(s_i, a, i32));
typedef struct s_f {
    f32 a;
} s_f;
STRUCT(s_f, FIELD(s_f, a, f32));
typedef struct s_d {
    f64 a;
} s_d;
STRUCT(s_d, FIELD(s_d, a, f64));
typedef struct s_dd {
    f64 a, b;
} s_dd;
STRUCT(s_dd, FIELD(s_dd, a, f64), FIELD(s_dd, b, f64));
typedef struct s_ddd {
    f64 a, b, c;
} s_ddd; /* x86-64: memory; AArch64: registers */
STRUCT(s_ddd, FIELD(s_ddd, a, f64), FIELD(s_ddd, b, f64), FIELD(s_ddd, c, f64));
typedef struct s_ff {
    f32 a, b;
} s_ff;
STRUCT(s_ff, FIELD(s_ff, a, f32), FIELD(s_ff, b, f32));
typedef struct s_fff {
    f32 a, b, c;
} s_fff;
STRUCT(s_fff, FIELD(s_fff, a, f32), FIELD(s_fff, b, f32), FIELD(s_fff, c, f32));
typedef struct s_fd {
    f32 a;
    f64 b;
} s_fd;
STRUCT(s_fd, FIELD(s_fd, a, f32), FIELD(s_fd, b, f64));
typedef struct s_fi {
    f32 a;
    i32 b;
} s_fi; /* both in one integer register on x86-64 */
STRUCT(s_fi, FIELD(s_fi, a, f32), FIELD(s_fi, b, i32));
typedef struct s_di {
    f64 a;
    i32 b;
} s_di; /* one register of either sort */
STRUCT(s_di, FIELD(s_di, a, f64), FIELD(s_di, b, i32));
typedef struct s_id {
    i32 a;
    f64 b;
} s_id;
STRUCT(s_id, FIELD(s_id, a, i32), FIELD(s_id, b, f64));
typedef struct s_bsq {
    i8 a;
    i16 b;
    i64 c;
} s_bsq;
STRUCT(s_bsq, FIELD(s_bsq, a, i8), FIELD(s_bsq, b, i16), FIELD(s_bsq, c, i64));
typedef struct s_qqq {
    i64 a, b, c;
} s_qqq;
STRUCT(s_qqq, FIELD(s_qqq, a, i64), FIELD(s_qqq, b, i64), FIELD(s_qqq, c, i64));
ARRAY(c3, ch, 3);
typedef struct s_c3 {
    ch a[3];
} s_c3;
STRUCT(s_c3, FIELD(s_c3, a, c3));
ARRAY(f64x9, f64, 9);
typedef struct s_d9 {
    f64 a[9];
} s_d9;
STRUCT(s_d9, FIELD(s_d9, a, f64x9));
typedef struct s_nest {
    s_ff a;
    i32 b;
} s_nest;
STRUCT(s_nest, FIELD(s_nest, a, s_ff), FIELD(s_nest, b, i32));
ARRAY(s_fx2, s_f, 2);
typedef struct s_deep {
    s_f a[2];
    s_d b;
} s_deep;
STRUCT(s_deep, FIELD(s_deep, a, s_fx2), FIELD(s_deep, b, s_d));
typedef struct s_pd {
    ptr a;
    f64 b;
} s_pd;
STRUCT(s_pd, FIELD(s_pd, a, ptr), FIELD(s_pd, b, f64));
typedef struct s_ld {
    ld a;
} s_ld;
STRUCT(s_ld, FIELD(s_ld, a, ld));
typedef struct s_gi {
    ld a;
    i32 b;
} s_gi;
STRUCT(s_gi, FIELD(s_gi, a, ld), FIELD(s_gi, b, i32));
typedef struct s_cf {
    cf a;
} s_cf;
STRUCT(s_cf, FIELD(s_cf, a, cf));
typedef struct s_cd {
    cd a;
} s_cd;
STRUCT(s_cd, FIELD(s_cd, a, cd));
typedef struct s_cld {
    cld a;
} s_cld;
STRUCT(s_cld, FIELD(s_cld, a, cld));
typedef struct s_fcf {
    f32 a;
    cf b;
} s_fcf;
STRUCT(s_fcf, FIELD(s_fcf, a, f32), FIELD(s_fcf, b, cf));
typedef struct s_icf {
    i32 a;
    cf b;
} s_icf;
STRUCT(s_icf, FIELD(s_icf, a, i32), FIELD(s_icf, b, cf));
#if defined(__x86_64__) /* where unions and bit-fields can be passed */
#define HAVE_UNIONS 1
typedef union u_if {
    i32 a;
    f32 b;
} u_if;
RECORD(HW_UNION, u_if, FIELD(u_if, a, i32), FIELD(u_if, b, f32));
typedef union u_df {
    f64 a;
    f32 b;
} u_df;
RECORD(HW_UNION, u_df, FIELD(u_df, a, f64), FIELD(u_df, b, f32));
typedef union u_big {
    ch a[40];
    f64 b;
} u_big;
ARRAY(c40, ch, 40);
RECORD(HW_UNION, u_big, FIELD(u_big, a, c40), FIELD(u_big, b, f64));
typedef struct s_bits {
    u32 a : 3, b : 17;
    i32 c : 12;
    f32 d;
} s_bits;
STRUCT(s_bits, {"a", &T_u32, 0, 0, 3}, {"b", &T_u32, 0, 3, 17}, {"c", &T_i32, 0, 20, 12},
       FIELD(s_bits, d, f32));
typedef struct s_un {
    u_if a;
    f32 b;
    f64 c;
} s_un;
STRUCT(s_un, FIELD(s_un, a, u_if), FIELD(s_un, b, f32), FIELD(s_un, c, f64));
/* Aligned otherwise than by nature. */
typedef struct s_ad {
    ch a;
    _Alignas(16) f64 b;
} s_ad;
STRUCT(s_ad, FIELD(s_ad, a, ch), FIELD(s_ad, b, f64));
typedef struct s_pad_d {
    _Alignas(16) f64 a;
} s_pad_d; /* the second eight bytes are padding and do not travel */
STRUCT(s_pad_d, FIELD(s_pad_d, a, f64));
typedef struct s_pad_c {
    _Alignas(16) ch a;
} s_pad_c;
STRUCT(s_pad_c, FIELD(s_pad_c, a, ch));
typedef struct s_fai {
    f32 a;
    _Alignas(8) i32 b;
} s_fai; /* one register of either sort */
STRUCT(s_fai, FIELD(s_fai, a, f32), FIELD(s_fai, b, i32));
typedef struct s_aqq {
    _Alignas(16) i64 a;
    i64 b;
} s_aqq; /* the offsets are natural, the alignment is not */
STRUCT(s_aqq, FIELD(s_aqq, a, i64), FIELD(s_aqq, b, i64));
typedef struct s_inside {
    i32 a;
    s_fai b;
} s_inside;
STRUCT(s_inside, FIELD(s_inside, a, i32), FIELD(s_inside, b, s_fai));
#else
#define HAVE_UNIONS 0
#endif

/* ---- values ------------------------------------------------------------------------------------
 */

/* What is meaningful of a long double: the rest of its bytes is padding on x86. */
#if defined(__x86_64__) || defined(__i386__)
#define LONG_DOUBLE_BYTES 10
#else
#define LONG_DOUBLE_BYTES sizeof(long double)
#endif

static uint64_t random_state = 88172645463325252u;

static inline uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static inline ld random_ld(void)
{
    return (ld)(int64_t)random_bits() / (ld)(1u + (uint32_t)random_bits());
}

/* Every bit of a value of that type at random, as far as the type allows. */
static void random_value(const hw_type *type, void *at)
{
    unsigned char *p = at;
    for (size_t i = 0; i < type->size; i++)
        p[i] = (unsigned char)(random_bits() >> 24);
    ld x[2] = {random_ld(), random_ld()};
    if (type->kind == HW_BOOL)
        *p &= 1;
    else if (type->kind == HW_LDOUBLE || type->kind == HW_CLDOUBLE)
        memcpy(at, x, type->size);
    else if (type->kind == HW_ARRAY)
        for (size_t i = 0; i < type->count; i++)
            random_value(type->target, p + i * type->target->size);
    else if (type->kind == HW_STRUCT)
        for (size_t i = 0; i < type->count; i++)
            if (type->fields[i].bit_width < 0)
                random_value(type->fields[i].type, p + type->fields[i].offset);
}

static uint32_t bits_of(const hw_field *f, const unsigned char *at)
{
    uint32_t unit;
    memcpy(&unit, at + f->offset, sizeof unit);
    return unit >> f->bit_offset & ((UINT32_C(1) << f->bit_width) - 1);
}

/* Equal in every bit that means something. */
static bool same_value(const hw_type *type, const void *a, const void *b)
{
    const unsigned char *p = a, *q = b;
    if (type->kind == HW_LDOUBLE)
        return memcmp(p, q, LONG_DOUBLE_BYTES) == 0;
    if (type->kind == HW_CLDOUBLE)
        return memcmp(p, q, LONG_DOUBLE_BYTES) == 0 &&
               memcmp(p + sizeof(ld), q + sizeof(ld), LONG_DOUBLE_BYTES) == 0;
    if (type->kind == HW_STRUCT) {
        for (size_t i = 0; i < type->count; i++) {
            const hw_field *f = &type->fields[i];
            if (f->bit_width >= 0 ? bits_of(f, p) != bits_of(f, q)
                                  : !same_value(f->type, p + f->offset, q + f->offset))
                return false;
        }
        return true;
    }
    return memcmp(p, q, type->size) == 0;
}

/* The eight bytes an integer of that type is widened to. */
static int64_t widened(const hw_type *type, const void *at)
{
    switch (type->kind) {
#define WIDEN(kind, ctype)                                                                         \
    case kind: {                                                                                   \
        ctype v;                                                                                   \
        memcpy(&v, at, sizeof v);                                                                  \
        return (int64_t)v;                                                                         \
    }
        WIDEN(HW_BOOL, unsigned char)
        WIDEN(HW_CHAR, char)
        WIDEN(HW_SCHAR, signed char)
        WIDEN(HW_UCHAR, unsigned char)
        WIDEN(HW_SHORT, short)
        WIDEN(HW_USHORT, unsigned short)
        WIDEN(HW_INT, int)
        WIDEN(HW_UINT, unsigned)
        WIDEN(HW_LONG, long)
        WIDEN(HW_ULONG, unsigned long)
        WIDEN(HW_LLONG, long long)
        WIDEN(HW_ULLONG, unsigned long long)
        WIDEN(HW_POINTER, int64_t)
#undef WIDEN
    default: return 0;
    }
}

static inline bool is_widened(const hw_type *type)
{
    return hw_kind_is_integer(type->kind) || type->kind == HW_POINTER;
}

/* ---- the functions -----------------------------------------------------------------------------
 */

static cell trace[MOST_PARAMS];
static int traced;
static cell planned;

typedef struct signature {
    const char *name;
    hw_fn fn;
    void (*call)(hw_fn fn, cell *values, void *result); /* as the compiler calls it */
    const hw_type *result;
    size_t count;
    const hw_type *params[MOST_PARAMS];
} signature;

static inline hw_type function_type(const signature *s)
{
    return (hw_type){.kind = HW_FUNCTION,
                     .target = s->result,
                     .count = s->count,
                     .params = s->params,
                     .name = s->name};
}

/* M(index, type) for each, up to 20, and a comma between. */
#define EACH_0(M)
#define EACH_1(M, t) M(0, t)
#define EACH_2(M, t, u) M(0, t), M(1, u)
#define EACH_3(M, t, u, v) EACH_2(M, t, u), M(2, v)
#define EACH_4(M, t, u, v, w) EACH_3(M, t, u, v), M(3, w)
#define EACH_5(M, t, u, v, w, x) EACH_4(M, t, u, v, w), M(4, x)
#define EACH_6(M, t, u, v, w, x, y) EACH_5(M, t, u, v, w, x), M(5, y)
#define EACH_7(M, t, u, v, w, x, y, z) EACH_6(M, t, u, v, w, x, y), M(6, z)
#define EACH_8(M, t, u, v, w, x, y, z, a) EACH_7(M, t, u, v, w, x, y, z), M(7, a)
#define EACH_9(M, t, u, v, w, x, y, z, a, b) EACH_8(M, t, u, v, w, x, y, z, a), M(8, b)
#define EACH_10(M, t, u, v, w, x, y, z, a, b, c) EACH_9(M, t, u, v, w, x, y, z, a, b), M(9, c)
#define EACH_14(M, t, u, v, w, x, y, z, a, b, c, d, e, f, g)                                       \
    EACH_10(M, t, u, v, w, x, y, z, a, b, c), M(10, d), M(11, e), M(12, f), M(13, g)
#define EACH_16(M, t, u, v, w, x, y, z, a, b, c, d, e, f, g, h, i)                                 \
    EACH_14(M, t, u, v, w, x, y, z, a, b, c, d, e, f, g), M(14, h), M(15, i)
#define EACH_20(M, t, u, v, w, x, y, z, a, b, c, d, e, f, g, h, i, j, k, l, m)                     \
    EACH_16(M, t, u, v, w, x, y, z, a, b, c, d, e, f, g, h, i), M(16, j), M(17, k), M(18, l),      \
        M(19, m)

#define AS_PARAM(i, t) t a##i
#define AS_TYPE(i, t) t
#define AS_RECORDED(i, t) note(&a##i, sizeof a##i)
#define AS_VALUE(i, t) *(t *)(void *)values[i].bytes
#define AS_DESCRIPTION(i, t) &T_##t

static void note(const void *value, size_t size) { memcpy(trace[traced++].bytes, value, size); }

#define SIGNATURE(name, n, ret, ...)                                                               \
    static ret name(EACH_##n(AS_PARAM, __VA_ARGS__))                                               \
    {                                                                                              \
        traced = 0;                                                                                \
        EACH_##n(AS_RECORDED, __VA_ARGS__);                                                        \
        return *(ret *)(void *)planned.bytes;                                                      \
    }                                                                                              \
    static void call_##name(hw_fn fn, cell *values, void *result)                                  \
    {                                                                                              \
        ret r = ((ret (*)(EACH_##n(AS_TYPE, __VA_ARGS__)))fn)(EACH_##n(AS_VALUE, __VA_ARGS__));    \
        memcpy(result, &r, sizeof r);                                                              \
    }                                                                                              \
    static const signature signature_##name = {                                                    \
        #ret " " #name "(" #__VA_ARGS__ ")",    (hw_fn)name, call_##name, &T_##ret, n,             \
        {EACH_##n(AS_DESCRIPTION, __VA_ARGS__)}};

/* name, number of parameters, result, parameters */
#define SIGNATURE_LIST(X)                                                                          \
    X(one_d, 1, f64, f64)                                                                          \
    X(two_d, 2, f64, f64, f64)                                                                     \
    X(three_d, 3, f64, f64, f64, f64)                                                              \
    X(four_d, 4, f64, f64, f64, f64, f64)                                                          \
    X(one_f, 1, f32, f32)                                                                          \
    X(two_f, 2, f32, f32, f32)                                                                     \
    X(f_of_d, 1, f32, f64)                                                                         \
    X(d_of_f, 1, f64, f32)                                                                         \
    X(i_of_d, 1, i32, f64)                                                                         \
    X(d_of_i, 1, f64, i32)                                                                         \
    X(p_n, 2, f64, ptr, ulng)                                                                      \
    X(p_p, 2, ptr, ptr, ptr)                                                                       \
    X(crc, 3, ulng, ulng, ptr, u32)                                                                \
    X(r_bool, 2, boolean, boolean, f32)                                                            \
    X(r_char, 2, ch, ch, f64)                                                                      \
    X(r_i8, 1, i8, i8)                                                                             \
    X(r_u8, 1, u8, u8)                                                                             \
    X(r_i16, 1, i16, i16)                                                                          \
    X(r_u16, 1, u16, u16)                                                                          \
    X(r_i32, 1, i32, i32)                                                                          \
    X(r_u32, 1, u32, u32)                                                                          \
    X(r_lng, 1, lng, lng)                                                                          \
    X(r_i64, 1, i64, i64)                                                                          \
    X(r_u64, 1, u64, u64)                                                                          \
    X(widths, 6, u16, i8, u8, i16, u16, i32, u32)                                                  \
    X(mixed, 7, i64, f32, i8, f64, ptr, u16, f32, i32)                                             \
    X(six_i, 6, i64, i64, i64, i64, i64, i64, i64)                                                 \
    X(seven_i, 7, i64, i64, i64, i64, i64, i64, i64, i8)                                           \
    X(eight_i, 8, i16, i64, i32, i16, i8, u64, u32, u16, u8)                                       \
    X(nine_i, 9, u8, i8, i8, i8, i8, i8, i8, i8, i8, i8)                                           \
    X(eight_f, 8, f32, f32, f32, f32, f32, f32, f32, f32, f32)                                     \
    X(nine_f, 9, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32)                                 \
    X(ten_d, 10, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64)                            \
    X(full_6_8, 14, f64, i8, f64, u16, f32, ptr, f64, i32, f32, u64, f64, boolean, f64, f32, f64)  \
    X(full_8_8, 16, f32, i8, f64, u16, f32, ptr, f64, i32, f32, u64, f64, boolean, f64, f32, f64,  \
      i64, u8)                                                                                     \
    X(six_then_eight, 14, i8, ptr, ptr, ptr, ptr, ptr, ptr, f32, f64, f32, f64, f32, f64, f32,     \
      f64)                                                                                         \
    X(twenty, 20, i32, i8, u8, i16, u16, i32, u32, i64, u64, f32, f64, ptr, boolean, ch, f32, f64, \
      i8, f32, u16, f64, i32)                                                                      \
    X(twenty_d, 20, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64,     \
      f64, f64, f64, f64, f64, f64)                                                                \
    X(twenty_b, 20, u8, u8, i8, u8, i8, u8, i8, u8, i8, u8, i8, u8, i8, u8, i8, u8, i8, u8, i8,    \
      u8, i8)                                                                                      \
    X(r_ld, 1, ld, ld)                                                                             \
    X(mixed_ld, 5, ld, i8, ld, f64, ld, i32)                                                       \
    X(r_cf, 1, cf, cf)                                                                             \
    X(mixed_cf, 6, cf, cf, f32, i8, cf, f64, cf)                                                   \
    X(r_cd, 1, cd, cd)                                                                             \
    X(mixed_cd, 6, cd, f64, cd, i8, cd, f32, cd)                                                   \
    X(r_cld, 2, cld, cld, i16)                                                                     \
    X(all_complex, 7, f64, cf, cd, cld, i32, cf, cd, f32)                                          \
    X(r_s_b, 2, s_b, s_b, i8)                                                                      \
    X(r_s_i, 2, s_i, f32, s_i)                                                                     \
    X(r_s_f, 2, s_f, s_f, s_f)                                                                     \
    X(r_s_d, 2, s_d, i32, s_d)                                                                     \
    X(r_s_dd, 3, s_dd, s_dd, i8, s_dd)                                                             \
    X(r_s_ddd, 3, s_ddd, s_ddd, f64, s_ddd)                                                        \
    X(r_s_ff, 3, s_ff, s_ff, f32, s_ff)                                                            \
    X(r_s_fff, 3, s_fff, s_fff, i8, s_fff)                                                         \
    X(r_s_fd, 3, s_fd, s_fd, f32, s_fd)                                                            \
    X(r_s_fi, 3, s_fi, s_fi, i16, s_fi)                                                            \
    X(r_s_di, 3, s_di, s_di, f64, s_di)                                                            \
    X(r_s_id, 3, s_id, u8, s_id, s_id)                                                             \
    X(r_s_bsq, 3, s_bsq, s_bsq, ptr, s_bsq)                                                        \
    X(r_s_qqq, 3, s_qqq, i8, s_qqq, f32)                                                           \
    X(r_s_c3, 3, s_c3, s_c3, u16, s_c3)                                                            \
    X(r_s_d9, 3, s_d9, f32, s_d9, i32)                                                             \
    X(r_s_nest, 3, s_nest, s_nest, f64, s_nest)                                                    \
    X(r_s_deep, 3, s_deep, i64, s_deep, f32)                                                       \
    X(r_s_pd, 3, s_pd, s_pd, s_pd, s_pd)                                                           \
    X(r_s_ld, 2, s_ld, s_ld, i32)                                                                  \
    X(r_s_gi, 2, s_gi, s_gi, i32)                                                                  \
    X(r_s_cf, 3, s_cf, s_cf, f32, s_cf)                                                            \
    X(r_s_cd, 3, s_cd, s_cd, i8, s_cd)                                                             \
    X(r_s_cld, 2, s_cld, s_cld, f64)                                                               \
    X(r_s_fcf, 3, s_fcf, f32, s_fcf, s_fcf)                                                        \
    X(r_s_icf, 3, s_icf, s_icf, f32, s_icf)                                                        \
    X(halved, 9, f64, f64, i32, i32, i32, i32, i32, s_id, f32, i8)                                 \
    X(halved_late, 7, s_ddd, f64, i64, i64, i64, i64, s_id, f64)                                   \
    X(halved_twice, 10, i32, f32, i8, i8, i8, i8, i8, s_id, s_id, f64, s_id)                       \
    X(spilled, 10, s_dd, s_bsq, s_bsq, s_bsq, s_bsq, s_dd, s_dd, s_dd, s_dd, s_dd, i8)             \
    X(structs, 20, s_di, s_b, s_i, s_f, s_d, s_dd, s_ddd, s_ff, s_fff, s_fd, s_fi, s_di, s_id,     \
      s_bsq, s_qqq, s_c3, s_d9, s_nest, s_deep, s_pd, s_ld)                                        \
    SIGNATURES_OF_UNIONS(X)

#if HAVE_UNIONS
#define SIGNATURES_OF_UNIONS(X)                                                                    \
    X(r_u_if, 3, u_if, u_if, f32, u_if)                                                            \
    X(r_u_df, 3, u_df, f64, u_df, i8)                                                              \
    X(r_u_big, 3, u_big, u_big, i8, f64)                                                           \
    X(r_s_bits, 3, s_bits, s_bits, i8, s_bits)                                                     \
    X(r_s_un, 3, s_un, s_un, f64, s_un)                                                            \
    X(r_s_ad, 4, s_ad, s_ad, i8, s_ad, i32)                                                        \
    X(r_s_pad_d, 5, s_pad_d, s_pad_d, f64, s_pad_d, i64, f32)                                      \
    X(r_s_pad_c, 5, s_pad_c, s_pad_c, i64, s_pad_c, i64, f32)                                      \
    X(r_s_fai, 4, s_fai, s_fai, i8, s_fai, f32)                                                    \
    X(r_s_aqq, 3, s_aqq, s_aqq, i8, s_aqq)                                                         \
    X(r_s_inside, 3, s_inside, s_inside, i8, s_inside)                                             \
    X(aligned_spill, 16, f64, s_aqq, i8, s_pad_c, s_aqq, s_aqq, s_pad_c, i8, s_aqq, s_pad_c, i8,   \
      s_pad_d, i8, s_ad, i8, s_fai, i8)
#else
#define SIGNATURES_OF_UNIONS(X)
#endif

SIGNATURE_LIST(SIGNATURE)

#define SIGNATURE_ADDRESS(name, ...) &signature_##name,
static const signature *const signatures[] = {SIGNATURE_LIST(SIGNATURE_ADDRESS)};
enum { SIGNATURES = sizeof signatures / sizeof *signatures };

/* Random arguments, and a random result to return. */
static void prepare(const signature *s, cell *values)
{
    memset(values, 0, MOST_PARAMS * sizeof *values);
    memset(&planned, 0, sizeof planned);
    for (size_t i = 0; i < s->count; i++)
        random_value(s->params[i], values[i].bytes);
    random_value(s->result, planned.bytes);
}

/* Stores arguments in a frame as hw_slot says. */
static void fill_frame(const hw_plan *plan, const hw_type *const *types, const cell *values,
                       unsigned char *frame)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        unsigned char *slot = frame + plan->slots[i].offset;
        int64_t wide = widened(types[i], values[i].bytes);
        if (is_widened(types[i]))
            memcpy(slot, &wide, sizeof wide);
        else
            memcpy(slot, values[i].bytes, types[i]->size);
    }
}

static bool result_is_planned(const hw_type *type, const void *result)
{
    if (!is_widened(type))
        return same_value(type, result, planned.bytes);
    int64_t wide = widened(type, planned.bytes);
    return memcmp(result, &wide, sizeof wide) == 0;
}

#endif
