/* SPDX-License-Identifier: MIT */
/* What test_map.py and test_ufunc.py map over arrays. */
#include <complex.h>
#include <stddef.h>

/* one or two numbers of each kind */
double sub(double a, double b);
double scale(double a, int n);
double many(double a, float b, int c, short d, long e);
float addf(float a, float b);
int addi(int a, int b);
short negate(short a);
unsigned char flip(unsigned char a);
unsigned long square(unsigned long a);
long twice(long a);
_Bool is_odd(int a);
_Bool both(_Bool a, _Bool b);
double _Complex mul(double _Complex a, double _Complex b);
float _Complex conjugate(float _Complex a);
long double third(long double a);

/* floating-point status */
double divide(double a, double b);

/* time, order and company */
double nap(double seconds);
double spin(double microseconds);
double spin_add(double a, double b);
int in_turn(int base);
int alone(int microseconds);
int also_alone(int microseconds);
int most_at_once(void);

/* core dimensions */
void matmul(size_t m, size_t k, size_t n, const double a[m][k], const double b[k][n],
            double c[m][n]);
double mean(size_t n, const double x[n]);
void full_convolve(size_t m, size_t n, const double x[m], const double y[n], double z[m + n - 1]);
void edges(size_t n, const double middle[n], double edge[n + 1]);
void cross(const double a[3], const double b[3], double c[3]);
void weigh(size_t n, int factor, const int x[n], int y[n]);
void reverse(size_t n, double x[n]);
void first_only(size_t n, const double x[n], double y[n]);
void minmax(size_t n, const double x[n], double *low, double *high);
void outer_product(size_t m, size_t n, const float x[m], const float y[n], float z[m][n]);
double spin_sum(size_t n, const double x[n]);
