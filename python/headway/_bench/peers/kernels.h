/* SPDX-License-Identifier: MIT */
/* The C functions that every contestant of `headway bench call` binds, from one shared library. */
#ifndef BENCH_KERNELS_H
#define BENCH_KERNELS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct point {
    double x, y, z;
} point;

double sum3(double a, double b, double c);
double total(const double *x, size_t n);
const char *file_name(const char *path); /* what follows the last slash */
double norm(const point *p);

/* log density of the beta distribution */
double beta_logpdf(double a, double b, double x);

#ifdef __cplusplus
}
#endif
#endif
