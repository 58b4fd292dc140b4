/* SPDX-License-Identifier: MIT */
/* Taking chunks, handling them in batches, and keeping pace: see run.h. */
#include "run.h"

/* Takes whole chunks for one batch, or one chunk where a batch is less. Where there are helpers no
 * more than half a fair share of what is left, so that all finish together, down to a sixteenth of
 * a batch: 6 us, so that taking does not become the work. */
static bool take(hw_hand *h)
{
    hw_run *r = h->run;
    size_t most = h->batch / r->chunk, count;
    size_t first = hw_run_next(r);
    do {
        if (first >= r->chunks)
            return false;
        size_t left = r->chunks - first;
        unsigned wanted = hw_peek(&r->wanted);
        size_t fair = wanted ? left / (2 * ((size_t)wanted + 1)) : left;
        fair = fair > most / 16 ? fair : most / 16;
        count = most < fair ? most : fair;
        count = count < left ? count : left;
        count = count ? count : 1;
    } while (!atomic_compare_exchange_weak_explicit(&r->next, &first, first + count,
                                                    memory_order_relaxed, memory_order_relaxed));
    h->at = first * r->chunk;
    h->end = first + count == r->chunks ? r->loop->length : (first + count) * r->chunk;
    return true;
}

bool hw_hand_work(hw_hand *h)
{
    const hw_loop *loop = h->run->loop;
    if (hw_run_cancelled(h->run) || (h->at == h->end && !take(h)))
        return false;
    size_t from = h->at;
    h->at = h->end - from > h->batch ? from + h->batch : h->end;
    loop->body(loop->context, from, h->at, h->number);
    h->last = h->at - from;
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
    return (chunks * (double)r->chunk + (double)(h->end - h->at)) * h->pace;
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
