/* SPDX-License-Identifier: MIT */
/* What closures need of a plan; private to src/call. */
#ifndef HEADWAY_CALL_PLAN_H
#define HEADWAY_CALL_PLAN_H

#include "headway/call.h"

/* A plan on the FFI route that describes calls that come in; it is not to be called. */
hw_status hw_plan_init_closure(hw_plan *plan, const hw_type *function, hw_error *err);

/* The ffi_cif of a plan on the FFI route. */
void *hw_plan_cif(const hw_plan *plan);

#endif
