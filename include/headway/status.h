/* SPDX-License-Identifier: MIT */
/*
 * Status codes and error detail.
 *
 * Every fallible function of Headway returns an hw_status. What went wrong is written into the
 * caller's hw_error, when one is given: failures arise in worker threads and must travel, so
 * nothing is kept in thread-local storage.
 *
 *     hw_error err = HW_ERROR_INIT;
 *     if (hw_plan_init(&plan, type, &err) != HW_OK)
 *         fprintf(stderr, "%s: %s\n", hw_status_name(err.code), err.message);
 */
#ifndef HEADWAY_STATUS_H
#define HEADWAY_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* One list makes the enum and the strings: name, what it means. */
#define HW_STATUS_LIST(X)                                                                          \
    X(HW_OK, "success")                                                                            \
    X(HW_CANCELLED, "the caller asked to stop")                                                    \
    X(HW_NO_MEMORY, "out of memory")                                                               \
    X(HW_INVALID, "an argument is outside what the function accepts")                              \
    X(HW_UNSUPPORTED, "this platform or build cannot do it")                                       \
    X(HW_SYSTEM, "the operating system refused; see os_error")

typedef enum hw_status {
#define HW_STATUS_MEMBER(name, text) name,
    HW_STATUS_LIST(HW_STATUS_MEMBER)
#undef HW_STATUS_MEMBER
} hw_status;

typedef struct hw_error {
    hw_status code;
    int os_error;      /* errno at the failure, 0 where it says nothing */
    char message[248]; /* always terminated; one sentence, no newline */
} hw_error;

#define HW_ERROR_INIT {HW_OK, 0, {0}}

/* The code's name, "HW_NO_MEMORY"; "HW_UNKNOWN" outside the list. Thread-safety: any. */
const char *hw_status_name(hw_status code);

/* The code's meaning in a few words. Thread-safety: any. */
const char *hw_status_text(hw_status code);

/*
 * Fills `err` (nullable) from a printf format and returns `code`, so that a failing function ends
 * with `return hw_fail(err, HW_INVALID, "...")`. errno is recorded for HW_SYSTEM.
 * Thread-safety: owner of err.
 */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
hw_status hw_fail(hw_error *err, hw_status code, const char *format, ...);

#ifdef __cplusplus
}
#endif
#endif
