/* SPDX-License-Identifier: MIT */
/*
 * tgmath.h for machines without clang. Its type-generic macros are for C code; the C library's own
 * version of them is written for one compiler.
 */
#ifndef HEADWAY_TGMATH_
#define HEADWAY_TGMATH_

#include <complex.h>
#include <math.h>

#endif
