/* SPDX-License-Identifier: MIT */
/*
 * Loops over a loaded function: one call through a pointer an element. The common shapes of real
 * functions have loops of their own; everything else goes through the plan, element by element.
 */
#include <string.h>

#include "headway/call.h"

/* An argument's element, stored in its slot as hw_slot says. */
static inline void load(void *slot, hw_kind kind, const char *from)
{
    switch (kind) {
#define LOAD_INTEGER(kind_, ctype)                                                                 \
    case kind_: *(int64_t *)slot = (int64_t)*(const ctype *)(const void *)from; break;
        LOAD_INTEGER(HW_BOOL, uint8_t)
        LOAD_INTEGER(HW_CHAR, char)
        LOAD_INTEGER(HW_SCHAR, signed char)
        LOAD_INTEGER(HW_UCHAR, unsigned char)
        LOAD_INTEGER(HW_SHORT, short)
        LOAD_INTEGER(HW_USHORT, unsigned short)
        LOAD_INTEGER(HW_INT, int)
        LOAD_INTEGER(HW_UINT, unsigned)
        LOAD_INTEGER(HW_LONG, long)
        LOAD_INTEGER(HW_ULONG, unsigned long)
        LOAD_INTEGER(HW_LLONG, long long)
        LOAD_INTEGER(HW_ULLONG, unsigned long long)
#undef LOAD_INTEGER
    case HW_FLOAT: memcpy(slot, from, sizeof(float)); break;
    case HW_DOUBLE: memcpy(slot, from, sizeof(double)); break;
    case HW_LDOUBLE: memcpy(slot, from, sizeof(long double)); break;
    case HW_CFLOAT: memcpy(slot, from, 2 * sizeof(float)); break;
    case HW_CDOUBLE: memcpy(slot, from, 2 * sizeof(double)); break;
    case HW_CLDOUBLE: memcpy(slot, from, 2 * sizeof(long double)); break;
    default: break;
    }
}

/* Bytes of one core slice of an operand. */
static size_t core_bytes(const hw_operand *o, const ptrdiff_t *dims)
{
    size_t n = hw_type_of_kind(o->kind)->size;
    for (int d = 0; d < o->n_core; d++)
        n *= (size_t)dims[1 + o->core[d]];
    return n;
}

static void fill(const hw_loop_call *c, unsigned char *frame, char **at, const ptrdiff_t *dims)
{
    const hw_mapping *m = c->mapping;
    for (uint32_t p = 0; p < c->plan->count; p++) {
        const hw_loop_param *param = &c->params[p];
        void *slot = frame + c->plan->slots[p].offset;
        switch (param->feed) {
        case HW_FEED_VALUE: load(slot, param->kind, at[param->index]); break;
        case HW_FEED_SIZE: *(int64_t *)slot = dims[1 + param->index]; break;
        case HW_FEED_INOUT: {
            const hw_operand *o = &m->operands[param->index];
            if (at[param->index] != at[o->inout])
                memmove(at[param->index], at[o->inout], core_bytes(o, dims));
        } /* fallthrough */
        case HW_FEED_ADDRESS: *(void **)slot = at[param->index]; break;
        }
    }
}

static void loop_any(char **args, const ptrdiff_t *dims, const ptrdiff_t *steps, void *data)
{
    const hw_loop_call *c = data;
    const hw_mapping *m = c->mapping;
    int n_operands = m->n_in + m->n_out;
    char *at[HW_MAX_OPERANDS];
    memcpy(at, args, (size_t)n_operands * sizeof(char *));
    size_t result_size = c->result >= 0 ? hw_type_of_kind(m->operands[c->result].kind)->size : 0;
    _Alignas(16) unsigned char frame[HW_FRAME_INLINE];
    memset(frame, 0, c->plan->frame_size);
    for (ptrdiff_t i = 0; i < dims[0]; i++) {
        hw_value value;
        fill(c, frame, at, dims);
        hw_plan_call(c->plan, c->fn, frame, &value);
        if (c->result >= 0)
            memcpy(at[c->result], &value, result_size);
        for (int k = 0; k < n_operands; k++)
            at[k] += steps[k];
    }
}

/* One to four arguments of one real type and a result of the same. */
#define A(type, k) (*(const type *)(const void *)(a##k))
#define LOOP(name, type, types, declare, values, advance)                                          \
    static void name(char **args, const ptrdiff_t *dims, const ptrdiff_t *steps, void *data)       \
    {                                                                                              \
        const hw_loop_call *c = data;                                                              \
        type (*const fn)(types) = (type (*)(types))c->fn;                                          \
        const ptrdiff_t n = dims[0];                                                               \
        declare for (ptrdiff_t i = 0; i < n; i++)                                                  \
        {                                                                                          \
            *(type *)(void *)out = fn(values);                                                     \
            advance                                                                                \
        }                                                                                          \
    }
#define COMMA ,
#define DECLARE1                                                                                   \
    const char *a0 = args[0];                                                                      \
    char *out = args[1];                                                                           \
    const ptrdiff_t s0 = steps[0], so = steps[1];
#define DECLARE2                                                                                   \
    const char *a0 = args[0], *a1 = args[1];                                                       \
    char *out = args[2];                                                                           \
    const ptrdiff_t s0 = steps[0], s1 = steps[1], so = steps[2];
#define DECLARE3                                                                                   \
    const char *a0 = args[0], *a1 = args[1], *a2 = args[2];                                        \
    char *out = args[3];                                                                           \
    const ptrdiff_t s0 = steps[0], s1 = steps[1], s2 = steps[2], so = steps[3];
#define DECLARE4                                                                                   \
    const char *a0 = args[0], *a1 = args[1], *a2 = args[2], *a3 = args[3];                         \
    char *out = args[4];                                                                           \
    const ptrdiff_t s0 = steps[0], s1 = steps[1], s2 = steps[2], s3 = steps[3], so = steps[4];
#define LOOPS(letter, type)                                                                        \
    LOOP(loop_##letter##1, type, type, DECLARE1, A(type, 0), a0 += s0; out += so;)                 \
    LOOP(loop_##letter##2, type, type COMMA type, DECLARE2, A(type, 0) COMMA A(type, 1), a0 += s0; \
         a1 += s1; out += so;)                                                                     \
    LOOP(loop_##letter##3, type, type COMMA type COMMA type, DECLARE3,                             \
         A(type, 0) COMMA A(type, 1) COMMA A(type, 2), a0 += s0;                                   \
         a1 += s1; a2 += s2; out += so;)                                                           \
    LOOP(loop_##letter##4, type, type COMMA type COMMA type COMMA type, DECLARE4,                  \
         A(type, 0) COMMA A(type, 1) COMMA A(type, 2) COMMA A(type, 3), a0 += s0;                  \
         a1 += s1; a2 += s2; a3 += s3; out += so;)
LOOPS(d, double)
LOOPS(f, float)

/* The kind shared by every parameter and the result of an elementwise call, HW_VOID if none is. */
static hw_kind common_kind(const hw_loop_call *c)
{
    const hw_mapping *m = c->mapping;
    if (m->n_out != 1 || c->result != m->n_in || c->plan->count != m->n_in || m->n_dims)
        return HW_VOID;
    hw_kind kind = m->operands[0].kind;
    for (int k = 0; k < m->n_in + 1; k++)
        if (m->operands[k].kind != kind)
            return HW_VOID;
    for (uint32_t p = 0; p < c->plan->count; p++)
        if (c->params[p].feed != HW_FEED_VALUE || c->params[p].kind != kind ||
            c->params[p].index != p)
            return HW_VOID;
    return kind;
}

hw_loop_fn hw_loop_choose(const hw_loop_call *c)
{
    static const hw_loop_fn doubles[] = {loop_d1, loop_d2, loop_d3, loop_d4};
    static const hw_loop_fn floats[] = {loop_f1, loop_f2, loop_f3, loop_f4};
    uint32_t n = c->plan->count;
    if (c->plan->frame_size > HW_FRAME_INLINE)
        return NULL;
    if (n < 1 || n > 4)
        return loop_any;
    switch (common_kind(c)) {
    case HW_DOUBLE: return doubles[n - 1];
    case HW_FLOAT: return floats[n - 1];
    default: return loop_any;
    }
}
