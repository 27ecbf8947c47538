/* Integers modulo n, the order of the SM2 group (GB/T 32918.5-2017 §2), in Montgomery form where it says so. */
#ifndef EDUTRUST_KERNEL_SM2_SCALAR_H
#define EDUTRUST_KERNEL_SM2_SCALAR_H

#include "u256.h"

static const u256 SM2_N = {{UINT64_C(0x53BBF40939D54123), UINT64_C(0x7203DF6B21C6052B),
                            UINT64_C(0xFFFFFFFFFFFFFFFF), UINT64_C(0xFFFFFFFEFFFFFFFF)}};
/* -1/n mod 2^64 */
#define SM2_N_INVERSE UINT64_C(0x327F9E8872350975)
/* 2^512 mod n: turns a number into its Montgomery form. */
static const u256 SM2_N_R2 = {{UINT64_C(0x901192AF7C114F20), UINT64_C(0x3464504ADE6FA2FA),
                               UINT64_C(0x620FC84C3AFFE0D4), UINT64_C(0x1EB5E412A22B3D3B)}};

/* r = a mod n for any a below 2^256, which is below 2n. */
static inline void scalar_reduce(u256 *r, const u256 *a)
{
    u256 t;
    uint64_t keep = ct_mask(u256_sub(&t, a, &SM2_N));
    u256 out = t;
    u256_cmov(&out, a, keep);
    *r = out;
}

/* r = a + b mod n; a, b < n. */
static inline void scalar_add(u256 *r, const u256 *a, const u256 *b)
{
    u256 sum, t;
    uint64_t carry = u256_add(&sum, a, b);
    uint64_t borrow = u256_sub(&t, &sum, &SM2_N);
    /* The sum is at least n when it passed 2^256 or when n could be taken away. */
    u256_cmov(&sum, &t, ct_mask(carry | (borrow ^ 1)));
    *r = sum;
}

/* r = a - b mod n; a, b < n. */
static inline void scalar_sub(u256 *r, const u256 *a, const u256 *b)
{
    u256 t, back;
    uint64_t mask = ct_mask(u256_sub(&t, a, b));
    for (int i = 0; i < 4; i++)
        back.v[i] = SM2_N.v[i] & mask;
    u256_add(r, &t, &back);
}

/* r = a * b / 2^256 mod n; a, b < n. */
static inline void scalar_mul_montgomery(u256 *r, const u256 *a, const u256 *b)
{
    uint64_t t[6] = {0};
    for (int i = 0; i < 4; i++) {
        u128 c = 0;
        for (int j = 0; j < 4; j++) {
            c += (u128)a->v[j] * b->v[i] + t[j];
            t[j] = (uint64_t)c;
            c >>= 64;
        }
        c += t[4];
        t[4] = (uint64_t)c;
        t[5] = (uint64_t)(c >> 64);
        uint64_t m = t[0] * SM2_N_INVERSE;
        c = ((u128)m * SM2_N.v[0] + t[0]) >> 64;
        for (int j = 1; j < 4; j++) {
            c += (u128)m * SM2_N.v[j] + t[j];
            t[j - 1] = (uint64_t)c;
            c >>= 64;
        }
        c += t[4];
        t[3] = (uint64_t)c;
        t[4] = t[5] + (uint64_t)(c >> 64);
    }
    u256 low = {{t[0], t[1], t[2], t[3]}}, less;
    uint64_t borrow = u256_sub(&less, &low, &SM2_N);
    u256_cmov(&low, &less, ct_mask(t[4] | (borrow ^ 1)));
    *r = low;
}

/* The Montgomery form of 1/a for a given plainly, 0 < a < n: a^(n-2). The exponent is public, a is not. */
static inline void scalar_invert_montgomery(u256 *r, const u256 *a)
{
    u256 base, table[16], acc;
    scalar_mul_montgomery(&base, a, &SM2_N_R2);
    table[1] = base;
    for (int i = 2; i < 16; i++)
        scalar_mul_montgomery(&table[i], &table[i - 1], &base);
    u256 exponent = SM2_N;
    exponent.v[0] -= 2;
    acc = table[exponent.v[3] >> 60];
    for (int bit = 248; bit >= 0; bit -= 4) {
        for (int j = 0; j < 4; j++)
            scalar_mul_montgomery(&acc, &acc, &acc);
        uint64_t digit = (exponent.v[bit / 64] >> (bit % 64)) & 15;
        if (digit != 0)
            scalar_mul_montgomery(&acc, &acc, &table[digit]);
    }
    *r = acc;
}

#endif
