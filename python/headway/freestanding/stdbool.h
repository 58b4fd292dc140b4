/* SPDX-License-Identifier: MIT */
/* stdbool.h for machines without a compiler. */
#ifndef HEADWAY_STDBOOL_
#define HEADWAY_STDBOOL_
#define bool _Bool
#define true 1
#define false 0
#define __bool_true_false_are_defined 1
#endif
