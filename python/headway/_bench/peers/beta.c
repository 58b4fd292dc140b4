/* SPDX-License-Identifier: MIT */
#include <math.h>

/* log density of the beta distribution with shapes a and b at x in (0, 1) */
double beta_logpdf(double a, double b, double x)
{
    return lgamma(a + b) - lgamma(a) - lgamma(b) + (a - 1) * log(x) + (b - 1) * log1p(-x);
}
