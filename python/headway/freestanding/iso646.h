/* SPDX-License-Identifier: MIT */
/* iso646.h for machines without a compiler. */
#ifndef HEADWAY_ISO646_
#define HEADWAY_ISO646_
#define and &&
#define and_eq &=
#define bitand &
#define bitor |
#define compl ~
#define not !
#define not_eq !=
#define or ||
#define or_eq |=
#define xor ^
#define xor_eq ^=
#endif
