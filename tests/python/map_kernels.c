/* SPDX-License-Identifier: MIT */
#include "map_kernels.h"

#include <time.h>

double sub(double a, double b) { return a - b; }
double scale(double a, int n) { return a * n; }
double many(double a, float b, int c, short d, long e) { return a + 2 * b + 3 * c + 5 * d + 7 * e; }
float addf(float a, float b) { return a + b; }
int addi(int a, int b) { return (int)((unsigned)a + (unsigned)b); }
short negate(short a) { return (short)-a; }
unsigned char flip(unsigned char a) { return (unsigned char)~a; }
unsigned long square(unsigned long a) { return a * a; }
long twice(long a) { return (long)(2 * (unsigned long)a); }
_Bool is_odd(int a) { return a & 1; }
_Bool both(_Bool a, _Bool b) { return a && b; }
double _Complex mul(double _Complex a, double _Complex b) { return a * b; }
float _Complex conjugate(float _Complex a) { return conjf(a); }
long double third(long double a) { return a / 3; }

double divide(double a, double b) { return a / b; }

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

double spin(double microseconds)
{
    for (double end = now() + microseconds; now() < end;)
        ;
    return microseconds;
}

double nap(double seconds)
{
    spin(seconds * 1e6);
    return seconds;
}

double spin_add(double a, double b)
{
    spin(1);
    return a + b;
}

/* without a lock: right only where the calls come one after another */
static volatile int turn;
int in_turn(int base)
{
    int mine = turn;
    spin(2);
    turn = mine + 1;
    return base + mine;
}

static int inside, most;
static int enter(int microseconds)
{
    int here = __atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
    if (here > most)
        most = here;
    spin(microseconds);
    __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
    return microseconds;
}

int alone(int microseconds) { return enter(microseconds); }
int also_alone(int microseconds) { return enter(microseconds); }
int most_at_once(void)
{
    int was = most;
    most = 0;
    return was;
}

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

double mean(size_t n, const double x[n])
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += x[i];
    return s / (double)n;
}

void full_convolve(size_t m, size_t n, const double x[m], const double y[n], double z[m + n - 1])
{
    for (size_t i = 0; i < m + n - 1; i++)
        z[i] = 0;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            z[i + j] += x[i] * y[j];
}

void edges(size_t n, const double middle[n], double edge[n + 1])
{
    edge[0] = n ? middle[0] : -1;
    for (size_t i = 0; i < n; i++)
        edge[i + 1] = middle[i];
}

void cross(const double a[3], const double b[3], double c[3])
{
    c[0] = a[1] * b[2] - a[2] * b[1];
    c[1] = a[2] * b[0] - a[0] * b[2];
    c[2] = a[0] * b[1] - a[1] * b[0];
}

void weigh(size_t n, int factor, const int x[n], int y[n])
{
    for (size_t i = 0; i < n; i++)
        y[i] = factor * x[i];
}

void reverse(size_t n, double x[n])
{
    for (size_t i = 0; i < n / 2; i++) {
        double t = x[i];
        x[i] = x[n - 1 - i];
        x[n - 1 - i] = t;
    }
}

void first_only(size_t n, const double x[n], double y[n])
{
    if (n)
        y[0] = x[0];
}

void minmax(size_t n, const double x[n], double *low, double *high)
{
    *low = *high = x[0];
    for (size_t i = 1; i < n; i++) {
        *low = x[i] < *low ? x[i] : *low;
        *high = x[i] > *high ? x[i] : *high;
    }
}

void outer_product(size_t m, size_t n, const float x[m], const float y[n], float z[m][n])
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            z[i][j] = x[i] * y[j];
}

double spin_sum(size_t n, const double x[n])
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += x[i];
    spin(20);
    return s;
}
