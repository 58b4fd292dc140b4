/* SPDX-License-Identifier: MIT */
/* A C loop that calls a function it knows only by address, as a loaded function is known. */
#include <stddef.h>

void loop_d_d(double (*f)(double), size_t n, const double *x, double *out);
void loop_ddd_d(double (*f)(double, double, double), size_t n, const double *x, const double *y,
                const double *z, double *out);

void loop_d_d(double (*f)(double), size_t n, const double *x, double *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = f(x[i]);
}

void loop_ddd_d(double (*f)(double, double, double), size_t n, const double *x, const double *y,
                const double *z, double *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = f(x[i], y[i], z[i]);
}
