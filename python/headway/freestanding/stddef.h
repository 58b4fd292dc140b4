/* SPDX-License-Identifier: MIT */
/*
 * stddef.h for machines without a compiler. The C library asks for single types of it by defining
 * __need_size_t and its like, possibly several times.
 */
#if !defined(__need_size_t) && !defined(__need_ptrdiff_t) && !defined(__need_wchar_t) &&           \
    !defined(__need_wint_t) && !defined(__need_NULL)
#define __need_size_t
#define __need_ptrdiff_t
#define __need_wchar_t
#define __need_NULL
#define HEADWAY_WHOLE_STDDEF_
#endif

#ifdef __need_size_t
typedef __SIZE_TYPE__ size_t;
#undef __need_size_t
#endif

#ifdef __need_ptrdiff_t
typedef __PTRDIFF_TYPE__ ptrdiff_t;
#undef __need_ptrdiff_t
#endif

#ifdef __need_wchar_t
typedef __WCHAR_TYPE__ wchar_t;
#undef __need_wchar_t
#endif

#ifdef __need_wint_t
typedef __WINT_TYPE__ wint_t;
#undef __need_wint_t
#endif

#ifdef __need_NULL
#undef NULL
#define NULL ((void *)0)
#undef __need_NULL
#endif

#ifdef HEADWAY_WHOLE_STDDEF_
#undef HEADWAY_WHOLE_STDDEF_
#ifndef HEADWAY_STDDEF_
#define HEADWAY_STDDEF_
#define offsetof(type, member) __builtin_offsetof(type, member)
#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
typedef struct {
    long long headway_longest_ __attribute__((__aligned__(__alignof__(long long))));
    long double headway_widest_ __attribute__((__aligned__(__alignof__(long double))));
} max_align_t;
#endif
#endif
#endif
