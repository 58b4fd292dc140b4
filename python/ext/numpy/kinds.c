/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic kinds as NumPy dtypes, Python numbers as elements, int64 elements as narrower ones.
 */
#include "internal.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>

hwn_kind hwn_kinds[HW_CLDOUBLE + 1];
uint8_t hwn_same_typenum[NPY_NTYPES_LEGACY];
uint8_t hwn_kind_of_typenum[NPY_NTYPES_LEGACY];

/* kind, C type, NumPy's number, smallest and largest value */
#define INTEGER_LIST(X)                                                                            \
    X(HW_BOOL, uint8_t, NPY_BOOL, 0, 1)                                                            \
    X(HW_CHAR, char, CHAR_MIN < 0 ? NPY_BYTE : NPY_UBYTE, CHAR_MIN, CHAR_MAX)                      \
    X(HW_SCHAR, signed char, NPY_BYTE, SCHAR_MIN, SCHAR_MAX)                                       \
    X(HW_UCHAR, unsigned char, NPY_UBYTE, 0, UCHAR_MAX)                                            \
    X(HW_SHORT, short, NPY_SHORT, SHRT_MIN, SHRT_MAX)                                              \
    X(HW_USHORT, unsigned short, NPY_USHORT, 0, USHRT_MAX)                                         \
    X(HW_INT, int, NPY_INT, INT_MIN, INT_MAX)                                                      \
    X(HW_UINT, unsigned, NPY_UINT, 0, UINT_MAX)                                                    \
    X(HW_LONG, long, NPY_LONG, LONG_MIN, LONG_MAX)                                                 \
    X(HW_ULONG, unsigned long, NPY_ULONG, 0, ULONG_MAX)                                            \
    X(HW_LLONG, long long, NPY_LONGLONG, LLONG_MIN, LLONG_MAX)                                     \
    X(HW_ULLONG, unsigned long long, NPY_ULONGLONG, 0, ULLONG_MAX)

#define FLOATING_LIST(X)                                                                           \
    X(HW_FLOAT, float, NPY_FLOAT)                                                                  \
    X(HW_DOUBLE, double, NPY_DOUBLE)                                                               \
    X(HW_LDOUBLE, long double, NPY_LONGDOUBLE)                                                     \
    X(HW_CFLOAT, float _Complex, NPY_CFLOAT)                                                       \
    X(HW_CDOUBLE, double _Complex, NPY_CDOUBLE)                                                    \
    X(HW_CLDOUBLE, long double _Complex, NPY_CLONGDOUBLE)

void hwn_kinds_init(void)
{
#define NAME(kind, ctype, code) hwn_kinds[kind].name = #ctype;
    HW_ARITHMETIC_LIST(NAME)
#undef NAME
#define INTEGER(kind, ctype, number, low_, high_)                                                  \
    hwn_kinds[kind].typenum = number;                                                              \
    hwn_kinds[kind].align = _Alignof(ctype);                                                       \
    hwn_kinds[kind].low = (int64_t)(low_);                                                         \
    hwn_kinds[kind].high = (uint64_t)(high_);
    INTEGER_LIST(INTEGER)
#undef INTEGER
#define FLOATING(kind, ctype, number)                                                              \
    hwn_kinds[kind].typenum = number;                                                              \
    hwn_kinds[kind].align = _Alignof(ctype);
    FLOATING_LIST(FLOATING)
#undef FLOATING

    memset(hwn_same_typenum, 0xff, sizeof hwn_same_typenum);
    memset(hwn_kind_of_typenum, HW_VOID, sizeof hwn_kind_of_typenum);
    for (hw_kind k = HW_BOOL; k <= HW_CLDOUBLE; k++) {
        hwn_kind *info = &hwn_kinds[k];
        info->descr = PyArray_DescrFromType(info->typenum);
        info->size = PyDataType_ELSIZE(info->descr);
        info->same = info->typenum;
        for (hw_kind j = HW_BOOL; j < k; j++)
            if (PyArray_EquivTypenums(hwn_kinds[j].typenum, info->typenum)) {
                info->same = hwn_kinds[j].same;
                break;
            }
        hwn_same_typenum[info->typenum] = (uint8_t)info->same;
        if (hwn_kind_of_typenum[info->typenum] == HW_VOID && k != HW_CHAR)
            hwn_kind_of_typenum[info->typenum] = (uint8_t)k;
    }
}

/* ---- names for messages ---------------------------------------------------------------------- */

/* PyObject_GetAttrString would make a new string each time, and CPython's attribute cache keeps
 * every one it sees. */
static PyObject *attribute(PyObject *o, const char *name)
{
    PyObject *interned = PyUnicode_InternFromString(name);
    PyObject *value = interned ? PyObject_GetAttr(o, interned) : NULL;
    Py_XDECREF(interned);
    return value;
}

PyObject *hwn_function_name(PyObject *function)
{
    PyObject *name = attribute(function, "__name__");
    if (name && PyUnicode_Check(name))
        return name;
    Py_XDECREF(name);
    PyErr_Clear();
    return PyUnicode_FromString("function");
}

/* binding.mapping.inputs[op] or .outputs[op - n_in], .param, looked up in binding.params. */
static PyObject *parameter_name(PyObject *function, int op)
{
    PyObject *binding = attribute(function, "binding");
    PyObject *mapping = binding ? attribute(binding, "mapping") : NULL;
    PyObject *inputs = mapping ? attribute(mapping, "inputs") : NULL;
    PyObject *outputs = mapping ? attribute(mapping, "outputs") : NULL;
    PyObject *params = binding ? attribute(binding, "params") : NULL;
    PyObject *operand = NULL, *index = NULL, *param = NULL, *name = NULL;
    if (inputs && outputs && params) {
        Py_ssize_t n_in = PySequence_Size(inputs);
        operand =
            op < n_in ? PySequence_GetItem(inputs, op) : PySequence_GetItem(outputs, op - n_in);
    }
    index = operand ? attribute(operand, "param") : NULL;
    long i = index ? PyLong_AsLong(index) : -1;
    if (i >= 0) {
        param = PySequence_GetItem(params, i);
        name = param ? attribute(param, "name") : NULL;
    }
    Py_XDECREF(binding);
    Py_XDECREF(mapping);
    Py_XDECREF(inputs);
    Py_XDECREF(outputs);
    Py_XDECREF(params);
    Py_XDECREF(operand);
    Py_XDECREF(index);
    Py_XDECREF(param);
    return name;
}

PyObject *hwn_operand_name(PyObject *function, int op)
{
    PyObject *name = parameter_name(function, op);
    PyObject *text;
    PyErr_Clear();
    if (name)
        text = PyUnicode_FromFormat("argument '%U'", name);
    else
        text = PyUnicode_FromFormat("operand %d", op + 1);
    Py_XDECREF(name);
    return text;
}

void hwn_raise_range(PyObject *function, int op, hw_kind kind, PyObject *value)
{
    PyObject *name = hwn_function_name(function);
    PyObject *operand = name ? hwn_operand_name(function, op) : NULL;
    if (operand && hw_kind_is_integer(kind))
        PyErr_Format(PyExc_OverflowError,
                     "%U(): %U is %S, which does not fit in C's %s (%lld to %llu)", name, operand,
                     value, hwn_kinds[kind].name, (long long)hwn_kinds[kind].low,
                     (unsigned long long)hwn_kinds[kind].high);
    else if (operand)
        PyErr_Format(PyExc_OverflowError, "%U(): %U is %S, which does not fit in C's %s", name,
                     operand, value, hwn_kinds[kind].name);
    Py_XDECREF(name);
    Py_XDECREF(operand);
}

/* ---- Python numbers -------------------------------------------------------------------------- */

static int scalar_integer(PyObject *function, int op, hw_kind kind, PyObject *o, void *value)
{
    if (!PyLong_Check(o))
        return 0;
    int overflow;
    long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (v == -1 && !overflow && PyErr_Occurred())
        return -1;
    if (overflow > 0 && hwn_kinds[kind].high > INT64_MAX) {
        unsigned long long u = PyLong_AsUnsignedLongLong(o);
        if (u == (unsigned long long)-1 && PyErr_Occurred()) {
            PyErr_Clear();
            hwn_raise_range(function, op, kind, o);
            return -1;
        }
        memcpy(value, &u, sizeof u);
        return 1;
    }
    if (overflow || hwn_narrow(kind, value, 0, (const char *)&v, 0, 1) >= 0) {
        hwn_raise_range(function, op, kind, o);
        return -1;
    }
    return 1;
}

/* A Python float or int as a double; NumPy's float64 only where that loses nothing. */
static int scalar_double(hw_kind kind, PyObject *o, double *value)
{
    bool single = kind == HW_FLOAT || kind == HW_CFLOAT;
    if (PyFloat_CheckExact(o) || (!single && PyFloat_Check(o))) {
        *value = PyFloat_AS_DOUBLE(o);
        return 1;
    }
    if (PyLong_Check(o)) {
        *value = PyLong_AsDouble(o);
        return *value == -1.0 && PyErr_Occurred() ? -1 : 1;
    }
    return 0;
}

static int scalar_real(PyObject *function, int op, hw_kind kind, PyObject *o, void *value)
{
    double d;
    int found = scalar_double(kind, o, &d);
    if (found <= 0)
        return found;
    if (kind == HW_DOUBLE) {
        *(double *)value = d;
    } else if (kind == HW_FLOAT) {
        float f = (float)d;
        if (isinf(f) && !isinf(d)) {
            hwn_raise_range(function, op, kind, o);
            return -1;
        }
        *(float *)value = f;
    } else {
        int overflow = 1;
        long long i = PyLong_Check(o) ? PyLong_AsLongLongAndOverflow(o, &overflow) : 0;
        *(long double *)value = overflow ? (long double)d : (long double)i;
    }
    return 1;
}

static int scalar_complex(PyObject *function, int op, hw_kind kind, PyObject *o, void *value)
{
    Py_complex c = {0, 0};
    if (PyComplex_CheckExact(o) || (kind != HW_CFLOAT && PyComplex_Check(o))) {
        c = PyComplex_AsCComplex(o);
    } else {
        int found = scalar_double(kind, o, &c.real);
        if (found <= 0)
            return found;
    }
    if (kind == HW_CFLOAT) {
        float *f = value;
        f[0] = (float)c.real;
        f[1] = (float)c.imag;
        if ((isinf(f[0]) && !isinf(c.real)) || (isinf(f[1]) && !isinf(c.imag))) {
            hwn_raise_range(function, op, kind, o);
            return -1;
        }
    } else if (kind == HW_CDOUBLE) {
        ((double *)value)[0] = c.real;
        ((double *)value)[1] = c.imag;
    } else {
        ((long double *)value)[0] = c.real;
        ((long double *)value)[1] = c.imag;
    }
    return 1;
}

int hwn_scalar(PyObject *function, int op, hw_kind kind, PyObject *o, void *value)
{
    if (hw_kind_is_integer(kind))
        return scalar_integer(function, op, kind, o, value);
    if (hw_kind_is_real(kind))
        return scalar_real(function, op, kind, o, value);
    return scalar_complex(function, op, kind, o, value);
}

/* ---- int64 for narrower integers ------------------------------------------------------------- */

static inline int64_t load_int64(const char *from)
{
    int64_t v;
    memcpy(&v, from, sizeof v);
    return v;
}

ptrdiff_t hwn_narrow(hw_kind kind, char *to, ptrdiff_t to_step, const char *from,
                     ptrdiff_t from_step, ptrdiff_t n)
{
    switch (kind) {
#define NARROW(kind_, ctype, number, low, high)                                                    \
    case kind_:                                                                                    \
        for (ptrdiff_t i = 0; i < n; i++, to += to_step, from += from_step) {                      \
            int64_t v = load_int64(from);                                                          \
            if (v < (int64_t)(low) || (v > 0 && (uint64_t)v > (uint64_t)(high)))                   \
                return i;                                                                          \
            ctype narrow = (ctype)v;                                                               \
            memcpy(to, &narrow, sizeof narrow);                                                    \
        }                                                                                          \
        return -1;
        INTEGER_LIST(NARROW)
#undef NARROW
    default: return -1;
    }
}

void hwn_widen(hw_kind kind, char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step,
               ptrdiff_t n)
{
    switch (kind) {
#define WIDEN(kind_, ctype, number, low, high)                                                     \
    case kind_:                                                                                    \
        for (ptrdiff_t i = 0; i < n; i++, to += to_step, from += from_step) {                      \
            ctype narrow;                                                                          \
            memcpy(&narrow, from, sizeof narrow);                                                  \
            int64_t v = (int64_t)narrow;                                                           \
            memcpy(to, &v, sizeof v);                                                              \
        }                                                                                          \
        return;
        INTEGER_LIST(WIDEN)
#undef WIDEN
    default: return;
    }
}
