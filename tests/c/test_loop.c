/* SPDX-License-Identifier: MIT */
/*
 * Loops over loaded functions, against plain C. Each case is a function, its mapping, and a few
 * layouts of its operands; the same call goes through the loop that is chosen and through libffi.
 */
#include "headway/call.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

enum { N = 37, ROOM = 1 << 16 };

static const hw_type T_pointer = {
    .kind = HW_POINTER, .size = sizeof(void *), .align = sizeof(void *), .name = "void *"};

/* A function and how it maps: everything a loop needs, on the caller's stack. */
typedef struct fixture {
    const hw_type *types[HW_MAX_OPERANDS];
    hw_type type;
    hw_plan plan;
    hw_mapping mapping;
    hw_loop_param params[HW_MAX_OPERANDS];
    hw_loop_call call;
    hw_loop_fn loop;
} fixture;

static uint8_t count_operands(fixture *f) { return (uint8_t)(f->mapping.n_in + f->mapping.n_out); }

/* An elementwise function of n parameters: inputs by value, then the result. */
static void elementwise(fixture *f, hw_fn fn, hw_kind result, size_t n, const hw_kind *kinds)
{
    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < n; i++) {
        f->types[i] = hw_type_of_kind(kinds[i]);
        f->mapping.operands[i] = (hw_operand){.kind = kinds[i], .inout = -1};
        f->params[i] = (hw_loop_param){HW_FEED_VALUE, (uint8_t)i, kinds[i]};
    }
    f->mapping.operands[n] = (hw_operand){.kind = result, .inout = -1, .output = true};
    f->mapping.n_in = (uint8_t)n;
    f->mapping.n_out = 1;
    f->type = (hw_type){
        .kind = HW_FUNCTION, .target = hw_type_of_kind(result), .count = n, .params = f->types};
    f->call = (hw_loop_call){&f->plan, fn, &f->mapping, f->params, (int16_t)n};
}

static void finish(fixture *f, bool by_ffi)
{
    assert_int_equal((by_ffi ? hw_plan_init_ffi : hw_plan_init)(&f->plan, &f->type, NULL, 0, NULL),
                     HW_OK);
    f->loop = hw_loop_choose(&f->call);
    assert_non_null(f->loop);
}

/* ---- elementwise -------------------------------------------------------------------------------
 */

static double d1(double a) { return a * 3 + 1; }
static double d2(double a, double b) { return a * 3 - b; }
static double d3(double a, double b, double c) { return a * 3 - b / (c + 5); }
static double d4(double a, double b, double c, double d) { return a * 3 - b / (c + 5) + d * d; }
static double d5(double a, double b, double c, double d, double e)
{
    return a - b * c + d / (e + 9);
}
static float f1(float a) { return a * 3 + 1; }
static float f2(float a, float b) { return a * 3 - b; }
static float f3(float a, float b, float c) { return a * 3 - b / (c + 5); }
static float f4(float a, float b, float c, float d) { return a * 3 - b / (c + 5) + d * d; }
static double of_int(int a) { return a / 4.0; }
static int to_int(double a) { return (int)floor(a); }
static double mixed(signed char a, float b, unsigned short c, double d, long e)
{
    return a + b * c - d * (double)e;
}
static _Bool is_more(double a, int b) { return a > b; }
static signed char narrow(long a, unsigned char b) { return (signed char)(a * b); }
static unsigned short wrap(unsigned a) { return (unsigned short)(a * 40503u); }
static unsigned long long large(unsigned long long a, _Bool b) { return a * a + b; }
static char letter(char a) { return (char)(a ^ 0x20); }
static long double precise(long double a, double b) { return a / 3 + b; }
static float _Complex cf(float _Complex a, float b) { return a * b; }
static double _Complex cd(double _Complex a, int b) { return a * a + b; }
static long double _Complex cld(long double _Complex a) { return a * a; }
static long many(long a, long b, long c, long d, long e, long f, long g, long h, long i)
{
    return a + 2 * b + 3 * c + 5 * d + 7 * e + 11 * f + 13 * g + 17 * h + 19 * i;
}

/* What element i of operand k starts as. */
static void put(hw_kind kind, char *at, int k, ptrdiff_t i)
{
    double x = (double)((i * (k + 3) * 7) % 101) - 50 + 0.25 * k;
    switch (kind) {
#define PUT(kind_, ctype)                                                                          \
    case kind_: {                                                                                  \
        ctype v = (ctype)(long)x;                                                                  \
        memcpy(at, &v, sizeof v);                                                                  \
        break;                                                                                     \
    }
        PUT(HW_BOOL, _Bool)
        PUT(HW_CHAR, char)
        PUT(HW_SCHAR, signed char)
        PUT(HW_UCHAR, unsigned char)
        PUT(HW_SHORT, short)
        PUT(HW_USHORT, unsigned short)
        PUT(HW_INT, int)
        PUT(HW_UINT, unsigned)
        PUT(HW_LONG, long)
        PUT(HW_ULONG, unsigned long)
        PUT(HW_LLONG, long long)
        PUT(HW_ULLONG, unsigned long long)
#undef PUT
#define PUT(kind_, ctype, value)                                                                   \
    case kind_: {                                                                                  \
        ctype v = (ctype)(value);                                                                  \
        memcpy(at, &v, sizeof v);                                                                  \
        break;                                                                                     \
    }
        PUT(HW_FLOAT, float, x)
        PUT(HW_DOUBLE, double, x)
        PUT(HW_LDOUBLE, long double, x)
        PUT(HW_CFLOAT, float _Complex, x + I * (x - 3))
        PUT(HW_CDOUBLE, double _Complex, x + I * (x - 3))
        PUT(HW_CLDOUBLE, long double _Complex, x + I * (x - 3))
#undef PUT
    default: fail();
    }
}

/* Calls the function on one element of each operand, in plain C. */
typedef void (*plain)(char **at, char *out);

#define V(k, type) (*(type *)(void *)at[k])
#define PLAIN(name, ret, call)                                                                     \
    static void plain_##name(char **at, char *out)                                                 \
    {                                                                                              \
        ret r = call;                                                                              \
        memcpy(out, &r, sizeof r);                                                                 \
    }
typedef unsigned long long ull;
typedef float _Complex cfloat;
typedef double _Complex cdouble;
typedef long double _Complex cldouble;
PLAIN(d1, double, d1(V(0, double)))
PLAIN(d2, double, d2(V(0, double), V(1, double)))
PLAIN(d3, double, d3(V(0, double), V(1, double), V(2, double)))
PLAIN(d4, double, d4(V(0, double), V(1, double), V(2, double), V(3, double)))
PLAIN(d5, double, d5(V(0, double), V(1, double), V(2, double), V(3, double), V(4, double)))
PLAIN(f1, float, f1(V(0, float)))
PLAIN(f2, float, f2(V(0, float), V(1, float)))
PLAIN(f3, float, f3(V(0, float), V(1, float), V(2, float)))
PLAIN(f4, float, f4(V(0, float), V(1, float), V(2, float), V(3, float)))
PLAIN(of_int, double, of_int(V(0, int)))
PLAIN(to_int, int, to_int(V(0, double)))
PLAIN(mixed, double,
      mixed(V(0, signed char), V(1, float), V(2, unsigned short), V(3, double), V(4, long)))
PLAIN(is_more, _Bool, is_more(V(0, double), V(1, int)))
PLAIN(narrow, signed char, narrow(V(0, long), V(1, unsigned char)))
PLAIN(wrap, unsigned short, wrap(V(0, unsigned)))
PLAIN(large, ull, large(V(0, ull), V(1, _Bool)))
PLAIN(letter, char, letter(V(0, char)))
PLAIN(precise, long double, precise(V(0, long double), V(1, double)))
PLAIN(cf, cfloat, cf(V(0, cfloat), V(1, float)))
PLAIN(cd, cdouble, cd(V(0, cdouble), V(1, int)))
PLAIN(cld, cldouble, cld(V(0, cldouble)))
PLAIN(many, long,
      many(V(0, long), V(1, long), V(2, long), V(3, long), V(4, long), V(5, long), V(6, long),
           V(7, long), V(8, long)))

#define CASE(name, result, n, ...)                                                                 \
    {                                                                                              \
        #name, (hw_fn)name, plain_##name, result, n, { __VA_ARGS__ }                               \
    }
static const struct {
    const char *name;
    hw_fn fn;
    plain plain;
    hw_kind result;
    int n;
    hw_kind kinds[9];
} cases[] = {
    CASE(d1, HW_DOUBLE, 1, HW_DOUBLE),
    CASE(d2, HW_DOUBLE, 2, HW_DOUBLE, HW_DOUBLE),
    CASE(d3, HW_DOUBLE, 3, HW_DOUBLE, HW_DOUBLE, HW_DOUBLE),
    CASE(d4, HW_DOUBLE, 4, HW_DOUBLE, HW_DOUBLE, HW_DOUBLE, HW_DOUBLE),
    CASE(d5, HW_DOUBLE, 5, HW_DOUBLE, HW_DOUBLE, HW_DOUBLE, HW_DOUBLE, HW_DOUBLE),
    CASE(f1, HW_FLOAT, 1, HW_FLOAT),
    CASE(f2, HW_FLOAT, 2, HW_FLOAT, HW_FLOAT),
    CASE(f3, HW_FLOAT, 3, HW_FLOAT, HW_FLOAT, HW_FLOAT),
    CASE(f4, HW_FLOAT, 4, HW_FLOAT, HW_FLOAT, HW_FLOAT, HW_FLOAT),
    CASE(of_int, HW_DOUBLE, 1, HW_INT),
    CASE(to_int, HW_INT, 1, HW_DOUBLE),
    CASE(mixed, HW_DOUBLE, 5, HW_SCHAR, HW_FLOAT, HW_USHORT, HW_DOUBLE, HW_LONG),
    CASE(is_more, HW_BOOL, 2, HW_DOUBLE, HW_INT),
    CASE(narrow, HW_SCHAR, 2, HW_LONG, HW_UCHAR),
    CASE(wrap, HW_USHORT, 1, HW_UINT),
    CASE(large, HW_ULLONG, 2, HW_ULLONG, HW_BOOL),
    CASE(letter, HW_CHAR, 1, HW_CHAR),
    CASE(precise, HW_LDOUBLE, 2, HW_LDOUBLE, HW_DOUBLE),
    CASE(cf, HW_CFLOAT, 2, HW_CFLOAT, HW_FLOAT),
    CASE(cd, HW_CDOUBLE, 2, HW_CDOUBLE, HW_INT),
    CASE(cld, HW_CLDOUBLE, 1, HW_CLDOUBLE),
    CASE(many, HW_LONG, 9, HW_LONG, HW_LONG, HW_LONG, HW_LONG, HW_LONG, HW_LONG, HW_LONG, HW_LONG,
         HW_LONG),
};
enum { CASES = sizeof cases / sizeof *cases };

/* Steps in elements of each operand, by turns. */
static const int layouts[][3] = {{1, 1, 1}, {3, 3, 3}, {1, 2, 5}, {-1, -2, -1}, {0, 1, 1},
                                 {1, 0, 2}, {0, 0, 1}, {0, 0, 3}, {2, -1, -3}};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

/* Operands somewhere in the middle of rooms of their own, filled and ready for N elements. */
typedef struct operands {
    char *rooms[HW_MAX_OPERANDS];
    char *args[HW_MAX_OPERANDS];
    ptrdiff_t steps[HW_MAX_OPERANDS];
} operands;

static void lay_out(operands *o, const fixture *f, const int *layout, int n)
{
    for (int k = 0; k < n; k++) {
        hw_kind kind = f->mapping.operands[k].kind;
        size_t size = hw_type_of_kind(kind)->size;
        bool is_output = f->mapping.operands[k].output;
        o->rooms[k] = calloc(1, 2 * ROOM);
        o->args[k] = o->rooms[k] + ROOM;
        o->steps[k] = (is_output ? layout[2] : layout[k % 2]) * (ptrdiff_t)size;
        for (ptrdiff_t i = 0; i < N; i++)
            if (is_output)
                memset(o->args[k] + i * o->steps[k], 0xCC, size);
            else
                put(kind, o->args[k] + i * o->steps[k], k, i);
    }
}

static void free_rooms(operands *o, int n)
{
    for (int k = 0; k < n; k++)
        free(o->rooms[k]);
}

/* Compares as bytes what was written, long double without its padding. */
static bool same_element(hw_kind kind, const char *a, const char *b)
{
    if (kind == HW_LDOUBLE)
        return *(const long double *)(const void *)a == *(const long double *)(const void *)b;
    if (kind == HW_CLDOUBLE)
        return *(const cldouble *)(const void *)a == *(const cldouble *)(const void *)b;
    return memcmp(a, b, hw_type_of_kind(kind)->size) == 0;
}

static void run_case(size_t c, size_t layout, bool by_ffi)
{
    fixture f;
    operands o;
    int n = cases[c].n;
    elementwise(&f, cases[c].fn, cases[c].result, (size_t)n, cases[c].kinds);
    finish(&f, by_ffi);
    lay_out(&o, &f, layouts[layout], n + 1);
    char *args[HW_MAX_OPERANDS];
    memcpy(args, o.args, sizeof args);
    const ptrdiff_t dims[] = {N};
    f.loop(args, dims, o.steps, &f.call);
    for (ptrdiff_t i = 0; i < N; i++) {
        _Alignas(16) char expected[32];
        char *at[HW_MAX_OPERANDS];
        for (int k = 0; k < n; k++)
            at[k] = o.args[k] + i * o.steps[k];
        cases[c].plain(at, expected);
        if (!same_element(cases[c].result, o.args[n] + i * o.steps[n], expected))
            fail_msg("%s, layout %zu, element %td, %s", cases[c].name, layout, i,
                     by_ffi ? "by libffi" : "by the route it is given");
    }
    const char *behind = o.args[n] + N * o.steps[n];
    for (size_t i = 0; i < hw_type_of_kind(cases[c].result)->size; i++)
        if (behind[i] != 0)
            fail_msg("%s, layout %zu: an element too many was written", cases[c].name, layout);
    free_rooms(&o, n + 1);
    hw_plan_fini(&f.plan);
}

static void elementwise_loops_do_what_plain_c_does(void **state)
{
    (void)state;
    for (size_t c = 0; c < CASES; c++)
        for (size_t layout = 0; layout < LAYOUTS; layout++) {
            run_case(c, layout, false);
            run_case(c, layout, true);
        }
}

static void a_loop_over_nothing_touches_nothing(void **state)
{
    (void)state;
    for (size_t c = 0; c < CASES; c++) {
        fixture f;
        char *args[HW_MAX_OPERANDS] = {0}; /* touching them would crash */
        const ptrdiff_t dims[] = {0}, steps[HW_MAX_OPERANDS] = {0};
        elementwise(&f, cases[c].fn, cases[c].result, (size_t)cases[c].n, cases[c].kinds);
        finish(&f, false);
        f.loop(args, dims, steps, &f.call);
        hw_plan_fini(&f.plan);
    }
}

/* NumPy reduces with an output that is also the first input, at step 0. */
static void an_output_at_step_zero_that_is_an_input_reduces(void **state)
{
    (void)state;
    static const hw_kind kinds[] = {HW_DOUBLE, HW_DOUBLE};
    for (int by_ffi = 0; by_ffi < 2; by_ffi++) {
        fixture f;
        double total = 2, expected = 2, x[N];
        elementwise(&f, (hw_fn)d2, HW_DOUBLE, 2, kinds);
        finish(&f, by_ffi);
        for (int i = 0; i < N; i++) {
            x[i] = sin(i);
            expected = d2(expected, x[i]);
        }
        char *args[] = {(char *)&total, (char *)x, (char *)&total};
        const ptrdiff_t dims[] = {N}, steps[] = {0, sizeof(double), 0};
        f.loop(args, dims, steps, &f.call);
        assert_memory_equal(&total, &expected, sizeof total);
        hw_plan_fini(&f.plan);
    }
}

/* ...and accumulates with an output one element behind the first input. */
static void an_output_one_behind_an_input_accumulates(void **state)
{
    (void)state;
    static const hw_kind kinds[] = {HW_DOUBLE, HW_DOUBLE};
    for (int by_ffi = 0; by_ffi < 2; by_ffi++) {
        fixture f;
        double sums[N + 1] = {1}, expected[N + 1] = {1}, x[N];
        elementwise(&f, (hw_fn)d2, HW_DOUBLE, 2, kinds);
        finish(&f, by_ffi);
        for (int i = 0; i < N; i++) {
            x[i] = cos(i);
            expected[i + 1] = d2(expected[i], x[i]);
        }
        char *args[] = {(char *)sums, (char *)x, (char *)(sums + 1)};
        const ptrdiff_t dims[] = {N}, steps[] = {8, 8, 8};
        f.loop(args, dims, steps, &f.call);
        assert_memory_equal(sums, expected, sizeof sums);
        hw_plan_fini(&f.plan);
    }
}

static void an_input_may_be_the_output(void **state)
{
    (void)state;
    static const hw_kind kinds[] = {HW_DOUBLE};
    fixture f;
    double x[N], expected[N];
    elementwise(&f, (hw_fn)d1, HW_DOUBLE, 1, kinds);
    finish(&f, false);
    for (int i = 0; i < N; i++)
        expected[i] = d1(x[i] = i);
    char *args[] = {(char *)x, (char *)x};
    const ptrdiff_t dims[] = {N}, steps[] = {8, 8};
    f.loop(args, dims, steps, &f.call);
    assert_memory_equal(x, expected, sizeof x);
    hw_plan_fini(&f.plan);
}

/* ---- core dimensions ----------------------------------------------------------------------------
 */

/* Parameters of a function with core dimensions. */
static void add_param(fixture *f, const hw_type *type, hw_feed feed, int index)
{
    size_t p = f->type.count++;
    f->types[p] = type;
    f->type.params = f->types;
    f->params[p] = (hw_loop_param){feed, (uint8_t)index, type->kind};
}

static void add_operand(fixture *f, hw_operand o)
{
    f->mapping.operands[count_operands(f)] = o;
    if (o.output)
        f->mapping.n_out++;
    else
        f->mapping.n_in++;
}

static void start(fixture *f, hw_fn fn, const hw_type *result, int dims)
{
    memset(f, 0, sizeof *f);
    f->type = (hw_type){.kind = HW_FUNCTION, .target = result};
    f->mapping.n_dims = (uint8_t)dims;
    f->call = (hw_loop_call){&f->plan, fn, &f->mapping, f->params, -1};
}

static void matmul(size_t m, int k, unsigned char n, const double *a, const double *b, double *c)
{
    for (size_t i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double s = 0;
            for (int l = 0; l < k; l++)
                s += a[i * (size_t)k + (size_t)l] * b[l * n + j];
            c[i * n + (size_t)j] = s;
        }
}

static void a_matmul_is_applied_to_stacks(void **state)
{
    (void)state;
    enum { M = 3, K = 4, C = 2, STACK = 5 };
    for (int by_ffi = 0; by_ffi < 2; by_ffi++) {
        fixture f;
        double a[STACK][M][K], b[K][C], c[STACK][2][M][C], expected[M][C];
        start(&f, (hw_fn)matmul, &hw_type_void, 3);
        add_param(&f, &hw_type_of_HW_ULONG, HW_FEED_SIZE, 0);
        add_param(&f, &hw_type_of_HW_INT, HW_FEED_SIZE, 1);
        add_param(&f, &hw_type_of_HW_UCHAR, HW_FEED_SIZE, 2);
        add_param(&f, &T_pointer, HW_FEED_ADDRESS, 0);
        add_param(&f, &T_pointer, HW_FEED_ADDRESS, 1);
        add_param(&f, &T_pointer, HW_FEED_ADDRESS, 2);
        add_operand(&f, (hw_operand){HW_DOUBLE, 2, {0, 1}, -1, false});
        add_operand(&f, (hw_operand){HW_DOUBLE, 2, {1, 2}, -1, false});
        add_operand(&f, (hw_operand){HW_DOUBLE, 2, {0, 2}, -1, true});
        finish(&f, by_ffi);
        for (int i = 0; i < STACK * M * K; i++)
            (&a[0][0][0])[i] = i * 0.5 - 7;
        for (int i = 0; i < K * C; i++)
            (&b[0][0])[i] = i - 3.25;
        memset(c, 0, sizeof c);
        char *args[] = {(char *)a, (char *)b, (char *)c};
        const ptrdiff_t dims[] = {STACK, M, K, C};
        const ptrdiff_t steps[] = {sizeof a[0], 0, sizeof c[0]}; /* one b for all, room between c */
        f.loop(args, dims, steps, &f.call);
        for (int s = 0; s < STACK; s++) {
            static const double untouched[M][C];
            matmul(M, K, C, &a[s][0][0], &b[0][0], &expected[0][0]);
            assert_memory_equal(c[s][0], expected, sizeof expected);
            assert_memory_equal(c[s][1], untouched, sizeof untouched);
        }
        hw_plan_fini(&f.plan);
    }
}

/* Result, output by address and input by address and by value, all in one. */
static float scale(size_t n, const float *x, double by, float *out)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += out[i] = (float)(x[i] * by);
    return sum;
}

static void a_result_comes_beside_outputs_by_address(void **state)
{
    (void)state;
    enum { LENGTH = 6 };
    for (int by_ffi = 0; by_ffi < 2; by_ffi++) {
        fixture f;
        float x[N][LENGTH], out[N][LENGTH], sums[N], expected[LENGTH];
        double by[N];
        start(&f, (hw_fn)scale, &hw_type_of_HW_FLOAT, 1);
        add_param(&f, &hw_type_of_HW_ULONG, HW_FEED_SIZE, 0);
        add_param(&f, &T_pointer, HW_FEED_ADDRESS, 0);
        add_param(&f, &hw_type_of_HW_DOUBLE, HW_FEED_VALUE, 1);
        add_param(&f, &T_pointer, HW_FEED_ADDRESS, 3);
        add_operand(&f, (hw_operand){HW_FLOAT, 1, {0}, -1, false});
        add_operand(&f, (hw_operand){HW_DOUBLE, 0, {0}, -1, false});
        add_operand(&f, (hw_operand){HW_FLOAT, 0, {0}, -1, true});
        add_operand(&f, (hw_operand){HW_FLOAT, 1, {0}, -1, true});
        f.call.result = 2;
        finish(&f, by_ffi);
        for (int i = 0; i < N; i++) {
            by[i] = i * 0.75;
            for (int k = 0; k < LENGTH; k++)
                x[i][k] = (float)(i - k);
        }
        char *args[] = {(char *)x, (char *)by, (char *)sums, (char *)out};
        const ptrdiff_t dims[] = {N, LENGTH};
        const ptrdiff_t steps[] = {sizeof x[0], sizeof by[0], sizeof sums[0], sizeof out[0]};
        f.loop(args, dims, steps, &f.call);
        for (int i = 0; i < N; i++) {
            float sum = scale(LENGTH, x[i], by[i], expected);
            assert_memory_equal(&sums[i], &sum, sizeof sum);
            assert_memory_equal(out[i], expected, sizeof expected);
        }
        hw_plan_fini(&f.plan);
    }
}

static int ascending(const void *a, const void *b)
{
    short x = *(const short *)a, y = *(const short *)b;
    return (x > y) - (x < y);
}

static void sort(int n, short *x) { qsort(x, (size_t)n, sizeof *x, ascending); }

/* An in-place kernel: what comes out is a copy of the input, sorted; or the input itself. */
static void check_inout(bool by_ffi, bool in_place)
{
    enum { LENGTH = 9 };
    fixture f;
    short x[N][LENGTH], before[N][LENGTH], out[N][LENGTH];
    start(&f, (hw_fn)sort, &hw_type_void, 1);
    add_param(&f, &hw_type_of_HW_INT, HW_FEED_SIZE, 0);
    add_param(&f, &T_pointer, HW_FEED_INOUT, 1);
    add_operand(&f, (hw_operand){HW_SHORT, 1, {0}, -1, false});
    add_operand(&f, (hw_operand){HW_SHORT, 1, {0}, 0, true});
    finish(&f, by_ffi);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < LENGTH; k++)
            x[i][k] = (short)((i * 31 + k * 17) % 23 - 11);
    memcpy(before, x, sizeof x);
    char *args[] = {(char *)x, (char *)(in_place ? x : out)};
    const ptrdiff_t dims[] = {N, LENGTH}, steps[] = {sizeof x[0], sizeof out[0]};
    f.loop(args, dims, steps, &f.call);
    if (!in_place)
        assert_memory_equal(x, before, sizeof x);
    for (int i = 0; i < N; i++) {
        sort(LENGTH, before[i]);
        assert_memory_equal((in_place ? x : out)[i], before[i], sizeof before[i]);
    }
    hw_plan_fini(&f.plan);
}

static void an_inout_operand_starts_as_a_copy_of_its_input(void **state)
{
    (void)state;
    check_inout(false, false);
    check_inout(true, false);
}

static void an_inout_operand_may_be_its_input(void **state)
{
    (void)state;
    check_inout(false, true);
    check_inout(true, true);
}

static double mean(size_t n, const double *x)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += x[i];
    return n ? s / (double)n : -1;
}

static void a_core_dimension_may_be_zero_or_broadcast(void **state)
{
    (void)state;
    fixture f;
    double x[4] = {1, 2, 3, 6}, out[N];
    start(&f, (hw_fn)mean, &hw_type_double, 1);
    add_param(&f, &hw_type_of_HW_ULONG, HW_FEED_SIZE, 0);
    add_param(&f, &T_pointer, HW_FEED_ADDRESS, 0);
    add_operand(&f, (hw_operand){HW_DOUBLE, 1, {0}, -1, false});
    add_operand(&f, (hw_operand){HW_DOUBLE, 0, {0}, -1, true});
    f.call.result = 1;
    finish(&f, false);
    for (ptrdiff_t n = 0; n <= 4; n++) {
        char *args[] = {(char *)x, (char *)out};
        const ptrdiff_t dims[] = {N, n}, steps[] = {0, sizeof(double)};
        f.loop(args, dims, steps, &f.call);
        for (int i = 0; i < N; i++)
            assert_true(out[i] == mean((size_t)n, x));
    }
    hw_plan_fini(&f.plan);
}

static void a_call_whose_frame_is_too_large_has_no_loop(void **state)
{
    (void)state;
    enum { PARAMS = 30 };
    fixture f;
    hw_kind kinds[PARAMS];
    for (int i = 0; i < PARAMS; i++)
        kinds[i] = HW_CLDOUBLE;
    elementwise(&f, (hw_fn)cld, HW_CLDOUBLE, PARAMS, kinds);
    assert_int_equal(hw_plan_init(&f.plan, &f.type, NULL, 0, NULL), HW_OK);
    assert_true(f.plan.frame_size > HW_FRAME_INLINE);
    assert_null(hw_loop_choose(&f.call));
    hw_plan_fini(&f.plan);
}

/* ---- sizes -------------------------------------------------------------------------------------
 */

#define DIM(d) {HW_STEP_DIM, d}
#define NUMBER(n) {HW_STEP_INTEGER, n}
#define APPLY(o) {HW_STEP_OPERATOR, o}

static void sizes_are_computed_as_c_does(void **state)
{
    (void)state;
    static const ptrdiff_t sizes[] = {5, 7, -1, PTRDIFF_MAX};
    static const struct {
        hw_size_step steps[5];
        size_t count;
        hw_size_outcome outcome;
        ptrdiff_t size;
    } sizings[] = {
        {{NUMBER(3)}, 1, HW_SIZE_COMPUTED, 3},
        {{DIM(0), DIM(1), APPLY('+')}, 3, HW_SIZE_COMPUTED, 12},
        {{DIM(1), DIM(0), APPLY('-')}, 3, HW_SIZE_COMPUTED, 2},
        {{DIM(0), DIM(1), APPLY('*'), NUMBER(2), APPLY('/')}, 5, HW_SIZE_COMPUTED, 17},
        {{NUMBER(3), DIM(0), APPLY('-'), NUMBER(-1), APPLY('/')}, 5, HW_SIZE_COMPUTED, 2},
        {{NUMBER(1), DIM(0), APPLY('-'), NUMBER(3), APPLY('%')}, 5, HW_SIZE_NEGATIVE, -1},
        {{DIM(0), DIM(1), APPLY('-')}, 3, HW_SIZE_NEGATIVE, -2},
        {{DIM(0), DIM(2), APPLY('+')}, 3, HW_SIZE_UNKNOWN, 2},
        {{DIM(0), NUMBER(0), APPLY('/')}, 3, HW_SIZE_UNDEFINED, 0},
        {{DIM(0), NUMBER(0), APPLY('%')}, 3, HW_SIZE_UNDEFINED, 0},
        {{NUMBER(PTRDIFF_MIN), NUMBER(-1), APPLY('/')}, 3, HW_SIZE_UNDEFINED, 0},
        {{NUMBER(PTRDIFF_MIN), NUMBER(-1), APPLY('%')}, 3, HW_SIZE_UNDEFINED, 0},
        {{DIM(3), NUMBER(1), APPLY('+')}, 3, HW_SIZE_UNDEFINED, 0},
        {{DIM(3), NUMBER(2), APPLY('*')}, 3, HW_SIZE_UNDEFINED, 0},
        {{NUMBER(PTRDIFF_MIN), NUMBER(1), APPLY('-')}, 3, HW_SIZE_UNDEFINED, 0},
        {{APPLY('+')}, 1, HW_SIZE_UNDEFINED, 0},
        {{DIM(0), APPLY('+')}, 2, HW_SIZE_UNDEFINED, 0},
        {{DIM(0), DIM(1)}, 2, HW_SIZE_UNDEFINED, 0},
    };
    for (size_t i = 0; i < sizeof sizings / sizeof *sizings; i++) {
        ptrdiff_t size = 0;
        hw_size_outcome outcome =
            hw_size_evaluate(sizings[i].steps, sizings[i].count, sizes, &size);
        if (outcome != sizings[i].outcome)
            fail_msg("case %zu: outcome %d", i, (int)outcome);
        if (outcome != HW_SIZE_UNDEFINED)
            assert_int_equal(size, sizings[i].size);
    }
    hw_size_step deep[HW_MAX_SIZE_DEPTH + 1];
    for (size_t i = 0; i <= HW_MAX_SIZE_DEPTH; i++)
        deep[i] = (hw_size_step)NUMBER(1);
    ptrdiff_t size;
    assert_int_equal(hw_size_evaluate(deep, HW_MAX_SIZE_DEPTH + 1, sizes, &size),
                     HW_SIZE_UNDEFINED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elementwise_loops_do_what_plain_c_does),
        cmocka_unit_test(a_loop_over_nothing_touches_nothing),
        cmocka_unit_test(an_output_at_step_zero_that_is_an_input_reduces),
        cmocka_unit_test(an_output_one_behind_an_input_accumulates),
        cmocka_unit_test(an_input_may_be_the_output),
        cmocka_unit_test(a_matmul_is_applied_to_stacks),
        cmocka_unit_test(a_result_comes_beside_outputs_by_address),
        cmocka_unit_test(an_inout_operand_starts_as_a_copy_of_its_input),
        cmocka_unit_test(an_inout_operand_may_be_its_input),
        cmocka_unit_test(a_core_dimension_may_be_zero_or_broadcast),
        cmocka_unit_test(a_call_whose_frame_is_too_large_has_no_loop),
        cmocka_unit_test(sizes_are_computed_as_c_does),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
