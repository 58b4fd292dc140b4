/* SPDX-License-Identifier: MIT */
/*
 * What keeps memory alive, and what memory keeps alive.
 *
 * An object that looks into memory refers to its owner: a Value that allocated it, a handle, or a
 * pointer or view that in turn refers to one. Along these references a use finds out whether a
 * handle was freed, a call counts itself in, and a pointer that is stored puts what it points into
 * where it lives as long as the memory.
 */
#include "core.h"

#include <string.h>

/* ---- the owners ----------------------------------------------------------------------------- */

int memory_alive(State *state, PyObject *object)
{
    while (object) {
        if (pointer_check(state, object)) {
            Pointer *p = (Pointer *)object;
            if (atomic_load(&p->status) != HANDLE_LIVE) {
                pointer_freed(p);
                return -1;
            }
            object = p->owner;
        } else if (value_check(state, object)) {
            object = ((Value *)object)->owner;
        } else {
            break;
        }
    }
    return 0;
}

PyObject *memory_root(State *state, PyObject *object)
{
    for (;;) {
        if (object && value_check(state, object)) {
            Value *v = (Value *)object;
            if (!v->owner)
                return object;
            object = v->owner;
        } else if (object && pointer_check(state, object)) {
            Pointer *p = (Pointer *)object;
            if (p->release || p->kept)
                return object;
            object = p->owner;
        } else {
            return object;
        }
    }
}

void memory_use(State *state, PyObject *object, int by)
{
    while (object) {
        if (pointer_check(state, object)) {
            Pointer *p = (Pointer *)object;
            atomic_fetch_add(&p->users, by);
            object = p->owner;
        } else if (value_check(state, object)) {
            object = ((Value *)object)->owner;
        } else {
            break;
        }
    }
}

/* ---- keeping what is pointed to ------------------------------------------------------------- */

/* The object whose life is the memory's, and the place for its dict; NULL where there is none. */
static PyObject **keeper(State *state, PyObject *owner)
{
    while (owner) {
        if (value_check(state, owner)) {
            Value *v = (Value *)owner;
            if (!v->owner)
                return &v->keep;
            owner = v->owner;
        } else if (pointer_check(state, owner)) {
            Pointer *p = (Pointer *)owner;
            if (!p->owner || p->release)
                return &p->kept;
            owner = p->owner;
        } else {
            return NULL;
        }
    }
    return NULL;
}

/* A pointer is known by its address; a struct or array that was copied there, by its size as well,
 * so that storing its first pointer anew does not let go of what the others point into. */
static PyObject *keep_key(const void *at, size_t size)
{
    PyObject *address = PyLong_FromVoidPtr((void *)(uintptr_t)at);
    PyObject *key = !address || size == sizeof(void *)
                        ? Py_XNewRef(address)
                        : Py_BuildValue("On", address, (Py_ssize_t)size);
    Py_XDECREF(address);
    return key;
}

int memory_keep(PyObject *owner, const void *at, size_t size, Keep *keep)
{
    State *state = state_of_type(Py_TYPE(owner));
    PyObject **dict = keeper(state, owner);
    if (!dict) {
        if (!keep->n)
            return 0;
        PyErr_Format(PyExc_TypeError,
                     "the memory belongs to a %s, which cannot keep what the "
                     "pointer points into alive",
                     Py_TYPE(owner)->tp_name);
        return -1;
    }
    if (!keep->n && !*dict)
        return 0;
    if (!get_once(dict) && set_once(dict, PyDict_New()) < 0)
        return -1;
    PyObject *key = keep_key(at, size);
    PyObject *kept = key ? PyTuple_New(keep->n) : NULL;
    int r = -1;
    if (kept) {
        for (Py_ssize_t i = 0; i < keep->n; i++)
            PyTuple_SET_ITEM(kept, i, Py_NewRef(keep->objects[i]));
        r = PyDict_SetItem(*dict, key, kept);
    }
    Py_XDECREF(kept);
    Py_XDECREF(key);
    return r;
}

bool memory_room(State *state, PyObject *owner, const void *at, size_t *before, size_t *after)
{
    while (owner && !(value_check(state, owner) && !((Value *)owner)->owner)) {
        if (value_check(state, owner))
            owner = ((Value *)owner)->owner;
        else if (pointer_check(state, owner) && !((Pointer *)owner)->elsewhere)
            owner = ((Pointer *)owner)->owner;
        else
            return false;
    }
    Value *block = (Value *)owner;
    if (!block || (uintptr_t)at < (uintptr_t)block->data ||
        (uintptr_t)at - (uintptr_t)block->data > block->size)
        return false;
    *before = (uintptr_t)at - (uintptr_t)block->data;
    *after = block->size - *before;
    return true;
}

bool memory_holds_pointers(const hw_type *t)
{
    while (t->kind == HW_ARRAY)
        t = t->target;
    for (size_t i = 0; (t->kind == HW_STRUCT || t->kind == HW_UNION) && i < t->count; i++)
        if (memory_holds_pointers(t->fields[i].type))
            return true;
    return t->kind == HW_POINTER;
}

/* By way of a copy, so that the memory stays as it was where something fails. */
int memory_store(CType *type, void *to, PyObject *owner, PyObject *value, const Site *site,
                 PyObject *spec)
{
    if (hw_kind_is_arithmetic(type->c.kind))
        return convert_to_c(type, to, value, site, NULL, NULL);
    _Alignas(16) unsigned char few[256];
    size_t size = type->c.size;
    unsigned char *copy = size > sizeof(few) ? PyMem_Malloc(size) : few;
    if (!copy) {
        PyErr_NoMemory();
        return -1;
    }
    Keep keep;
    keep_init(&keep);
    int r = convert_to_c(type, copy, value, site, &keep, spec);
    if (r == 0 && memory_holds_pointers(&type->c))
        r = memory_keep(owner, to, size, &keep);
    if (r == 0)
        memcpy(to, copy, size);
    keep_fini(&keep);
    if (copy != few)
        PyMem_Free(copy);
    return r;
}
