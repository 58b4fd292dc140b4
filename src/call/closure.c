/* SPDX-License-Identifier: MIT */
/* C function pointers that call a handler: libffi closures. */
#include <stdlib.h>

#include "ffi_type.h"
#include "headway/call.h"
#include "plan.h"

struct hw_closure {
    hw_plan plan; /* its libffi interface; libffi keeps a pointer into it */
    ffi_closure *ffi;
    void *code;
    hw_closure_handler handler;
    void *context;
};

static void enter(ffi_cif *cif, void *result, void **args, void *user)
{
    hw_closure *closure = user;
    (void)cif;
    closure->handler(result, args, closure->context);
}

hw_status hw_closure_new(const hw_type *function, hw_closure_handler handler, void *context,
                         hw_closure **out, hw_error *err)
{
    *out = NULL;
    if (function->kind == HW_FUNCTION && function->variadic)
        return hw_fail(err, HW_UNSUPPORTED, "a variadic function cannot be a callback");
    hw_closure *closure = calloc(1, sizeof(*closure));
    if (!closure)
        return hw_fail(err, HW_NO_MEMORY, "no memory for a callback");
    closure->handler = handler;
    closure->context = context;
    hw_status status = hw_plan_init_closure(&closure->plan, function, err);
    if (status == HW_OK) {
        closure->ffi = ffi_closure_alloc(sizeof(ffi_closure), &closure->code);
        if (!closure->ffi)
            status = hw_fail(err, HW_NO_MEMORY, "no executable memory for a callback");
    }
    if (status == HW_OK && ffi_prep_closure_loc(closure->ffi, hw_plan_cif(&closure->plan), enter,
                                                closure, closure->code) != FFI_OK)
        status = hw_fail(err, HW_UNSUPPORTED, "libffi cannot make a callback of this type");
    if (status != HW_OK) {
        hw_closure_free(closure);
        return status;
    }
    *out = closure;
    return HW_OK;
}

void hw_closure_free(hw_closure *closure)
{
    if (!closure)
        return;
    if (closure->ffi)
        ffi_closure_free(closure->ffi);
    hw_plan_fini(&closure->plan);
    free(closure);
}

hw_fn hw_closure_fn(const hw_closure *closure)
{
    union {
        void *object;
        hw_fn function;
    } code = {.object = closure->code};
    return code.function;
}
