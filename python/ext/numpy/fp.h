/* SPDX-License-Identifier: MIT */
/*
 * The floating-point status flags of this thread, as NPY_FPE_* bits.
 *
 * <fenv.h> goes through the x87 environment, which costs more than a short call; on x86-64 the two
 * status registers are read and written one by one instead. Workers' flags arrive in the caller's
 * environment through the pool.
 */
#ifndef HEADWAY_EXT_NUMPY_FP_H
#define HEADWAY_EXT_NUMPY_FP_H

#include <numpy/ufuncobject.h>

#if defined(__x86_64__)

/* Bits of both registers: invalid 1, denormal 2, divide 4, overflow 8, underflow 16, inexact 32. */

static inline unsigned hwn_fp_x87(void)
{
    unsigned short status;
    __asm__ volatile("fnstsw %0" : "=am"(status)::"memory");
    return status;
}

static inline void hwn_fp_clear(void)
{
    unsigned csr = __builtin_ia32_stmxcsr();
    if (csr & 0x1d)
        __builtin_ia32_ldmxcsr(csr & ~0x1dU);
    if (hwn_fp_x87() & 0x1d)
        __asm__ volatile("fnclex" ::: "memory");
}

static inline int hwn_fp_test(void)
{
    unsigned raised = __builtin_ia32_stmxcsr() | hwn_fp_x87();
    if (!(raised & 0x1d))
        return 0;
    return (raised & 4 ? NPY_FPE_DIVIDEBYZERO : 0) | (raised & 8 ? NPY_FPE_OVERFLOW : 0) |
           (raised & 16 ? NPY_FPE_UNDERFLOW : 0) | (raised & 1 ? NPY_FPE_INVALID : 0);
}

#else
#include <fenv.h>

static inline void hwn_fp_clear(void)
{
    feclearexcept(FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW | FE_INVALID);
}

static inline int hwn_fp_test(void)
{
    int raised = fetestexcept(FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW | FE_INVALID);
    return (raised & FE_DIVBYZERO ? NPY_FPE_DIVIDEBYZERO : 0) |
           (raised & FE_OVERFLOW ? NPY_FPE_OVERFLOW : 0) |
           (raised & FE_UNDERFLOW ? NPY_FPE_UNDERFLOW : 0) |
           (raised & FE_INVALID ? NPY_FPE_INVALID : 0);
}
#endif

#endif
