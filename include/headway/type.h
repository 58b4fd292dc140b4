/* SPDX-License-Identifier: MIT */
/*
 * The C type model: what a declaration says about memory and calling convention.
 *
 * An hw_type is a plain description. Whoever makes one owns it and everything it points to, and
 * keeps both alive and unchanged while a plan, a closure or another type refers to it.
 *
 *     static const hw_type *const params[] = {&hw_type_double, &hw_type_double};
 *     hw_type fn = {.kind = HW_FUNCTION, .target = &hw_type_double, .count = 2, .params = params};
 */
#ifndef HEADWAY_TYPE_H
#define HEADWAY_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Arithmetic kinds first: name, C type, the field's one-letter code (NumPy's and struct's). */
#define HW_ARITHMETIC_LIST(X)                                                                      \
    X(HW_BOOL, _Bool, '?')                                                                         \
    X(HW_CHAR, char, 'c')                                                                          \
    X(HW_SCHAR, signed char, 'b')                                                                  \
    X(HW_UCHAR, unsigned char, 'B')                                                                \
    X(HW_SHORT, short, 'h')                                                                        \
    X(HW_USHORT, unsigned short, 'H')                                                              \
    X(HW_INT, int, 'i')                                                                            \
    X(HW_UINT, unsigned int, 'I')                                                                  \
    X(HW_LONG, long, 'l')                                                                          \
    X(HW_ULONG, unsigned long, 'L')                                                                \
    X(HW_LLONG, long long, 'q')                                                                    \
    X(HW_ULLONG, unsigned long long, 'Q')                                                          \
    X(HW_FLOAT, float, 'f')                                                                        \
    X(HW_DOUBLE, double, 'd')                                                                      \
    X(HW_LDOUBLE, long double, 'g')                                                                \
    X(HW_CFLOAT, float _Complex, 'F')                                                              \
    X(HW_CDOUBLE, double _Complex, 'D')                                                            \
    X(HW_CLDOUBLE, long double _Complex, 'G')

typedef enum hw_kind {
    HW_VOID,
#define HW_KIND_MEMBER(name, ctype, code) name,
    HW_ARITHMETIC_LIST(HW_KIND_MEMBER)
#undef HW_KIND_MEMBER
        HW_POINTER,
    HW_ARRAY,
    HW_STRUCT,
    HW_UNION,
    HW_FUNCTION
} hw_kind;

typedef struct hw_type hw_type;

typedef struct hw_field {
    const char *name; /* "" for an anonymous struct or union */
    const hw_type *type;
    size_t offset;  /* bytes; for a bit-field, of the storage unit it is read from */
    int bit_offset; /* within the unit, from the least significant bit */
    int bit_width;  /* -1 where the field is not a bit-field */
} hw_field;

#define HW_FLEXIBLE ((size_t)-1) /* the count of an array without a length */

struct hw_type {
    hw_kind kind;
    bool target_const; /* pointer: the pointee may not be written through it */
    bool variadic;     /* function with ... */
    bool incomplete;   /* struct or union declared, not defined */
    bool packed;       /* a field lies off its natural alignment */
    size_t size;       /* bytes; 0 for void, function, incomplete and flexible */
    size_t align;
    const hw_type *target; /* pointee, element, or the function's result */
    size_t count;          /* elements, fields or parameters */
    const hw_field *fields;
    const hw_type *const *params;
    const char *name; /* as C spells it; for messages */
};

/* The arithmetic types and void, ready made. */
extern const hw_type hw_type_void;
#define HW_TYPE_DECLARE(name, ctype, code) extern const hw_type hw_type_of_##name;
HW_ARITHMETIC_LIST(HW_TYPE_DECLARE)
#undef HW_TYPE_DECLARE
#define hw_type_int hw_type_of_HW_INT
#define hw_type_double hw_type_of_HW_DOUBLE

/* NULL unless the kind is arithmetic (or HW_VOID). Thread-safety: any. */
const hw_type *hw_type_of_kind(hw_kind kind);

/* An arithmetic kind's letter, 0 for others, and back, HW_VOID for other letters. Thread-safety:
 * any. */
char hw_kind_letter(hw_kind kind);
hw_kind hw_kind_of_letter(char letter);

static inline bool hw_kind_is_integer(hw_kind k) { return k >= HW_BOOL && k <= HW_ULLONG; }
static inline bool hw_kind_is_real(hw_kind k) { return k >= HW_FLOAT && k <= HW_LDOUBLE; }
static inline bool hw_kind_is_complex(hw_kind k) { return k >= HW_CFLOAT && k <= HW_CLDOUBLE; }
static inline bool hw_kind_is_arithmetic(hw_kind k) { return k >= HW_BOOL && k <= HW_CLDOUBLE; }
static inline bool hw_kind_is_byte(hw_kind k) { return k >= HW_CHAR && k <= HW_UCHAR; }

/* True for the integer kinds with a sign; HW_CHAR as the compiler has it. */
static inline bool hw_kind_is_signed(hw_kind k)
{
    return k == HW_SCHAR || k == HW_SHORT || k == HW_INT || k == HW_LONG || k == HW_LLONG ||
           (k == HW_CHAR && (char)-1 < 0);
}

/*
 * Same representation and meaning, the spelling of arithmetic types and const aside: may stand in
 * for each other in a call. Records are the same by their name and, where both are complete, by
 * size, alignment and fields; those that a field points to, by name and size. Thread-safety: any.
 */
bool hw_type_same(const hw_type *a, const hw_type *b);

/* What an array of arrays of ... holds in the end; the type itself where it is no array. */
const hw_type *hw_type_innermost(const hw_type *type);

#ifdef __cplusplus
}
#endif
#endif
