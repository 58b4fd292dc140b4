/* SPDX-License-Identifier: MIT */
/*
 * The thread pool and the parallel loop that maps run on.
 *
 *     static void square(void *ctx, size_t begin, size_t end, unsigned worker);
 *
 *     hw_loop loop = {.length = n, .chunk = 1, .body = square, .context = data};
 *     hw_status s = hw_pool_parallel_for(hw_pool_shared(), &loop, 0);
 *
 * One process-wide pool is made on first use. Its size is HEADWAY_NUM_THREADS where that is set to
 * a number from 1 to 1024, else the CPUs in the affinity mask, bounded by the cgroup's quota. A
 * parallel loop started inside a worker of the pool, or by a loop's body on the calling thread,
 * runs inline. Workers are made when first wanted, block all signals, and run a loop in its
 * caller's floating-point environment; the exceptions they raise there are raised in the caller.
 *
 * The pool survives fork(): the child keeps the number of threads and makes workers of its own.
 * Loops that other threads had under way in the parent do not exist in the child.
 *
 * Chunks are a function of `length`, `chunk` and `unit` alone and are taken dynamically. The
 * calling thread is worker 0 and starts at once, alone; the others are woken only when what is
 * left, extrapolated from what is done, is worth what waking a core costs (10 us to the waker, 80
 * to the sleeper). One chunk is never divided among workers; quick ones are taken many at a time
 * and handed to the body together. So a small chunk costs nothing, and one that is not small keeps
 * cores idle where elements are slow: make it the least that is worth having on a core of its own,
 * one element or one unit as a rule.
 */
#ifndef HEADWAY_POOL_H
#define HEADWAY_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "headway/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hw_pool hw_pool;

/*
 * Handles elements [begin, end): a piece of one chunk, or several neighbouring chunks. `worker` is
 * in [0, threads) and no two calls of one loop run at the same time with the same number: use it to
 * index scratch space. All of a chunk reaches body in order and from one worker. Elements must not
 * depend on where the pieces are cut, but that every piece begins and ends at a multiple of the
 * unit or at the loop's end.
 */
typedef void (*hw_loop_body)(void *context, size_t begin, size_t end, unsigned worker);

/* True to stop the loop. Called on the calling thread only, at most every 20 ms. */
typedef bool (*hw_loop_poll)(void *context);

typedef struct hw_loop {
    size_t length; /* elements */
    size_t chunk;  /* elements a chunk, at least 1; rounded up to whole units */
    size_t unit;   /* pieces are cut at multiples of this many elements; 0 means 1 */
    hw_loop_body body;
    hw_loop_poll poll; /* nullable */
    void *context;     /* handed to body and poll */
} hw_loop;

/* The process-wide pool; never NULL, the same for the life of the process. Thread-safety: any. */
hw_pool *hw_pool_shared(void);

/* How many threads a loop uses unless it says otherwise, the caller included. Thread-safety: any.
 */
unsigned hw_pool_threads(const hw_pool *pool);

/* Sets that number, 1 to 1024, for loops that start afterwards; HW_INVALID outside. Thread-safety:
 * any. */
hw_status hw_pool_set_threads(hw_pool *pool, unsigned threads);

/*
 * Runs the loop on at most `threads` threads (0: the pool's number) and returns when every element
 * is done: HW_OK, or HW_CANCELLED where poll returned true (pieces under way were finished, the
 * rest never started). HW_SYSTEM only in the child of a fork() that body or poll made on the
 * calling thread while workers had pieces under way: those are missing there. Never fails for want
 * of threads: where none can be made, the caller does it all. Thread-safety: any; loops from
 * several threads at once share the workers.
 */
hw_status hw_pool_parallel_for(hw_pool *pool, const hw_loop *loop, unsigned threads);

#ifdef __cplusplus
}
#endif
#endif
