/* SPDX-License-Identifier: MIT */
/* What one would write in C: plain loops, no Python. The loops through a pointer are in a file of
 * their own, where the compiler cannot see which function they call. */
#include <stddef.h>

#include "beta.c"
#include "matmul.c"

void beta_scalar_shapes(size_t n, double a, double b, const double *x, double *out);
void beta_array_shapes(size_t n, const double *a, const double *b, const double *x, double *out);
void matmul_stack(size_t stacks, size_t m, const double *a, const double *b, double *c);

void beta_scalar_shapes(size_t n, double a, double b, const double *x, double *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = beta_logpdf(a, b, x[i]);
}

void beta_array_shapes(size_t n, const double *a, const double *b, const double *x, double *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = beta_logpdf(a[i], b[i], x[i]);
}

/* square matrices of m rows, one after another */
void matmul_stack(size_t stacks, size_t m, const double *a, const double *b, double *c)
{
    for (size_t s = 0; s < stacks; s++, a += m * m, b += m * m, c += m * m)
        matmul(m, m, m, (const double(*)[m])a, (const double(*)[m])b, (double(*)[m])c);
}
