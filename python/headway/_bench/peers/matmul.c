/* SPDX-License-Identifier: MIT */
#include <stddef.h>

void matmul(size_t m, size_t k, size_t n, const double a[m][k], const double b[k][n],
            double c[m][n])
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double s = 0;
            for (size_t l = 0; l < k; l++)
                s += a[i][l] * b[l][j];
            c[i][j] = s;
        }
}
