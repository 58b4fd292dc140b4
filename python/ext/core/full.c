/* SPDX-License-Identifier: MIT */
/*
 * The call that handles everything: keywords, sized arrays, outputs, sizes, status, ownership,
 * variadic arguments, locks, work split over the cores.
 *
 * gather -> (map) -> convert -> run -> results. What was made is let go of in one place, at the end
 * of call_full.
 */
#include <pthread.h>

#include "call.h"

#define FEW 16 /* parameters whose locals live on the stack */

/* ---- gathering arguments -------------------------------------------------------------------- */

/* What a call was given beside its inputs. */
typedef struct Extra {
    PyObject *const *variadic; /* arguments after the last parameter */
    Py_ssize_t n_variadic;
    PyObject *out;        /* the keyword out= */
    PyObject *result_out; /* where a mapped call writes the return values */
    bool ufunc_keywords;  /* axis=, where=, ...: a mapped call */
    bool outs_given;
} Extra;

/* For messages; the string lives as long as the binding. */
static const char *prototype_of(const Function *f)
{
    PyObject *prototype = PyObject_GetAttrString(f->binding, "prototype");
    const char *text = prototype && PyUnicode_Check(prototype) ? PyUnicode_AsUTF8(prototype) : NULL;
    Py_XDECREF(prototype);
    PyErr_Clear();
    return text ? text : "?";
}

static int find_parameter(const Function *f, PyObject *name)
{
    for (int i = 0; i < f->n_params; i++)
        if (PyUnicode_Compare(f->params[i].name, name) == 0)
            return i;
    return -1;
}

static bool is_ufunc_keyword(PyObject *name)
{
    static const char *const names[] = {"axis",  "axes",  "keepdims", "where",    "casting",
                                        "order", "dtype", "subok",    "signature"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (PyUnicode_CompareWithASCIIString(name, names[i]) == 0)
            return true;
    return false;
}

static int gather_keyword(Call *c, PyObject *name, PyObject *value, Extra *extra)
{
    Function *f = c->f;
    int i = find_parameter(f, name);
    if (i >= 0 && f->params[i].role != ROLE_CONTEXT) {
        if (c->locals[i].given) {
            PyErr_Format(PyExc_TypeError, "%U() got argument %U twice", f->name, name);
            return -1;
        }
        if (f->params[i].role == ROLE_OUT && value == Py_None)
            return 0; /* as if it were not there */
        c->locals[i].given = value;
        extra->outs_given |= f->params[i].role == ROLE_OUT;
        return 0;
    }
    if (PyUnicode_CompareWithASCIIString(name, "out") == 0) {
        extra->out = value == Py_None ? NULL : value;
        return 0;
    }
    if (f->mapping && is_ufunc_keyword(name)) {
        extra->ufunc_keywords = true;
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%U() has no parameter %U; its prototype is: %s", f->name, name,
                 prototype_of(f));
    return -1;
}

static void give_output(Call *c, int k, PyObject *o, Py_ssize_t position, Extra *extra)
{
    uint8_t param = c->f->outs[k];
    if (o == Py_None)
        return;
    extra->outs_given = true;
    if (param == RESULT_OUTPUT) {
        extra->result_out = o;
        return;
    }
    c->locals[param].given = o;
    c->locals[param].position = position;
}

static int gather_out(Call *c, Extra *extra)
{
    Function *f = c->f;
    PyObject *out = extra->out;
    bool many = PyTuple_Check(out);
    Py_ssize_t n = many ? PyTuple_GET_SIZE(out) : 1;
    if (n != f->n_outs) {
        PyErr_Format(PyExc_TypeError, "%U() has %d array output%s, out= gives %zd", f->name,
                     f->n_outs, f->n_outs == 1 ? "" : "s", n);
        return -1;
    }
    for (int k = 0; k < f->n_outs; k++)
        give_output(c, k, many ? PyTuple_GET_ITEM(out, k) : out, 0, extra);
    return 0;
}

static HW_COLD int wrong_count(const Function *f, Py_ssize_t n)
{
    PyObject *signature = PyObject_GetAttrString((PyObject *)f, "__signature__");
    if (signature)
        PyErr_Format(PyExc_TypeError,
                     "%U() takes %d argument%s%s, got %zd; it is called as %U%S, C's prototype is "
                     "%s",
                     f->name, f->n_args, f->n_args == 1 ? "" : "s", f->variadic ? " or more" : "",
                     n, f->name, signature, prototype_of(f));
    Py_XDECREF(signature);
    return -1;
}

static int gather(Call *c, PyObject *const *args, Py_ssize_t n, PyObject *kwnames, Extra *extra)
{
    Function *f = c->f;
    Py_ssize_t inputs = n < f->n_args ? n : f->n_args;
    for (Py_ssize_t k = 0; k < inputs; k++) {
        c->locals[f->args[k]].given = args[k];
        c->locals[f->args[k]].position = k + 1;
    }
    if (f->variadic) {
        extra->variadic = args + inputs;
        extra->n_variadic = n - inputs;
    } else if (n > f->n_args + f->n_outs) {
        return wrong_count(f, n);
    } else {
        for (Py_ssize_t k = inputs; k < n; k++)
            give_output(c, (int)(k - inputs), args[k], k + 1, extra);
    }
    Py_ssize_t n_keywords = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t k = 0; k < n_keywords; k++)
        if (gather_keyword(c, PyTuple_GET_ITEM(kwnames, k), args[n + k], extra) < 0)
            return -1;
    if (extra->out && gather_out(c, extra) < 0)
        return -1;
    for (int k = 0; k < f->n_args; k++)
        if (!c->locals[f->args[k]].given) {
            if (!n_keywords)
                return wrong_count(f, n);
            PyErr_Format(PyExc_TypeError, "%U() is missing the argument %U", f->name,
                         f->params[f->args[k]].name);
            return -1;
        }
    return 0;
}

/* ---- mapped calls --------------------------------------------------------------------------- */

static bool must_map(const Call *c, const Extra *extra)
{
    const Function *f = c->f;
    const hw_mapping *m = f->mapping;
    if (!m)
        return false;
    if (extra->ufunc_keywords || extra->result_out || (extra->outs_given && m->n_dims == 0))
        return true;
    for (int i = 0; i < f->n_params; i++) {
        PyObject *given = c->locals[i].given;
        if (!given)
            continue;
        const Param *p = &f->params[i];
        bool sized = p->n_dims >= 0;
        if (p->role == ROLE_INOUT && (sized || call_wants_map(f, given)))
            return true;
        if (sized ? !call_direct(f, i, given) : p->role == ROLE_IN && call_wants_map(f, given))
            return true;
    }
    return false;
}

/* A mapped call takes its sizes from the arrays: one that is given would not be looked at. */
static int refuse_sizes(const Call *c)
{
    for (int i = 0; i < c->f->n_params; i++)
        if (c->f->params[i].role == ROLE_SIZE && c->locals[i].given) {
            PyErr_Format(PyExc_TypeError,
                         "%U(): size %U comes from the arrays where a call maps; leave it out, or "
                         "give the output as out=",
                         c->f->name, c->f->params[i].name);
            return -1;
        }
    return 0;
}

/* Hands the call to NumPy's side: inputs in order, outputs and ufunc keywords as keywords. */
static PyObject *map(Call *c, PyObject *const *args, Py_ssize_t n, PyObject *kwnames,
                     const Extra *extra)
{
    Function *f = c->f;
    const hw_numpy_hooks *numpy = numpy_hooks(f->state, true);
    Py_ssize_t n_keywords = kwnames ? PyTuple_GET_SIZE(kwnames) : 0, k = 0;
    PyObject *values[HW_MAX_OPERANDS + 16], *names = NULL, *outs = NULL, *r = NULL;
    for (int a = 0; a < f->n_args; a++)
        values[k++] = c->locals[f->args[a]].given;
    PyObject *keywords = PyList_New(0);
    if (!numpy || !keywords)
        goto done;
    if (extra->outs_given) {
        if (!(outs = PyTuple_New(f->n_outs)))
            goto done;
        for (int o = 0; o < f->n_outs; o++) {
            PyObject *given =
                f->outs[o] == RESULT_OUTPUT ? extra->result_out : c->locals[f->outs[o]].given;
            PyTuple_SET_ITEM(outs, o, Py_NewRef(given ? given : Py_None));
        }
    }
    if (outs) {
        PyObject *name = PyUnicode_InternFromString("out");
        int failed = !name || PyList_Append(keywords, name) < 0;
        Py_XDECREF(name);
        if (failed)
            goto done;
        values[k++] = outs;
    }
    for (Py_ssize_t w = 0; w < n_keywords && k < HW_MAX_OPERANDS + 16; w++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, w);
        if (!is_ufunc_keyword(name))
            continue;
        if (PyList_Append(keywords, name) < 0)
            goto done;
        values[k++] = args[n + w];
    }
    names = PyList_AsTuple(keywords);
    if (names)
        r = numpy->map((PyObject *)f, f->mapping, values, f->n_args,
                       PyTuple_GET_SIZE(names) ? names : NULL);
done:
    Py_XDECREF(names);
    Py_XDECREF(keywords);
    Py_XDECREF(outs);
    return r;
}

/* ---- converting ----------------------------------------------------------------------------- */

static void *slot_of(const Call *c, const hw_plan *plan, int param)
{
    return c->frame + plan->slots[param].offset;
}

/* A number given for a pointer that is read and written: passed by the address of a copy. */
static int convert_inout(Call *c, int i, void **to)
{
    const Param *p = &c->f->params[i];
    Local *local = &c->locals[i];
    Site site = site_of(c->f, i, local->position);
    PyObject *o = local->given;
    bool plain = PyFloat_Check(o) || PyLong_Check(o) || PyComplex_Check(o);
    bool number = p->element && hw_kind_is_arithmetic(p->element->c.kind) &&
                  (plain || (PyNumber_Check(o) && !PyObject_CheckBuffer(o) &&
                             !pointer_check(c->f->state, o)));
    if (!number)
        return convert_pointer(p->type, to, local->given, &site, &c->keep, p->callback,
                               p->nullable);
    local->by_value = true;
    *to = &local->value;
    return convert_to_c(p->element, &local->value, local->given, &site, &c->keep, NULL);
}

static int convert_input(Call *c, const hw_plan *plan, int i)
{
    const Param *p = &c->f->params[i];
    void *slot = slot_of(c, plan, i);
    PyObject *given = c->locals[i].given;
    Site site = site_of(c->f, i, c->locals[i].position);
    if (p->element) { /* a handle that is to be freed must not be in use, but what it depends on */
        bool taken = i == c->f->consumes && pointer_check(c->f->state, given);
        c->locals[i].user = taken ? ((Pointer *)given)->owner : given;
        memory_use(c->f->state, c->locals[i].user, 1);
    }
    if (p->n_dims >= 0)
        return call_array(c, i, slot);
    if (p->role == ROLE_INOUT)
        return convert_inout(c, i, slot);
    Py_ssize_t made = c->keep.n;
    if (convert_to_slot(p->type, slot, given, &site, &c->keep, p->callback, p->nullable) < 0)
        return -1;
    if (p->kept_by < 0)
        return 0;
    c->locals[i].callback = c->keep.n > made ? c->keep.objects[made] : given;
    PyObject *holder = c->locals[p->kept_by].given;
    if (!holder || pointer_check(c->f->state, holder) || value_check(c->f->state, holder))
        return 0;
    return site_error(&site, PyExc_TypeError,
                      "it lives as long as %U, for which a %s was given: that cannot hold it",
                      c->f->params[p->kept_by].name, Py_TYPE(holder)->tp_name);
}

static int given_size(Call *c, int dim)
{
    int i = c->f->dims[dim].param;
    PyObject *given = i >= 0 ? c->locals[i].given : NULL;
    if (!given)
        return 0;
    Py_ssize_t n = PyNumber_AsSsize_t(given, PyExc_OverflowError);
    if (n == -1 && PyErr_Occurred())
        return -1;
    if (n < 0) {
        PyErr_Format(PyExc_ValueError, "%U(): size %U is negative: %zd", c->f->name,
                     c->f->dims[dim].name, n);
        return -1;
    }
    return call_set_size(c, dim, n, i);
}

/* Hands a size to the parameter that carries it, by value or by address. */
static int put_size(Call *c, const hw_plan *plan, int dim)
{
    int i = c->f->dims[dim].param;
    if (i < 0 || c->f->params[i].role != ROLE_SIZE)
        return 0;
    const Param *p = &c->f->params[i];
    PyObject *n = PyLong_FromLongLong(c->sizes[dim]);
    if (!n)
        return -1;
    Site site = site_of(c->f, i, 0);
    int r;
    if (p->element) {
        c->locals[i].by_value = true;
        r = convert_to_c(p->element, &c->locals[i].value, n, &site, &c->keep, NULL);
        *(void **)slot_of(c, plan, i) = &c->locals[i].value;
    } else {
        r = convert_to_slot(p->type, slot_of(c, plan, i), n, &site, &c->keep, NULL, false);
    }
    Py_DECREF(n);
    return r;
}

static int convert(Call *c, const hw_plan *plan)
{
    Function *f = c->f;
    for (int d = 0; d < f->n_dims; d++) {
        c->sizes[d] = f->dims[d].fixed;
        c->fixed_by[d] = -1;
        if (given_size(c, d) < 0)
            return -1;
    }
    for (int i = 0; i < f->n_params; i++) {
        uint8_t role = f->params[i].role;
        bool given_output = role == ROLE_OUT && c->locals[i].given;
        if ((role == ROLE_IN || role == ROLE_INOUT || given_output) &&
            convert_input(c, plan, i) < 0)
            return -1;
    }
    if (f->n_dims && (call_finish_sizes(c) < 0 || call_check_room(c) < 0))
        return -1;
    for (int d = 0; d < f->n_dims; d++)
        if (put_size(c, plan, d) < 0)
            return -1;
    for (int i = 0; i < f->n_params; i++)
        if (f->params[i].role == ROLE_OUT && !c->locals[i].given &&
            call_allocate(c, i, slot_of(c, plan, i)) < 0)
            return -1;
    return 0;
}

/* ---- variadic arguments --------------------------------------------------------------------- */

static bool is_number(PyObject *o)
{
    PyNumberMethods *number = Py_TYPE(o)->tp_as_number;
    return number && number->nb_float && !PySequence_Check(o);
}

/* Integers travel as 64 bits, reals as double, text and memory as pointers. */
static CType *variadic_type(State *s, PyObject *o)
{
    if (PyFloat_Check(o))
        return s->arithmetic[HW_DOUBLE];
    if (PyIndex_Check(o) && !PySequence_Check(o)) {
        int overflow = 0;
        PyObject *index = PyNumber_Index(o);
        if (index)
            (void)PyLong_AsLongLongAndOverflow(index, &overflow);
        Py_XDECREF(index);
        PyErr_Clear(); /* it comes again when the value is converted */
        return s->arithmetic[overflow > 0 ? HW_ULLONG : HW_LLONG];
    }
    if (pointer_check(s, o))
        return ((Pointer *)o)->type;
    return is_number(o) ? s->arithmetic[HW_DOUBLE] : s->pointer_to_void;
}

static int variadic_slot(Call *c, void *slot, CType *type, PyObject *o, Py_ssize_t position)
{
    PyObject *name = PyUnicode_FromString("...");
    Site site = {
        .function = c->f->name, .parameter = name, .position = position, .ctype = type->c.name};
    int r;
    if (PyCallable_Check(o) && !function_check(c->f->state, o) && !pointer_check(c->f->state, o)) {
        r = site_error(
            &site, PyExc_TypeError,
            "C does not say what function type is expected among variadic arguments: make "
            "the callback first, module.type_name(function), and hold on to it");
    } else if (PyUnicode_Check(o) || PyBytes_Check(o)) {
        CType *text = ctype_pointer_to(c->f->state->arithmetic[HW_CHAR], true, NULL);
        r = text ? convert_pointer(text, slot, o, &site, &c->keep, NULL, false) : -1;
        if (text && keep_add(&c->keep, (PyObject *)text) < 0)
            r = -1;
    } else {
        r = convert_to_slot(type, slot, o, &site, &c->keep, NULL, false);
    }
    Py_XDECREF(name);
    return r;
}

/* A plan for this call's further arguments. */
static int variadic_plan(Call *c, const Extra *extra, hw_plan *plan)
{
    Function *f = c->f;
    Py_ssize_t n = extra->n_variadic;
    const hw_type **types = PyMem_Calloc((size_t)n + 1, sizeof(hw_type *));
    if (!types) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t k = 0; k < n; k++)
        types[k] = &variadic_type(f->state, extra->variadic[k])->c;
    hw_error err = HW_ERROR_INIT;
    hw_status status = hw_plan_init(plan, &f->type->c, types, (size_t)n, &err);
    PyMem_Free(types);
    if (status != HW_OK)
        raise_status(f->state, &err);
    return status == HW_OK ? 0 : -1;
}

static int variadic_arguments(Call *c, const Extra *extra, const hw_plan *plan)
{
    for (Py_ssize_t k = 0; k < extra->n_variadic; k++) {
        PyObject *o = extra->variadic[k];
        if (variadic_slot(c, slot_of(c, plan, c->f->n_params + (int)k),
                          variadic_type(c->f->state, o), o, c->f->n_args + k + 1) < 0)
            return -1;
    }
    return 0;
}

/* ---- running -------------------------------------------------------------------------------- */

/* A call cut along one size over the cores. */
typedef struct Split {
    const Call *call;
    const hw_plan *plan;
    Frame *frame;
    atomic_int failed;
} Split;

static size_t row_bytes(const Call *c, const Param *p)
{
    const hw_type *t = &p->element->c;
    while (t->kind == HW_ARRAY)
        t = t->target;
    size_t bytes = t->size;
    for (int d = 1; d < p->n_dims; d++)
        bytes *= (size_t)c->sizes[p->dims[d]];
    return bytes;
}

static void split_piece(void *context, size_t begin, size_t end, unsigned worker)
{
    (void)worker;
    Split *s = context;
    const Call *c = s->call;
    const Function *f = c->f;
    _Alignas(16) unsigned char slots[HW_FRAME_INLINE];
    hw_value result;
    memcpy(slots, c->frame, s->plan->frame_size);
    for (int i = 0; i < f->n_params; i++) {
        const Param *p = &f->params[i];
        void *slot = slots + s->plan->slots[i].offset;
        if (p->n_dims >= 1 && p->dims[0] == f->split && *(char **)slot)
            *(char **)slot += begin * row_bytes(c, p);
        if (p->role == ROLE_SIZE && f->dims[f->split].param == i)
            *(int64_t *)slot = (int64_t)(end - begin);
    }
    hw_plan_call(s->plan, f->fn, slots, &result);
}

static bool split_poll(void *context)
{
    Split *s = context;
    return core_interrupted(&s->frame->saved);
}

static bool can_split(const Call *c, const hw_plan *plan)
{
    const Function *f = c->f;
    int size = f->split >= 0 ? f->dims[f->split].param : -1; /* what tells a piece its length */
    return size >= 0 && !f->params[size].element && f->result->c.kind == HW_VOID &&
           plan->frame_size <= HW_FRAME_INLINE && c->sizes[f->split] > 1;
}

/* Runs the C function. The status of a split that was interrupted, else HW_OK. */
static hw_status run(Call *c, const hw_plan *plan, void *result, Frame *frame)
{
    Function *f = c->f;
    hw_status status = HW_OK;
    bool split = can_split(c, plan);
    frame_push(frame, f->state);
    call_let_go(f, frame, f->release_gil || split);
    errno = f->status ? 0 : errno;
    if (split) {
        Split s = {.call = c, .plan = plan, .frame = frame};
        hw_loop loop = {.length = (size_t)c->sizes[f->split],
                        .chunk = 16,
                        .unit = 16,
                        .body = split_piece,
                        .poll = split_poll,
                        .context = &s};
        unsigned threads = hw_thread.threads ? hw_thread.threads : 0;
        status = hw_pool_parallel_for(hw_pool_shared(), &loop, threads);
    } else {
        hw_plan_call(plan, f->fn, c->frame, result);
    }
    call_come_back(f, frame);
    return status;
}

/* ---- results -------------------------------------------------------------------------------- */

/* A string that the caller has to free: copied, then freed. */
static PyObject *take_string(char *s, Function *release)
{
    PyObject *text = string_from_c(s);
    if (s && release) {
        call_release(release, s);
        if (PyErr_Occurred())
            Py_CLEAR(text);
    }
    return text;
}

/* A pointer that came from C: a string, or a pointer that is owned or keeps another alive. */
static PyObject *receive_pointer(Call *c, CType *type, void *address, Function *release, int keeps)
{
    if (type->c.target->kind == HW_CHAR)
        return take_string(address, release);
    PyObject *p = pointer_new(type, address, NULL);
    PyObject *parent = keeps >= 0 && keeps < c->f->n_params ? c->locals[keeps].given : NULL;
    if (p && address && pointer_own((Pointer *)p, release, parent) < 0)
        Py_CLEAR(p);
    return p;
}

static Py_ssize_t written_length(Call *c, const Param *p, const hw_value *result)
{
    hw_value v = *result;
    CType *t = c->f->result;
    if (p->length >= 0) {
        if (!c->locals[p->length].by_value) /* C cannot say more than it was told */
            return PY_SSIZE_T_MAX;
        const Param *from = &c->f->params[p->length];
        v = c->locals[p->length].value;
        t = from->element ? from->element : from->type;
    }
    PyObject *n = p->length >= 0 ? convert_from_c(t, &v, NULL, true) : convert_from_value(t, &v);
    Py_ssize_t length = n ? PyNumber_AsSsize_t(n, NULL) : -1;
    Py_XDECREF(n);
    return length;
}

/* An output array, cut to what was written. */
static PyObject *finish_array(Call *c, int i, const hw_value *result)
{
    const Param *p = &c->f->params[i];
    PyObject *o = c->locals[i].object;
    c->locals[i].object = NULL;
    if (p->length < -1)
        return o;
    Py_ssize_t n = written_length(c, p, result), size = PyObject_Size(o);
    if (PyErr_Occurred()) {
        Py_DECREF(o);
        return NULL;
    }
    c->locals[i].misfit = n < 0 || n > size; /* an error, if the status does not say so first */
    if (n < 0 || n >= size)
        return o;
    if (PyBytes_Check(o)) {
        _PyBytes_Resize(&o, n);
        return o;
    }
    Py_SETREF(o, PySequence_GetSlice(o, 0, n));
    return o;
}

/* The value of parameter i after the call, NULL and no exception where it is no result. */
static PyObject *finish_output(Call *c, int i, const hw_value *result)
{
    const Param *p = &c->f->params[i];
    Local *local = &c->locals[i];
    bool out = p->role == ROLE_OUT || (p->role == ROLE_INOUT && local->by_value);
    if (!out)
        return NULL;
    if (local->by_value && p->element->c.kind == HW_POINTER)
        return receive_pointer(c, p->element, local->value.p, p->owned, p->keeps);
    if (local->by_value)
        return convert_from_c(p->element, &local->value, NULL, true);
    if (local->object)
        return finish_array(c, i, result);
    return Py_NewRef(local->given);
}

static PyObject *finish_result(Call *c, hw_value *result)
{
    Function *f = c->f;
    CType *t = f->result;
    if (t->c.kind == HW_POINTER && (f->result_owned || f->result_keeps >= 0))
        return receive_pointer(c, t, result->p, f->result_owned, f->result_keeps);
    if (f->result_as_bytes && t->c.kind == HW_POINTER && hw_kind_is_byte(t->c.target->kind))
        return result->p ? PyBytes_FromString(result->p) : Py_NewRef(Py_None);
    return convert_from_value(t, result);
}

static void raise_status_error(const Function *f, PyObject *value)
{
    PyObject *m = PyImport_ImportModule("headway._errors");
    PyObject *e = m ? PyObject_CallMethod(m, "StatusError", "OO", value, f->name) : NULL;
    if (e)
        PyErr_SetObject((PyObject *)Py_TYPE(e), e);
    Py_XDECREF(e);
    Py_XDECREF(m);
}

/* Raises what on_status makes of a failing status. */
static void raise_failure(Call *c, PyObject *value, PyObject **outputs)
{
    Function *f = c->f;
    PyObject *known = PyDict_New(), *error = Py_NewRef(Py_None);
    for (int i = 0; known && i < f->n_params; i++) {
        PyObject *o = outputs[i] ? outputs[i] : c->locals[i].given;
        PyObject *key = o ? PyLong_FromLong(i) : NULL;
        if (key && PyDict_SetItem(known, key, o) < 0)
            Py_CLEAR(known);
        Py_XDECREF(key);
        if (f->params[i].error && outputs[i])
            Py_SETREF(error, Py_NewRef(outputs[i]));
    }
    PyObject *e = known && f->on_status
                      ? PyObject_CallFunctionObjArgs(f->on_status, value, known, error, NULL)
                      : NULL;
    if (e)
        PyErr_SetObject((PyObject *)Py_TYPE(e), e);
    else if (!PyErr_Occurred())
        raise_status_error(f, value);
    Py_XDECREF(e);
    Py_XDECREF(known);
    Py_XDECREF(error);
}

/* 1 where the status says success (or there is none), 0 and an exception where it does not. */
static int check_status(Call *c, PyObject *value, PyObject **outputs)
{
    Function *f = c->f;
    if (!f->status)
        return 1;
    PyObject *good = PyObject_CallOneArg(f->status, value);
    int ok = good ? PyObject_IsTrue(good) : -1;
    Py_XDECREF(good);
    if (ok == 0)
        raise_failure(c, value, outputs);
    return ok;
}

/* A count that C cannot have written: it failed, in a way no status annotation speaks of. */
static int check_lengths(Call *c, PyObject *value, PyObject **outputs)
{
    for (int i = 0; i < c->f->n_params; i++)
        if (c->locals[i].misfit) {
            PyErr_Format(
                PyExc_ValueError,
                "%U(): C says it wrote another number of elements to %U than the %zd there "
                "is room for (it returned %S): it failed or needs more room",
                c->f->name, c->f->params[i].name, PyObject_Size(outputs[i]), value);
            return -1;
        }
    return 0;
}

static PyObject *pack(Call *c, PyObject *value, PyObject **outputs)
{
    Function *f = c->f;
    PyObject *only = NULL;
    Py_ssize_t n = 0;
    bool returned = f->result->c.kind != HW_VOID && !f->silent;
    for (int i = -1; i < f->n_params; i++) {
        PyObject *o = i < 0 ? (returned ? value : NULL) : f->params[i].error ? NULL : outputs[i];
        n += o != NULL;
        only = o ? o : only;
    }
    if (n <= 1)
        return Py_NewRef(only ? only : Py_None);
    PyObject *tuple = PyTuple_New(n);
    Py_ssize_t k = 0;
    for (int i = -1; tuple && i < f->n_params; i++) {
        PyObject *o = i < 0 ? (returned ? value : NULL) : f->params[i].error ? NULL : outputs[i];
        if (o)
            PyTuple_SET_ITEM(tuple, k++, Py_NewRef(o));
    }
    return tuple;
}

/* Callbacks that live as long as a handle are hung on it, whatever the call came to: C has them. */
static int hang_callbacks(Call *c)
{
    Function *f = c->f;
    for (int i = 0; i < f->n_params; i++) {
        PyObject *callback = c->locals[i].callback;
        PyObject *holder = callback ? c->locals[f->params[i].kept_by].given : NULL;
        if (!holder)
            continue;
        Keep one;
        keep_init(&one);
        int r = keep_add(&one, Py_NewRef(callback));
        if (r == 0)
            r = memory_keep(holder, callback, 1, &one); /* by itself: others stay */
        keep_fini(&one);
        if (r < 0)
            return -1;
    }
    return 0;
}

static PyObject *results(Call *c, void *raw, Frame *frame)
{
    Function *f = c->f;
    PyObject *few[FEW] = {NULL}, **outputs = few, *r = NULL, *value = NULL;
    if (f->n_params > FEW && !(outputs = PyMem_Calloc((size_t)f->n_params, sizeof(PyObject *))))
        return PyErr_NoMemory();
    bool failed = hang_callbacks(c) < 0;
    for (int i = 0; i < f->n_params && !failed; i++) {
        outputs[i] = finish_output(c, i, raw);
        failed = !outputs[i] && PyErr_Occurred();
    }
    if (!failed)
        value = finish_result(c, raw); /* what C handed over is freed even if a callback raised */
    if (frame->error && !PyErr_Occurred()) {
        Py_CLEAR(value);
        raise_callback_error(frame);
    }
    if (value) {
        int ok = check_status(c, value, outputs);
        PyObject *handle = f->consumes >= 0 ? c->locals[f->consumes].given : NULL;
        if (handle && pointer_check(f->state, handle)) {
            if (ok == 0)
                pointer_give_back((Pointer *)handle);
            else
                pointer_forget((Pointer *)handle);
        }
        if (ok == 1 && check_lengths(c, value, outputs) == 0)
            r = pack(c, value, outputs);
    }
    Py_XDECREF(value);
    for (int i = 0; i < f->n_params; i++)
        Py_XDECREF(outputs[i]);
    if (outputs != few)
        PyMem_Free(outputs);
    return r;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* Takes the handle that this call frees. */
static int consume(Call *c)
{
    int i = c->f->consumes;
    PyObject *given = i >= 0 ? c->locals[i].given : NULL;
    return given && pointer_check(c->f->state, given) && ((Pointer *)given)->address
               ? pointer_take((Pointer *)given)
               : 0;
}

static PyObject *direct(Call *c, const hw_plan *plan, const Extra *extra)
{
    _Alignas(16) unsigned char few_slots[HW_FRAME_INLINE], few_result[64];
    bool big = plan->frame_size > sizeof(few_slots);
    bool big_result = plan->result_size > sizeof(few_result);
    unsigned char *slots = big ? PyMem_Calloc(1, plan->frame_size + 16) : few_slots;
    void *result = big_result ? PyMem_Calloc(1, plan->result_size + 16) : few_result;
    PyObject *r = NULL;
    Frame frame = {0};
    if (!slots || !result) {
        PyErr_NoMemory();
    } else {
        if (!big)
            memset(slots, 0, plan->frame_size);
        c->frame = slots;
        if (convert(c, plan) == 0 && variadic_arguments(c, extra, plan) == 0 && consume(c) == 0) {
            hw_status status = run(c, plan, result, &frame);
            if (status == HW_OK && !PyErr_Occurred())
                r = results(c, result, &frame);
            Py_XDECREF(frame.error);
        }
    }
    if (big)
        PyMem_Free(slots);
    if (big_result)
        PyMem_Free(result);
    return r;
}

static void release_locals(Call *c)
{
    for (int i = 0; i < c->f->n_params; i++) {
        Py_XDECREF(c->locals[i].object);
        if (c->locals[i].user)
            memory_use(c->f->state, c->locals[i].user, -1);
    }
    keep_end(&c->keep, c->f->state);
}

PyObject *call_full(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Function *f = (Function *)self;
    Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    Local few[FEW];
    Call c = {.f = f, .locals = few};
    Extra extra = {0};
    hw_plan made = {0};
    PyObject *r = NULL;
    if (f->n_params > FEW)
        c.locals = PyMem_Malloc((size_t)f->n_params * sizeof(Local));
    if (!c.locals)
        return PyErr_NoMemory();
    memset(c.locals, 0, (size_t)f->n_params * sizeof(Local));
    keep_init(&c.keep);
    c.keep.arguments_live = true;
    thread_attached();
    if (gather(&c, args, n, kwnames, &extra) == 0) {
        if (must_map(&c, &extra))
            r = refuse_sizes(&c) < 0 ? NULL : map(&c, args, n, kwnames, &extra);
        else if (!f->variadic || variadic_plan(&c, &extra, &made) == 0)
            r = direct(&c, f->variadic ? &made : &f->plan, &extra);
    }
    release_locals(&c);
    hw_plan_fini(&made);
    if (c.locals != few)
        PyMem_Free(c.locals);
    return r;
}
