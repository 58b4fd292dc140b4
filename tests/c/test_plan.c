/* SPDX-License-Identifier: MIT */
/* Calls by plan: every signature of signatures.h by each route that serves it. */
#include "headway/call.h"

#include <errno.h>
#include <stdio.h>

#include "signatures.h"

enum { ROUNDS = 20, FRAME_BYTES = 2048 };

/* Calls once with random arguments; what was wrong, or NULL. */
static const char *call_once(const hw_plan *plan, const signature *s)
{
    static cell values[MOST_PARAMS];
    _Alignas(16) unsigned char frame[FRAME_BYTES];
    _Alignas(16) unsigned char result[MOST_BYTES + 16];
    if (plan->frame_size > sizeof frame || plan->result_size > MOST_BYTES)
        return "the frame or the result is larger than thought";
    prepare(s, values);
    memset(frame, 0xA5, sizeof frame);
    memset(result, 0x5A, sizeof result);
    fill_frame(plan, s->params, values, frame);
    traced = -1;
    hw_plan_call(plan, s->fn, frame, result);
    if (traced != (int)s->count)
        return "the function was not called";
    for (size_t i = 0; i < s->count; i++)
        if (!same_value(s->params[i], trace[i].bytes, values[i].bytes))
            return "an argument did not arrive";
    if (!result_is_planned(s->result, result))
        return "the result did not arrive";
    for (size_t i = plan->result_size; i < sizeof result; i++)
        if (result[i] != 0x5A)
            return "something was written behind the result";
    return NULL;
}

static void check(const signature *s, bool by_ffi, hw_route *route)
{
    hw_plan plan;
    hw_error err = HW_ERROR_INIT;
    hw_type type = function_type(s);
    hw_status status = by_ffi ? hw_plan_init_ffi(&plan, &type, NULL, 0, &err)
                              : hw_plan_init(&plan, &type, NULL, 0, &err);
    if (status != HW_OK)
        fail_msg("%s: %s: %s", s->name, hw_status_name(status), err.message);
    for (int i = 0; i < ROUNDS; i++) {
        const char *wrong = call_once(&plan, s);
        if (wrong)
            fail_msg("%s, route %d: %s", s->name, (int)plan.route, wrong);
    }
    *route = plan.route;
    hw_plan_fini(&plan);
}

static void every_signature_arrives_by_the_route_it_is_given(void **state)
{
    (void)state;
    hw_route route;
    for (size_t i = 0; i < SIGNATURES; i++)
        check(signatures[i], false, &route);
}

static void every_signature_arrives_by_libffi(void **state)
{
    (void)state;
    hw_route route;
    for (size_t i = 0; i < SIGNATURES; i++) {
        check(signatures[i], true, &route);
        assert_int_equal(route, HW_ROUTE_FFI);
    }
}

static hw_route route_of(const signature *s)
{
    hw_route route;
    check(s, false, &route);
    return route;
}

static void registers_are_used_where_they_suffice(void **state)
{
    (void)state;
#if defined(__x86_64__) || defined(__aarch64__)
    assert_int_equal(route_of(&signature_three_d), HW_ROUTE_REGISTER);
    assert_int_equal(route_of(&signature_p_n), HW_ROUTE_REGISTER);
    assert_int_equal(route_of(&signature_widths), HW_ROUTE_REGISTER);
    assert_int_equal(route_of(&signature_full_6_8), HW_ROUTE_REGISTER);
    assert_int_equal(route_of(&signature_six_then_eight), HW_ROUTE_REGISTER);
#endif
#if defined(__x86_64__)
    assert_int_equal(route_of(&signature_seven_i), HW_ROUTE_FFI);
#elif defined(__aarch64__)
    assert_int_equal(route_of(&signature_full_8_8), HW_ROUTE_REGISTER);
#endif
    assert_int_equal(route_of(&signature_nine_i), HW_ROUTE_FFI);
    assert_int_equal(route_of(&signature_nine_f), HW_ROUTE_FFI);
    assert_int_equal(route_of(&signature_r_ld), HW_ROUTE_FFI);
    assert_int_equal(route_of(&signature_r_cf), HW_ROUTE_FFI);
    assert_int_equal(route_of(&signature_r_s_dd), HW_ROUTE_FFI);
}

/* A result register may hold anything above a narrow result: here a callee that leaves it there. */
static int64_t dirty_register(void) { return INT64_C(0x7a5b3c1ddeadbeef); }

static void what_a_callee_leaves_above_a_narrow_result_is_cut_off(void **state)
{
    (void)state;
    static const struct {
        const hw_type *type;
        int64_t expected;
    } cases[] = {
        {&T_boolean, 1},
        {&T_ch, (char)0xef},
        {&T_i8, (i8)0xef},
        {&T_u8, 0xef},
        {&T_i16, (i16)0xbeef},
        {&T_u16, 0xbeef},
        {&T_i32, (i32)0xdeadbeef},
        {&T_u32, 0xdeadbeef},
        {&T_i64, INT64_C(0x7a5b3c1ddeadbeef)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hw_type type = {.kind = HW_FUNCTION, .target = cases[i].type};
        hw_plan plan;
        hw_value value;
        _Alignas(16) unsigned char frame[HW_FRAME_INLINE] = {0};
        assert_int_equal(hw_plan_init(&plan, &type, NULL, 0, NULL), HW_OK);
        hw_plan_call(&plan, (hw_fn)dirty_register, frame, &value);
        assert_int_equal(value.i, cases[i].expected);
        hw_plan_fini(&plan);
    }
}

static int no_arguments_calls;
static void takes_nothing(void) { no_arguments_calls++; }

static void a_function_of_nothing_is_called(void **state)
{
    (void)state;
    hw_type type = {.kind = HW_FUNCTION, .target = &hw_type_void};
    for (int by_ffi = 0; by_ffi < 2; by_ffi++) {
        hw_plan plan;
        hw_value value;
        _Alignas(16) unsigned char frame[HW_FRAME_INLINE] = {0};
        no_arguments_calls = 0;
        assert_int_equal((by_ffi ? hw_plan_init_ffi : hw_plan_init)(&plan, &type, NULL, 0, NULL),
                         HW_OK);
        hw_plan_call(&plan, (hw_fn)takes_nothing, frame, &value);
        assert_int_equal(no_arguments_calls, 1);
        assert_int_equal(plan.count, 0);
        hw_plan_fini(&plan);
    }
}

static int sets_errno(int value)
{
    errno = value;
    return -1;
}

static void a_call_leaves_errno_as_the_callee_set_it(void **state)
{
    (void)state;
    static const hw_type *const params[] = {&T_i32};
    hw_type type = {.kind = HW_FUNCTION, .target = &T_i32, .count = 1, .params = params};
    for (int by_ffi = 0; by_ffi < 2; by_ffi++) {
        hw_plan plan;
        hw_value value;
        _Alignas(16) unsigned char frame[HW_FRAME_INLINE] = {0};
        int64_t argument = EDOM;
        assert_int_equal((by_ffi ? hw_plan_init_ffi : hw_plan_init)(&plan, &type, NULL, 0, NULL),
                         HW_OK);
        memcpy(frame + plan.slots[0].offset, &argument, sizeof argument);
        errno = 0;
        hw_plan_call(&plan, (hw_fn)sets_errno, frame, &value);
        int after = errno;
        hw_plan_fini(&plan);
        assert_int_equal(after, EDOM);
        assert_int_equal(value.i, -1);
    }
}

/* ---- variadic functions ------------------------------------------------------------------------
 */

/* One letter for each further argument: i q d p g (long double) D (double _Complex), s and t for
 * s_di and s_id. */
static i32 take_further(const char *letters, ...)
{
    va_list args;
    traced = 0;
    va_start(args, letters);
    for (; *letters; letters++) {
#define FURTHER(letter, type)                                                                      \
    if (*letters == letter) {                                                                      \
        type value = va_arg(args, type);                                                           \
        note(&value, sizeof value);                                                                \
    }
        FURTHER('i', i32)
        FURTHER('q', i64)
        FURTHER('d', f64)
        FURTHER('p', ptr)
        FURTHER('g', ld)
        FURTHER('D', cd)
        FURTHER('s', s_di)
        FURTHER('t', s_id)
#undef FURTHER
    }
    va_end(args);
    return *(i32 *)(void *)planned.bytes;
}

static const hw_type *type_of_letter(char letter)
{
    switch (letter) {
    case 'i': return &T_i32;
    case 'q': return &T_i64;
    case 'd': return &T_f64;
    case 'p': return &T_ptr;
    case 'g': return &T_ld;
    case 'D': return &T_cd;
    case 's': return &T_s_di;
    default: return &T_s_id;
    }
}

static void check_further(const char *letters)
{
    static const hw_type *const fixed[] = {&T_ptr};
    const hw_type *types[1 + MOST_PARAMS] = {&T_ptr};
    static cell values[1 + MOST_PARAMS];
    hw_type type = {
        .kind = HW_FUNCTION, .target = &T_i32, .count = 1, .params = fixed, .variadic = true};
    size_t n = strlen(letters);
    memcpy(values[0].bytes, &letters, sizeof letters);
    for (size_t i = 0; i < n; i++) {
        types[1 + i] = type_of_letter(letters[i]);
        random_value(types[1 + i], values[1 + i].bytes);
    }
    random_value(&T_i32, planned.bytes);

    hw_plan plan;
    hw_value value;
    _Alignas(16) unsigned char frame[FRAME_BYTES] = {0};
    assert_int_equal(hw_plan_init(&plan, &type, types + 1, n, NULL), HW_OK);
    assert_true(plan.frame_size <= sizeof frame);
    assert_int_equal(plan.count, 1 + n);
    fill_frame(&plan, types, values, frame);
    hw_plan_call(&plan, (hw_fn)take_further, frame, &value);
    hw_plan_fini(&plan);
    assert_int_equal(traced, (int)n);
    for (size_t i = 0; i < n; i++)
        if (!same_value(types[1 + i], trace[i].bytes, values[1 + i].bytes))
            fail_msg("further argument %zu of \"%s\" did not arrive", i, letters);
    assert_true(result_is_planned(&T_i32, &value));
}

static void the_further_arguments_of_a_variadic_function_arrive(void **state)
{
    (void)state;
    static const char *const calls[] = {"",
                                        "i",
                                        "d",
                                        "idp",
                                        "dddddd",
                                        "iiiiiiii",
                                        "gig",
                                        "DdDi",
                                        "sis",
                                        "qdqdqdqdqdqdqdqdqd",
                                        "ssssssdddddd",
                                        "diiiitdit"};
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
            check_further(calls[i]);
}

static void a_variadic_function_of_the_c_library_is_called(void **state)
{
    (void)state;
    static const hw_type *const fixed[] = {&T_ptr, &T_ulng, &T_ptr};
    static const hw_type *const further[] = {&T_i32, &T_f64, &T_ptr};
    hw_type type = {
        .kind = HW_FUNCTION, .target = &T_i32, .count = 3, .params = fixed, .variadic = true};
    char text[64] = "";
    const char *format = "%d %.2f %s", *word = "word";
    char *to = text;
    int64_t size = sizeof text, number = -7;
    double x = 2.5;
    hw_plan plan;
    hw_value value;
    _Alignas(16) unsigned char frame[HW_FRAME_INLINE] = {0};
    assert_int_equal(hw_plan_init(&plan, &type, further, 3, NULL), HW_OK);
    memcpy(frame + plan.slots[0].offset, &to, 8);
    memcpy(frame + plan.slots[1].offset, &size, 8);
    memcpy(frame + plan.slots[2].offset, &format, 8);
    memcpy(frame + plan.slots[3].offset, &number, 8);
    memcpy(frame + plan.slots[4].offset, &x, 8);
    memcpy(frame + plan.slots[5].offset, &word, 8);
    hw_plan_call(&plan, (hw_fn)snprintf, frame, &value);
    hw_plan_fini(&plan);
    assert_string_equal(text, "-7 2.50 word");
    assert_int_equal(value.i, 12);
}

/* ---- what is refused ---------------------------------------------------------------------------
 */

static void assert_refused(const hw_type *type, hw_status expected)
{
    hw_plan plan;
    hw_error err = HW_ERROR_INIT;
    assert_int_equal(hw_plan_init(&plan, type, NULL, 0, &err), expected);
    assert_int_equal(err.code, expected);
    assert_true(strlen(err.message) > 10);
}

static void what_is_not_a_function_is_refused(void **state)
{
    (void)state;
    assert_refused(&hw_type_double, HW_INVALID);
    assert_refused(&T_ptr, HW_INVALID);
}

static void what_cannot_be_passed_by_value_is_refused_with_the_reason(void **state)
{
    (void)state;
    static const hw_type incomplete = {
        .kind = HW_STRUCT, .incomplete = true, .name = "struct unknown"};
    static const hw_type array = {
        .kind = HW_ARRAY, .size = 8, .align = 8, .target = &T_f64, .count = 1, .name = "double[1]"};
    hw_type packed = T_s_id;
    packed.packed = true;
    static const hw_field far_field = {"a", &hw_type_of_HW_LDOUBLE, 0, 0, -1};
    static const hw_type far = {.kind = HW_STRUCT,
                                .size = 32,
                                .align = 32,
                                .count = 1,
                                .fields = &far_field,
                                .name = "struct far"};
    const hw_type *const bad[] = {&incomplete, &array, &packed, &far, &hw_type_void};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const hw_type *params[] = {bad[i]};
        hw_type takes = {.kind = HW_FUNCTION, .target = &T_i32, .count = 1, .params = params};
        hw_type gives = {.kind = HW_FUNCTION, .target = bad[i]};
        assert_refused(&takes, HW_UNSUPPORTED);
        if (bad[i]->kind != HW_VOID)
            assert_refused(&gives, HW_UNSUPPORTED);
    }
}

static void a_refused_plan_may_be_finished(void **state)
{
    (void)state;
    hw_plan plan;
    assert_int_equal(hw_plan_init(&plan, &hw_type_double, NULL, 0, NULL), HW_INVALID);
    hw_plan_fini(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_signature_arrives_by_the_route_it_is_given),
        cmocka_unit_test(every_signature_arrives_by_libffi),
        cmocka_unit_test(registers_are_used_where_they_suffice),
        cmocka_unit_test(what_a_callee_leaves_above_a_narrow_result_is_cut_off),
        cmocka_unit_test(a_function_of_nothing_is_called),
        cmocka_unit_test(a_call_leaves_errno_as_the_callee_set_it),
        cmocka_unit_test(the_further_arguments_of_a_variadic_function_arrive),
        cmocka_unit_test(a_variadic_function_of_the_c_library_is_called),
        cmocka_unit_test(what_is_not_a_function_is_refused),
        cmocka_unit_test(what_cannot_be_passed_by_value_is_refused_with_the_reason),
        cmocka_unit_test(a_refused_plan_may_be_finished),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
