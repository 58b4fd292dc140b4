/* SPDX-License-Identifier: MIT */
/* The type model: the ready-made types, their predicates, and when two types are the same. */
#include "headway/type.h"

#include "support.h"

static void the_arithmetic_types_say_what_the_compiler_says(void **state)
{
    (void)state;
#define CHECK(kind_, ctype, code)                                                                  \
    {                                                                                              \
        const hw_type *t = hw_type_of_kind(kind_);                                                 \
        assert_ptr_equal(t, &hw_type_of_##kind_);                                                  \
        assert_int_equal(t->kind, kind_);                                                          \
        assert_int_equal(t->size, sizeof(ctype));                                                  \
        assert_int_equal(t->align, _Alignof(ctype));                                               \
        assert_string_equal(t->name, #ctype);                                                      \
        assert_int_equal(hw_kind_letter(kind_), code);                                             \
        assert_int_equal(hw_kind_of_letter(code), kind_);                                          \
        assert_true(hw_kind_is_arithmetic(kind_));                                                 \
        assert_int_equal(                                                                          \
            hw_kind_is_integer(kind_) + hw_kind_is_real(kind_) + hw_kind_is_complex(kind_), 1);    \
    }
    HW_ARITHMETIC_LIST(CHECK)
#undef CHECK
    assert_ptr_equal(hw_type_of_kind(HW_VOID), &hw_type_void);
}

static void other_kinds_have_no_ready_made_type(void **state)
{
    (void)state;
    for (hw_kind kind = HW_POINTER; kind <= HW_FUNCTION; kind++) {
        assert_null(hw_type_of_kind(kind));
        assert_false(hw_kind_is_arithmetic(kind));
    }
    assert_false(hw_kind_is_arithmetic(HW_VOID));
    assert_int_equal(hw_kind_letter(HW_VOID), 0);
    assert_int_equal(hw_kind_letter(HW_POINTER), 0);
    assert_int_equal(hw_kind_of_letter('x'), HW_VOID);
    assert_int_equal(hw_kind_of_letter(0), HW_VOID);
}

static void the_signed_kinds_are_those_that_hold_minus_one(void **state)
{
    (void)state;
#define CHECK(kind, ctype) assert_int_equal(hw_kind_is_signed(kind), (ctype) - 1 < (ctype)1);
    CHECK(HW_BOOL, _Bool)
    CHECK(HW_CHAR, char)
    CHECK(HW_SCHAR, signed char)
    CHECK(HW_UCHAR, unsigned char)
    CHECK(HW_SHORT, short)
    CHECK(HW_USHORT, unsigned short)
    CHECK(HW_INT, int)
    CHECK(HW_UINT, unsigned)
    CHECK(HW_LONG, long)
    CHECK(HW_ULONG, unsigned long)
    CHECK(HW_LLONG, long long)
    CHECK(HW_ULLONG, unsigned long long)
#undef CHECK
    assert_false(hw_kind_is_signed(HW_DOUBLE));
    assert_false(hw_kind_is_signed(HW_POINTER));
    assert_true(hw_kind_is_byte(HW_CHAR) && hw_kind_is_byte(HW_SCHAR) && hw_kind_is_byte(HW_UCHAR));
    assert_false(hw_kind_is_byte(HW_BOOL) || hw_kind_is_byte(HW_SHORT));
}

#define SAME(a, b)                                                                                 \
    assert_true(hw_type_same(a, b));                                                               \
    assert_true(hw_type_same(b, a))
#define DIFFERENT(a, b)                                                                            \
    assert_false(hw_type_same(a, b));                                                              \
    assert_false(hw_type_same(b, a))

static void integers_are_the_same_by_width_and_sign(void **state)
{
    (void)state;
    SAME(&hw_type_of_HW_LONG, &hw_type_of_HW_LONG);
    if (sizeof(long) == sizeof(long long)) {
        SAME(&hw_type_of_HW_LONG, &hw_type_of_HW_LLONG);
        SAME(&hw_type_of_HW_ULONG, &hw_type_of_HW_ULLONG);
    }
    DIFFERENT(&hw_type_of_HW_LONG, &hw_type_of_HW_ULONG);
    DIFFERENT(&hw_type_of_HW_INT, &hw_type_of_HW_SHORT);
    DIFFERENT(&hw_type_of_HW_BOOL, &hw_type_of_HW_UCHAR);
    DIFFERENT(&hw_type_of_HW_INT, &hw_type_of_HW_FLOAT);
    DIFFERENT(&hw_type_of_HW_FLOAT, &hw_type_of_HW_DOUBLE);
    DIFFERENT(&hw_type_of_HW_DOUBLE, &hw_type_of_HW_CDOUBLE);
    DIFFERENT(&hw_type_of_HW_INT, &hw_type_void);
}

static void pointers_and_arrays_are_the_same_by_what_they_hold(void **state)
{
    (void)state;
    hw_type to_double = {.kind = HW_POINTER, .target = &hw_type_double};
    hw_type to_const_double = {.kind = HW_POINTER, .target = &hw_type_double, .target_const = true};
    hw_type to_int = {.kind = HW_POINTER, .target = &hw_type_int};
    hw_type to_pointer = {.kind = HW_POINTER, .target = &to_double};
    hw_type three = {.kind = HW_ARRAY, .target = &hw_type_double, .count = 3};
    hw_type also_three = {.kind = HW_ARRAY, .target = &hw_type_double, .count = 3};
    hw_type four = {.kind = HW_ARRAY, .target = &hw_type_double, .count = 4};
    SAME(&to_double, &to_const_double);
    SAME(&three, &also_three);
    DIFFERENT(&to_double, &to_int);
    DIFFERENT(&to_double, &to_pointer);
    DIFFERENT(&three, &four);
    DIFFERENT(&three, &to_double);
}

static void records_are_the_same_by_name_and_size(void **state)
{
    (void)state;
    hw_type node = {.kind = HW_STRUCT, .size = 16, .name = "struct node"};
    hw_type to_node = {.kind = HW_POINTER, .target = &node};
    hw_field next = {"next", &to_node, 0, 0, -1};
    node.fields = &next; /* recursive */
    node.count = 1;
    hw_type declared = {.kind = HW_STRUCT, .incomplete = true, .name = "struct node"};
    hw_type other = {.kind = HW_STRUCT, .size = 16, .name = "struct other"};
    hw_type namesake = {.kind = HW_UNION, .size = 16, .name = "struct node"};
    hw_type larger = {.kind = HW_STRUCT, .size = 24, .name = "struct node"};
    hw_type to_declared = {.kind = HW_POINTER, .target = &declared};
    hw_type to_other = {.kind = HW_POINTER, .target = &other};
    SAME(&node, &declared);
    SAME(&to_node, &to_declared);
    DIFFERENT(&to_node, &to_other);
    DIFFERENT(&node, &namesake);
    DIFFERENT(&node, &larger);
}

#define FIELDS(kind_, name_, fields_)                                                              \
    {.kind = kind_,                                                                                \
     .size = 8,                                                                                    \
     .align = 8,                                                                                   \
     .count = sizeof(fields_) / sizeof *(fields_),                                                 \
     .fields = fields_,                                                                            \
     .name = name_}

static void complete_records_are_the_same_by_their_fields(void **state)
{
    (void)state;
    const hw_type *const i = &hw_type_int, *const l = &hw_type_of_HW_LONG;
    const hw_type pointer = {.kind = HW_POINTER, .target = &hw_type_of_HW_CHAR};
    const hw_field two[] = {{"a", i, 0, 0, -1}, {"b", i, 4, 0, -1}};
    const hw_field also_two[] = {{"a", i, 0, 0, -1}, {"b", i, 4, 0, -1}};
    const hw_field others[][2] = {
        {{"a", i, 0, 0, -1}, {"c", i, 4, 0, -1}},                    /* name */
        {{"a", i, 0, 0, -1}, {"b", &hw_type_of_HW_FLOAT, 4, 0, -1}}, /* type */
        {{"a", i, 4, 0, -1}, {"b", i, 0, 0, -1}},                    /* offset */
        {{"a", i, 0, 0, -1}, {"b", i, 4, 0, 8}},                     /* width */
        {{"a", i, 0, 0, -1}, {"b", i, 4, 8, -1}},                    /* bit offset */
    };
    const hw_field address[] = {{"p", &pointer, 0, 0, -1}}, number[] = {{"p", l, 0, 0, -1}};
    const hw_type s = FIELDS(HW_STRUCT, "struct s", two),
                  t = FIELDS(HW_STRUCT, "struct s", also_two);
    const hw_type p = FIELDS(HW_STRUCT, "struct s", address),
                  q = FIELDS(HW_STRUCT, "struct s", number);
    SAME(&s, &t);
    DIFFERENT(&p, &q);
    DIFFERENT(&s, &p);
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        const hw_type other = FIELDS(HW_STRUCT, "struct s", others[k]);
        const hw_type to_s = {.kind = HW_POINTER, .target = &s},
                      to_other = {.kind = HW_POINTER, .target = &other};
        DIFFERENT(&s, &other);
        DIFFERENT(&to_s, &to_other);
    }
    hw_type aligned = s;
    aligned.align = 4;
    DIFFERENT(&s, &aligned);
}

static void records_that_refer_to_each_other_are_compared(void **state)
{
    (void)state;
    hw_type record[2][2]; /* what each module has read: struct a and struct b */
    hw_type to[2][2], function[2], to_function[2];
    const hw_type *params[2][1];
    hw_field fields[2][2][1];
    for (int m = 0; m < 2; m++) {
        params[m][0] = &to[m][0];
        function[m] = (hw_type){
            .kind = HW_FUNCTION, .target = &hw_type_void, .count = 1, .params = params[m]};
        to_function[m] = (hw_type){.kind = HW_POINTER, .target = &function[m]};
        for (int r = 0; r < 2; r++) {
            record[m][r] = (hw_type)FIELDS(HW_STRUCT, r ? "struct b" : "struct a", fields[m][r]);
            to[m][r] = (hw_type){.kind = HW_POINTER, .target = &record[m][r]};
        }
        fields[m][0][0] = (hw_field){"other", &to[m][1], 0, 0, -1};
        fields[m][1][0] = (hw_field){"call", &to_function[m], 0, 0, -1};
    }
    SAME(&record[0][0], &record[1][0]);
    SAME(&record[0][1], &record[1][1]);
    SAME(&to_function[0], &to_function[1]);
    DIFFERENT(&record[0][0], &record[1][1]);
    fields[1][0][0].type = &to[1][0]; /* points to another record than the first does */
    DIFFERENT(&record[0][0], &record[1][0]);
}

static void unnamed_records_are_the_same_by_their_fields(void **state)
{
    (void)state;
    const hw_field a[] = {{"a", &hw_type_double, 0, 0, -1}},
                   b[] = {{"b", &hw_type_double, 0, 0, -1}};
    const hw_type first = FIELDS(HW_STRUCT, "struct <anon 1>", a);
    const hw_type third = FIELDS(HW_STRUCT, "struct <anon 3>", a);
    const hw_type other = FIELDS(HW_STRUCT, "struct <anon 1>", b);
    const hw_type named = FIELDS(HW_STRUCT, "struct s", a);
    const hw_field in_first[] = {{"", &first, 0, 0, -1}}, in_third[] = {{"", &third, 0, 0, -1}};
    const hw_type outer = FIELDS(HW_STRUCT, "struct o", in_first),
                  also_outer = FIELDS(HW_STRUCT, "struct o", in_third);
    SAME(&first, &third);
    SAME(&outer, &also_outer);
    DIFFERENT(&first, &other);
    DIFFERENT(&first, &named);
}

static void the_innermost_type_is_behind_all_arrays(void **state)
{
    (void)state;
    hw_type row = {.kind = HW_ARRAY, .target = &hw_type_double, .count = 3};
    hw_type rows = {.kind = HW_ARRAY, .target = &row, .count = 2};
    hw_type to_row = {.kind = HW_POINTER, .target = &row};
    assert_ptr_equal(hw_type_innermost(&rows), &hw_type_double);
    assert_ptr_equal(hw_type_innermost(&hw_type_int), &hw_type_int);
    assert_ptr_equal(hw_type_innermost(&to_row), &to_row);
}

static void functions_are_the_same_by_result_and_parameters(void **state)
{
    (void)state;
    const hw_type *const dd[] = {&hw_type_double, &hw_type_double};
    const hw_type *const di[] = {&hw_type_double, &hw_type_int};
    hw_type f = {.kind = HW_FUNCTION, .target = &hw_type_double, .count = 2, .params = dd};
    hw_type g = {.kind = HW_FUNCTION, .target = &hw_type_double, .count = 2, .params = dd};
    hw_type fewer = {.kind = HW_FUNCTION, .target = &hw_type_double, .count = 1, .params = dd};
    hw_type other = {.kind = HW_FUNCTION, .target = &hw_type_double, .count = 2, .params = di};
    hw_type returns = {.kind = HW_FUNCTION, .target = &hw_type_int, .count = 2, .params = dd};
    hw_type more = {
        .kind = HW_FUNCTION, .target = &hw_type_double, .count = 2, .params = dd, .variadic = true};
    SAME(&f, &g);
    DIFFERENT(&f, &fewer);
    DIFFERENT(&f, &other);
    DIFFERENT(&f, &returns);
    DIFFERENT(&f, &more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_arithmetic_types_say_what_the_compiler_says),
        cmocka_unit_test(other_kinds_have_no_ready_made_type),
        cmocka_unit_test(the_signed_kinds_are_those_that_hold_minus_one),
        cmocka_unit_test(integers_are_the_same_by_width_and_sign),
        cmocka_unit_test(pointers_and_arrays_are_the_same_by_what_they_hold),
        cmocka_unit_test(records_are_the_same_by_name_and_size),
        cmocka_unit_test(complete_records_are_the_same_by_their_fields),
        cmocka_unit_test(records_that_refer_to_each_other_are_compared),
        cmocka_unit_test(unnamed_records_are_the_same_by_their_fields),
        cmocka_unit_test(the_innermost_type_is_behind_all_arrays),
        cmocka_unit_test(functions_are_the_same_by_result_and_parameters),
    };
    return cmocka_run_group_tests_name("type", tests, NULL, NULL);
}
