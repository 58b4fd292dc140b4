/* SPDX-License-Identifier: MIT */
/*
 * Value: a struct, a union or an array in C memory.
 *
 * A value owns its memory or is a view into an owner's; the owner lives as long as the view. What a
 * pointer stored in the memory points into is kept alive by the value that owns it (its `keep`),
 * until another pointer is stored in the same place.
 */
#include "core.h"

#include <float.h>
#include <stddef.h>
#include <string.h>
#include <structmember.h>

static Value *value_alloc(CType *type)
{
    Value *v = PyObject_GC_New(Value, type->state->value_type);
    if (!v)
        return NULL;
    memset((char *)v + sizeof(PyObject), 0, sizeof(Value) - sizeof(PyObject));
    v->type = (CType *)Py_NewRef(type);
    atomic_fetch_add(&type->state->live[LIVE_VALUE], 1);
    PyObject_GC_Track(v);
    return v;
}

Value *value_new(CType *type, size_t size, size_t count)
{
    Value *v = value_alloc(type);
    if (!v)
        return NULL;
    v->data = PyMem_Calloc(1, size ? size : 1);
    if (!v->data) {
        Py_DECREF(v);
        PyErr_NoMemory();
        return NULL;
    }
    v->size = size;
    v->count = count;
    return v;
}

Value *value_view(CType *type, void *data, PyObject *owner)
{
    Value *v = value_alloc(type);
    if (!v)
        return NULL;
    v->data = data;
    v->size = type->c.size;
    v->count = type->c.kind == HW_ARRAY && type->c.count != HW_FLEXIBLE ? type->c.count : 0;
    v->owner = Py_NewRef(owner);
    return v;
}

static int value_traverse(PyObject *self, visitproc visit, void *arg)
{
    Value *v = (Value *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(v->type);
    Py_VISIT(v->owner);
    Py_VISIT(v->keep);
    return 0;
}

static int value_clear(PyObject *self)
{
    Py_CLEAR(((Value *)self)->keep);
    return 0;
}

static void value_dealloc(PyObject *self)
{
    Value *v = (Value *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (v->weakrefs)
        PyObject_ClearWeakRefs(self);
    if (!v->owner)
        PyMem_Free(v->data);
    Py_CLEAR(v->keep);
    Py_CLEAR(v->owner);
    atomic_fetch_sub(&v->type->state->live[LIVE_VALUE], 1);
    Py_DECREF(v->type);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* -1 and UseAfterFreeError where the memory is part of a handle that was freed. */
static int touch(Value *v) { return v->owner ? memory_alive(v->type->state, v->owner) : 0; }

/* ---- bit-fields ----------------------------------------------------------------------------- */

static uint64_t width_mask(int width)
{
    return width >= 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
}

/* Touches only the bytes that hold bits of the field. */
static uint64_t read_bits(const unsigned char *unit, int offset, int width)
{
    uint64_t bits = 0;
    for (int i = 0; i < width; i++)
        bits |= (uint64_t)(unit[(offset + i) / 8] >> ((offset + i) % 8) & 1) << i;
    return bits;
}

static void write_bits(unsigned char *unit, int offset, int width, uint64_t bits)
{
    for (int i = 0; i < width; i++) {
        unsigned char mask = (unsigned char)(1u << ((offset + i) % 8));
        unsigned char *byte = &unit[(offset + i) / 8];
        *byte = bits >> i & 1 ? *byte | mask : *byte & (unsigned char)~mask;
    }
}

static PyObject *bitfield_get(const Member *m, const unsigned char *data)
{
    uint64_t bits = read_bits(data + m->offset, m->bit_offset, m->bit_width);
    hw_value v = {.u = bits};
    if (hw_kind_is_signed(m->type->c.kind) && m->bit_width < 64 && bits >> (m->bit_width - 1))
        v.u = bits | ~width_mask(m->bit_width);
    return convert_from_value(m->type, &v);
}

static int bitfield_set(const Member *m, unsigned char *data, PyObject *value, const Site *site)
{
    int64_t v = 0;
    if (convert_to_slot(m->type, &v, value, site, NULL, NULL, false) < 0)
        return -1;
    int w = m->bit_width;
    bool is_signed = hw_kind_is_signed(m->type->c.kind);
    bool fits = is_signed ? w >= 64 || (v >= -((int64_t)1 << (w - 1)) && v < (int64_t)1 << (w - 1))
                          : ((uint64_t)v & ~width_mask(w)) == 0;
    if (!fits)
        return site_error(site, PyExc_OverflowError, "%R does not fit in %d bits", value, w);
    write_bits(data + m->offset, m->bit_offset, w, (uint64_t)v);
    return 0;
}

/* ---- fields --------------------------------------------------------------------------------- */

/* NULL without an exception where there is no such field. */
static const Member *find_member(CType *type, PyObject *name)
{
    PyObject *index = type->lookup ? PyDict_GetItemWithError(type->lookup, name) : NULL;
    return index ? &type->members[PyLong_AsSsize_t(index)] : NULL;
}

static bool is_flexible(const CType *t)
{
    return t->c.kind == HW_ARRAY && t->c.count == HW_FLEXIBLE;
}

/* A flexible array member: an array where its length is known, else a pointer to its first. */
static PyObject *flexible_get(CType *type, void *at, PyObject *owner)
{
    size_t before, room, size = type->target->c.size;
    if (!memory_room(type->state, owner, at, &before, &room)) {
        CType *pointer = ctype_pointer_to(type->target, false, NULL);
        PyObject *o = pointer ? pointer_new(pointer, at, owner) : NULL;
        Py_XDECREF(pointer);
        return o;
    }
    Value *v = value_view(type, at, owner);
    if (v) {
        v->size = room;
        v->count = size ? room / size : 0;
    }
    return (PyObject *)v;
}

PyObject *member_get(CType *type, void *data, PyObject *owner, PyObject *name)
{
    const Member *m = find_member(type, name);
    if (!m)
        return NULL;
    if (m->bit_width >= 0)
        return bitfield_get(m, data);
    unsigned char *at = (unsigned char *)data + m->offset;
    return is_flexible(m->type) ? flexible_get(m->type, at, owner)
                                : convert_from_c(m->type, at, owner, false);
}

int member_set(CType *type, void *data, PyObject *owner, PyObject *name, PyObject *value)
{
    const Member *m = find_member(type, name);
    if (!m) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_AttributeError, "%U has no field %R; it has %R", type->name, name,
                         type->names ? type->names : Py_None);
        return -1;
    }
    if (!value) {
        PyErr_Format(PyExc_TypeError, "field %U of %U cannot be deleted", name, type->name);
        return -1;
    }
    Site site = {.parameter = name, .ctype = m->type->c.name};
    if (m->bit_width >= 0)
        return bitfield_set(m, data, value, &site);
    if (is_flexible(m->type)) {
        PyObject *view = member_get(type, data, owner, name);
        int r = -1;
        if (view && value_check(type->state, view))
            r = value_initialise((Value *)view, value, NULL);
        else if (view)
            PyErr_Format(PyExc_TypeError,
                         "%U: how many elements %U has is not known here; index it", type->name,
                         name);
        Py_XDECREF(view);
        return r;
    }
    PyObject *spec = type->callbacks ? PyDict_GetItemWithError(type->callbacks, name) : NULL;
    return memory_store(m->type, (unsigned char *)data + m->offset, owner, value, &site, spec);
}

static bool is_record(const CType *t) { return t->c.kind == HW_STRUCT || t->c.kind == HW_UNION; }

static PyObject *value_getattro(PyObject *self, PyObject *name)
{
    Value *v = (Value *)self;
    if (is_record(v->type) && find_member(v->type, name))
        return touch(v) < 0 ? NULL : member_get(v->type, v->data, self, name);
    return PyObject_GenericGetAttr(self, name);
}

static int value_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    Value *v = (Value *)self;
    if (!is_record(v->type))
        return PyObject_GenericSetAttr(self, name, value);
    return touch(v) < 0 ? -1 : member_set(v->type, v->data, self, name, value);
}

/* ---- elements ------------------------------------------------------------------------------- */

static CType *element_type(const Value *v) { return v->type->target; }

static Py_ssize_t value_length(PyObject *self)
{
    Value *v = (Value *)self;
    if (v->type->c.kind != HW_ARRAY) {
        PyErr_Format(PyExc_TypeError, "%U has no length", v->type->name);
        return -1;
    }
    return (Py_ssize_t)v->count;
}

static void *element_at(Value *v, Py_ssize_t i)
{
    if (v->type->c.kind != HW_ARRAY) {
        PyErr_Format(PyExc_TypeError, "%U has no elements", v->type->name);
        return NULL;
    }
    if (i < 0 || (size_t)i >= v->count) {
        PyErr_Format(PyExc_IndexError, "index %zd of %U, which has %zu elements", i, v->type->name,
                     v->count);
        return NULL;
    }
    return touch(v) < 0 ? NULL : v->data + (size_t)i * element_type(v)->c.size;
}

static PyObject *value_item(PyObject *self, Py_ssize_t i)
{
    void *at = element_at((Value *)self, i);
    return at ? convert_from_c(element_type((Value *)self), at, self, false) : NULL;
}

static int value_ass_item(PyObject *self, Py_ssize_t i, PyObject *value)
{
    Value *v = (Value *)self;
    void *at = element_at(v, i);
    if (!at)
        return -1;
    if (!value) {
        PyErr_SetString(PyExc_TypeError, "an element of a C array cannot be deleted");
        return -1;
    }
    Site site = {.ctype = element_type(v)->c.name};
    return memory_store(element_type(v), at, self, value, &site, NULL);
}

static PyObject *value_slice(Value *v, PyObject *slice)
{
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(slice, &start, &stop, &step) < 0)
        return NULL;
    Py_ssize_t n = PySlice_AdjustIndices((Py_ssize_t)v->count, &start, &stop, step);
    PyObject *list = PyList_New(n);
    for (Py_ssize_t i = 0; list && i < n; i++) {
        PyObject *item = value_item((PyObject *)v, start + i * step);
        if (!item)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, item);
    }
    return list;
}

static PyObject *value_subscript(PyObject *self, PyObject *key)
{
    if (PySlice_Check(key))
        return value_slice((Value *)self, key);
    Py_ssize_t i = PyNumber_AsSsize_t(key, PyExc_IndexError);
    if (i == -1 && PyErr_Occurred())
        return NULL;
    return value_item(self, i < 0 ? i + (Py_ssize_t)((Value *)self)->count : i);
}

static int value_ass_slice(PyObject *self, PyObject *slice, PyObject *values)
{
    Py_ssize_t start, stop, step;
    PyObject *items = values ? PySequence_Fast(values, "expected a sequence") : NULL;
    if (!values)
        PyErr_SetString(PyExc_TypeError, "elements of a C array cannot be deleted");
    if (!items || PySlice_Unpack(slice, &start, &stop, &step) < 0) {
        Py_XDECREF(items);
        return -1;
    }
    Py_ssize_t n = PySlice_AdjustIndices((Py_ssize_t)((Value *)self)->count, &start, &stop, step);
    int r = 0;
    if (n != PySequence_Fast_GET_SIZE(items)) {
        PyErr_Format(PyExc_ValueError, "%zd values for %zd elements: a C array keeps its length",
                     PySequence_Fast_GET_SIZE(items), n);
        r = -1;
    }
    for (Py_ssize_t i = 0; r == 0 && i < n; i++)
        r = value_ass_item(self, start + i * step, PySequence_Fast_GET_ITEM(items, i));
    Py_DECREF(items);
    return r;
}

static int value_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    if (PySlice_Check(key))
        return value_ass_slice(self, key, value);
    Py_ssize_t i = PyNumber_AsSsize_t(key, PyExc_IndexError);
    if (i == -1 && PyErr_Occurred())
        return -1;
    return value_ass_item(self, i < 0 ? i + (Py_ssize_t)((Value *)self)->count : i, value);
}

/* ---- initialisation ------------------------------------------------------------------------- */

static int init_fields(Value *v, PyObject *fields)
{
    PyObject *name, *value,
        *copy = PyDict_Copy(fields); /* setting runs Python, which may change it */
    Py_ssize_t at = 0;
    int r = copy ? 0 : -1;
    while (r == 0 && PyDict_Next(copy, &at, &name, &value))
        r = member_set(v->type, v->data, (PyObject *)v, name, value);
    Py_XDECREF(copy);
    return r;
}

/* Field i of a record, by position: C's rule, so that unnamed bit-fields take no value. */
static int init_field(Value *v, Py_ssize_t i, PyObject *value)
{
    PyObject *name = PyTuple_GET_ITEM(v->type->names, i);
    const hw_field *f = &v->type->c.fields[i];
    if (PyUnicode_GET_LENGTH(name))
        return member_set(v->type, v->data, (PyObject *)v, name, value);
    Value *inner = value_view(ctype_of(f->type), v->data + f->offset, (PyObject *)v);
    int r = inner ? value_initialise(inner, value, NULL) : -1;
    Py_XDECREF(inner);
    return r;
}

static bool takes_value(const hw_field *f) { return f->bit_width < 0 || *f->name; }

static int init_sequence(Value *v, PyObject *init)
{
    PyObject *items = PySequence_Tuple(init); /* setting runs Python, which may change a list */
    if (!items)
        return -1;
    Py_ssize_t n = PyTuple_GET_SIZE(items), room = 0;
    bool record = is_record(v->type);
    for (size_t i = 0; record && i < v->type->c.count; i++)
        room += takes_value(&v->type->c.fields[i]);
    room = !record ? (Py_ssize_t)v->count : v->type->c.kind == HW_UNION && room ? 1 : room;
    int r = 0;
    if (n > room) {
        PyErr_Format(PyExc_ValueError, "%U takes at most %zd values, got %zd", v->type->name, room,
                     n);
        r = -1;
    }
    for (Py_ssize_t i = 0, field = 0; r == 0 && i < n; i++, field++) {
        PyObject *item = PyTuple_GET_ITEM(items, i);
        while (record && !takes_value(&v->type->c.fields[field]))
            field++;
        r = record ? init_field(v, field, item) : value_ass_item((PyObject *)v, i, item);
    }
    Py_DECREF(items);
    return r;
}

/* A string into an array of characters, with its NUL where there is room. */
static int init_text(Value *v, PyObject *init)
{
    PyObject *bytes = PyUnicode_Check(init)
                          ? PyUnicode_AsEncodedString(init, "utf-8", "surrogateescape")
                          : Py_NewRef(init);
    if (!bytes)
        return -1;
    Py_ssize_t n = PyBytes_GET_SIZE(bytes);
    int r = 0;
    if ((size_t)n > v->size) {
        PyErr_Format(PyExc_ValueError, "%zd bytes do not fit in %U", n, v->type->name);
        r = -1;
    } else {
        memcpy(v->data, PyBytes_AS_STRING(bytes), (size_t)n);
        if ((size_t)n < v->size)
            v->data[n] = 0;
    }
    Py_DECREF(bytes);
    return r;
}

int value_initialise(Value *v, PyObject *init, PyObject *kwargs)
{
    if (kwargs && !is_record(v->type)) {
        PyErr_Format(PyExc_TypeError, "%U takes no keywords", v->type->name);
        return -1;
    }
    if (kwargs && init_fields(v, kwargs) < 0)
        return -1;
    if (!init || init == Py_None)
        return 0;
    if (value_check(v->type->state, init)) {
        Value *from = (Value *)init;
        if (!hw_type_same(&from->type->c, &v->type->c) || from->size > v->size) {
            PyErr_Format(PyExc_TypeError, "%U cannot be made from %U", v->type->name,
                         from->type->name);
            return -1;
        }
        if (touch(from) < 0)
            return -1;
        memmove(v->data, from->data, from->size);
        if (!memory_holds_pointers(&v->type->c))
            return 0;
        Keep keep;
        keep_init(&keep);
        int r = keep_add(&keep, Py_NewRef(init));
        r = r < 0 ? -1 : memory_keep((PyObject *)v, v->data, v->size, &keep);
        keep_fini(&keep);
        return r;
    }
    if (PyDict_Check(init) && is_record(v->type))
        return init_fields(v, init);
    bool text = PyBytes_Check(init) || PyUnicode_Check(init);
    if (text && v->type->c.kind == HW_ARRAY && hw_kind_is_byte(v->type->c.target->kind))
        return init_text(v, init);
    if (text || !PySequence_Check(init)) {
        PyErr_Format(PyExc_TypeError, "%U cannot be made from %s", v->type->name,
                     Py_TYPE(init)->tp_name);
        return -1;
    }
    return init_sequence(v, init);
}

/* ---- the rest ------------------------------------------------------------------------------- */

static PyObject *value_repr(PyObject *self)
{
    Value *v = (Value *)self;
    if (touch(v) < 0) {
        PyErr_Clear();
        return PyUnicode_FromFormat("<%U at %p, freed>", v->type->name, v->data);
    }
    if (v->type->c.kind == HW_ARRAY)
        return PyUnicode_FromFormat("<%U at %p>", v->type->name, v->data);
    PyObject *text = PyUnicode_FromFormat("%U(", v->type->name);
    PyObject *name, *index;
    Py_ssize_t at = 0;
    bool first = true;
    while (text && v->type->lookup && PyDict_Next(v->type->lookup, &at, &name, &index)) {
        PyObject *value = member_get(v->type, v->data, self, name);
        if (!value) {
            Py_DECREF(text);
            return NULL;
        }
        Py_SETREF(text, PyUnicode_FromFormat("%U%s%U=%R", text, first ? "" : ", ", name, value));
        Py_DECREF(value);
        first = false;
    }
    if (text)
        Py_SETREF(text, PyUnicode_FromFormat("%U)", text));
    return text;
}

/* The bytes that carry a number: x87's long double has ten, and padding. */
static size_t number_bytes(hw_kind kind)
{
    if (kind == HW_LDOUBLE || kind == HW_CLDOUBLE)
        return LDBL_MANT_DIG == 64 ? 10 : sizeof(long double);
    return hw_type_of_kind(kind)->size;
}

/* Whether two objects hold the same, what lies between their fields aside. */
static bool same_contents(const hw_type *t, const unsigned char *a, const unsigned char *b)
{
    if (hw_kind_is_arithmetic(t->kind)) {
        size_t n = number_bytes(t->kind), second = sizeof(long double);
        return memcmp(a, b, n) == 0 &&
               (t->kind != HW_CLDOUBLE || memcmp(a + second, b + second, n) == 0);
    }
    if (t->kind == HW_ARRAY && t->count != HW_FLEXIBLE) {
        for (size_t i = 0; i < t->count; i++)
            if (!same_contents(t->target, a + i * t->target->size, b + i * t->target->size))
                return false;
        return true;
    }
    if (t->kind != HW_STRUCT)
        return memcmp(a, b, t->size) == 0;
    for (size_t i = 0; i < t->count; i++) {
        const hw_field *f = &t->fields[i];
        bool same = f->bit_width >= 0 ? read_bits(a + f->offset, f->bit_offset, f->bit_width) ==
                                            read_bits(b + f->offset, f->bit_offset, f->bit_width)
                                      : same_contents(f->type, a + f->offset, b + f->offset);
        if (!same)
            return false;
    }
    return true;
}

static PyObject *value_compare(PyObject *a, PyObject *b, int op)
{
    Value *x = (Value *)a, *y = (Value *)b;
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(a) != Py_TYPE(b))
        Py_RETURN_NOTIMPLEMENTED;
    if (touch(x) < 0 || touch(y) < 0)
        return NULL;
    size_t known = x->type->c.size; /* beyond it lies a flexible array */
    bool same =
        hw_type_same(&x->type->c, &y->type->c) && x->size == y->size &&
        same_contents(&x->type->c, x->data, y->data) &&
        (x->size <= known || memcmp(x->data + known, y->data + known, x->size - known) == 0);
    return PyBool_FromLong(same == (op == Py_EQ));
}

/* A struct is there; an array is true unless it is empty, as a list is. */
static int value_bool(PyObject *self)
{
    Value *v = (Value *)self;
    return v->type->c.kind != HW_ARRAY || v->count > 0;
}

static PyObject *value_dir(PyObject *self, PyObject *unused)
{
    (void)unused;
    Value *v = (Value *)self;
    return v->type->lookup ? PyDict_Keys(v->type->lookup) : PyList_New(0);
}

/* NumPy's format of a number; "" for what has none. */
static void format_of(const hw_type *t, char format[3])
{
    static const char codes[] = {
#define CODE(kind, ctype, code) [kind] = code,
        HW_ARITHMETIC_LIST(CODE)
#undef CODE
    };
    static const char parts[] = {[HW_CFLOAT] = 'f', [HW_CDOUBLE] = 'd', [HW_CLDOUBLE] = 'g'};
    bool number = hw_kind_is_arithmetic(t->kind), pair = hw_kind_is_complex(t->kind);
    format[0] = !number ? 0 : pair ? 'Z' : codes[t->kind];
    format[1] = pair ? parts[t->kind] : 0;
    format[2] = 0;
}

/* What a view's shape points to. */
typedef struct Layout {
    char format[3];
    Py_ssize_t shape_and_strides[];
} Layout;

/* Arrays of numbers have their shape and format, everything else is bytes. */
static int value_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    Value *v = (Value *)self;
    if (touch(v) < 0 || PyBuffer_FillInfo(view, self, v->data, (Py_ssize_t)v->size, 0, flags) < 0) {
        view->obj = NULL;
        return -1;
    }
    if (v->owner)
        memory_use(v->type->state, v->owner, 1); /* a handle stays until the view is given back */
    const hw_type *t = &v->type->c;
    int ndim = 0;
    char format[3];
    for (; t->kind == HW_ARRAY; t = t->target)
        ndim++;
    format_of(t, format);
    if (!ndim || !format[0] || !(flags & PyBUF_FORMAT) || !(flags & PyBUF_ND))
        return 0;
    Layout *l = PyMem_Malloc(sizeof(Layout) + 2 * (size_t)ndim * sizeof(Py_ssize_t));
    if (!l) {
        PyBuffer_Release(view);
        PyErr_NoMemory();
        return -1;
    }
    memcpy(l->format, format, sizeof(format));
    t = &v->type->c;
    for (int d = 0; d < ndim; d++, t = t->target) {
        l->shape_and_strides[d] = (Py_ssize_t)(d ? t->count : v->count);
        l->shape_and_strides[ndim + d] = (Py_ssize_t)t->target->size;
    }
    view->internal = l;
    view->format = l->format;
    view->itemsize = (Py_ssize_t)t->size;
    view->ndim = ndim;
    view->shape = l->shape_and_strides;
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? l->shape_and_strides + ndim : NULL;
    return 0;
}

static void value_releasebuffer(PyObject *self, Py_buffer *view)
{
    Value *v = (Value *)self;
    PyMem_Free(view->internal);
    if (v->owner)
        memory_use(v->type->state, v->owner, -1);
}

static PyObject *get_address(PyObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromVoidPtr(((Value *)self)->data);
}

static PyObject *get_dtype(PyObject *self, void *closure)
{
    (void)closure;
    return ctype_dtype(((Value *)self)->type);
}

static PyMemberDef members[] = {
    {"__ctype__", T_OBJECT, offsetof(Value, type), READONLY, "The headway.CType."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Value, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"__address__", get_address, NULL, "Where the memory lies, an int.", NULL},
    {"__dtype__", get_dtype, NULL, "The NumPy dtype of the type.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"__dir__", value_dir, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, value_dealloc},
    {Py_tp_traverse, value_traverse},
    {Py_tp_clear, value_clear},
    {Py_tp_getattro, value_getattro},
    {Py_tp_setattro, value_setattro},
    {Py_tp_repr, value_repr},
    {Py_tp_richcompare, value_compare},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, getset},
    {Py_nb_bool, value_bool},
    {Py_mp_length, value_length},
    {Py_mp_ass_subscript, value_ass_subscript},
    {Py_mp_subscript, value_subscript},
    {Py_mp_ass_subscript, value_ass_subscript},
    {Py_sq_length, value_length},
    {Py_sq_item, value_item},
    {Py_bf_getbuffer, value_getbuffer},
    {Py_bf_releasebuffer, value_releasebuffer},
    {Py_tp_doc, "A C struct, union or array in memory."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "headway.Value",
    .basicsize = sizeof(Value),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int value_add_type(PyObject *module, State *state)
{
    state->value_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return state->value_type ? PyModule_AddType(module, state->value_type) : -1;
}
