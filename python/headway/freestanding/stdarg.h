/* SPDX-License-Identifier: MIT */
/* stdarg.h for machines without a compiler. The C library asks for its own name of the type. */
#ifndef HEADWAY_GNUC_VA_LIST_
#define HEADWAY_GNUC_VA_LIST_
typedef __builtin_va_list __gnuc_va_list;
#endif

#ifdef __need___va_list
#undef __need___va_list
#elif !defined(HEADWAY_STDARG_)
#define HEADWAY_STDARG_
typedef __builtin_va_list va_list;
#define va_start(list, last) __builtin_va_start(list, last)
#define va_end(list) __builtin_va_end(list)
#define va_arg(list, type) __builtin_va_arg(list, type)
#define va_copy(to, from) __builtin_va_copy(to, from)
#endif
