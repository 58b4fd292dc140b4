/* SPDX-License-Identifier: MIT */
/*
 * Pointer: a typed address, and the handles that have to be freed.
 *
 * An owned handle is freed once, by the C function its annotation names: when the last reference
 * goes, by close(), at the end of a with block, or by calling the freeing function by hand. After
 * that every use is UseAfterFreeError. A handle that depends on another (keeps=) holds a reference
 * to it, so it goes first; closing the parent frees the children first. The parent knows them by
 * plain pointers: a weak reference would be dead by the time the collector finalizes a cycle that
 * holds them both.
 */
#include "core.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <structmember.h>

PyObject *pointer_new(CType *type, void *address, PyObject *owner)
{
    State *state = type->state;
    Pointer *p = PyObject_GC_New(Pointer, state->pointer_type);
    if (!p)
        return NULL;
    memset((char *)p + sizeof(PyObject), 0, sizeof(Pointer) - sizeof(PyObject));
    p->type = (CType *)Py_NewRef(type);
    p->address = address;
    p->owner = owner && owner != Py_None ? Py_NewRef(owner) : NULL;
    atomic_fetch_add(&state->live[LIVE_POINTER], 1);
    PyObject_GC_Track(p);
    return (PyObject *)p;
}

static int pointer_traverse(PyObject *self, visitproc visit, void *arg)
{
    Pointer *p = (Pointer *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(p->type);
    Py_VISIT(p->owner);
    Py_VISIT(p->release);
    Py_VISIT(p->kept);
    return 0;
}

/* ---- handles -------------------------------------------------------------------------------- */

PyObject *pointer_freed(Pointer *p)
{
    return raise_named(p->type->state, "UseAfterFreeError",
                       "the %U at %p was freed already; a handle is used up by close() and by the "
                       "function that frees it",
                       p->type->name, p->address);
}

int pointer_address(Pointer *p, void **address)
{
    if (memory_alive(p->type->state, (PyObject *)p) < 0)
        return -1;
    *address = p->address;
    return 0;
}

/* ---- families ------------------------------------------------------------------------------- */

static pthread_mutex_t family = PTHREAD_MUTEX_INITIALIZER;

static void join_locked(Pointer *parent, Pointer *child)
{
    child->parent = parent;
    child->next = parent->first_child;
    if (child->next)
        child->next->previous = child;
    parent->first_child = child;
}

static void leave_locked(Pointer *child)
{
    if (!child->parent)
        return;
    if (child->previous)
        child->previous->next = child->next;
    else
        child->parent->first_child = child->next;
    if (child->next)
        child->next->previous = child->previous;
    child->parent = child->next = child->previous = NULL;
}

static int in_use(Pointer *p)
{
    raise_named(p->type->state, "UseAfterFreeError",
                "the %U at %p is in use by a call, or its memory by a buffer or array, and cannot "
                "be freed now",
                p->type->name, p->address);
    return -1;
}

/* Marks the handle freed unless it is in use or freed already: true where it did. What only garbage
 * uses is free to go. */
static bool claim(Pointer *p, bool garbage)
{
    int live = HANDLE_LIVE;
    if (!atomic_compare_exchange_strong(&p->status, &live, HANDLE_FREED))
        return false;
    if (garbage || atomic_load(&p->users) == 0)
        return true;
    atomic_store(&p->status, HANDLE_LIVE);
    return false;
}

/* Calls the freeing function; what the handle depends on is in use as long as that runs. */
static void release_within(Function *release, void *address, PyObject *owner, State *state)
{
    memory_use(state, owner, 1);
    call_release(release, address);
    memory_use(state, owner, -1);
}

/* Frees a descendant that has no children itself: 1, 0 where there is none, -1 and an exception. */
static int free_one_child(Pointer *p, bool garbage)
{
    pthread_mutex_lock(&family);
    Pointer *c = p->first_child;
    while (c && c->first_child)
        c = c->first_child;
    bool claimed = c && claim(c, garbage),
         busy = c && !claimed && atomic_load(&c->status) == HANDLE_LIVE;
    Function *release = claimed ? (Function *)Py_XNewRef(c->release) : NULL;
    PyObject *kept = claimed ? c->kept : NULL, *owner = claimed ? Py_XNewRef(c->owner) : NULL;
    void *address = c ? c->address : NULL;
    if (claimed)
        c->kept = NULL;
    if (c && !busy)
        leave_locked(c);
    pthread_mutex_unlock(&family);
    if (busy)
        return in_use(c);
    if (release && address)
        release_within(release, address, owner, p->type->state);
    Py_XDECREF(release);
    Py_XDECREF(owner);
    Py_XDECREF(kept);
    return PyErr_Occurred() ? -1 : c != NULL;
}

/* ---- freeing -------------------------------------------------------------------------------- */

static int take(Pointer *p, bool garbage)
{
    int more = 1;
    /* looked at before its children go: what uses one of them counts here too */
    if (!garbage && atomic_load(&p->users) > 0)
        return in_use(p);
    while (more == 1)
        more = free_one_child(p, garbage);
    if (more < 0)
        return -1;
    if (claim(p, garbage))
        return 0;
    if (atomic_load(&p->status) == HANDLE_LIVE)
        return in_use(p);
    pointer_freed(p);
    return -1;
}

int pointer_take(Pointer *p) { return take(p, false); }

void pointer_give_back(Pointer *p) { atomic_store(&p->status, HANDLE_LIVE); }

void pointer_forget(Pointer *p) { Py_CLEAR(p->kept); }

/* Frees an owned handle that is live. -1 and an exception where it cannot be freed now. */
static int pointer_close(Pointer *p, bool garbage)
{
    if (!p->release || !p->address)
        return 0;
    if (take(p, garbage) < 0)
        return -1;
    release_within(p->release, p->address, p->owner, p->type->state);
    pointer_forget(p);
    return PyErr_Occurred() ? -1 : 0;
}

int pointer_own(Pointer *p, Function *release, PyObject *parent)
{
    if (release)
        p->release = (Function *)Py_NewRef(release);
    if (!parent)
        return 0;
    Py_XSETREF(p->owner, Py_NewRef(parent));
    if (pointer_check(p->type->state, parent)) {
        pthread_mutex_lock(&family);
        join_locked((Pointer *)parent, p);
        pthread_mutex_unlock(&family);
    }
    return 0;
}

static void pointer_finalize(PyObject *self)
{
    Pointer *p = (Pointer *)self;
    if (!p->release || atomic_load(&p->status) != HANDLE_LIVE)
        return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (pointer_close(p, true) < 0)
        PyErr_WriteUnraisable(self);
    PyErr_Restore(type, value, traceback);
}

static int pointer_clear(PyObject *self)
{
    Pointer *p = (Pointer *)self;
    pthread_mutex_lock(&family);
    leave_locked(p);
    pthread_mutex_unlock(&family);
    Py_CLEAR(p->kept);
    Py_CLEAR(p->owner);
    Py_CLEAR(p->release);
    return 0;
}

static void pointer_dealloc(PyObject *self)
{
    Pointer *p = (Pointer *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc(self) < 0)
        return;
    PyObject_GC_UnTrack(self);
    if (p->weakrefs)
        PyObject_ClearWeakRefs(self);
    pointer_clear(self);
    atomic_fetch_sub(&p->type->state->live[LIVE_POINTER], 1);
    Py_DECREF(p->type);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *close_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    Pointer *p = (Pointer *)self;
    if (!p->release)
        return PyErr_Format(PyExc_TypeError,
                            "this %U is not owned by Python: nothing to close (say owned= in an "
                            "annotation)",
                            p->type->name);
    if (atomic_load(&p->status) == HANDLE_LIVE && pointer_close(p, false) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *leave(PyObject *self, PyObject *args)
{
    (void)args;
    PyObject *r = close_method(self, NULL);
    Py_XDECREF(r);
    return r ? Py_NewRef(Py_False) : NULL;
}

/* ---- what it points to ---------------------------------------------------------------------- */

/* The memory from `index` elements on, NULL and an exception where there is none. The bounds are
 * checked where the pointer goes into memory that Python owns. */
static void *pointee(Pointer *p, Py_ssize_t index)
{
    void *base;
    if (pointer_address(p, &base) < 0)
        return NULL;
    if (!base) {
        PyErr_Format(PyExc_ValueError, "the %U is NULL", p->type->name);
        return NULL;
    }
    Py_ssize_t size = ctype_size(p->type->target), by, at, end;
    if (size < 0)
        return NULL;
    size_t before = 0, room = 0;
    PyObject *self = (PyObject *)p;
    bool known = memory_room(p->type->state, self, base, &before, &room);
    bool overflow = __builtin_mul_overflow(index, size, &by) ||
                    __builtin_add_overflow((Py_ssize_t)before, by, &at) ||
                    __builtin_add_overflow(at, size, &end);
    if (overflow || (known && (at < 0 || (size_t)end > before + room))) {
        PyErr_Format(PyExc_IndexError, "index %zd lies outside what this %U points into%s", index,
                     p->type->name, known ? ": memory that Python owns" : "");
        return NULL;
    }
    return (void *)((uintptr_t)base + (uintptr_t)by);
}

/* What a pointer to const gives access to must not be written either: a copy of it. */
static PyObject *guard_const(const Pointer *p, PyObject *o)
{
    if (!o || !p->type->c.target_const || !value_check(p->type->state, o))
        return o;
    Value *view = (Value *)o, *copy = value_new(view->type, view->size, view->count);
    if (copy)
        memcpy(copy->data, view->data, view->size);
    Py_DECREF(o);
    return (PyObject *)copy;
}

static PyObject *pointer_subscript(PyObject *self, PyObject *key)
{
    Pointer *p = (Pointer *)self;
    Py_ssize_t i = PyNumber_AsSsize_t(key, PyExc_IndexError);
    if (i == -1 && PyErr_Occurred())
        return NULL;
    void *at = pointee(p, i);
    return at ? guard_const(p, convert_from_c(p->type->target, at, self, false)) : NULL;
}

static int pointer_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    Pointer *p = (Pointer *)self;
    Py_ssize_t i = PyNumber_AsSsize_t(key, PyExc_IndexError);
    if (i == -1 && PyErr_Occurred())
        return -1;
    if (!value || p->type->c.target_const) {
        PyErr_Format(PyExc_TypeError, "what a %U points to cannot be %s", p->type->name,
                     value ? "written" : "deleted");
        return -1;
    }
    void *at = pointee(p, i);
    if (!at)
        return -1;
    Site site = {.ctype = p->type->target->c.name};
    return memory_store(p->type->target, at, self, value, &site, NULL);
}

static bool to_record(const Pointer *p)
{
    hw_kind k = p->type->c.target->kind;
    return (k == HW_STRUCT || k == HW_UNION) && p->type->target->lookup;
}

static PyObject *pointer_getattro(PyObject *self, PyObject *name)
{
    Pointer *p = (Pointer *)self;
    if (to_record(p) && PyDict_Contains(p->type->target->lookup, name) == 1) {
        void *at = pointee(p, 0);
        return at ? guard_const(p, member_get(p->type->target, at, self, name)) : NULL;
    }
    return PyObject_GenericGetAttr(self, name);
}

static int pointer_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    Pointer *p = (Pointer *)self;
    if (!to_record(p))
        return PyObject_GenericSetAttr(self, name, value);
    if (p->type->c.target_const) {
        PyErr_Format(PyExc_TypeError, "what a %U points to cannot be written", p->type->name);
        return -1;
    }
    void *at = pointee(p, 0);
    return at ? member_set(p->type->target, at, self, name, value) : -1;
}

static PyObject *offset_by(Pointer *p, PyObject *n, int sign)
{
    Py_ssize_t i = PyNumber_AsSsize_t(n, PyExc_OverflowError);
    if (i == -1 && PyErr_Occurred())
        return NULL;
    void *base;
    Py_ssize_t size = ctype_size(p->type->target);
    if (size < 0 || pointer_address(p, &base) < 0)
        return NULL;
    Py_ssize_t by;
    if (__builtin_mul_overflow(sign < 0 ? -size : size, i, &by))
        return PyErr_Format(PyExc_OverflowError, "%zd elements of %U from here lie outside memory",
                            i, p->type->target->name);
    PyObject *owner = p->release || p->kept ? (PyObject *)p : p->owner;
    PyObject *moved = pointer_new(p->type, (void *)((uintptr_t)base + (uintptr_t)by), owner);
    if (moved)
        ((Pointer *)moved)->elsewhere = p->elsewhere;
    return moved;
}

static PyObject *pointer_add(PyObject *a, PyObject *b)
{
    if (PyIndex_Check(a)) {
        PyObject *t = a;
        a = b, b = t;
    }
    if (!PyIndex_Check(b) || PyType_GetSlot(Py_TYPE(a), Py_nb_add) != (void *)pointer_add)
        Py_RETURN_NOTIMPLEMENTED;
    return offset_by((Pointer *)a, b, 1);
}

static PyObject *pointer_subtract(PyObject *a, PyObject *b)
{
    if (Py_TYPE(a) == Py_TYPE(b)) {
        Pointer *p = (Pointer *)a, *q = (Pointer *)b;
        Py_ssize_t size = ctype_size(p->type->target);
        if (size < 0)
            return NULL;
        if (size == 0 || !hw_type_same(&p->type->c, &q->type->c))
            return PyErr_Format(PyExc_TypeError, "%U and %U have no distance", p->type->name,
                                q->type->name);
        return PyLong_FromSsize_t(((char *)p->address - (char *)q->address) / size);
    }
    if (!PyIndex_Check(b) || PyIndex_Check(a))
        Py_RETURN_NOTIMPLEMENTED;
    return offset_by((Pointer *)a, b, -1);
}

static PyObject *pointer_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Pointer *p = (Pointer *)self;
    void *address;
    if (p->type->c.target->kind != HW_FUNCTION)
        return PyErr_Format(PyExc_TypeError, "a %U cannot be called", p->type->name);
    if (pointer_address(p, &address) < 0)
        return NULL;
    if (!address)
        return PyErr_Format(PyExc_ValueError, "the %U is NULL and cannot be called", p->type->name);
    PyObject *m = PyImport_ImportModule("headway._memory");
    PyObject *f = m ? PyObject_CallMethod(m, "function_at", "ONO", p->type->target,
                                          PyLong_FromVoidPtr(address), self)
                    : NULL;
    PyObject *r = f ? PyObject_Call(f, args, kwargs) : NULL;
    Py_XDECREF(f);
    Py_XDECREF(m);
    return r;
}

/* ---- the rest ------------------------------------------------------------------------------- */

static int pointer_bool(PyObject *self) { return ((Pointer *)self)->address != NULL; }

static PyObject *pointer_int(PyObject *self)
{
    return PyLong_FromVoidPtr(((Pointer *)self)->address);
}

static PyObject *pointer_compare(PyObject *a, PyObject *b, int op)
{
    if (Py_TYPE(a) != Py_TYPE(b))
        Py_RETURN_NOTIMPLEMENTED;
    uintptr_t x = (uintptr_t)((Pointer *)a)->address, y = (uintptr_t)((Pointer *)b)->address;
    Py_RETURN_RICHCOMPARE(x, y, op);
}

static Py_hash_t pointer_hash(PyObject *self)
{
    Py_hash_t h = (Py_hash_t)((uintptr_t)((Pointer *)self)->address >> 4);
    return h == -1 ? -2 : h;
}

static PyObject *pointer_repr(PyObject *self)
{
    Pointer *p = (Pointer *)self;
    const char *state = atomic_load(&p->status) == HANDLE_FREED ? " freed"
                        : p->release                            ? " owned"
                                                                : "";
    if (!p->address)
        return PyUnicode_FromFormat("<%U NULL>", p->type->name);
    return PyUnicode_FromFormat("<%U %p%s>", p->type->name, p->address, state);
}

static PyObject *get_owned(PyObject *self, void *closure)
{
    (void)closure;
    Pointer *p = (Pointer *)self;
    return PyBool_FromLong(p->release && atomic_load(&p->status) == HANDLE_LIVE);
}

static PyObject *get_closed(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(atomic_load(&((Pointer *)self)->status) == HANDLE_FREED);
}

static PyMemberDef members[] = {
    {"__ctype__", T_OBJECT, offsetof(Pointer, type), READONLY, "The headway.CType."},
    {"__owner__", T_OBJECT, offsetof(Pointer, owner), READONLY, "What it points into, or None."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Pointer, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"owned", get_owned, NULL, "True while Python has to free it.", NULL},
    {"closed", get_closed, NULL, "True once it was freed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"close", close_method, METH_NOARGS, "Frees an owned handle now; again does nothing."},
    {"__enter__", enter, METH_NOARGS, NULL},
    {"__exit__", leave, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, pointer_dealloc},
    {Py_tp_finalize, pointer_finalize},
    {Py_tp_traverse, pointer_traverse},
    {Py_tp_clear, pointer_clear},
    {Py_tp_getattro, pointer_getattro},
    {Py_tp_setattro, pointer_setattro},
    {Py_tp_call, pointer_call},
    {Py_tp_repr, pointer_repr},
    {Py_tp_richcompare, pointer_compare},
    {Py_tp_hash, pointer_hash},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, getset},
    {Py_nb_add, pointer_add},
    {Py_nb_subtract, pointer_subtract},
    {Py_nb_bool, pointer_bool},
    {Py_nb_int, pointer_int},
    {Py_mp_subscript, pointer_subscript},
    {Py_mp_ass_subscript, pointer_ass_subscript},
    {Py_tp_doc, "A typed C pointer, or a handle that is freed once."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "headway.Pointer",
    .basicsize = sizeof(Pointer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int pointer_add_type(PyObject *module, State *state)
{
    state->pointer_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return state->pointer_type ? PyModule_AddType(module, state->pointer_type) : -1;
}
