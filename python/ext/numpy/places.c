/* SPDX-License-Identifier: MIT */
/*
 * Runs a function at places: points of a grid of outer axes, each with one core slice an operand.
 *
 * A loop wants every core slice C-contiguous, aligned and of C's own type. Where an operand is not
 * so, a block of places is gathered into the worker's scratch, run there, and outputs are scattered
 * back. An output's scratch starts as a copy of its destination: the function need not write all.
 */
#include "internal.h"

enum { SCRATCH = 32768, ALIGN = 64 };

/* ---- one operand ----------------------------------------------------------------------------- */

static bool is_contiguous(const hwn_slice *s, Py_ssize_t itemsize)
{
    ptrdiff_t expected = itemsize;
    for (int d = s->n_core - 1; d >= 0; d--) {
        if (s->shape[d] != 1 && s->strides[d] != expected)
            return s->count == 0;
        expected *= s->shape[d];
    }
    return true;
}

void hwn_places_slice(hwn_places *p, int op, hwn_mode mode, const ptrdiff_t *strides)
{
    const hw_operand *o = &p->job.mapping->operands[op];
    hwn_slice *s = &p->slices[op];
    Py_ssize_t itemsize = hwn_kinds[o->kind].size;
    s->n_core = o->n_core;
    s->count = 1;
    for (int d = 0; d < o->n_core; d++) {
        s->shape[d] = p->dims[1 + o->core[d]];
        s->strides[d] = strides[d];
        s->count *= s->shape[d];
    }
    s->bytes = s->count * itemsize;
    s->mode = mode == HWN_DIRECT && !is_contiguous(s, itemsize) ? HWN_COPY : mode;
    p->scratched |= s->mode != HWN_DIRECT;
}

void hwn_places_layout(hwn_places *p)
{
    ptrdiff_t together = 0, all = 0;
    for (int i = 0; i < p->n_ops; i++) {
        all += p->slices[i].bytes;
        together += p->slices[i].mode != HWN_DIRECT ? p->slices[i].bytes : 0;
    }
    if (p->job.mapping->n_dims) {
        p->job.unit = 1;
        p->job.chunk = 1;
    }
    p->block = together == 0 ? 1024 : together >= SCRATCH ? 1 : SCRATCH / together;
    p->block = p->block < p->job.length ? p->block : p->job.length;
    p->block = p->job.in_order || p->block < 1 ? 1 : p->block;
    ptrdiff_t offset = 0;
    for (int i = 0; i < p->n_ops; i++) {
        p->slices[i].offset = offset;
        if (p->slices[i].mode != HWN_DIRECT)
            offset += (p->slices[i].bytes * p->block + ALIGN - 1) / ALIGN * ALIGN;
    }
    p->scratch_size = (size_t)offset + ALIGN;
}

/* ---- gather and scatter ---------------------------------------------------------------------- */

/* One axis of elements between two layouts. */
static void copy_axis(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step,
                      ptrdiff_t n, Py_ssize_t size)
{
    switch (size) {
#define COPY(size_)                                                                                \
    case size_:                                                                                    \
        for (ptrdiff_t i = 0; i < n; i++, to += to_step, from += from_step)                        \
            memcpy(to, from, size_);                                                               \
        break;
        COPY(1)
        COPY(2)
        COPY(4)
        COPY(8)
        COPY(16)
        COPY(32)
#undef COPY
    default: break;
    }
}

typedef struct transfer {
    hw_kind kind;
    Py_ssize_t size; /* of an element in scratch */
    bool convert;    /* int64 outside */
    bool out;        /* from scratch */
    int64_t refused; /* gathering int64: what did not fit */
} transfer;

static inline bool transfer_axis(transfer *t, char *inside, ptrdiff_t inside_step, char *outside,
                                 ptrdiff_t outside_step, ptrdiff_t n)
{
    if (!t->convert) {
        if (t->out)
            copy_axis(outside, outside_step, inside, inside_step, n, t->size);
        else
            copy_axis(inside, inside_step, outside, outside_step, n, t->size);
        return true;
    }
    if (t->out) {
        hwn_widen(t->kind, outside, outside_step, inside, inside_step, n);
        return true;
    }
    ptrdiff_t bad = hwn_narrow(t->kind, inside, inside_step, outside, outside_step, n);
    if (bad >= 0)
        memcpy(&t->refused, outside + bad * outside_step, sizeof t->refused);
    return bad < 0;
}

/* One core slice; false where an element was refused. */
static bool transfer_slice(transfer *t, const hwn_slice *s, char *inside, char *outside)
{
    ptrdiff_t index[HW_MAX_CORE] = {0};
    int last = s->n_core - 1;
    if (s->count == 0)
        return true;
    if (last < 0)
        return transfer_axis(t, inside, 0, outside, 0, 1);
    for (;;) {
        if (!transfer_axis(t, inside, t->size, outside, s->strides[last], s->shape[last]))
            return false;
        inside += t->size * s->shape[last];
        int d = last - 1;
        for (; d >= 0; d--) {
            outside += s->strides[d];
            if (++index[d] < s->shape[d])
                break;
            outside -= s->strides[d] * s->shape[d];
            index[d] = 0;
        }
        if (d < 0)
            return true;
    }
}

/* Slices of n places. How many were done before an element was refused. */
static ptrdiff_t transfer_block(transfer *t, const hwn_slice *s, char *inside, char *outside,
                                ptrdiff_t step, ptrdiff_t n)
{
    if (s->n_core == 0 && !t->convert) {
        transfer_axis(t, inside, t->size, outside, step, n);
        return n;
    }
    for (ptrdiff_t i = 0; i < n; i++)
        if (!transfer_slice(t, s, inside + i * s->bytes, outside + i * step))
            return i;
    return n;
}

static transfer transfer_of(const hwn_places *p, int op, bool out)
{
    hw_kind kind = p->job.mapping->operands[op].kind;
    return (transfer){.kind = kind,
                      .size = hwn_kinds[kind].size,
                      .convert = p->slices[op].mode == HWN_INT64,
                      .out = out};
}

/* Gathers a block. How many places from the first may be run: fewer than n where one failed. */
static ptrdiff_t gather(hwn_places *p, char *scratch, char *const *at, const ptrdiff_t *steps,
                        ptrdiff_t n, ptrdiff_t first)
{
    const hw_mapping *m = p->job.mapping;
    for (int i = 0; i < p->n_ops; i++) {
        const hwn_slice *s = &p->slices[i];
        if (s->mode == HWN_DIRECT || (i >= m->n_in && (s->n_core == 0 || s->mode == HWN_INT64)))
            continue;
        transfer t = transfer_of(p, i, false);
        ptrdiff_t wanted = steps[i] == 0 ? 1 : n;
        ptrdiff_t done = transfer_block(&t, s, scratch + s->offset, at[i], steps[i], wanted);
        if (done < wanted) {
            hwn_fail(&p->job, first + done, HWN_OUT_OF_RANGE, i, t.refused);
            n = done;
        }
    }
    return n;
}

static void scatter(hwn_places *p, char *scratch, char *const *at, const ptrdiff_t *steps,
                    ptrdiff_t n)
{
    const hw_mapping *m = p->job.mapping;
    for (int i = m->n_in; i < p->n_ops; i++) {
        const hwn_slice *s = &p->slices[i];
        if (s->mode == HWN_DIRECT)
            continue;
        transfer t = transfer_of(p, i, true);
        transfer_block(&t, s, scratch + s->offset, at[i], steps[i], n);
    }
}

/* ---- running --------------------------------------------------------------------------------- */

/* Where hw_debug says so: what the function does not write shows. */
static void fill_outputs(const hwn_places *p, char *const *at, const ptrdiff_t *steps, ptrdiff_t n)
{
    const hw_mapping *m = p->job.mapping;
    for (int i = m->n_in; i < p->n_ops; i++) {
        const hw_operand *o = &m->operands[i];
        ptrdiff_t bytes = hwn_kinds[o->kind].size;
        for (int d = 0; d < o->n_core; d++)
            bytes *= p->dims[1 + o->core[d]];
        for (ptrdiff_t place = 0; place < n && o->n_core && o->inout < 0; place++)
            memset(at[i] + place * steps[i], HW_DEBUG_BYTE, (size_t)bytes);
    }
}

static void call(hwn_places *p, char **at, const ptrdiff_t *steps, ptrdiff_t n)
{
    const hw_mapping *m = p->job.mapping;
    ptrdiff_t dims[1 + HW_MAX_DIMS];
    memcpy(dims, p->dims, sizeof(ptrdiff_t) * (1 + m->n_dims));
    dims[0] = n;
    if (hwn_debug && m->n_dims)
        fill_outputs(p, at, steps, n);
    m->loop(at, dims, steps, m->data);
}

static void run_scratched(hwn_places *p, char **at, const ptrdiff_t *steps, ptrdiff_t n,
                          ptrdiff_t first, unsigned worker)
{
    char *inside[HW_MAX_OPERANDS];
    ptrdiff_t inside_steps[HW_MAX_OPERANDS];
    char *scratch = hwn_scratch(&p->job, worker, p->scratch_size);
    if (!scratch) {
        hwn_fail(&p->job, first, HWN_NO_MEMORY, 0, 0);
        return;
    }
    ptrdiff_t block = p->block < n ? p->block : n;
    ptrdiff_t count = gather(p, scratch, at, steps, block, first);
    if (count == 0)
        return;
    for (int i = 0; i < p->n_ops; i++) {
        const hwn_slice *s = &p->slices[i];
        bool direct = s->mode == HWN_DIRECT;
        inside[i] = direct ? at[i] : scratch + s->offset;
        inside_steps[i] = direct                                      ? steps[i]
                          : steps[i] == 0 && i < p->job.mapping->n_in ? 0
                                                                      : s->bytes;
    }
    call(p, inside, inside_steps, count);
    scatter(p, scratch, at, steps, count);
}

void hwn_places_row(hwn_places *p, char *const *args, const ptrdiff_t *steps, ptrdiff_t n,
                    ptrdiff_t at, unsigned worker)
{
    char *here[HW_MAX_OPERANDS];
    memcpy(here, args, sizeof(char *) * (size_t)p->n_ops);
    if (!p->scratched && !p->job.in_order) {
        call(p, here, steps, n);
        return;
    }
    while (n > 0 && !hwn_failed_before(&p->job, at)) {
        ptrdiff_t count = p->block < n ? p->block : n;
        if (p->scratched)
            run_scratched(p, here, steps, count, at, worker);
        else
            call(p, here, steps, count);
        for (int i = 0; i < p->n_ops; i++)
            here[i] += count * steps[i];
        at += count;
        n -= count;
    }
}

void hwn_places_body(hwn_job *job, ptrdiff_t begin, ptrdiff_t end, unsigned worker)
{
    hwn_places *p = (hwn_places *)job;
    ptrdiff_t index[NPY_MAXDIMS];
    char *at[HW_MAX_OPERANDS];
    ptrdiff_t left = begin;
    memcpy(at, p->data, sizeof(char *) * (size_t)p->n_ops);
    for (int a = 0; a < p->n_axes; a++) {
        index[a] = left % p->shape[a];
        left /= p->shape[a];
        for (int i = 0; i < p->n_ops; i++)
            at[i] += index[a] * p->steps[a][i];
    }
    while (begin < end && !hwn_failed_before(job, begin)) {
        ptrdiff_t row = p->shape[0] - index[0];
        row = row < end - begin ? row : end - begin;
        hwn_places_row(p, at, p->steps[0], row, begin, worker);
        begin += row;
        if (begin == end)
            return;
        for (int i = 0; i < p->n_ops; i++)
            at[i] -= index[0] * p->steps[0][i];
        index[0] = 0;
        for (int a = 1; a < p->n_axes; a++) {
            for (int i = 0; i < p->n_ops; i++)
                at[i] += p->steps[a][i];
            if (++index[a] < p->shape[a])
                break;
            for (int i = 0; i < p->n_ops; i++)
                at[i] -= p->shape[a] * p->steps[a][i];
            index[a] = 0;
        }
    }
}
