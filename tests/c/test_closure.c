/* SPDX-License-Identifier: MIT */
/* Callbacks: every signature of signatures.h made a C function pointer and called, by the compiler
 * and by plan. */
#include "headway/call.h"

#include <pthread.h>

#include "signatures.h"

enum { ROUNDS = 10, FRAME_BYTES = 2048 };

/* The handler's context: what it is to find. */
typedef struct expectation {
    const signature *signature;
    hw_type type;
    int calls;
} expectation;

/* Copies the arguments into trace, returns planned. */
static void handle(void *result, void **args, void *context)
{
    expectation *e = context;
    const signature *s = e->signature;
    e->calls++;
    traced = 0;
    for (size_t i = 0; i < s->count; i++)
        note(args[i], s->params[i]->size);
    if (is_widened(s->result)) {
        int64_t wide = widened(s->result, planned.bytes);
        memcpy(result, &wide, sizeof wide);
    } else {
        memcpy(result, planned.bytes, s->result->size);
    }
}

static hw_closure *closure_of(const signature *s, expectation *e)
{
    hw_closure *closure;
    hw_error err = HW_ERROR_INIT;
    *e = (expectation){.signature = s, .type = function_type(s)};
    if (hw_closure_new(&e->type, handle, e, &closure, &err) != HW_OK)
        fail_msg("%s: %s", s->name, err.message);
    return closure;
}

static void assert_arrived(const signature *s, const cell *values, const char *how)
{
    if (traced != (int)s->count)
        fail_msg("%s, called %s: the handler was not called", s->name, how);
    for (size_t i = 0; i < s->count; i++)
        if (!same_value(s->params[i], trace[i].bytes, values[i].bytes))
            fail_msg("%s, called %s: argument %zu did not arrive", s->name, how, i);
}

static void a_callback_called_from_c_gets_its_arguments_and_gives_its_result(void **state)
{
    (void)state;
    static cell values[MOST_PARAMS], result;
    for (size_t i = 0; i < SIGNATURES; i++) {
        const signature *s = signatures[i];
        expectation e;
        hw_closure *closure = closure_of(s, &e);
        for (int round = 0; round < ROUNDS; round++) {
            prepare(s, values);
            traced = -1;
            s->call(hw_closure_fn(closure), values, result.bytes);
            assert_arrived(s, values, "by the compiler");
            if (!same_value(s->result, result.bytes, planned.bytes))
                fail_msg("%s: the result did not arrive", s->name);
        }
        assert_int_equal(e.calls, ROUNDS);
        hw_closure_free(closure);
    }
}

static void a_callback_called_by_plan_is_a_round_trip(void **state)
{
    (void)state;
    static cell values[MOST_PARAMS];
    for (size_t i = 0; i < 2 * SIGNATURES; i++) {
        const signature *s = signatures[i / 2];
        expectation e;
        hw_plan plan;
        _Alignas(16) unsigned char frame[FRAME_BYTES], result[MOST_BYTES];
        hw_closure *closure = closure_of(s, &e);
        assert_int_equal((i % 2 ? hw_plan_init_ffi : hw_plan_init)(&plan, &e.type, NULL, 0, NULL),
                         HW_OK);
        assert_true(plan.frame_size <= sizeof frame && plan.result_size <= sizeof result);
        for (int round = 0; round < ROUNDS; round++) {
            prepare(s, values);
            fill_frame(&plan, s->params, values, frame);
            traced = -1;
            hw_plan_call(&plan, hw_closure_fn(closure), frame, result);
            assert_arrived(s, values, "by plan");
            if (!result_is_planned(s->result, result))
                fail_msg("%s: the result did not arrive", s->name);
        }
        hw_plan_fini(&plan);
        hw_closure_free(closure);
    }
}

/* int (*)(const void *, const void *), for qsort. */
static void compare(void *result, void **args, void *context)
{
    const int *a = **(const int ***)args, *b = **(const int ***)(args + 1);
    int64_t order = (*a > *b) - (*a < *b);
    ++*(int *)context;
    memcpy(result, &order, sizeof order);
}

static void qsort_takes_a_callback(void **state)
{
    (void)state;
    static const hw_type *const params[] = {&T_ptr, &T_ptr};
    hw_type type = {.kind = HW_FUNCTION, .target = &T_i32, .count = 2, .params = params};
    int numbers[100], calls = 0;
    hw_closure *closure;
    for (int i = 0; i < 100; i++)
        numbers[i] = (i * 37) % 100 - 50;
    assert_int_equal(hw_closure_new(&type, compare, &calls, &closure, NULL), HW_OK);
    qsort(numbers, 100, sizeof *numbers,
          (int (*)(const void *, const void *))hw_closure_fn(closure));
    hw_closure_free(closure);
    for (int i = 0; i < 100; i++)
        assert_int_equal(numbers[i], i - 50);
    assert_true(calls > 99);
}

static void note_call(void *result, void **args, void *context)
{
    (void)result;
    (void)args;
    ++*(int *)context;
}

static void a_callback_of_nothing_is_called(void **state)
{
    (void)state;
    hw_type type = {.kind = HW_FUNCTION, .target = &hw_type_void};
    int calls = 0;
    hw_closure *closure;
    assert_int_equal(hw_closure_new(&type, note_call, &calls, &closure, NULL), HW_OK);
    ((void (*)(void))hw_closure_fn(closure))();
    hw_closure_free(closure);
    assert_int_equal(calls, 1);
}

static void callbacks_of_one_type_keep_their_contexts_apart(void **state)
{
    (void)state;
    enum { MANY = 300 };
    static int calls[MANY];
    static hw_closure *closures[MANY];
    hw_type type = {.kind = HW_FUNCTION, .target = &hw_type_void};
    for (int i = 0; i < MANY; i++)
        assert_int_equal(hw_closure_new(&type, note_call, &calls[i], &closures[i], NULL), HW_OK);
    for (int i = 0; i < MANY; i++)
        for (int k = 0; k < i % 3; k++)
            ((void (*)(void))hw_closure_fn(closures[i]))();
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(calls[i], i % 3);
        hw_closure_free(closures[i]);
    }
}

static void add_one(void *result, void **args, void *context)
{
    (void)context;
    double x = *(double *)args[0] + 1;
    memcpy(result, &x, sizeof x);
}

static void *make_and_call(void *wrong)
{
    static const hw_type *const params[] = {&T_f64};
    hw_type type = {.kind = HW_FUNCTION, .target = &T_f64, .count = 1, .params = params};
    for (int i = 0; i < 200; i++) {
        hw_closure *closure;
        if (hw_closure_new(&type, add_one, NULL, &closure, NULL) != HW_OK)
            return wrong;
        double y = ((double (*)(double))hw_closure_fn(closure))(i);
        hw_closure_free(closure);
        if (y != i + 1)
            return wrong;
    }
    return NULL;
}

static void threads_make_and_free_callbacks_at_once(void **state)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_and_call, state), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

static void what_cannot_be_a_callback_is_refused(void **state)
{
    (void)state;
    static const hw_type incomplete = {
        .kind = HW_STRUCT, .incomplete = true, .name = "struct unknown"};
    static const hw_type *const params[] = {&incomplete};
    hw_type variadic = {.kind = HW_FUNCTION, .target = &T_i32, .variadic = true};
    hw_type by_value = {.kind = HW_FUNCTION, .target = &T_i32, .count = 1, .params = params};
    hw_closure *closure = (hw_closure *)&params;
    hw_error err = HW_ERROR_INIT;
    assert_int_equal(hw_closure_new(&variadic, note_call, NULL, &closure, &err), HW_UNSUPPORTED);
    assert_null(closure);
    assert_int_equal(hw_closure_new(&by_value, note_call, NULL, &closure, &err), HW_UNSUPPORTED);
    assert_non_null(strstr(err.message, "struct unknown"));
    assert_int_equal(hw_closure_new(&T_f64, note_call, NULL, &closure, &err), HW_INVALID);
    hw_closure_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_callback_called_from_c_gets_its_arguments_and_gives_its_result),
        cmocka_unit_test(a_callback_called_by_plan_is_a_round_trip),
        cmocka_unit_test(qsort_takes_a_callback),
        cmocka_unit_test(a_callback_of_nothing_is_called),
        cmocka_unit_test(callbacks_of_one_type_keep_their_contexts_apart),
        cmocka_unit_test(threads_make_and_free_callbacks_at_once),
        cmocka_unit_test(what_cannot_be_a_callback_is_refused),
    };
    return cmocka_run_group_tests_name("closure", tests, NULL, NULL);
}
