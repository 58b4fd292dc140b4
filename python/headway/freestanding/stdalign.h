/* SPDX-License-Identifier: MIT */
/* stdalign.h for machines without a compiler. */
#ifndef HEADWAY_STDALIGN_
#define HEADWAY_STDALIGN_
#define alignas _Alignas
#define alignof _Alignof
#define __alignas_is_defined 1
#define __alignof_is_defined 1
#endif
