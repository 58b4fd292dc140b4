/* SPDX-License-Identifier: MIT */
/* stdnoreturn.h for machines without a compiler. */
#ifndef HEADWAY_STDNORETURN_
#define HEADWAY_STDNORETURN_
#define noreturn _Noreturn
#endif
