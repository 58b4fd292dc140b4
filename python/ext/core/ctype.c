/* SPDX-License-Identifier: MIT */
/*
 * CType: a C type as a Python object.
 *
 * Each embeds the hw_type that plans and closures refer to, so it lives as long as they do. A type
 * of kind struct, union or array makes values when called; one of function type makes a callback.
 */
#include "core.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>

static CType *ctype_alloc(State *state, PyObject *name)
{
    CType *t = PyObject_GC_New(CType, state->ctype_type);
    if (!t)
        return NULL;
    memset((char *)t + sizeof(PyObject), 0, sizeof(CType) - sizeof(PyObject));
    t->state = state;
    t->name = Py_NewRef(name);
    t->c.name = PyUnicode_AsUTF8(name);
    atomic_fetch_add(&state->live[LIVE_CTYPE], 1);
    PyObject_GC_Track(t);
    if (!t->c.name)
        Py_CLEAR(t);
    return t;
}

static int ctype_traverse(PyObject *self, visitproc visit, void *arg)
{
    CType *t = (CType *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(t->target);
    Py_VISIT(t->types);
    Py_VISIT(t->lookup);
    Py_VISIT(t->enum_class);
    Py_VISIT(t->dtype);
    Py_VISIT(t->callbacks);
    return 0;
}

/* Keeps `c` whole: plans of objects in the same cycle may still read it. */
static int ctype_clear(PyObject *self)
{
    CType *t = (CType *)self;
    Py_CLEAR(t->enum_class);
    Py_CLEAR(t->dtype);
    Py_CLEAR(t->callbacks);
    Py_CLEAR(t->types);
    Py_CLEAR(t->target);
    return 0;
}

static void ctype_dealloc(PyObject *self)
{
    CType *t = (CType *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (t->weakrefs)
        PyObject_ClearWeakRefs(self);
    ctype_clear(self);
    Py_CLEAR(t->lookup);
    Py_CLEAR(t->names);
    Py_CLEAR(t->name);
    PyMem_Free(t->members);
    PyMem_Free(t->fields);
    PyMem_Free(t->params);
    atomic_fetch_sub(&t->state->live[LIVE_CTYPE], 1);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

Py_ssize_t ctype_size(CType *t)
{
    if (t->c.size || t->c.kind == HW_STRUCT || t->c.kind == HW_UNION)
        if (!t->c.incomplete)
            return (Py_ssize_t)t->c.size;
    if (t->c.kind == HW_ARRAY && t->c.count == 0)
        return 0;
    const char *why = t->c.kind == HW_FUNCTION ? "a function has no size"
                      : t->c.kind == HW_ARRAY  ? "an array without a length has no size"
                      : t->c.kind == HW_VOID   ? "void has no size"
                                               : "it is declared, not defined, in the header";
    PyErr_Format(PyExc_TypeError, "%U: %s", t->name, why);
    return -1;
}

/* ---- making types --------------------------------------------------------------------------- */

static const struct {
    const char *name;
    hw_kind kind;
} spellings[] = {
    {"void", HW_VOID},
    {"_Bool", HW_BOOL},
    {"char", HW_CHAR},
    {"signed char", HW_SCHAR},
    {"unsigned char", HW_UCHAR},
    {"short", HW_SHORT},
    {"unsigned short", HW_USHORT},
    {"int", HW_INT},
    {"unsigned int", HW_UINT},
    {"long", HW_LONG},
    {"unsigned long", HW_ULONG},
    {"long long", HW_LLONG},
    {"unsigned long long", HW_ULLONG},
    {"float", HW_FLOAT},
    {"double", HW_DOUBLE},
    {"long double", HW_LDOUBLE},
    {"float _Complex", HW_CFLOAT},
    {"double _Complex", HW_CDOUBLE},
    {"long double _Complex", HW_CLDOUBLE},
};

static int make_arithmetic(State *state)
{
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        PyObject *name = PyUnicode_InternFromString(spellings[i].name);
        CType *t = name ? ctype_alloc(state, name) : NULL;
        Py_XDECREF(name);
        if (!t)
            return -1;
        const char *spelled = t->c.name;
        t->c = *hw_type_of_kind(spellings[i].kind);
        t->c.name = spelled;
        state->arithmetic[spellings[i].kind] = t;
    }
    return 0;
}

static PyObject *arithmetic(PyObject *m, PyObject *name)
{
    State *state = PyModule_GetState(m);
    const char *wanted = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : "";
    if (!wanted)
        return NULL;
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
        if (strcmp(wanted, spellings[i].name) == 0)
            return Py_NewRef(state->arithmetic[spellings[i].kind]);
    PyErr_Format(PyExc_ValueError, "%R is not an arithmetic C type as C spells it", name);
    return NULL;
}

/* "double *", "int (*)[3]", "double (*)(double)" */
static PyObject *pointer_name(CType *target, bool target_const)
{
    if (target->c.kind == HW_FUNCTION || target->c.kind == HW_ARRAY) {
        Py_ssize_t at = PyUnicode_FindChar(target->name, target->c.kind == HW_ARRAY ? '[' : '(', 0,
                                           PyUnicode_GET_LENGTH(target->name), 1);
        if (at > 0) {
            PyObject *head = PyUnicode_Substring(target->name, 0, at);
            PyObject *tail = PyUnicode_Substring(target->name, at, PY_SSIZE_T_MAX);
            PyObject *name = head && tail ? PyUnicode_FromFormat("%U(*)%U", head, tail) : NULL;
            Py_XDECREF(head);
            Py_XDECREF(tail);
            return name;
        }
    }
    const char *gap = target->c.kind == HW_POINTER ? "" : " ";
    return PyUnicode_FromFormat("%s%U%s*", target_const ? "const " : "", target->name, gap);
}

CType *ctype_pointer_to(CType *target, bool target_const, PyObject *name)
{
    PyObject *spelled = name ? Py_NewRef(name) : pointer_name(target, target_const);
    CType *t = spelled ? ctype_alloc(target->state, spelled) : NULL;
    Py_XDECREF(spelled);
    if (!t)
        return NULL;
    t->target = (CType *)Py_NewRef(target);
    t->c.kind = HW_POINTER;
    t->c.size = sizeof(void *);
    t->c.align = _Alignof(void *);
    t->c.target = &target->c;
    t->c.target_const = target_const;
    return t;
}

static PyObject *pointer(PyObject *m, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"target", "const", "name", NULL};
    State *state = PyModule_GetState(m);
    PyObject *target, *name = NULL;
    int is_const = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|pO", keywords, state->ctype_type, &target,
                                     &is_const, &name))
        return NULL;
    if (name == Py_None)
        name = NULL;
    return (PyObject *)ctype_pointer_to((CType *)target, is_const, name);
}

/* "int[3]", and of int[3] "int[2][3]": the outer length comes first */
static PyObject *array_name(CType *element, PyObject *count)
{
    PyObject *name = element->name;
    Py_ssize_t length = PyUnicode_GET_LENGTH(name);
    Py_ssize_t at = element->c.kind == HW_ARRAY ? PyUnicode_FindChar(name, '[', 0, length, 1) : -1;
    PyObject *head = PyUnicode_Substring(name, 0, at < 0 ? length : at);
    PyObject *tail = PyUnicode_Substring(name, at < 0 ? length : at, length);
    PyObject *said = count == Py_None ? PyUnicode_FromString("") : PyObject_Str(count);
    PyObject *made =
        head && tail && said ? PyUnicode_FromFormat("%U[%U]%U", head, said, tail) : NULL;
    Py_XDECREF(head);
    Py_XDECREF(tail);
    Py_XDECREF(said);
    return made;
}

static PyObject *array(PyObject *m, PyObject *args)
{
    State *state = PyModule_GetState(m);
    PyObject *element, *count;
    if (!PyArg_ParseTuple(args, "O!O", state->ctype_type, &element, &count))
        return NULL;
    CType *e = (CType *)element;
    Py_ssize_t size = ctype_size(e), n = 0;
    if (size < 0 || (count != Py_None && (n = PyLong_AsSsize_t(count)) == -1 && PyErr_Occurred()))
        return NULL;
    if (n < 0 || (size && n > PY_SSIZE_T_MAX / size))
        return PyErr_Format(PyExc_ValueError, "an array of %R elements does not fit in memory",
                            count);
    PyObject *name = array_name(e, count);
    CType *t = name ? ctype_alloc(state, name) : NULL;
    Py_XDECREF(name);
    if (!t)
        return NULL;
    t->target = (CType *)Py_NewRef(element);
    t->c.kind = HW_ARRAY;
    t->c.count = count == Py_None ? HW_FLEXIBLE : (size_t)n;
    t->c.size = (size_t)(n * size);
    t->c.align = e->c.align;
    t->c.target = &e->c;
    return (PyObject *)t;
}

static PyObject *record(PyObject *m, PyObject *args)
{
    PyObject *name;
    int is_union;
    if (!PyArg_ParseTuple(args, "Up", &name, &is_union))
        return NULL;
    CType *t = ctype_alloc(PyModule_GetState(m), name);
    if (t) {
        t->c.kind = is_union ? HW_UNION : HW_STRUCT;
        t->c.incomplete = true;
        t->c.align = 1;
    }
    return (PyObject *)t;
}

static PyObject *enumeration(PyObject *m, PyObject *args)
{
    State *state = PyModule_GetState(m);
    PyObject *name, *base, *class;
    if (!PyArg_ParseTuple(args, "UO!O", &name, state->ctype_type, &base, &class))
        return NULL;
    if (!hw_kind_is_integer(((CType *)base)->c.kind))
        return PyErr_Format(PyExc_TypeError, "an enum's base is an integer type, not %U",
                            ((CType *)base)->name);
    CType *t = ctype_alloc(state, name);
    if (!t)
        return NULL;
    const char *spelled = t->c.name;
    t->c = ((CType *)base)->c;
    t->c.name = spelled;
    t->enum_class = Py_NewRef(class);
    return (PyObject *)t;
}

static PyObject *function_name(CType *result, PyObject *params, bool variadic)
{
    PyObject *text = PyUnicode_FromFormat("%U (", result->name);
    Py_ssize_t n = PyTuple_GET_SIZE(params);
    for (Py_ssize_t i = 0; text && i < n; i++)
        Py_SETREF(text, PyUnicode_FromFormat("%U%s%U", text, i ? ", " : "",
                                             ((CType *)PyTuple_GET_ITEM(params, i))->name));
    const char *tail = variadic ? (n ? ", ...)" : "...)") : n ? ")" : "void)";
    if (text)
        Py_SETREF(text, PyUnicode_FromFormat("%U%s", text, tail));
    return text;
}

static PyObject *function(PyObject *m, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"result", "params", "variadic", "name", NULL};
    State *state = PyModule_GetState(m);
    PyObject *result, *given, *name = NULL;
    int variadic;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!Op|O", keywords, state->ctype_type, &result,
                                     &given, &variadic, &name))
        return NULL;
    PyObject *params = PySequence_Tuple(given);
    if (!params)
        return NULL;
    Py_ssize_t n = PyTuple_GET_SIZE(params);
    for (Py_ssize_t i = 0; i < n; i++) {
        CType *p = (CType *)PyTuple_GET_ITEM(params, i);
        if (!ctype_check(state, (PyObject *)p) || p->c.kind == HW_VOID || p->c.kind == HW_ARRAY ||
            p->c.kind == HW_FUNCTION) {
            PyErr_Format(PyExc_TypeError, "parameter %zd: %R cannot be passed", i, p);
            Py_DECREF(params);
            return NULL;
        }
    }
    PyObject *spelled = name && name != Py_None ? Py_NewRef(name)
                                                : function_name((CType *)result, params, variadic);
    CType *t = spelled ? ctype_alloc(state, spelled) : NULL;
    Py_XDECREF(spelled);
    if (!t || !(t->params = PyMem_Calloc((size_t)n + 1, sizeof(hw_type *)))) {
        Py_XDECREF(t);
        Py_DECREF(params);
        return PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < n; i++)
        t->params[i] = &((CType *)PyTuple_GET_ITEM(params, i))->c;
    t->types = params;
    t->target = (CType *)Py_NewRef(result);
    t->c.kind = HW_FUNCTION;
    t->c.target = &t->target->c;
    t->c.count = (size_t)n;
    t->c.params = t->params;
    t->c.variadic = variadic;
    return (PyObject *)t;
}

static PyMethodDef ctype_functions[] = {
    {"arithmetic", arithmetic, METH_O, "arithmetic(name): an arithmetic type, or void."},
    {"pointer", (PyCFunction)(void (*)(void))pointer, METH_VARARGS | METH_KEYWORDS,
     "pointer(target, const=False, name=None)"},
    {"array", array, METH_VARARGS, "array(element, count): count None for a flexible array."},
    {"record", record, METH_VARARGS, "record(name, union): incomplete until complete() is called."},
    {"enumeration", enumeration, METH_VARARGS, "enumeration(name, base, IntEnum class)"},
    {"function", (PyCFunction)(void (*)(void))function, METH_VARARGS | METH_KEYWORDS,
     "function(result, params, variadic, name=None)"},
    {NULL, NULL, 0, NULL},
};

/* ---- completing a record -------------------------------------------------------------------- */

static Py_ssize_t count_members(PyObject *fields, State *state)
{
    Py_ssize_t n = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); i++) {
        PyObject *f = PyTuple_GET_ITEM(fields, i), *name, *type, *callback;
        Py_ssize_t offset;
        int bit_offset, bit_width;
        if (!PyTuple_Check(f) || !PyArg_ParseTuple(f, "UO!nii|O", &name, state->ctype_type, &type,
                                                   &offset, &bit_offset, &bit_width, &callback)) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_TypeError, "a field is a tuple of five or six");
            return -1;
        }
        CType *t = (CType *)type;
        n += PyUnicode_GET_LENGTH(name) || !t->members ? 1 : t->n_members;
    }
    return n;
}

static int add_member(CType *t, PyObject *name, Member member)
{
    PyObject *index = PyLong_FromSsize_t(t->n_members);
    int r = index ? PyDict_SetItem(t->lookup, name, index) : -1;
    Py_XDECREF(index);
    t->members[t->n_members++] = member;
    return r;
}

static int add_anonymous(CType *t, CType *inner, size_t offset)
{
    PyObject *name, *index;
    Py_ssize_t at = 0;
    while (inner->lookup && PyDict_Next(inner->lookup, &at, &name, &index)) {
        Member m = inner->members[PyLong_AsSsize_t(index)];
        m.offset += offset;
        if (add_member(t, name, m) < 0)
            return -1;
    }
    return 0;
}

/* How a callable stored in this field is called back. */
static int add_callback(CType *t, PyObject *name, PyObject *callback)
{
    if (callback == Py_None)
        return 0;
    if (!t->callbacks && !(t->callbacks = PyDict_New()))
        return -1;
    return PyDict_SetItem(t->callbacks, name, callback);
}

static int fill_fields(CType *t, PyObject *fields)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); i++) {
        PyObject *name, *type, *callback = Py_None;
        Py_ssize_t offset;
        int bit_offset, bit_width;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(fields, i), "UOnii|O", &name, &type, &offset,
                              &bit_offset, &bit_width, &callback) ||
            add_callback(t, name, callback) < 0)
            return -1;
        PyTuple_SET_ITEM(t->types, i, Py_NewRef(type));
        PyTuple_SET_ITEM(t->names, i, Py_NewRef(name));
        CType *ft = (CType *)type;
        const char *spelled = PyUnicode_AsUTF8(name);
        if (!spelled)
            return -1;
        t->fields[i] = (hw_field){spelled, &ft->c, (size_t)offset, bit_offset, bit_width};
        int r = PyUnicode_GET_LENGTH(name)
                    ? add_member(t, name, (Member){ft, (size_t)offset, bit_offset, bit_width})
                    : add_anonymous(t, ft, (size_t)offset);
        if (r < 0)
            return -1;
    }
    return 0;
}

/* Every byte a field names lies inside the record: what is read and written later is not checked.
 */
static int check_layout(CType *t, size_t size)
{
    for (size_t i = 0; i < (size_t)PyTuple_GET_SIZE(t->types); i++) {
        const hw_field *f = &t->fields[i];
        bool flexible = f->type->kind == HW_ARRAY && f->type->count == HW_FLEXIBLE;
        size_t bits = f->type->size * 8;
        bool bad = f->offset > size || (!flexible && f->type->size > size - f->offset);
        if (f->bit_width >= 0)
            bad = !hw_kind_is_integer(f->type->kind) || f->bit_offset < 0 || bits > 64 ||
                  (size_t)(f->bit_offset + f->bit_width) > bits || f->offset > size ||
                  (size_t)(f->bit_offset + f->bit_width + 7) / 8 > size - f->offset;
        if (bad) {
            PyErr_Format(PyExc_ValueError, "%U: field %s lies outside the %zu bytes of it", t->name,
                         f->name, size);
            return -1;
        }
    }
    return 0;
}

static void forget_fields(CType *t)
{
    Py_CLEAR(t->types);
    Py_CLEAR(t->names);
    Py_CLEAR(t->lookup);
    Py_CLEAR(t->callbacks);
    PyMem_Free(t->fields);
    PyMem_Free(t->members);
    t->fields = NULL;
    t->members = NULL;
    t->n_members = 0;
}

static PyObject *complete(PyObject *self, PyObject *args)
{
    CType *t = (CType *)self;
    Py_ssize_t size, align;
    PyObject *given;
    int packed;
    if (!PyArg_ParseTuple(args, "nnOp", &size, &align, &given, &packed))
        return NULL;
    if ((t->c.kind != HW_STRUCT && t->c.kind != HW_UNION) || !t->c.incomplete)
        return PyErr_Format(PyExc_TypeError, "%U is not an incomplete struct or union", t->name);
    if (size < 0 || align < 1 || (align & (align - 1)))
        return PyErr_Format(PyExc_ValueError, "size %zd, alignment %zd", size, align);
    PyObject *fields = PySequence_Tuple(given);
    if (!fields)
        return NULL;
    Py_ssize_t n = PyTuple_GET_SIZE(fields), members = count_members(fields, t->state);
    int failed = members < 0;
    if (!failed) {
        t->types = PyTuple_New(n);
        t->names = PyTuple_New(n);
        t->lookup = PyDict_New();
        t->fields = PyMem_Calloc((size_t)n + 1, sizeof(hw_field));
        t->members = PyMem_Calloc((size_t)members + 1, sizeof(Member));
        failed = !t->types || !t->names || !t->lookup || !t->fields || !t->members;
        if (failed)
            PyErr_NoMemory();
    }
    failed = failed || fill_fields(t, fields) < 0 || check_layout(t, (size_t)size) < 0;
    Py_DECREF(fields);
    if (failed) {
        forget_fields(t);
        return NULL;
    }
    t->c.size = (size_t)size;
    t->c.align = (size_t)align;
    t->c.packed = packed;
    t->c.fields = t->fields;
    t->c.count = (size_t)n;
    t->c.incomplete = false;
    Py_RETURN_NONE;
}

/* ---- Python's view -------------------------------------------------------------------------- */

static PyObject *kind_name(CType *t)
{
    const char *name = t->enum_class                   ? "enum"
                       : hw_kind_is_integer(t->c.kind) ? "integer"
                       : hw_kind_is_real(t->c.kind)    ? "real"
                       : hw_kind_is_complex(t->c.kind) ? "complex"
                       : t->c.kind == HW_VOID          ? "void"
                       : t->c.kind == HW_POINTER       ? "pointer"
                       : t->c.kind == HW_ARRAY         ? "array"
                       : t->c.kind == HW_STRUCT        ? "struct"
                       : t->c.kind == HW_UNION         ? "union"
                                                       : "function";
    return PyUnicode_InternFromString(name);
}

static PyObject *get_kind(PyObject *self, void *closure)
{
    (void)closure;
    return kind_name((CType *)self);
}

static PyObject *get_size(PyObject *self, void *closure)
{
    (void)closure;
    Py_ssize_t size = ctype_size((CType *)self);
    return size < 0 ? NULL : PyLong_FromSsize_t(size);
}

static PyObject *get_align(PyObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromSize_t(((CType *)self)->c.align);
}

static PyObject *get_code(PyObject *self, void *closure)
{
    (void)closure;
    hw_kind kind = ((CType *)self)->c.kind;
    if (!hw_kind_is_arithmetic(kind))
        Py_RETURN_NONE;
    return PyUnicode_FromFormat("%c", hw_kind_letter(kind));
}

static PyObject *get_target(PyObject *self, void *closure)
{
    (void)closure;
    PyObject *target = (PyObject *)((CType *)self)->target;
    return Py_NewRef(target ? target : Py_None);
}

static PyObject *get_count(PyObject *self, void *closure)
{
    (void)closure;
    CType *t = (CType *)self;
    if (t->c.kind != HW_ARRAY || t->c.count == HW_FLEXIBLE)
        Py_RETURN_NONE;
    return PyLong_FromSize_t(t->c.count);
}

static PyObject *get_params(PyObject *self, void *closure)
{
    (void)closure;
    CType *t = (CType *)self;
    if (t->c.kind != HW_FUNCTION)
        Py_RETURN_NONE;
    return Py_NewRef(t->types);
}

static PyObject *get_variadic(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((CType *)self)->c.variadic);
}

static PyObject *get_target_const(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((CType *)self)->c.target_const);
}

/* {name: (type, offset, bit offset, bit width)}, anonymous structs dissolved */
static PyObject *get_fields(PyObject *self, void *closure)
{
    (void)closure;
    CType *t = (CType *)self;
    PyObject *fields = PyDict_New(), *name, *index;
    Py_ssize_t at = 0;
    while (fields && t->lookup && PyDict_Next(t->lookup, &at, &name, &index)) {
        const Member *m = &t->members[PyLong_AsSsize_t(index)];
        PyObject *entry =
            Py_BuildValue("(Onii)", m->type, (Py_ssize_t)m->offset, m->bit_offset, m->bit_width);
        if (!entry || PyDict_SetItem(fields, name, entry) < 0)
            Py_CLEAR(fields);
        Py_XDECREF(entry);
    }
    return fields;
}

PyObject *ctype_dtype(CType *t)
{
    if (!get_once(&t->dtype)) {
        PyObject *m = PyImport_ImportModule("headway._dtype");
        PyObject *dtype = m ? PyObject_CallMethod(m, "of", "O", t) : NULL;
        Py_XDECREF(m);
        if (set_once(&t->dtype, dtype) < 0)
            return NULL;
    }
    return Py_NewRef(t->dtype);
}

static PyObject *get_dtype(PyObject *self, void *closure)
{
    (void)closure;
    return ctype_dtype((CType *)self);
}

/* The bytes of a struct whose flexible array member is to hold what `given` has for it: a sequence,
 * or a number of elements. -1 and an exception where it is neither. */
static Py_ssize_t flexible_size(CType *t, PyObject *given, Py_ssize_t size)
{
    const hw_field *f = t->c.count ? &t->c.fields[t->c.count - 1] : NULL;
    if (!f || f->type->kind != HW_ARRAY || f->type->count != HW_FLEXIBLE || !given ||
        !PyDict_Check(given))
        return size;
    PyObject *value = PyDict_GetItemString(given, f->name);
    if (!value)
        return size;
    Py_ssize_t n = PyLong_Check(value) ? PyLong_AsSsize_t(value) : PyObject_Size(value), bytes;
    if (n == -1 && PyErr_Occurred())
        return -1;
    Py_ssize_t each = (Py_ssize_t)f->type->target->size;
    if (n < 0 || __builtin_mul_overflow(n, each, &bytes) ||
        __builtin_add_overflow(bytes, (Py_ssize_t)f->offset, &bytes)) {
        PyErr_Format(PyExc_ValueError, "%U.%s cannot have %R elements", t->name, f->name, value);
        return -1;
    }
    return bytes > size ? bytes : size;
}

/* Without the flexible member where only its length is given: it starts as zeros. */
static PyObject *without_length(CType *t, PyObject *given)
{
    if (!given || !PyDict_Check(given) || !t->c.count)
        return Py_XNewRef(given);
    const hw_field *f = &t->c.fields[t->c.count - 1];
    PyObject *value = PyDict_GetItemString(given, f->name);
    if (f->type->kind != HW_ARRAY || f->type->count != HW_FLEXIBLE || !value ||
        !PyLong_Check(value))
        return Py_NewRef(given);
    PyObject *rest = PyDict_Copy(given);
    if (rest && PyDict_DelItemString(rest, f->name) < 0)
        Py_CLEAR(rest);
    return rest;
}

static PyObject *make_value(CType *t, PyObject *init, PyObject *kwargs)
{
    Py_ssize_t size = ctype_size(t);
    bool record = t->c.kind != HW_ARRAY;
    if (size >= 0 && record)
        size = flexible_size(t, kwargs ? kwargs : init, size);
    if (size < 0)
        return NULL;
    Value *v = value_new(t, (size_t)size, record ? 1 : t->c.count);
    PyObject *given = record ? without_length(t, init) : Py_XNewRef(init);
    PyObject *named = record ? without_length(t, kwargs) : Py_XNewRef(kwargs);
    bool failed = !v || (init && !given) || (kwargs && !named);
    if (failed || value_initialise(v, given, named) < 0)
        Py_CLEAR(v);
    Py_XDECREF(given);
    Py_XDECREF(named);
    return (PyObject *)v;
}

static PyObject *ctype_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    CType *t = (CType *)self;
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    if (t->c.kind == HW_FUNCTION || (t->c.kind == HW_POINTER && t->target->c.kind == HW_FUNCTION)) {
        if (n != 1 || kwargs)
            return PyErr_Format(PyExc_TypeError, "%U takes one callable", t->name);
        Keep keep;
        keep_init(&keep);
        void *code = NULL;
        CType *p =
            t->c.kind == HW_POINTER ? (CType *)Py_NewRef(t) : ctype_pointer_to(t, false, NULL);
        Site site = {.ctype = t->c.name};
        PyObject *pointer = NULL;
        if (p &&
            convert_pointer(p, &code, PyTuple_GET_ITEM(args, 0), &site, &keep, NULL, false) == 0)
            pointer = pointer_new(p, code, keep.n ? keep.objects[0] : NULL);
        keep_fini(&keep);
        Py_XDECREF(p);
        return pointer;
    }
    if (t->enum_class)
        return PyObject_Call(t->enum_class, args, kwargs);
    if (t->c.kind != HW_STRUCT && t->c.kind != HW_UNION && t->c.kind != HW_ARRAY)
        return PyErr_Format(PyExc_TypeError,
                            "%U makes no values when called; headway.new(%U) allocates one",
                            t->name, t->name);
    if (n > 1)
        return PyErr_Format(PyExc_TypeError, "%U takes keywords or one initialiser, got %zd",
                            t->name, n);
    return make_value(t, n ? PyTuple_GET_ITEM(args, 0) : NULL, kwargs);
}

static PyObject *ctype_instancecheck(PyObject *self, PyObject *o)
{
    CType *t = (CType *)self;
    CType *have = NULL;
    if (value_check(t->state, o))
        have = ((Value *)o)->type;
    else if (pointer_check(t->state, o))
        have = ((Pointer *)o)->type;
    else if (t->enum_class) {
        int is = PyObject_IsInstance(o, t->enum_class);
        return is < 0 ? NULL : PyBool_FromLong(is);
    }
    return PyBool_FromLong(have && hw_type_same(&have->c, &t->c));
}

static PyObject *ctype_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<C type %U>", ((CType *)self)->name);
}

static PyObject *ctype_compare(PyObject *a, PyObject *b, int op)
{
    CType *t = (CType *)a;
    if ((op != Py_EQ && op != Py_NE) || !ctype_check(t->state, b))
        Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong(hw_type_same(&t->c, &((CType *)b)->c) == (op == Py_EQ));
}

/* Types that compare equal share their kind's family and size. */
static Py_hash_t ctype_hash(PyObject *self)
{
    CType *t = (CType *)self;
    bool record = t->c.kind == HW_STRUCT || t->c.kind == HW_UNION;
    if (record && !strchr(t->c.name, '<')) /* the names of unnamed ones differ among equals */
        return PyObject_Hash(t->name);
    return (Py_hash_t)(hw_kind_is_integer(t->c.kind) ? t->c.size : 100 + (size_t)t->c.kind);
}

static PyMethodDef methods[] = {
    {"complete", complete, METH_VARARGS,
     "complete(size, align, fields, packed): fields are tuples (name, type, offset, bit offset, "
     "bit width or -1[, headway._model.Callback or None])."},
    {"__instancecheck__", ctype_instancecheck, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"name", T_OBJECT, offsetof(CType, name), READONLY, "The type as C spells it."},
    {"callbacks", T_OBJECT, offsetof(CType, callbacks), READONLY,
     "{field: headway._model.Callback}, or None."},
    {"enum_class", T_OBJECT, offsetof(CType, enum_class), READONLY, "An enum's IntEnum, or None."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(CType, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"kind", get_kind, NULL,
     "void, integer, real, complex, enum, pointer, array, struct, union or function.", NULL},
    {"size", get_size, NULL, "Bytes.", NULL},
    {"align", get_align, NULL, "Bytes.", NULL},
    {"code", get_code, NULL, "NumPy's letter of an arithmetic type, else None.", NULL},
    {"target", get_target, NULL, "The pointee, element or result type, else None.", NULL},
    {"count", get_count, NULL, "Elements of an array, else None.", NULL},
    {"params", get_params, NULL, "The parameter types of a function, else None.", NULL},
    {"variadic", get_variadic, NULL, "True for a function that ends in an ellipsis.", NULL},
    {"target_const", get_target_const, NULL, "True where the pointee is const.", NULL},
    {"fields", get_fields, NULL, "{name: (type, offset in bytes, bit offset, bit width or -1)}",
     NULL},
    {"dtype", get_dtype, NULL, "The NumPy dtype with C's own offsets.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, ctype_dealloc},
    {Py_tp_traverse, ctype_traverse},
    {Py_tp_clear, ctype_clear},
    {Py_tp_call, ctype_call},
    {Py_tp_repr, ctype_repr},
    {Py_tp_richcompare, ctype_compare},
    {Py_tp_hash, ctype_hash},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, getset},
    {Py_tp_doc, "A C type. Structs, unions and arrays make values when called."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "headway.CType",
    .basicsize = sizeof(CType),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int ctype_add_types(PyObject *module, State *state)
{
    state->ctype_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!state->ctype_type || PyModule_AddType(module, state->ctype_type) < 0 ||
        PyModule_AddFunctions(module, ctype_functions) < 0)
        return -1;
    return make_arithmetic(state);
}
