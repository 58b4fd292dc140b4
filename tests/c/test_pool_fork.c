/* SPDX-License-Identifier: MIT */
/*
 * The pool and fork(). Every child ends by _exit, has an alarm for the case that it hangs, and
 * says by its status what went wrong.
 */
#include "headway/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

enum { LENGTH = 150, HANG = 30 };

/* Whoever gets a loop done counts it here. */
typedef struct tally {
    unsigned char count[LENGTH];
    _Atomic unsigned helped;
} tally;

static void count_slowly(void *context, size_t begin, size_t end, unsigned worker)
{
    tally *t = context;
    if (worker != 0)
        atomic_fetch_add(&t->helped, 1);
    for (; begin < end; begin++) {
        t->count[begin]++;
        nap(1e-3); /* the loop outlasts any pause of asking for helpers */
    }
}

/* 0, or what a child says for it. */
static int loop_once(unsigned threads)
{
    tally t;
    memset(&t, 0, sizeof t);
    hw_loop loop = {.length = LENGTH, .chunk = 1, .body = count_slowly, .context = &t};
    if (hw_pool_parallel_for(hw_pool_shared(), &loop, threads) != HW_OK)
        return 10;
    for (size_t i = 0; i < LENGTH; i++)
        if (t.count[i] != 1)
            return 11;
    return threads == 1 || atomic_load(&t.helped) ? 0 : 12;
}

/* How a child of fork() ended: its status, or 1000 + the signal. */
static int outcome(pid_t child)
{
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int loop_in_child(void)
{
    pid_t child = fork();
    if (child == 0) {
        alarm(HANG);
        int failed = loop_once(3);
        _exit(failed ? failed : loop_once(4));
    }
    return outcome(child);
}

static void a_child_has_workers_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(loop_once(3), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(loop_in_child(), 0);
    assert_int_equal(loop_once(3), 0); /* and the parent has kept its own */
}

static void a_grandchild_has_workers_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(loop_once(3), 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(HANG);
        int failed = loop_once(3);
        _exit(failed ? failed : loop_in_child());
    }
    assert_int_equal(outcome(child), 0);
}

static void a_child_keeps_the_number_of_threads(void **state)
{
    (void)state;
    hw_pool *pool = hw_pool_shared();
    unsigned before = hw_pool_threads(pool);
    assert_int_equal(hw_pool_set_threads(pool, 17), HW_OK);
    pid_t child = fork();
    if (child == 0)
        _exit(hw_pool_shared() == pool && hw_pool_threads(pool) == 17 ? 0 : 1);
    assert_int_equal(outcome(child), 0);
    assert_int_equal(hw_pool_set_threads(pool, before), HW_OK);
}

static _Atomic bool stop;
static _Atomic int failed_loops;

static void *loop_on_and_on(void *unused)
{
    while (!atomic_load(&stop))
        if (loop_once(3) % 12 != 0) /* 12: the workers were with another loop */
            atomic_fetch_add(&failed_loops, 1);
    return unused;
}

static void forking_while_other_threads_run_loops_hangs_nobody(void **state)
{
    (void)state;
    pthread_t threads[2];
    atomic_store(&stop, false);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, loop_on_and_on, NULL), 0);
    if (UNDER_ADDRESS_SANITIZER)
        nap(0.3); /* its allocator is not safe to fork while a thread starts; the pool is */
    int worst = 0;
    for (int i = 0; i < 25; i++) {
        nap(1e-3 * (i % 5));
        int how = loop_in_child();
        worst = how ? how : worst;
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(worst, 0);
    assert_int_equal(atomic_load(&failed_loops), 0);
}

/* ---- a fork inside a loop, on the calling thread -----------------------------------------------
 */

typedef struct forker {
    tally tally;
    size_t at;       /* element whose piece forks */
    bool while_busy; /* only once a helper has a piece under way */
    bool forked;     /* by the calling thread only */
    pid_t child;     /* 0 in the child itself */
    _Atomic unsigned busy;
} forker;

static void fork_once(forker *f)
{
    f->forked = true;
    f->child = fork();
    if (f->child == 0)
        alarm(HANG);
}

static void fork_in_body(void *context, size_t begin, size_t end, unsigned worker)
{
    forker *f = context;
    if (worker != 0) {
        atomic_fetch_add(&f->busy, 1);
        count_slowly(&f->tally, begin, end, worker);
        nap(2e-3); /* so that the caller finds it busy */
        atomic_fetch_sub(&f->busy, 1);
        return;
    }
    if (!f->forked && begin >= f->at && (!f->while_busy || atomic_load(&f->busy)))
        fork_once(f);
    count_slowly(&f->tally, begin, end, worker);
}

static bool fork_in_poll(void *context)
{
    forker *f = context;
    if (!f->forked)
        fork_once(f);
    return false;
}

static bool all_counted(const forker *f)
{
    for (size_t i = 0; i < LENGTH; i++)
        if (f->tally.count[i] != 1)
            return false;
    return true;
}

/* Runs the loop; the parent's status and, as an exit status, the child's. */
static hw_status run_forker(forker *f, hw_loop *loop, unsigned threads, int *child)
{
    loop->length = LENGTH;
    loop->chunk = 1;
    loop->context = f;
    hw_status status = hw_pool_parallel_for(hw_pool_shared(), loop, threads);
    if (f->forked && f->child == 0) {
        int after = loop_once(3);
        _exit(after ? after : status == HW_OK && !all_counted(f) ? 20 : (int)status);
    }
    assert_true(f->forked);
    *child = outcome(f->child);
    return status;
}

static void a_loop_without_helpers_goes_on_in_the_child_of_its_body(void **state)
{
    (void)state;
    forker f = {.at = 5};
    hw_loop loop = {.body = fork_in_body};
    int child;
    assert_int_equal(run_forker(&f, &loop, 1, &child), HW_OK);
    assert_true(all_counted(&f));
    assert_int_equal(child, HW_OK);
}

static void a_loop_with_helpers_under_way_ends_in_the_child_of_its_body(void **state)
{
    (void)state;
    forker f = {.at = 5, .while_busy = true};
    hw_loop loop = {.body = fork_in_body};
    int child;
    assert_int_equal(run_forker(&f, &loop, 4, &child), HW_OK);
    assert_true(all_counted(&f));
    assert_int_equal(child, HW_SYSTEM);
}

static void a_loop_survives_a_fork_in_poll(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        forker f = {.at = LENGTH};
        hw_loop loop = {.body = fork_in_body, .poll = fork_in_poll};
        int child;
        assert_int_equal(run_forker(&f, &loop, threads, &child), HW_OK);
        assert_true(all_counted(&f));
        assert_true(child == HW_OK || (threads > 1 && child == HW_SYSTEM));
    }
}

/* ---- no thread to be had -----------------------------------------------------------------------
 */

static _Atomic bool refuse;
static _Atomic int refused;

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

/* The linker puts this in the library's way. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    if (!atomic_load(&refuse))
        return __real_pthread_create(thread, attributes, start, argument);
    atomic_fetch_add(&refused, 1);
    return 11; /* EAGAIN */
}

static void check_without_threads(void)
{
    alarm(HANG);
    atomic_store(&refuse, true);
    if (loop_once(4) != 12) /* done, exactly once each, by nobody but the caller */
        _exit(1);
    if (atomic_load(&refused) < 1 || atomic_load(&refused) > 2)
        _exit(2); /* it tries, and gives up for the length of a loop */
    atomic_store(&refuse, false);
    _exit(loop_once(4));
}

static void where_no_thread_can_be_made_the_caller_does_it_all(void **state)
{
    (void)state;
    pid_t child = fork(); /* a process without workers */
    if (child == 0)
        check_without_threads();
    assert_int_equal(outcome(child), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_has_workers_of_its_own),
        cmocka_unit_test(a_grandchild_has_workers_of_its_own),
        cmocka_unit_test(a_child_keeps_the_number_of_threads),
        cmocka_unit_test(forking_while_other_threads_run_loops_hangs_nobody),
        cmocka_unit_test(a_loop_without_helpers_goes_on_in_the_child_of_its_body),
        cmocka_unit_test(a_loop_with_helpers_under_way_ends_in_the_child_of_its_body),
        cmocka_unit_test(a_loop_survives_a_fork_in_poll),
        cmocka_unit_test(where_no_thread_can_be_made_the_caller_does_it_all),
    };
    return cmocka_run_group_tests_name("pool and fork", tests, NULL, NULL);
}
