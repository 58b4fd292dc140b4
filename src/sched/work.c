/* SPDX-License-Identifier: MIT */
/* Taking chunks, handling them in batches, and keeping pace: see run.h. */
#include "run.h"

static size_t edge_of_chunk_at(const hw_loop *loop, size_t at)
{
    return loop->length - at > loop->chunk ? at + loop->chunk : loop->length;
}

/* Takes whole chunks for one batch, or one chunk where a batch is less. Where there are helpers
 * never more than half a fair share of what is left, so that all finish together. */
static bool take(hw_hand *h)
{
    hw_run *r = h->run;
    const hw_loop *loop = r->loop;
    size_t most = h->batch / loop->chunk, count;
    size_t first = hw_run_next(r);
    do {
        if (first >= r->chunks)
            return false;
        size_t left = r->chunks - first;
        unsigned wanted = hw_peek(&r->wanted);
        size_t fair = wanted ? left / (2 * ((size_t)wanted + 1)) : left;
        count = most < fair ? most : fair;
        count = count ? count : 1;
    } while (!atomic_compare_exchange_weak_explicit(&r->next, &first, first + count,
                                                    memory_order_relaxed, memory_order_relaxed));
    h->at = first * loop->chunk;
    h->edge = edge_of_chunk_at(loop, h->at);
    h->end = first + count == r->chunks ? loop->length : (first + count) * loop->chunk;
    return true;
}

bool hw_hand_work(hw_hand *h)
{
    const hw_loop *loop = h->run->loop;
    if (h->at == h->end && !take(h))
        return false;
    size_t from = h->at;
    size_t stop = h->end - h->at > h->batch ? h->at + h->batch : h->end;
    while (h->at < stop) {
        if (hw_run_cancelled(h->run))
            return false;
        size_t piece_end = h->edge < stop ? h->edge : stop;
        loop->body(loop->context, h->at, piece_end, h->number);
        h->at = piece_end;
        if (h->at == h->edge && h->at < h->end)
            h->edge = edge_of_chunk_at(loop, h->at);
    }
    h->last = stop - from;
    h->total += h->last;
    return true;
}

bool hw_hand_exhausted(const hw_hand *h)
{
    return h->at == h->end && hw_run_next(h->run) >= h->run->chunks;
}

double hw_hand_left(const hw_hand *h)
{
    const hw_run *r = h->run;
    size_t next = hw_run_next(r);
    double chunks = next < r->chunks ? (double)(r->chunks - next) : 0;
    return (chunks * (double)r->loop->chunk + (double)(h->end - h->at)) * h->pace;
}

void hw_hand_set_pace(hw_hand *h, int64_t now)
{
    const hw_run *r = h->run;
    size_t unit = r->loop->unit ? r->loop->unit : 1;
    double took = now > h->now ? (double)(now - h->now) : 1;
    double last = took / (double)h->last;
    double all = now > h->start ? (double)(now - h->start) / (double)h->total : last;
    h->now = now;
    h->pace = last < all ? last : all;
    if (h->last < h->batch / 2 && took < HW_TARGET)
        return; /* cut short by the end of what was taken: says little */
    bool probing = hw_peek(&r->limit) > 0 && hw_peek(&r->wanted) == 0 && hw_hand_left(h) > HW_WORTH;
    double size = (probing ? HW_PROBE : HW_TARGET) / last;
    double most = (double)h->batch * HW_GROWTH;
    size = size < most ? size : most;
    h->batch = size < (double)r->loop->length ? (size_t)size : r->loop->length;
    h->batch -= h->batch % unit;
    h->batch = h->batch ? h->batch : unit;
}
