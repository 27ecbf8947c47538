/* 256-bit unsigned integers: four 64-bit limbs, the least significant first; on the wire 32 bytes, big-endian. */
#ifndef EDUTRUST_KERNEL_U256_H
#define EDUTRUST_KERNEL_U256_H

#include "ct.h"

#ifndef __SIZEOF_INT128__
#error "the kernel needs a 64-bit target with unsigned __int128"
#endif

__extension__ typedef unsigned __int128 u128;

typedef struct {
    uint64_t v[4];
} u256;

static inline u256 u256_load(const uint8_t in[32])
{
    u256 r;
    for (int i = 0; i < 4; i++) {
        uint64_t w = 0;
        for (int j = 0; j < 8; j++)
            w = (w << 8) | in[8 * (3 - i) + j];
        r.v[i] = w;
    }
    return r;
}

static inline void u256_store(uint8_t out[32], const u256 *a)
{
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 8; j++)
            out[8 * (3 - i) + j] = (uint8_t)(a->v[i] >> (56 - 8 * j));
}

/* r = a + b; returns the carry, 0 or 1. */
static inline uint64_t u256_add(u256 *r, const u256 *a, const u256 *b)
{
    u128 c = 0;
    for (int i = 0; i < 4; i++) {
        c += (u128)a->v[i] + b->v[i];
        r->v[i] = (uint64_t)c;
        c >>= 64;
    }
    return (uint64_t)c;
}

/* r = a - b; returns the borrow, 0 or 1. */
static inline uint64_t u256_sub(u256 *r, const u256 *a, const u256 *b)
{
    uint64_t borrow = 0;
    for (int i = 0; i < 4; i++) {
        u128 t = (u128)a->v[i] - b->v[i] - borrow;
        r->v[i] = (uint64_t)t;
        borrow = (uint64_t)(t >> 64) & 1;
    }
    return borrow;
}

/* r = mask ? a : r; mask is all ones or zero. */
static inline void u256_cmov(u256 *r, const u256 *a, uint64_t mask)
{
    for (int i = 0; i < 4; i++)
        r->v[i] ^= mask & (r->v[i] ^ a->v[i]);
}

/* All ones where a is zero. */
static inline uint64_t u256_zero_mask(const u256 *a)
{
    return ct_is_zero(a->v[0] | a->v[1] | a->v[2] | a->v[3]);
}

/* All ones where a equals b. */
static inline uint64_t u256_equal_mask(const u256 *a, const u256 *b)
{
    return ct_is_zero((a->v[0] ^ b->v[0]) | (a->v[1] ^ b->v[1]) | (a->v[2] ^ b->v[2]) | (a->v[3] ^ b->v[3]));
}

/* All ones where a < b. */
static inline uint64_t u256_less_mask(const u256 *a, const u256 *b)
{
    u256 t;
    return ct_mask(u256_sub(&t, a, b));
}

#endif
