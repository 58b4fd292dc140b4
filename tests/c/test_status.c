/* SPDX-License-Identifier: MIT */
#include "headway/status.h"

#include <errno.h>
#include <string.h>

#include "support.h"

static void every_status_has_its_name_and_a_text(void **state)
{
    (void)state;
#define CHECK(name, text)                                                                          \
    assert_string_equal(hw_status_name(name), #name);                                              \
    assert_string_equal(hw_status_text(name), text);
    HW_STATUS_LIST(CHECK)
#undef CHECK
}

static void a_status_outside_the_list_is_unknown(void **state)
{
    (void)state;
    int outside = 0;
#define COUNT(name, text) outside++;
    HW_STATUS_LIST(COUNT)
#undef COUNT
    assert_string_equal(hw_status_name((hw_status)outside), "HW_UNKNOWN");
    assert_true(strlen(hw_status_text((hw_status)outside)) > 0);
}

static void fail_formats_the_message_and_returns_the_code(void **state)
{
    (void)state;
    hw_error err = HW_ERROR_INIT;
    errno = ENOENT;
    assert_int_equal(hw_fail(&err, HW_INVALID, "%s has %d", "x", 3), HW_INVALID);
    assert_int_equal(err.code, HW_INVALID);
    assert_int_equal(err.os_error, 0);
    assert_string_equal(err.message, "x has 3");
}

static void only_a_system_failure_records_errno_and_errno_is_kept(void **state)
{
    (void)state;
    hw_error err = HW_ERROR_INIT;
    errno = EACCES;
    assert_int_equal(hw_fail(&err, HW_SYSTEM, "refused"), HW_SYSTEM);
    assert_int_equal(err.os_error, EACCES);
    assert_int_equal(errno, EACCES);
}

static void fail_without_an_error_only_returns_the_code(void **state)
{
    (void)state;
    assert_int_equal(hw_fail(NULL, HW_NO_MEMORY, "%d", 1), HW_NO_MEMORY);
}

static void a_long_message_is_cut_and_terminated(void **state)
{
    (void)state;
    char text[1000];
    hw_error err;
    memset(&err, 'z', sizeof err);
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    hw_fail(&err, HW_INVALID, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_name_and_a_text),
        cmocka_unit_test(a_status_outside_the_list_is_unknown),
        cmocka_unit_test(fail_formats_the_message_and_returns_the_code),
        cmocka_unit_test(only_a_system_failure_records_errno_and_errno_is_kept),
        cmocka_unit_test(fail_without_an_error_only_returns_the_code),
        cmocka_unit_test(a_long_message_is_cut_and_terminated),
    };
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
