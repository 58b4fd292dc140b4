/* SPDX-License-Identifier: MIT */
/*
 * Annotations: what a C prototype cannot say, said where it is declared.
 *
 * A prototype has names, types, constness and, with C99's array parameters, shapes. It does not say
 * which pointer is written to, who frees what is returned, or which value means failure. These
 * macros do. Headway reads them; for a compiler they are empty, in C and in C++, so a header may
 * use them whether or not Headway is installed where it is compiled:
 *
 *     #if defined(__has_include)
 *     #if __has_include(<headway/annotate.h>)
 *     #include <headway/annotate.h>
 *     #endif
 *     #endif
 *
 * Usage pattern: a macro stands before the declaration of the parameter, field or function it is
 * about. Several may stand together.
 *
 *     HW_STATUS(0, message=counter_error) HW_FUNCTION("serial")
 *     int counter_open(const char *name, HW_OWNED(counter_close) counter **out);
 *
 *     HW_STATUS(0)
 *     int counter_read(counter *c, HW_OUT HW_SIZE(n) double *values, size_t n);
 *
 *     HW_BORROWED const char *counter_name(counter *c);
 *
 *     int counter_each(counter *c, HW_ARG("context=ctx") int (*visit)(void *ctx, double value),
 *                      void *ctx);
 *
 * The same words go, without the macros, in a TOML file or in the `annotate=` argument of
 * `headway.load`, which override what stands in the header.
 */
#ifndef HEADWAY_ANNOTATE_H
#define HEADWAY_ANNOTATE_H

#ifdef HEADWAY_READING /* defined while Headway reads a header, and never by a compiler */
#define HW_WORDS_(words) __attribute__((annotate("headway:" words)))
#else
#define HW_WORDS_(words)
#endif

/* ---- any words ------------------------------------------------------------------------------- */

/*
 * HW_ARG("words"): of a parameter or a struct's field.
 *
 *     in  out  inout             which way its data goes
 *     size=EXPR  size=[m][k]     an array of that many elements
 *     capacity=p                 an output of at most p elements
 *     length=p  length=return    how many of them were written
 *     owned=fn                   the handle or memory received here is freed by fn
 *     borrowed  keeps=p          it is not freed; it keeps the handle p alive
 *     consumed                   the function frees the handle passed here
 *     nullable                   None is NULL
 *     error                      a message, raised with the status and not returned
 *     bytes                      an output of characters is returned as bytes
 *     call  keep  keep=p         a callback is used during the call, for ever, while handle p lives
 *     context=p  on_error=VALUE  its void * parameter; what C gets after a Python exception
 */
#define HW_ARG(words) HW_WORDS_(words)

/*
 * HW_RETURNS("words"): of the return value: status(...), owned, borrowed, keeps, nullable, bytes.
 */
#define HW_RETURNS(words) HW_WORDS_(words)

/*
 * HW_FUNCTION("words"): of the function itself: gil=keep or gil=release, serial (never run in
 * parallel), lock=name (one at a time among the functions that name the same lock), split=n (cut
 * along n over the cores), name=python_name.
 */
#define HW_FUNCTION(words) HW_WORDS_(words)

/* ---- the common ones by name ----------------------------------------------------------------- */

#define HW_IN HW_WORDS_("in")             /* read */
#define HW_OUT HW_WORDS_("out")           /* written; allocated where not passed, and returned */
#define HW_INOUT HW_WORDS_("inout")       /* read and written */
#define HW_NULLABLE HW_WORDS_("nullable") /* may be NULL: None in Python */
#define HW_BORROWED HW_WORDS_("borrowed") /* not for the caller to free */
#define HW_CONSUMED HW_WORDS_("consumed") /* freed by this function */
#define HW_BYTES HW_WORDS_("bytes")       /* characters that are bytes, not text */

/* The number of elements: HW_SIZE(n + 1) with names of parameters; several: HW_SIZE([m][k]). */
#define HW_SIZE(...) HW_WORDS_("size=" #__VA_ARGS__)

/* The function that frees what is received here. */
#define HW_OWNED(function) HW_WORDS_("owned=" #function)

/* The handle that must outlive what is received here. */
#define HW_KEEPS(parameter) HW_WORDS_("keeps=" #parameter)

/* In a callback's own parameter list: its void *, which Python does not see. */
#define HW_CONTEXT HW_WORDS_("context")

/* Which return value is success: HW_STATUS(0), HW_STATUS(>=0), HW_STATUS(nonnull, message=fn). */
#define HW_STATUS(...) HW_WORDS_("status(" #__VA_ARGS__ ")")

#endif
