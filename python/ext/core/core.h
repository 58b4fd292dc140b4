/* SPDX-License-Identifier: MIT */
/*
 * The insides of _core: its objects and what they say to each other.
 *
 * Who guards what:
 *
 *   field                        rule
 *   State                        written while the module is made; numpy, errors: set once, any
 *                                number of threads may set the same value
 *   CType                        complete() happens before the type is shared; immutable after,
 *                                but for dtype (set once)
 *   Function                     immutable after it is made, but for ufunc (set once)
 *   Value.keep, Pointer.kept     set once (set_once), a dict from then on
 *   Pointer's family             the mutex in pointer.c, which is never held while Python runs
 *   Pointer.status, users        atomic: a call counts itself in and then looks at the status, who
 *                                frees sets the status and then looks at the count
 *   Frame                        its own thread
 *   Callback                     immutable until buried, but for last (exchanged); alive is atomic
 */
#ifndef HEADWAY_EXT_CORE_H
#define HEADWAY_EXT_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdatomic.h>

#include "../hooks.h"
#include "headway/call.h"
#include "headway/type.h"

#if defined(__GNUC__)
#define HW_COLD __attribute__((cold, noinline))
#define HW_LIKELY(x) __builtin_expect(!!(x), 1)
#else
#define HW_COLD
#define HW_LIKELY(x) (x)
#endif

/* A reference that is set once and read by any thread. set_once steals `made`; where another thread
 * was first, its object stays. -1 where `made` is NULL. */
static inline PyObject *get_once(PyObject **slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static inline int set_once(PyObject **slot, PyObject *made)
{
    PyObject *none = NULL;
    if (!made)
        return -1;
    if (!__atomic_compare_exchange_n(slot, &none, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        Py_DECREF(made);
    return 0;
}

typedef struct CType CType;
typedef struct Value Value;
typedef struct Pointer Pointer;
typedef struct Function Function;
typedef struct Callback Callback;
typedef struct Library Library;

/* ---- the module ----------------------------------------------------------------------------- */

/* Objects alive, by type: leaks show in tests. */
enum {
    LIVE_CTYPE,
    LIVE_VALUE,
    LIVE_POINTER,
    LIVE_FUNCTION,
    LIVE_CALLBACK,
    LIVE_LIBRARY,
    LIVE_TYPES
};

#define GRAVES 64

typedef struct State {
    PyTypeObject *ctype_type, *value_type, *pointer_type, *function_type, *callback_type,
        *library_type;
    CType *arithmetic[HW_CLDOUBLE + 1]; /* by hw_kind; HW_VOID too */
    CType *pointer_to_void;
    PyObject *null;              /* headway.NULL */
    PyObject *errors;            /* headway._errors, imported when first needed */
    const hw_numpy_hooks *numpy; /* NULL until _numpy is loaded */
    PyInterpreterState *interpreter;
    atomic_long live[LIVE_TYPES];
    struct Alive *alive;
    PyObject *graves[GRAVES]; /* callbacks whose call is over, see callback_bury; a ring */
    unsigned next_grave;
} State;

extern PyModuleDef core_module;

static inline State *state_of_type(PyTypeObject *type) { return PyType_GetModuleState(type); }

/* Outlives the interpreter, for callbacks that C kept: false once Python is going away. */
typedef struct Alive {
    atomic_int references;
    atomic_bool yes;
} Alive;
void alive_release(Alive *alive);

/* Sets an exception of a class of headway._errors. Returns NULL. */
PyObject *raise_named(State *state, const char *class_name, const char *format, ...);
/* Sets the exception that an hw_error means. */
void raise_status(State *state, const hw_error *err);
/* The hooks, loading _numpy where NumPy is imported already (or `force`). NULL without exception
 * where NumPy is not there and force is false. */
const hw_numpy_hooks *numpy_hooks(State *state, bool force);

/* hw_core_api.interrupted */
bool core_interrupted(PyThreadState **saved);

/* ---- one call in progress, per thread ------------------------------------------------------- */

typedef hw_frame Frame; /* hooks.h */

typedef struct Thread {
    Frame *top;
    int *errno_here;
    int saved_errno;
#if PY_VERSION_HEX < 0x030C0000
    PyThreadState *attached; /* this thread's, as of the last callback it made or general call */
#endif
    unsigned threads; /* hw.threads(n) in force on this thread; 0: the pool's number */
} Thread;

extern _Thread_local Thread hw_thread __attribute__((tls_model("initial-exec")));

/* Notes this thread's state, with the GIL; 3.11 has no other way to know it in a sub-interpreter.
 */
static inline void thread_attached(void)
{
#if PY_VERSION_HEX < 0x030C0000
    hw_thread.attached = _PyThreadState_UncheckedGet();
#endif
}

/* ---- C types -------------------------------------------------------------------------------- */

typedef struct Member { /* a field as Python sees it, anonymous structs dissolved */
    CType *type;
    size_t offset;
    int bit_offset, bit_width;
} Member;

struct CType {
    PyObject_HEAD hw_type c; /* first after the head: see ctype_of */
    State *state;
    PyObject *name;
    CType *target;    /* pointee, element, result */
    PyObject *types;  /* tuple: the fields' or parameters' CTypes; NULL for other kinds */
    PyObject *names;  /* tuple: the fields' names */
    PyObject *lookup; /* dict: name -> index into members */
    Member *members;
    Py_ssize_t n_members;
    hw_field *fields;
    const hw_type **params;
    PyObject *enum_class; /* an enum's IntEnum */
    PyObject *dtype;
    PyObject *callbacks; /* dict: field name -> _model.Callback, for annotated fields; NULL */
    PyObject *weakrefs;
};

static inline CType *ctype_of(const hw_type *type)
{
    return (CType *)((char *)(uintptr_t)type - offsetof(CType, c));
}

int ctype_add_types(PyObject *module, State *state);
CType *ctype_pointer_to(CType *target, bool target_const, PyObject *name);

static inline bool ctype_check(State *s, PyObject *o) { return Py_TYPE(o) == s->ctype_type; }
/* The size of one object of this type, -1 and TypeError where it has none. */
Py_ssize_t ctype_size(CType *type);
/* The dtype of a struct or arithmetic type; new reference. */
PyObject *ctype_dtype(CType *type);

/* ---- conversion ----------------------------------------------------------------------------- */

/* Where a value goes, for messages; all nullable. */
typedef struct Site {
    PyObject *function;  /* str */
    PyObject *parameter; /* str */
    Py_ssize_t position; /* from 1; 0: a field, an element, a callback's result */
    const char *ctype;
} Site;

/* Raises `exception` with "f() argument 2 (y, double): " before the message. Returns -1. */
int site_error(const Site *site, PyObject *exception, const char *format, ...);

/* What a conversion made and the call must let go of afterwards. */
typedef struct Keep {
    PyObject **objects; /* owned references */
    Py_ssize_t n, capacity;
    bool arguments_live; /* Python values outlive what is made of them: only new objects are kept */
    PyObject *inline_objects[8];
} Keep;
void keep_init(Keep *keep);
void keep_fini(Keep *keep);
/* keep_fini after a call: callbacks that nothing else keeps are buried. */
void keep_end(Keep *keep, State *state);
int keep_add(Keep *keep, PyObject *object); /* steals; -1 where object is NULL or memory is short */

/*
 * Writes a Python value as C lays it out (size bytes at `to`). What the C value points into is
 * added to `keep`. 0, or -1 and an exception.
 */
int convert_to_c(CType *type, void *to, PyObject *value, const Site *site, Keep *keep,
                 PyObject *callback_spec);
/* The same into a call's slot: integers and pointers widened to 8 bytes. */
int convert_to_slot(CType *type, void *slot, PyObject *value, const Site *site, Keep *keep,
                    PyObject *callback_spec, bool nullable);
/* A pointer parameter alone. */
int convert_pointer(CType *type, void **to, PyObject *value, const Site *site, Keep *keep,
                    PyObject *callback_spec, bool nullable);

/* Reads what lies in memory. Structs and arrays become views that keep `owner` alive (or a copy,
 * where owner is NULL); `received`: the value came from a call, so char * is a string. */
PyObject *convert_from_c(CType *type, const void *from, PyObject *owner, bool received);
/* The same from a result or callback slot, where integers are widened. */
PyObject *convert_from_value(CType *type, const hw_value *value);
PyObject *string_from_c(const char *s);

/* Fast reads of exact floats and small ints. False: take the long way. */
static inline bool fast_double(PyObject *o, double *out)
{
    if (HW_LIKELY(PyFloat_CheckExact(o))) {
        *out = PyFloat_AS_DOUBLE(o);
        return true;
    }
    return false;
}

static inline bool fast_integer(PyObject *o, int64_t *out)
{
    if (!PyLong_CheckExact(o))
        return false;
#if PY_VERSION_HEX >= 0x030C0000
    if (!PyUnstable_Long_IsCompact((PyLongObject *)o))
        return false;
    *out = PyUnstable_Long_CompactValue((PyLongObject *)o);
    return true;
#else
    Py_ssize_t size = Py_SIZE(o);
    if (size < -1 || size > 1)
        return false;
    *out = size * (int64_t)((PyLongObject *)o)->ob_digit[0];
    return true;
#endif
}

/* ---- memory --------------------------------------------------------------------------------- */

/* A struct, union or array in C memory: its own, or a view into an owner's. */
struct Value {
    PyObject_HEAD CType *type;
    unsigned char *data;
    size_t size;     /* bytes that may be touched */
    size_t count;    /* elements, for an array (a flexible one's real length) */
    PyObject *owner; /* NULL: data is this object's own allocation */
    PyObject *keep;  /* dict: address -> objects that stored pointers point into; on the owner */
    PyObject *weakrefs;
};

int value_add_type(PyObject *module, State *state);
static inline bool value_check(State *s, PyObject *o) { return Py_TYPE(o) == s->value_type; }
Value *value_new(CType *type, size_t size, size_t count); /* zeroed */
Value *value_view(CType *type, void *data, PyObject *owner);
/* Initialises from keywords, a sequence, a mapping, a string or another value. -1 on error. */
int value_initialise(Value *value, PyObject *init, PyObject *kwargs);
/* Keeps what was stored in these bytes points into alive as long as the memory, or until something
 * else is stored in the same place. */
int memory_keep(PyObject *owner, const void *at, size_t size, Keep *keep);
bool memory_holds_pointers(const hw_type *type);
/* The bytes before and after this address in its block, where Python owns the block; else false. */
bool memory_room(State *state, PyObject *owner, const void *at, size_t *before, size_t *after);
/* Writes a value of `type` at `to`, in memory of `owner`, and keeps what it points into. */
int memory_store(CType *type, void *to, PyObject *owner, PyObject *value, const Site *site,
                 PyObject *callback_spec);
/* Field access shared by values and pointers to structs. `owner` holds `data`. */
PyObject *member_get(CType *type, void *data, PyObject *owner, PyObject *name);
int member_set(CType *type, void *data, PyObject *owner, PyObject *name, PyObject *value);

/* ---- pointers and handles ------------------------------------------------------------------- */

enum { HANDLE_LIVE, HANDLE_FREED };

struct Pointer {
    PyObject_HEAD CType *type;
    void *address;
    PyObject *owner;   /* what the address points into, or the parent handle; nullable */
    Function *release; /* an owned handle: what frees it; NULL: not owned */
    PyObject *kept;    /* dict: address -> objects kept alive for pointers stored there; nullable */
    Pointer *parent, *first_child, *next, *previous; /* handles that go before this one; borrowed */
    bool elsewhere; /* read from the owner's memory: it may point into any that this keeps */
    atomic_int status;
    atomic_int users; /* calls in progress with the handle or memory of it, and buffers of that */
    PyObject *weakrefs;
};

int pointer_add_type(PyObject *module, State *state);
static inline bool pointer_check(State *s, PyObject *o) { return Py_TYPE(o) == s->pointer_type; }
PyObject *pointer_new(CType *type, void *address, PyObject *owner);
/* Makes the pointer an owned handle, which `parent` (nullable) outlives. */
int pointer_own(Pointer *p, Function *release, PyObject *parent);
/* The address, or -1 and UseAfterFreeError. */
int pointer_address(Pointer *p, void **address);
/* Takes the right to free: the handle is freed from here on. -1 and an exception where it is freed
 * already or in use by a call. Live children are freed first. */
int pointer_take(Pointer *p);
void pointer_give_back(Pointer *p);  /* the freeing call failed */
PyObject *pointer_freed(Pointer *p); /* raises UseAfterFreeError; NULL */
void pointer_forget(Pointer *p);     /* the freeing call succeeded: lets go of what was kept */

/* Memory, and every handle it belongs to: -1 and UseAfterFreeError where one of them is freed. */
int memory_alive(State *state, PyObject *object);
/* What has to live for what a pointer read from the object's memory points to: the object that owns
 * the memory, or keeps something for it. Borrowed; NULL where Python has no part in it. A walk
 * along a linked list would else hold every node it passed. */
PyObject *memory_root(State *state, PyObject *object);
/* Counts a call that was given the object in (1) or out (-1). Before the address is read. */
void memory_use(State *state, PyObject *object, int by);

/* ---- functions ------------------------------------------------------------------------------ */

/* What a parameter needs, decided once. */
typedef struct Param {
    CType *type;          /* the C parameter's; borrowed from the function type */
    CType *element;       /* pointee, for pointers; else NULL */
    hw_kind element_kind; /* at the bottom of the pointee, where it is arithmetic; else HW_VOID */
    PyObject *name;       /* borrowed from the binding */
    PyObject *callback;   /* _model.Callback, or NULL; borrowed */
    Function *owned;      /* borrowed */
    const char *spelling;
    uint8_t role;  /* Role */
    int8_t n_dims; /* of a sized array; -1: not one */
    int8_t dims[HW_MAX_CORE];
    int16_t length;  /* parameter that says how much was written; -1 result, -2 none */
    int16_t keeps;   /* -1: none */
    int16_t kept_by; /* the parameter whose handle keeps the callback; -1: none */
    bool nullable, as_bytes, borrowed, error;
} Param;

#define RESULT_OUTPUT 255

enum { ROLE_IN, ROLE_OUT, ROLE_INOUT, ROLE_SIZE, ROLE_CONTEXT };

typedef struct Dim {
    PyObject *name; /* borrowed */
    int16_t param;  /* -1: none */
    int64_t fixed;  /* -1: none */
    uint8_t n_postfix;
    hw_size_step *postfix; /* an expression; NULL: none */
} Dim;

struct Function {
    PyObject_HEAD vectorcallfunc vectorcall;
    hw_fn fn;
    State *state;
    hw_plan plan;
    CType *type;
    Param *params;
    int n_params;
    int n_args;    /* inputs, by position */
    uint8_t *args; /* parameter of input k */
    int n_outs;    /* outputs that may be given after the inputs */
    uint8_t *outs; /* their parameters; RESULT_OUTPUT: the return value, of a mapped call */
    int n_dims;
    Dim *dims;
    CType *result;
    PyObject *status, *on_status; /* borrowed from the binding; NULL: none */
    Function *result_owned;       /* borrowed */
    int16_t result_keeps;
    int16_t consumes;   /* -1: none */
    int16_t split;      /* -1: none */
    bool simple;        /* every parameter is a plain IN without dims */
    bool takes_handles; /* a parameter is a pointer that a handle may be given for */
    bool release_gil;
    bool variadic;
    bool result_as_bytes;
    bool result_is_text; /* char *: a string or None */
    bool silent;         /* a status that says nothing on success */
    bool libffi;         /* called through libffi even where registers would do: for tests */
    void *lock;          /* pthread_mutex_t, for the life of the process */
    hw_mapping *mapping;
    hw_loop_call loop_call;
    hw_loop_param *loop_params;
    PyObject *name, *module, *binding, *library, *ufunc;
    PyObject *weakrefs;
};

int function_add_type(PyObject *module, State *state);
static inline bool function_check(State *s, PyObject *o) { return Py_TYPE(o) == s->function_type; }
PyObject *function_ufunc(Function *f); /* new reference */
/* Chooses the entry point (call.c). */
vectorcallfunc call_choose(const Function *f);
/* Calls a function of one handle, from a destructor: no arguments converted, result ignored. */
void call_release(Function *f, void *address);

/* ---- callbacks ------------------------------------------------------------------------------ */

int callback_add_type(PyObject *module, State *state);
/* A C function pointer of the given function type that calls `callable`; the object returned keeps
 * it alive. `spec` is a _model.Callback or NULL. */
/* Steals a callback whose call is over. Where nothing else keeps it, it lets go of its callable,
 * and its code stays valid for a while: C that kept the pointer gets an exception, not a crash. */
void callback_bury(State *state, PyObject *callback);
PyObject *callback_new(CType *function, PyObject *callable, PyObject *spec, hw_fn *code);

/* ---- libraries ------------------------------------------------------------------------------ */

int library_add_type(PyObject *module, State *state);

#endif
