/* SPDX-License-Identifier: MIT */
/* What closures need of a plan; private to src/call. */
#ifndef HEADWAY_CALL_PLAN_H
#define HEADWAY_CALL_PLAN_H

#include "headway/call.h"

/* The ffi_cif of a plan on the FFI route. */
void *hw_plan_cif(const hw_plan *plan);

#endif
