/* What keeps the kernel constant in time, and what proves it.
 *
 * A secret never decides a branch or an address. Selections go through masks that the compiler cannot see through
 * (`ct_barrier`). Built with -DKERNEL_CT_CHECK and run under valgrind, secrets are marked as undefined memory, so that
 * memcheck reports each branch and each address that depends on one; `ct_public` marks the few values that may be
 * known (a signature, "this candidate was rejected"), each with its reason where it stands.
 */
#ifndef EDUTRUST_KERNEL_CT_H
#define EDUTRUST_KERNEL_CT_H

#include <stddef.h>
#include <stdint.h>

#ifdef KERNEL_CT_CHECK
#include <valgrind/memcheck.h>
#define ct_secret(p, n) VALGRIND_MAKE_MEM_UNDEFINED((p), (n))
#define ct_public(p, n) VALGRIND_MAKE_MEM_DEFINED((p), (n))
#else
#define ct_secret(p, n) ((void)(p), (void)(n))
#define ct_public(p, n) ((void)(p), (void)(n))
#endif

/* The same value, of which the compiler knows nothing. */
static inline uint64_t ct_barrier(uint64_t x)
{
    __asm__("" : "+r"(x));
    return x;
}

/* All ones where x is zero, else zero. */
static inline uint64_t ct_is_zero(uint64_t x)
{
    return ct_barrier((uint64_t)0 - ((~x & (x - 1)) >> 63));
}

/* All ones where a equals b, else zero. */
static inline uint64_t ct_equal(uint64_t a, uint64_t b)
{
    return ct_is_zero(a ^ b);
}

/* All ones where bit is 1, zero where it is 0; bit is 0 or 1. */
static inline uint64_t ct_mask(uint64_t bit)
{
    return ct_barrier((uint64_t)0 - bit);
}

#endif
