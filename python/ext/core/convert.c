/* SPDX-License-Identifier: MIT */
/*
 * Between Python values and C values.
 *
 * Integers are exact or OverflowError; reals round to nearest, a finite value beyond the target is
 * OverflowError; pointers never cast and never copy. Every refusal names the function, the
 * parameter, the C type and what came.
 */
#include "core.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

/* ---- messages ------------------------------------------------------------------------------- */

static PyObject *site_prefix(const Site *site)
{
    if (site && site->function && site->position > 0)
        return PyUnicode_FromFormat("%U() argument %zd (%U: %s): ", site->function, site->position,
                                    site->parameter, site->ctype);
    if (site && site->function && site->parameter)
        return PyUnicode_FromFormat("%U() argument %U (%s): ", site->function, site->parameter,
                                    site->ctype);
    if (site && site->parameter)
        return PyUnicode_FromFormat("%U (%s): ", site->parameter, site->ctype ? site->ctype : "?");
    if (site && site->ctype)
        return PyUnicode_FromFormat("%s: ", site->ctype);
    return PyUnicode_FromString("");
}

HW_COLD int site_error(const Site *site, PyObject *exception, const char *format, ...)
{
    PyErr_Clear();
    va_list args;
    va_start(args, format);
    PyObject *what = PyUnicode_FromFormatV(format, args);
    va_end(args);
    PyObject *prefix = what ? site_prefix(site) : NULL;
    if (prefix)
        PyErr_Format(exception, "%U%U", prefix, what);
    Py_XDECREF(prefix);
    Py_XDECREF(what);
    return -1;
}

static const char *type_name(PyObject *o) { return Py_TYPE(o)->tp_name; }

/* ---- what a call keeps alive ---------------------------------------------------------------- */

void keep_init(Keep *keep)
{
    keep->objects = keep->inline_objects;
    keep->n = 0;
    keep->capacity = 8;
    keep->arguments_live = false;
}

void keep_fini(Keep *keep)
{
    for (Py_ssize_t i = 0; i < keep->n; i++)
        Py_DECREF(keep->objects[i]);
    if (keep->objects != keep->inline_objects)
        PyMem_Free(keep->objects);
    keep->objects = keep->inline_objects;
    keep->n = 0;
}

void keep_end(Keep *keep, State *state)
{
    for (Py_ssize_t i = 0; i < keep->n; i++)
        if (Py_TYPE(keep->objects[i]) == state->callback_type) {
            callback_bury(state, keep->objects[i]);
            keep->objects[i] = Py_NewRef(Py_None);
        }
    keep_fini(keep);
}

int keep_add(Keep *keep, PyObject *object)
{
    if (!object)
        return -1;
    if (keep->n == keep->capacity) {
        size_t bytes = (size_t)keep->capacity * 2 * sizeof(PyObject *);
        bool grown = keep->objects != keep->inline_objects;
        PyObject **more = PyMem_Realloc(grown ? keep->objects : NULL, bytes);
        if (!more) {
            Py_DECREF(object);
            PyErr_NoMemory();
            return -1;
        }
        if (!grown)
            memcpy(more, keep->inline_objects, sizeof(keep->inline_objects));
        keep->objects = more;
        keep->capacity *= 2;
    }
    keep->objects[keep->n++] = object;
    return 0;
}

static int keep_argument(Keep *keep, PyObject *argument)
{
    return keep->arguments_live ? 0 : keep_add(keep, Py_NewRef(argument));
}

/* ---- integers ------------------------------------------------------------------------------- */

static int out_of_range(const Site *site, const CType *t, PyObject *value)
{
    if (t->c.kind == HW_BOOL)
        return site_error(site, PyExc_OverflowError, "%R is neither true (1) nor false (0)", value);
    int bits = (int)t->c.size * 8;
    return hw_kind_is_signed(t->c.kind)
               ? site_error(site, PyExc_OverflowError,
                            "%R does not fit: expected -2**%d to 2**%d-1", value, bits - 1,
                            bits - 1)
               : site_error(site, PyExc_OverflowError, "%R does not fit: expected 0 to 2**%d-1",
                            value, bits);
}

static bool in_range(const CType *t, int64_t v)
{
    int bits = (int)t->c.size * 8;
    if (t->c.kind == HW_BOOL)
        return v == 0 || v == 1;
    if (!hw_kind_is_signed(t->c.kind))
        return v >= 0 && (bits == 64 || (uint64_t)v >> bits == 0);
    return bits == 64 || (v >= -((int64_t)1 << (bits - 1)) && v < (int64_t)1 << (bits - 1));
}

/* A Python int of any size; `out` holds the bits. */
static int integer_from_long(const CType *t, PyObject *value, const Site *site, int64_t *out)
{
    int overflow;
    long long v = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (v == -1 && !overflow && PyErr_Occurred())
        return -1;
    if (!overflow) {
        *out = v;
        return in_range(t, v) ? 0 : out_of_range(site, t, value);
    }
    if (overflow > 0 && t->c.size == 8 && !hw_kind_is_signed(t->c.kind)) {
        unsigned long long u = PyLong_AsUnsignedLongLong(value);
        if (u != (unsigned long long)-1 || !PyErr_Occurred()) {
            *out = (int64_t)u;
            return 0;
        }
        PyErr_Clear();
    }
    return out_of_range(site, t, value);
}

/* An array came here because the call is not a mapped one. */
static const char *array_hint(PyObject *value)
{
    return PyObject_HasAttrString(value, "__array_interface__")
               ? "; this function does not map over arrays (headway load says why)"
               : "";
}

static int get_integer(const CType *t, PyObject *value, const Site *site, int64_t *out)
{
    if (fast_integer(value, out))
        return in_range(t, *out) ? 0 : out_of_range(site, t, value);
    if (PyLong_Check(value))
        return integer_from_long(t, value, site, out);
    if (t->c.kind == HW_CHAR && PyBytes_Check(value) && PyBytes_GET_SIZE(value) == 1) {
        *out = PyBytes_AS_STRING(value)[0];
        return 0;
    }
    if (PyIndex_Check(value)) {
        PyObject *index = PyNumber_Index(value);
        if (!index && PyErr_ExceptionMatches(PyExc_TypeError))
            return site_error(site, PyExc_TypeError, "expected an integer, got %s%s",
                              type_name(value), array_hint(value));
        int r = index ? integer_from_long(t, index, site, out) : -1;
        Py_XDECREF(index);
        return r;
    }
    if (t->c.kind == HW_CHAR)
        return site_error(site, PyExc_TypeError,
                          "expected bytes of length one or an integer, got %s%s", type_name(value),
                          PyBytes_Check(value) ? " of another length" : "");
    return site_error(site, PyExc_TypeError, "expected an integer, got %s", type_name(value));
}

static void put_integer(const CType *t, void *to, int64_t v)
{
    switch (t->c.size) {
    case 1: *(int8_t *)to = (int8_t)v; break;
    case 2: memcpy(to, &(int16_t){(int16_t)v}, 2); break;
    case 4: memcpy(to, &(int32_t){(int32_t)v}, 4); break;
    default: memcpy(to, &v, 8); break;
    }
}

static int64_t read_integer(const CType *t, const void *from)
{
    bool is_signed = hw_kind_is_signed(t->c.kind);
    switch (t->c.size) {
    case 1: {
        int8_t v;
        memcpy(&v, from, 1);
        return is_signed ? v : (int64_t)(uint8_t)v;
    }
    case 2: {
        int16_t v;
        memcpy(&v, from, 2);
        return is_signed ? v : (int64_t)(uint16_t)v;
    }
    case 4: {
        int32_t v;
        memcpy(&v, from, 4);
        return is_signed ? v : (int64_t)(uint32_t)v;
    }
    default: {
        int64_t v;
        memcpy(&v, from, 8);
        return v;
    }
    }
}

static PyObject *enum_member(const CType *t, PyObject *value)
{
    if (!value)
        return NULL;
    PyObject *map = PyObject_GetAttrString(t->enum_class, "_value2member_map_");
    PyObject *member = map ? PyObject_GetItem(map, value) : NULL;
    Py_XDECREF(map);
    if (!member && !PyErr_ExceptionMatches(PyExc_KeyError)) {
        Py_DECREF(value);
        return NULL;
    }
    PyErr_Clear();
    if (!member)
        return value;
    Py_DECREF(value);
    return member;
}

static PyObject *integer_to_python(const CType *t, int64_t v)
{
    if (t->c.kind == HW_BOOL)
        return PyBool_FromLong(v != 0);
    if (t->c.kind == HW_CHAR && !t->enum_class)
        return PyBytes_FromStringAndSize(&(char){(char)v}, 1);
    PyObject *o = hw_kind_is_signed(t->c.kind) || v >= 0 ? PyLong_FromLongLong(v)
                                                         : PyLong_FromUnsignedLongLong((uint64_t)v);
    return t->enum_class ? enum_member(t, o) : o;
}

/* ---- reals and complex numbers -------------------------------------------------------------- */

/* NumPy's complex numbers would give up their imaginary part with no more than a warning. */
static bool is_complex(PyObject *value)
{
    if (PyComplex_Check(value))
        return true;
    PyObject *dtype = PyObject_GetAttrString(value, "dtype");
    PyObject *kind = dtype ? PyObject_GetAttrString(dtype, "kind") : NULL;
    bool is = kind && PyUnicode_Check(kind) && PyUnicode_CompareWithASCIIString(kind, "c") == 0;
    Py_XDECREF(dtype);
    Py_XDECREF(kind);
    PyErr_Clear();
    return is;
}

static int get_double(PyObject *value, const Site *site, double *out)
{
    if (PyFloat_Check(value)) {
        *out = PyFloat_AS_DOUBLE(value);
        return 0;
    }
    PyNumberMethods *number = Py_TYPE(value)->tp_as_number;
    if (PyLong_Check(value))
        *out = PyLong_AsDouble(value);
    else if (number && (number->nb_float || number->nb_index) && !is_complex(value))
        *out = PyFloat_AsDouble(value);
    else
        return site_error(site, PyExc_TypeError, "expected a real number, got %s",
                          type_name(value));
    if (*out != -1.0 || !PyErr_Occurred())
        return 0;
    if (PyErr_ExceptionMatches(PyExc_OverflowError))
        return site_error(site, PyExc_OverflowError, "the integer is beyond the range of double");
    if (PyErr_ExceptionMatches(PyExc_TypeError))
        return site_error(site, PyExc_TypeError, "expected a real number, got %s%s",
                          type_name(value), array_hint(value));
    return -1;
}

static int to_float(double d, const Site *site, float *out)
{
    *out = (float)d;
    if (isinf(*out) && !isinf(d)) {
        PyObject *o = PyFloat_FromDouble(d);
        int r =
            o ? site_error(site, PyExc_OverflowError, "%R is beyond the range of float", o) : -1;
        Py_XDECREF(o);
        return r;
    }
    return 0;
}

static int get_long_double(PyObject *value, const Site *site, long double *out)
{
    if (PyLong_Check(value)) {
        int overflow;
        long long v = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (!overflow) {
            *out = (long double)v;
            return 0;
        }
        unsigned long long u = overflow > 0 ? PyLong_AsUnsignedLongLong(value) : 0;
        if (overflow > 0 && !PyErr_Occurred()) {
            *out = (long double)u;
            return 0;
        }
        PyErr_Clear();
    }
    double d = 0;
    int r = get_double(value, site, &d);
    *out = d;
    return r;
}

static int put_complex(const CType *t, void *to, PyObject *value, const Site *site)
{
    Py_complex c = {0, 0};
    if (PyComplex_Check(value) || PyObject_HasAttrString((PyObject *)Py_TYPE(value), "__complex__"))
        c = PyComplex_AsCComplex(value);
    else if (get_double(value, site, &c.real) < 0)
        return PyErr_ExceptionMatches(PyExc_TypeError)
                   ? site_error(site, PyExc_TypeError, "expected a complex number, got %s",
                                type_name(value))
                   : -1;
    if (PyErr_Occurred())
        return -1;
    if (t->c.kind == HW_CFLOAT) {
        float f[2];
        if (to_float(c.real, site, &f[0]) < 0 || to_float(c.imag, site, &f[1]) < 0)
            return -1;
        memcpy(to, f, sizeof(f));
    } else if (t->c.kind == HW_CDOUBLE) {
        memcpy(to, (double[]){c.real, c.imag}, 2 * sizeof(double));
    } else {
        memcpy(to, (long double[]){c.real, c.imag}, 2 * sizeof(long double));
    }
    return 0;
}

static int put_real(const CType *t, void *to, PyObject *value, const Site *site)
{
    double d = 0;
    float f;
    long double g;
    if (t->c.kind == HW_LDOUBLE) {
        if (get_long_double(value, site, &g) < 0)
            return -1;
        memcpy(to, &g, sizeof(g));
        return 0;
    }
    if (get_double(value, site, &d) < 0)
        return -1;
    if (t->c.kind == HW_DOUBLE) {
        memcpy(to, &d, sizeof(d));
        return 0;
    }
    if (to_float(d, site, &f) < 0)
        return -1;
    memcpy(to, &f, sizeof(f));
    return 0;
}

static PyObject *real_to_python(const CType *t, const void *from)
{
    float f[2];
    double d[2];
    long double g[2];
    memcpy(t->c.kind == HW_FLOAT || t->c.kind == HW_CFLOAT     ? (void *)f
           : t->c.kind == HW_DOUBLE || t->c.kind == HW_CDOUBLE ? (void *)d
                                                               : (void *)g,
           from, t->c.size);
    switch (t->c.kind) {
    case HW_FLOAT: return PyFloat_FromDouble(f[0]);
    case HW_DOUBLE: return PyFloat_FromDouble(d[0]);
    case HW_LDOUBLE: return PyFloat_FromDouble((double)g[0]);
    case HW_CFLOAT: return PyComplex_FromDoubles(f[0], f[1]);
    case HW_CDOUBLE: return PyComplex_FromDoubles(d[0], d[1]);
    default: return PyComplex_FromDoubles((double)g[0], (double)g[1]);
    }
}

/* ---- pointers: from headway's own objects --------------------------------------------------- */

/* May an object of type `have` stand where `want` is pointed to? */
static bool fits_pointee(const hw_type *want, const hw_type *have)
{
    if (want->kind == HW_VOID || have->kind == HW_VOID || hw_type_same(want, have))
        return true;
    if (hw_kind_is_byte(want->kind) && hw_kind_is_byte(have->kind))
        return true;
    if (have->kind == HW_ARRAY && want->kind != HW_ARRAY)
        return fits_pointee(want, have->target);
    if (want->kind == HW_ARRAY && have->kind != HW_ARRAY)
        return want->count != HW_FLEXIBLE && want->count <= 1 && fits_pointee(want->target, have);
    return want->kind == HW_POINTER && have->kind == HW_POINTER &&
           fits_pointee(want->target, have->target);
}

static int from_pointer(CType *t, void **to, Pointer *p, const Site *site, Keep *keep,
                        bool nullable)
{
    if (!fits_pointee(t->c.target, p->type->c.target) && p->address)
        return site_error(site, PyExc_TypeError, "expected %U, got %U", t->name, p->type->name);
    if (pointer_address(p, to) < 0)
        return -1;
    if (!p->address && p->type->c.target->kind != HW_VOID && !nullable && keep->arguments_live)
        return site_error(site, PyExc_ValueError,
                          "the %U is NULL: what returned it failed or found nothing; pass "
                          "headway.NULL if C takes NULL here",
                          p->type->name);
    return keep_argument(keep, (PyObject *)p);
}

static int from_value(CType *t, void **to, Value *v, const Site *site, Keep *keep)
{
    if (!fits_pointee(t->c.target, &v->type->c))
        return site_error(site, PyExc_TypeError, "expected %U, got %U", t->name, v->type->name);
    if (memory_alive(t->state, v->owner) < 0)
        return -1;
    *to = v->data;
    return keep_argument(keep, (PyObject *)v);
}

static int from_callable(CType *t, void **to, PyObject *value, const Site *site, Keep *keep,
                         PyObject *spec)
{
    State *state = t->state;
    hw_fn code;
    if (function_check(state, value)) {
        Function *f = (Function *)value;
        if (!hw_type_same(&f->type->c, t->c.target))
            return site_error(site, PyExc_TypeError, "expected %U, got %U", t->name, f->type->name);
        memcpy(to, &f->fn, sizeof(*to));
        return keep_argument(keep, value);
    }
    if (!PyCallable_Check(value))
        return site_error(site, PyExc_TypeError, "expected a callable for %U, got %s", t->name,
                          type_name(value));
    PyObject *callback = callback_new(t->target, value, spec, &code);
    if (!callback)
        return -1;
    memcpy(to, &code, sizeof(*to));
    return keep_add(keep, callback);
}

/* ---- pointers: from strings, bytes and lists of them ---------------------------------------- */

static int from_str(CType *t, void **to, PyObject *value, const Site *site, Keep *keep)
{
    if (t->c.target->kind != HW_CHAR)
        return site_error(site, PyExc_TypeError, "expected %U, got str", t->name);
    if (!t->c.target_const)
        return site_error(site, PyExc_TypeError,
                          "C may write to a char *, and a str is immutable: pass a bytearray or "
                          "headway.new(\"char[N]\")");
    Py_ssize_t size;
    const char *s = PyUnicode_AsUTF8AndSize(value, &size);
    if (HW_LIKELY(s != NULL)) {
        *to = (void *)(uintptr_t)s;
        if (keep_argument(keep, value) < 0)
            return -1;
    } else {
        PyErr_Clear();
        PyObject *bytes = PyUnicode_AsEncodedString(value, "utf-8", "surrogateescape");
        if (keep_add(keep, bytes) < 0)
            return -1;
        s = PyBytes_AS_STRING(bytes);
        size = PyBytes_GET_SIZE(bytes);
        *to = PyBytes_AS_STRING(bytes);
    }
    if (strlen(s) != (size_t)size)
        return site_error(site, PyExc_ValueError,
                          "the string has a NUL character inside, where C would stop reading");
    return 0;
}

static int from_bytes(CType *t, void **to, PyObject *value, const Site *site, Keep *keep)
{
    if (!hw_kind_is_byte(t->c.target->kind) && t->c.target->kind != HW_VOID)
        return site_error(site, PyExc_TypeError, "expected %U, got bytes", t->name);
    if (!t->c.target_const)
        return site_error(site, PyExc_TypeError,
                          "C may write to %U, and bytes are immutable: pass a bytearray", t->name);
    *to = PyBytes_AS_STRING(value);
    return keep_argument(keep, value);
}

/* One string of a char **: a copy of its own, which C may write to. */
static int list_string(PyObject *item, char **to, const Site *site, Keep *keep)
{
    if (item == Py_None) {
        *to = NULL;
        return 0;
    }
    PyObject *bytes = PyUnicode_Check(item)
                          ? PyUnicode_AsEncodedString(item, "utf-8", "surrogateescape")
                          : Py_NewRef(item);
    if (!bytes)
        return -1;
    if (!PyBytes_Check(bytes)) {
        Py_DECREF(bytes);
        return site_error(site, PyExc_TypeError, "expected a list of str or bytes, got %s in it",
                          type_name(item));
    }
    if (strlen(PyBytes_AS_STRING(bytes)) != (size_t)PyBytes_GET_SIZE(bytes)) {
        Py_DECREF(bytes);
        return site_error(site, PyExc_ValueError, "a string of the list has a NUL inside");
    }
    PyObject *copy = PyByteArray_FromObject(bytes);
    Py_DECREF(bytes);
    if (keep_add(keep, copy) < 0)
        return -1;
    *to = PyByteArray_AS_STRING(copy);
    return 0;
}

static int from_strings(void **to, PyObject *list, const Site *site, Keep *keep)
{
    PyObject *items = PySequence_Tuple(list);
    if (keep_add(keep, items) < 0)
        return -1;
    Py_ssize_t n = PyTuple_GET_SIZE(items);
    PyObject *block = PyByteArray_FromStringAndSize(NULL, (n + 1) * (Py_ssize_t)sizeof(char *));
    if (keep_add(keep, block) < 0)
        return -1;
    char **strings = (char **)(void *)PyByteArray_AS_STRING(block);
    for (Py_ssize_t i = 0; i < n; i++)
        if (list_string(PyTuple_GET_ITEM(items, i), &strings[i], site, keep) < 0)
            return -1;
    strings[n] = NULL;
    *to = strings;
    return 0;
}

/* ---- pointers: from buffers and arrays ------------------------------------------------------ */

static bool kinds_match(hw_kind want, hw_kind have)
{
    if (want == have || (hw_kind_is_byte(want) && hw_kind_is_byte(have)))
        return true;
    const hw_type *a = hw_type_of_kind(want), *b = hw_type_of_kind(have);
    return a && b && hw_kind_is_integer(want) && hw_kind_is_integer(have) && want != HW_BOOL &&
           have != HW_BOOL && a->size == b->size &&
           hw_kind_is_signed(want) == hw_kind_is_signed(have);
}

/* The kind a buffer format names, HW_VOID where it is none of ours or not in native order. */
static hw_kind format_kind(const char *format, Py_ssize_t itemsize)
{
    if (!format)
        return HW_UCHAR;
    if (*format == '@' || *format == '=' || *format == (PY_LITTLE_ENDIAN ? '<' : '>'))
        format++;
    bool is_complex = *format == 'Z';
    format += is_complex;
    if (!*format || format[1])
        return HW_VOID;
    if (is_complex)
        return *format == 'f'   ? HW_CFLOAT
               : *format == 'd' ? HW_CDOUBLE
               : *format == 'g' ? HW_CLDOUBLE
                                : HW_VOID;
    switch (*format) {
    case '?': return HW_BOOL;
    case 'c': return HW_CHAR;
    case 'f': return HW_FLOAT;
    case 'd': return HW_DOUBLE;
    case 'g': return HW_LDOUBLE;
    case 'b':
    case 'h':
    case 'i':
    case 'l':
    case 'q':
    case 'n':
        return itemsize == 1   ? HW_SCHAR
               : itemsize == 2 ? HW_SHORT
               : itemsize == 4 ? HW_INT
                               : HW_LLONG;
    case 'B':
    case 'H':
    case 'I':
    case 'L':
    case 'Q':
    case 'N':
        return itemsize == 1   ? HW_UCHAR
               : itemsize == 2 ? HW_USHORT
               : itemsize == 4 ? HW_UINT
                               : HW_ULLONG;
    default: return HW_VOID;
    }
}

/* The arithmetic kind at the bottom of a pointee: of double and of double[3] it is double. */
static const hw_type *innermost(const hw_type *t)
{
    while (t->kind == HW_ARRAY)
        t = t->target;
    return t;
}

/* Libraries without C99's complex have arrays of two: double[2] is fftw_complex. */
static bool pairs_for_complex(const hw_type *want, hw_kind have)
{
    return hw_kind_is_complex(have) && want->kind == HW_ARRAY && want->count == 2 &&
           hw_kind_is_real(want->target->kind) && want->size == hw_type_of_kind(have)->size;
}

static int check_elements(CType *t, hw_kind have, PyObject *dtype, PyObject *value,
                          const Site *site)
{
    const hw_type *want = innermost(t->c.target);
    if (pairs_for_complex(t->c.target, have))
        return 0;
    if (want->kind == HW_VOID ||
        (hw_kind_is_arithmetic(want->kind) && kinds_match(want->kind, have)))
        return 0;
    if ((want->kind == HW_STRUCT || want->kind == HW_UNION) && dtype && !want->incomplete) {
        PyObject *expected = ctype_dtype(ctype_of(want));
        int equal = expected ? PyObject_RichCompareBool(expected, dtype, Py_EQ) : -1;
        Py_XDECREF(expected);
        if (equal)
            return equal < 0 ? -1 : 0;
    }
    const char *found = hw_kind_is_arithmetic(have) ? hw_type_of_kind(have)->name : NULL;
    if (dtype)
        return site_error(site, PyExc_TypeError,
                          "expected elements of %s, got an array of dtype %S; a direct call does "
                          "not cast: use .astype()",
                          want->name, dtype);
    return site_error(site, PyExc_TypeError,
                      "expected elements of %s, got %s of %s; a direct call does not cast",
                      want->name, type_name(value), found ? found : "another format");
}

static int check_access(CType *t, bool contiguous, bool writable, const Site *site)
{
    if (!contiguous)
        return site_error(
            site, PyExc_ValueError,
            "the array is not C-contiguous and aligned, and C reads it as if it were; "
            "use numpy.ascontiguousarray()");
    if (!writable && !t->c.target_const)
        return site_error(site, PyExc_ValueError,
                          "the array is read-only and C may write to it (%U)", t->name);
    return 0;
}

static int from_ndarray(CType *t, void **to, PyObject *value, const hw_ndview *view,
                        const Site *site, Keep *keep)
{
    if (check_elements(t, view->kind, view->dtype, value, site) < 0 ||
        check_access(t, view->contiguous, view->writable, site) < 0)
        return -1;
    *to = view->data;
    return keep_argument(keep, value);
}

static int from_buffer(CType *t, void **to, PyObject *value, const Site *site, Keep *keep)
{
    PyObject *view = PyMemoryView_FromObject(value);
    if (keep_add(keep, view) < 0)
        return -1;
    const Py_buffer *b = PyMemoryView_GET_BUFFER(view);
    PyObject *dtype =
        PyObject_HasAttrString(value, "dtype") ? PyObject_GetAttrString(value, "dtype") : NULL;
    int r = check_elements(t, format_kind(b->format, b->itemsize), dtype, value, site);
    Py_XDECREF(dtype);
    if (r < 0)
        return -1;
    size_t align = innermost(t->c.target)->align;
    bool aligned = !align || (uintptr_t)b->buf % align == 0;
    if (check_access(t, PyBuffer_IsContiguous(b, 'C') && aligned, !b->readonly, site) < 0)
        return -1;
    *to = b->buf;
    return 0;
}

static int no_pointer(CType *t, PyObject *value, const Site *site)
{
    if (value == Py_None)
        return site_error(site, PyExc_TypeError,
                          "None is NULL only where an annotation says nullable; pass headway.NULL "
                          "if C takes NULL here");
    const char *hint = PyLong_Check(value) ? "; headway.cast() makes a pointer of an address"
                       : PyList_Check(value) || PyTuple_Check(value)
                           ? "; a direct call does not copy: pass an array or headway.new()"
                           : "";
    return site_error(site, PyExc_TypeError, "expected %U, got %s%s", t->name, type_name(value),
                      hint);
}

int convert_pointer(CType *t, void **to, PyObject *value, const Site *site, Keep *keep,
                    PyObject *spec, bool nullable)
{
    State *state = t->state;
    hw_kind target = t->c.target->kind;
    if (pointer_check(state, value))
        return from_pointer(t, to, (Pointer *)value, site, keep, nullable);
    if (value == Py_None && nullable) {
        *to = NULL;
        return 0;
    }
    if (PyUnicode_Check(value))
        return from_str(t, to, value, site, keep);
    if (PyBytes_CheckExact(value))
        return from_bytes(t, to, value, site, keep);
    if (value_check(state, value))
        return from_value(t, to, (Value *)value, site, keep);
    if (target == HW_FUNCTION && value != Py_None)
        return from_callable(t, to, value, site, keep, spec);
    if (target == HW_POINTER && t->c.target->target->kind == HW_CHAR &&
        (PyList_Check(value) || PyTuple_Check(value)))
        return from_strings(to, value, site, keep);
    hw_ndview view;
    const hw_numpy_hooks *numpy = numpy_hooks(state, false);
    if (numpy && numpy->view(value, &view))
        return from_ndarray(t, to, value, &view, site, keep);
    if (PyErr_Occurred())
        return -1;
    if (PyObject_CheckBuffer(value) && target != HW_POINTER)
        return from_buffer(t, to, value, site, keep);
    return no_pointer(t, value, site);
}

/* ---- any type ------------------------------------------------------------------------------- */

static int put_record(CType *t, void *to, PyObject *value, const Site *site, Keep *keep)
{
    if (value_check(t->state, value)) {
        Value *v = (Value *)value;
        if (!hw_type_same(&v->type->c, &t->c) || v->size < t->c.size)
            return site_error(site, PyExc_TypeError, "expected %U, got %U", t->name, v->type->name);
        if (memory_alive(t->state, v->owner) < 0)
            return -1;
        memmove(to, v->data, t->c.size);   /* it may be assigned to itself */
        return keep_argument(keep, value); /* what its pointers point into lives with it */
    }
    if (PyDict_Check(value) || PyTuple_Check(value) || PyList_Check(value) ||
        (t->c.kind == HW_ARRAY && (PyBytes_Check(value) || PySequence_Check(value)))) {
        PyObject *made = PyObject_CallOneArg((PyObject *)t, value);
        if (!made)
            return -1;
        memcpy(to, ((Value *)made)->data, t->c.size);
        return keep_add(keep, made);
    }
    return site_error(site, PyExc_TypeError, "expected %U, got %s", t->name, type_name(value));
}

int convert_to_c(CType *t, void *to, PyObject *value, const Site *site, Keep *keep, PyObject *spec)
{
    hw_kind kind = t->c.kind;
    if (hw_kind_is_integer(kind)) {
        int64_t v;
        if (get_integer(t, value, site, &v) < 0)
            return -1;
        put_integer(t, to, v);
        return 0;
    }
    if (hw_kind_is_real(kind))
        return put_real(t, to, value, site);
    if (hw_kind_is_complex(kind))
        return put_complex(t, to, value, site);
    if (kind == HW_POINTER) {
        void *p;
        if (convert_pointer(t, &p, value, site, keep, spec, true) < 0)
            return -1;
        memcpy(to, &p, sizeof(p));
        return 0;
    }
    if (ctype_size(t) < 0)
        return -1;
    return put_record(t, to, value, site, keep);
}

int convert_to_slot(CType *t, void *slot, PyObject *value, const Site *site, Keep *keep,
                    PyObject *spec, bool nullable)
{
    if (t->c.kind == HW_DOUBLE && fast_double(value, slot))
        return 0;
    if (hw_kind_is_integer(t->c.kind))
        return get_integer(t, value, site, slot);
    if (t->c.kind == HW_POINTER)
        return convert_pointer(t, slot, value, site, keep, spec, nullable);
    return convert_to_c(t, slot, value, site, keep, spec);
}

/* ---- to Python ------------------------------------------------------------------------------ */

PyObject *string_from_c(const char *s)
{
    if (!s)
        Py_RETURN_NONE;
    return PyUnicode_DecodeUTF8(s, (Py_ssize_t)strlen(s), "surrogateescape");
}

PyObject *convert_from_c(CType *t, const void *from, PyObject *owner, bool received)
{
    hw_kind kind = t->c.kind;
    if (hw_kind_is_integer(kind))
        return integer_to_python(t, read_integer(t, from));
    if (hw_kind_is_real(kind) || hw_kind_is_complex(kind))
        return real_to_python(t, from);
    if (kind == HW_POINTER) {
        void *p;
        memcpy(&p, from, sizeof(p));
        if (t->c.target->kind == HW_CHAR && (t->c.target_const || received))
            return string_from_c(p);
        PyObject *o = pointer_new(t, p, memory_root(t->state, owner));
        if (o)
            ((Pointer *)o)->elsewhere = true;
        return o;
    }
    if (kind == HW_VOID)
        Py_RETURN_NONE;
    if (ctype_size(t) < 0 && !(kind == HW_ARRAY && t->c.count == HW_FLEXIBLE))
        return NULL;
    PyErr_Clear();
    if (owner)
        return (PyObject *)value_view(t, (void *)(uintptr_t)from, owner);
    Value *copy = value_new(t, t->c.size, kind == HW_ARRAY ? t->c.count : 1);
    if (copy)
        memcpy(copy->data, from, t->c.size);
    return (PyObject *)copy;
}

PyObject *convert_from_value(CType *t, const hw_value *value)
{
    if (HW_LIKELY(t->c.kind == HW_DOUBLE))
        return PyFloat_FromDouble(value->d);
    if (hw_kind_is_integer(t->c.kind))
        return integer_to_python(t, value->i);
    return convert_from_c(t, value, NULL, true);
}
