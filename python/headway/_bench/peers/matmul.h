/* SPDX-License-Identifier: MIT */
#include <stddef.h>

/* The matrix product c = a b. */
void matmul(size_t m, size_t k, size_t n, const double a[m][k], const double b[k][n],
            double c[m][n]);
