/* The field of the SM2 curve, p = 2^256 - 2^224 - 2^96 + 2^64 - 1, in Montgomery form (R = 2^256), always below p.
 *
 * p = -1 mod 2^64, so each step of Montgomery's reduction takes its lowest limb as the multiplier itself, and
 *   (m*p + m) / 2^64 = m*2^192 - m*2^160 - m*2^32 + m
 * needs shifts, additions and subtractions only.
 *
 * Portable C here; sm2_adx.c defines SM2_FIELD_ADX and gets multiplication, squaring, addition and subtraction as
 * x86-64 instructions (MULX, ADCX, ADOX).
 */
#ifndef EDUTRUST_KERNEL_SM2_FIELD_H
#define EDUTRUST_KERNEL_SM2_FIELD_H

#include "u256.h"

typedef u256 fe;

#define SM2_P1 UINT64_C(0xFFFFFFFF00000000)
#define SM2_P3 UINT64_C(0xFFFFFFFEFFFFFFFF)

static const u256 SM2_P = {{UINT64_MAX, SM2_P1, UINT64_MAX, SM2_P3}};
/* 2^512 mod p */
static const u256 SM2_P_R2 = {{UINT64_C(0x0000000200000003), UINT64_C(0x00000002FFFFFFFF),
                               UINT64_C(0x0000000100000001), UINT64_C(0x0000000400000002)}};
static const fe FE_ONE = {{1, UINT64_C(0x00000000FFFFFFFF), 0, UINT64_C(0x0000000100000000)}};
/* GB/T 32918.5-2017 §2, in Montgomery form. */
static const fe SM2_B = {{UINT64_C(0x90D230632BC0DD42), UINT64_C(0x71CF379AE9B537AB),
                          UINT64_C(0x527981505EA51C3C), UINT64_C(0x240FE188BA20E2C8)}};
static const fe SM2_GX = {{UINT64_C(0x61328990F418029E), UINT64_C(0x3E7981EDDCA6C050),
                           UINT64_C(0xD6A1ED99AC24C3C3), UINT64_C(0x91167A5EE1C13B05)}};
static const fe SM2_GY = {{UINT64_C(0xC1354E593C2D0DDD), UINT64_C(0xC1F5E5788D3295FA),
                           UINT64_C(0x8D4CFB066E2A48F8), UINT64_C(0x63CD65D481D735BD)}};

#ifdef SM2_FIELD_ADX

/* One step of the reduction: [a0 a1 a2 a3] becomes ([a0 a1 a2 a3] + a0*p) / 2^64, left in [a1 a2 a3 a0]. */
#define FE_REDUCE_STEP(a0, a1, a2, a3)                                                                                 \
    "movq %[" a0 "], %[lo]\n\t"                                                                                        \
    "movq %[" a0 "], %[hi]\n\t"                                                                                        \
    "shlq $32, %[lo]\n\t"                                                                                              \
    "shrq $32, %[hi]\n\t"                                                                                              \
    "addq %[" a0 "], %[" a1 "]\n\t"                                                                                    \
    "adcq $0, %[" a2 "]\n\t"                                                                                           \
    "adcq $0, %[" a3 "]\n\t"                                                                                           \
    "adcq $0, %[" a0 "]\n\t"                                                                                           \
    "subq %[lo], %[" a1 "]\n\t"                                                                                        \
    "sbbq %[hi], %[" a2 "]\n\t"                                                                                        \
    "sbbq %[lo], %[" a3 "]\n\t"                                                                                        \
    "sbbq %[hi], %[" a0 "]\n\t"

/* From the eight limbs t0..t7 to t4..t7, reduced below p. */
#define FE_REDUCE                                                                                                      \
    FE_REDUCE_STEP("t0", "t1", "t2", "t3")                                                                             \
    FE_REDUCE_STEP("t1", "t2", "t3", "t0")                                                                             \
    FE_REDUCE_STEP("t2", "t3", "t0", "t1")                                                                             \
    FE_REDUCE_STEP("t3", "t0", "t1", "t2")                                                                             \
    "addq %[t4], %[t0]\n\t"                                                                                            \
    "adcq %[t5], %[t1]\n\t"                                                                                            \
    "adcq %[t6], %[t2]\n\t"                                                                                            \
    "adcq %[t7], %[t3]\n\t"                                                                                            \
    FE_SUBTRACT_P("t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7")

/* [b0..b3] = [a0..a3] with the carry flag as fifth limb, less p unless that were negative. */
#define FE_SUBTRACT_P(a0, a1, a2, a3, b0, b1, b2, b3)                                                                  \
    "movl $0, %%edx\n\t"                                                                                               \
    "adcq $0, %%rdx\n\t"                                                                                               \
    "movabsq $0xFFFFFFFF00000000, %[lo]\n\t"                                                                           \
    "movabsq $0xFFFFFFFEFFFFFFFF, %[hi]\n\t"                                                                           \
    "movq %[" a0 "], %[" b0 "]\n\t"                                                                                    \
    "movq %[" a1 "], %[" b1 "]\n\t"                                                                                    \
    "movq %[" a2 "], %[" b2 "]\n\t"                                                                                    \
    "movq %[" a3 "], %[" b3 "]\n\t"                                                                                    \
    "subq $-1, %[" b0 "]\n\t"                                                                                          \
    "sbbq %[lo], %[" b1 "]\n\t"                                                                                        \
    "sbbq $-1, %[" b2 "]\n\t"                                                                                          \
    "sbbq %[hi], %[" b3 "]\n\t"                                                                                        \
    "sbbq $0, %%rdx\n\t"                                                                                               \
    "cmovcq %[" a0 "], %[" b0 "]\n\t"                                                                                  \
    "cmovcq %[" a1 "], %[" b1 "]\n\t"                                                                                  \
    "cmovcq %[" a2 "], %[" b2 "]\n\t"                                                                                  \
    "cmovcq %[" a3 "], %[" b3 "]\n\t"

static inline void fe_mul(fe *r, const fe *a, const fe *b)
{
    uint64_t t0, t1, t2, t3, t4, t5, t6, t7, lo, hi;
    __asm__("movq 0(%[b]), %%rdx\n\t"
            "mulxq 0(%[a]), %[t0], %[t1]\n\t"
            "mulxq 8(%[a]), %[lo], %[t2]\n\t"
            "addq %[lo], %[t1]\n\t"
            "mulxq 16(%[a]), %[lo], %[t3]\n\t"
            "adcq %[lo], %[t2]\n\t"
            "mulxq 24(%[a]), %[lo], %[t4]\n\t"
            "adcq %[lo], %[t3]\n\t"
            "adcq $0, %[t4]\n\t"
            "movq 8(%[b]), %%rdx\n\t"
            "xorl %k[t5], %k[t5]\n\t"
            "mulxq 0(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t1]\n\t"
            "adoxq %[hi], %[t2]\n\t"
            "mulxq 8(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t2]\n\t"
            "adoxq %[hi], %[t3]\n\t"
            "mulxq 16(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t3]\n\t"
            "adoxq %[hi], %[t4]\n\t"
            "mulxq 24(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t4]\n\t"
            "adoxq %[hi], %[t5]\n\t"
            "movl $0, %k[lo]\n\t"
            "adcxq %[lo], %[t5]\n\t"
            "movq 16(%[b]), %%rdx\n\t"
            "xorl %k[t6], %k[t6]\n\t"
            "mulxq 0(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t2]\n\t"
            "adoxq %[hi], %[t3]\n\t"
            "mulxq 8(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t3]\n\t"
            "adoxq %[hi], %[t4]\n\t"
            "mulxq 16(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t4]\n\t"
            "adoxq %[hi], %[t5]\n\t"
            "mulxq 24(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t5]\n\t"
            "adoxq %[hi], %[t6]\n\t"
            "movl $0, %k[lo]\n\t"
            "adcxq %[lo], %[t6]\n\t"
            "movq 24(%[b]), %%rdx\n\t"
            "xorl %k[t7], %k[t7]\n\t"
            "mulxq 0(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t3]\n\t"
            "adoxq %[hi], %[t4]\n\t"
            "mulxq 8(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t4]\n\t"
            "adoxq %[hi], %[t5]\n\t"
            "mulxq 16(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t5]\n\t"
            "adoxq %[hi], %[t6]\n\t"
            "mulxq 24(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t6]\n\t"
            "adoxq %[hi], %[t7]\n\t"
            "movl $0, %k[lo]\n\t"
            "adcxq %[lo], %[t7]\n\t"
            FE_REDUCE
            : [t0] "=&r"(t0), [t1] "=&r"(t1), [t2] "=&r"(t2), [t3] "=&r"(t3), [t4] "=&r"(t4), [t5] "=&r"(t5),
              [t6] "=&r"(t6), [t7] "=&r"(t7), [lo] "=&r"(lo), [hi] "=&r"(hi)
            : [a] "r"(a->v), [b] "r"(b->v), "m"(*a), "m"(*b)
            : "rdx", "cc");
    r->v[0] = t4;
    r->v[1] = t5;
    r->v[2] = t6;
    r->v[3] = t7;
}

static inline void fe_sqr(fe *r, const fe *a)
{
    uint64_t t0, t1, t2, t3, t4, t5, t6, t7, lo, hi;
    __asm__("movq 0(%[a]), %%rdx\n\t"
            "mulxq 8(%[a]), %[t1], %[t2]\n\t"
            "mulxq 16(%[a]), %[lo], %[t3]\n\t"
            "addq %[lo], %[t2]\n\t"
            "mulxq 24(%[a]), %[lo], %[t4]\n\t"
            "adcq %[lo], %[t3]\n\t"
            "adcq $0, %[t4]\n\t"
            "movq 8(%[a]), %%rdx\n\t"
            "xorl %k[t5], %k[t5]\n\t"
            "mulxq 16(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t3]\n\t"
            "adoxq %[hi], %[t4]\n\t"
            "mulxq 24(%[a]), %[lo], %[hi]\n\t"
            "adcxq %[lo], %[t4]\n\t"
            "adoxq %[hi], %[t5]\n\t"
            "movl $0, %k[t6]\n\t"
            "adcxq %[t6], %[t5]\n\t"
            "movq 16(%[a]), %%rdx\n\t"
            "mulxq 24(%[a]), %[lo], %[t6]\n\t"
            "addq %[lo], %[t5]\n\t"
            "adcq $0, %[t6]\n\t"
            /* twice the products of different limbs (carry chain C), plus the squares (carry chain O) */
            "xorl %k[t7], %k[t7]\n\t"
            "movq 0(%[a]), %%rdx\n\t"
            "mulxq %%rdx, %[t0], %[hi]\n\t"
            "adcxq %[t1], %[t1]\n\t"
            "adoxq %[hi], %[t1]\n\t"
            "movq 8(%[a]), %%rdx\n\t"
            "mulxq %%rdx, %[lo], %[hi]\n\t"
            "adcxq %[t2], %[t2]\n\t"
            "adoxq %[lo], %[t2]\n\t"
            "adcxq %[t3], %[t3]\n\t"
            "adoxq %[hi], %[t3]\n\t"
            "movq 16(%[a]), %%rdx\n\t"
            "mulxq %%rdx, %[lo], %[hi]\n\t"
            "adcxq %[t4], %[t4]\n\t"
            "adoxq %[lo], %[t4]\n\t"
            "adcxq %[t5], %[t5]\n\t"
            "adoxq %[hi], %[t5]\n\t"
            "movq 24(%[a]), %%rdx\n\t"
            "mulxq %%rdx, %[lo], %[hi]\n\t"
            "adcxq %[t6], %[t6]\n\t"
            "adoxq %[lo], %[t6]\n\t"
            "adcxq %[t7], %[t7]\n\t"
            "adoxq %[hi], %[t7]\n\t"
            FE_REDUCE
            : [t0] "=&r"(t0), [t1] "=&r"(t1), [t2] "=&r"(t2), [t3] "=&r"(t3), [t4] "=&r"(t4), [t5] "=&r"(t5),
              [t6] "=&r"(t6), [t7] "=&r"(t7), [lo] "=&r"(lo), [hi] "=&r"(hi)
            : [a] "r"(a->v), "m"(*a)
            : "rdx", "cc");
    r->v[0] = t4;
    r->v[1] = t5;
    r->v[2] = t6;
    r->v[3] = t7;
}

static inline void fe_add(fe *r, const fe *a, const fe *b)
{
    uint64_t t0 = a->v[0], t1 = a->v[1], t2 = a->v[2], t3 = a->v[3], t4, t5, t6, t7, lo, hi;
    __asm__("addq 0(%[b]), %[t0]\n\t"
            "adcq 8(%[b]), %[t1]\n\t"
            "adcq 16(%[b]), %[t2]\n\t"
            "adcq 24(%[b]), %[t3]\n\t"
            FE_SUBTRACT_P("t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7")
            : [t0] "+r"(t0), [t1] "+r"(t1), [t2] "+r"(t2), [t3] "+r"(t3), [t4] "=&r"(t4), [t5] "=&r"(t5),
              [t6] "=&r"(t6), [t7] "=&r"(t7), [lo] "=&r"(lo), [hi] "=&r"(hi)
            : [b] "r"(b->v), "m"(*b)
            : "rdx", "cc");
    r->v[0] = t4;
    r->v[1] = t5;
    r->v[2] = t6;
    r->v[3] = t7;
}

static inline void fe_sub(fe *r, const fe *a, const fe *b)
{
    uint64_t t0 = a->v[0], t1 = a->v[1], t2 = a->v[2], t3 = a->v[3], mask, lo, hi;
    __asm__("subq 0(%[b]), %[t0]\n\t"
            "sbbq 8(%[b]), %[t1]\n\t"
            "sbbq 16(%[b]), %[t2]\n\t"
            "sbbq 24(%[b]), %[t3]\n\t"
            "sbbq %[mask], %[mask]\n\t"
            "movabsq $0xFFFFFFFF00000000, %[lo]\n\t"
            "movabsq $0xFFFFFFFEFFFFFFFF, %[hi]\n\t"
            "andq %[mask], %[lo]\n\t"
            "andq %[mask], %[hi]\n\t"
            "addq %[mask], %[t0]\n\t"
            "adcq %[lo], %[t1]\n\t"
            "adcq %[mask], %[t2]\n\t"
            "adcq %[hi], %[t3]\n\t"
            : [t0] "+r"(t0), [t1] "+r"(t1), [t2] "+r"(t2), [t3] "+r"(t3), [mask] "=&r"(mask), [lo] "=&r"(lo),
              [hi] "=&r"(hi)
            : [b] "r"(b->v), "m"(*b)
            : "cc");
    r->v[0] = t0;
    r->v[1] = t1;
    r->v[2] = t2;
    r->v[3] = t3;
}

/* r = a / 2: a or a + p, whichever is even, shifted. */
static inline void fe_half(fe *r, const fe *a)
{
    uint64_t t0 = a->v[0], t1 = a->v[1], t2 = a->v[2], t3 = a->v[3], mask, lo, hi;
    __asm__("movq %[t0], %[mask]\n\t"
            "movabsq $0xFFFFFFFF00000000, %[lo]\n\t"
            "movabsq $0xFFFFFFFEFFFFFFFF, %[hi]\n\t"
            "andq $1, %[mask]\n\t"
            "negq %[mask]\n\t"
            "andq %[mask], %[lo]\n\t"
            "andq %[mask], %[hi]\n\t"
            "addq %[mask], %[t0]\n\t"
            "adcq %[lo], %[t1]\n\t"
            "adcq %[mask], %[t2]\n\t"
            "adcq %[hi], %[t3]\n\t"
            "rcrq $1, %[t3]\n\t"
            "rcrq $1, %[t2]\n\t"
            "rcrq $1, %[t1]\n\t"
            "rcrq $1, %[t0]\n\t"
            : [t0] "+r"(t0), [t1] "+r"(t1), [t2] "+r"(t2), [t3] "+r"(t3), [mask] "=&r"(mask), [lo] "=&r"(lo),
              [hi] "=&r"(hi)
            :
            : "cc");
    r->v[0] = t0;
    r->v[1] = t1;
    r->v[2] = t2;
    r->v[3] = t3;
}

#else /* portable */

/* a + b + *carry; *carry becomes the new carry, 0 or 1. */
static inline uint64_t limb_add(uint64_t a, uint64_t b, uint64_t *carry)
{
    u128 sum = (u128)a + b + *carry;
    *carry = (uint64_t)(sum >> 64);
    return (uint64_t)sum;
}

/* a - b - *borrow; *borrow becomes the new borrow, 0 or 1. */
static inline uint64_t limb_sub(uint64_t a, uint64_t b, uint64_t *borrow)
{
    u128 difference = (u128)a - b - *borrow;
    *borrow = (uint64_t)(difference >> 64) & 1;
    return (uint64_t)difference;
}

/* a * b + t + *carry; *carry becomes the upper limb. */
static inline uint64_t limb_mac(uint64_t a, uint64_t b, uint64_t t, uint64_t *carry)
{
    u128 sum = (u128)a * b + t + *carry;
    *carry = (uint64_t)(sum >> 64);
    return (uint64_t)sum;
}

/* r = the five-limb number [t, carry], below 2p, less p unless that were negative. */
static inline void fe_subtract_p(fe *r, uint64_t t0, uint64_t t1, uint64_t t2, uint64_t t3, uint64_t carry)
{
    uint64_t borrow = 0;
    uint64_t s0 = limb_sub(t0, UINT64_MAX, &borrow), s1 = limb_sub(t1, SM2_P1, &borrow);
    uint64_t s2 = limb_sub(t2, UINT64_MAX, &borrow), s3 = limb_sub(t3, SM2_P3, &borrow);
    uint64_t keep = ct_mask(borrow & (carry ^ 1));
    r->v[0] = s0 ^ (keep & (s0 ^ t0));
    r->v[1] = s1 ^ (keep & (s1 ^ t1));
    r->v[2] = s2 ^ (keep & (s2 ^ t2));
    r->v[3] = s3 ^ (keep & (s3 ^ t3));
}

/* One step of the reduction: [a0 a1 a2 a3] becomes ([a0 a1 a2 a3] + a0*p) / 2^64, left in [a1 a2 a3 a0]. */
static inline void fe_reduce_step(uint64_t *a0, uint64_t *a1, uint64_t *a2, uint64_t *a3)
{
    uint64_t m = *a0, low = m << 32, high = m >> 32, carry = 0, borrow = 0;
    *a1 = limb_add(*a1, m, &carry);
    *a2 = limb_add(*a2, 0, &carry);
    *a3 = limb_add(*a3, 0, &carry);
    m += carry;
    *a1 = limb_sub(*a1, low, &borrow);
    *a2 = limb_sub(*a2, high, &borrow);
    *a3 = limb_sub(*a3, low, &borrow);
    *a0 = m - high - borrow;
}

static inline void fe_reduce(fe *r, uint64_t t[8])
{
    uint64_t carry = 0;
    fe_reduce_step(&t[0], &t[1], &t[2], &t[3]);
    fe_reduce_step(&t[1], &t[2], &t[3], &t[0]);
    fe_reduce_step(&t[2], &t[3], &t[0], &t[1]);
    fe_reduce_step(&t[3], &t[0], &t[1], &t[2]);
    t[0] = limb_add(t[0], t[4], &carry);
    t[1] = limb_add(t[1], t[5], &carry);
    t[2] = limb_add(t[2], t[6], &carry);
    t[3] = limb_add(t[3], t[7], &carry);
    fe_subtract_p(r, t[0], t[1], t[2], t[3], carry);
}

/* [t0..t4] = [t0..t3] + a * b, t4 new. */
static inline void fe_row(uint64_t *t, const uint64_t *a, uint64_t b)
{
    uint64_t carry = 0;
    t[0] = limb_mac(a[0], b, t[0], &carry);
    t[1] = limb_mac(a[1], b, t[1], &carry);
    t[2] = limb_mac(a[2], b, t[2], &carry);
    t[3] = limb_mac(a[3], b, t[3], &carry);
    t[4] = carry;
}

static inline void fe_mul(fe *r, const fe *a, const fe *b)
{
    uint64_t t[8] = {0};
    fe_row(t, a->v, b->v[0]);
    fe_row(t + 1, a->v, b->v[1]);
    fe_row(t + 2, a->v, b->v[2]);
    fe_row(t + 3, a->v, b->v[3]);
    fe_reduce(r, t);
}

static inline void fe_sqr(fe *r, const fe *a)
{
    const uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3];
    uint64_t t[8], carry = 0;
    /* products of different limbs, once */
    t[1] = limb_mac(a0, a1, 0, &carry);
    t[2] = limb_mac(a0, a2, 0, &carry);
    t[3] = limb_mac(a0, a3, 0, &carry);
    t[4] = carry;
    carry = 0;
    t[3] = limb_mac(a1, a2, t[3], &carry);
    t[4] = limb_mac(a1, a3, t[4], &carry);
    t[5] = carry;
    carry = 0;
    t[5] = limb_mac(a2, a3, t[5], &carry);
    t[6] = carry;
    /* twice these, plus the squares */
    t[7] = t[6] >> 63;
    t[6] = (t[6] << 1) | (t[5] >> 63);
    t[5] = (t[5] << 1) | (t[4] >> 63);
    t[4] = (t[4] << 1) | (t[3] >> 63);
    t[3] = (t[3] << 1) | (t[2] >> 63);
    t[2] = (t[2] << 1) | (t[1] >> 63);
    t[1] = t[1] << 1;
    u128 square = (u128)a0 * a0;
    t[0] = (uint64_t)square;
    carry = 0;
    t[1] = limb_add(t[1], (uint64_t)(square >> 64), &carry);
    square = (u128)a1 * a1;
    t[2] = limb_add(t[2], (uint64_t)square, &carry);
    t[3] = limb_add(t[3], (uint64_t)(square >> 64), &carry);
    square = (u128)a2 * a2;
    t[4] = limb_add(t[4], (uint64_t)square, &carry);
    t[5] = limb_add(t[5], (uint64_t)(square >> 64), &carry);
    square = (u128)a3 * a3;
    t[6] = limb_add(t[6], (uint64_t)square, &carry);
    t[7] = limb_add(t[7], (uint64_t)(square >> 64), &carry);
    fe_reduce(r, t);
}

static inline void fe_add(fe *r, const fe *a, const fe *b)
{
    uint64_t carry = 0;
    uint64_t t0 = limb_add(a->v[0], b->v[0], &carry), t1 = limb_add(a->v[1], b->v[1], &carry);
    uint64_t t2 = limb_add(a->v[2], b->v[2], &carry), t3 = limb_add(a->v[3], b->v[3], &carry);
    fe_subtract_p(r, t0, t1, t2, t3, carry);
}

static inline void fe_sub(fe *r, const fe *a, const fe *b)
{
    uint64_t borrow = 0, carry = 0;
    uint64_t t0 = limb_sub(a->v[0], b->v[0], &borrow), t1 = limb_sub(a->v[1], b->v[1], &borrow);
    uint64_t t2 = limb_sub(a->v[2], b->v[2], &borrow), t3 = limb_sub(a->v[3], b->v[3], &borrow);
    uint64_t mask = ct_mask(borrow);
    r->v[0] = limb_add(t0, mask, &carry);
    r->v[1] = limb_add(t1, SM2_P1 & mask, &carry);
    r->v[2] = limb_add(t2, mask, &carry);
    r->v[3] = limb_add(t3, SM2_P3 & mask, &carry);
}

/* r = a / 2: a or a + p, whichever is even, shifted. */
static inline void fe_half(fe *r, const fe *a)
{
    uint64_t odd = ct_mask(a->v[0] & 1), carry = 0;
    uint64_t t0 = limb_add(a->v[0], odd, &carry), t1 = limb_add(a->v[1], SM2_P1 & odd, &carry);
    uint64_t t2 = limb_add(a->v[2], odd, &carry), t3 = limb_add(a->v[3], SM2_P3 & odd, &carry);
    r->v[0] = (t0 >> 1) | (t1 << 63);
    r->v[1] = (t1 >> 1) | (t2 << 63);
    r->v[2] = (t2 >> 1) | (t3 << 63);
    r->v[3] = (t3 >> 1) | (carry << 63);
}

#endif

static inline void fe_double(fe *r, const fe *a)
{
    fe_add(r, a, a);
}

static inline void fe_triple(fe *r, const fe *a)
{
    fe t;
    fe_add(&t, a, a);
    fe_add(r, &t, a);
}

static inline void fe_negate(fe *r, const fe *a)
{
    static const fe zero = {{0, 0, 0, 0}};
    fe_sub(r, &zero, a);
}

static inline void fe_to_montgomery(fe *r, const u256 *a)
{
    fe_mul(r, a, &SM2_P_R2);
}

static inline void fe_from_montgomery(u256 *r, const fe *a)
{
    static const fe one = {{1, 0, 0, 0}};
    fe_mul(r, a, &one);
}

static inline void fe_sqr_times(fe *r, const fe *a, int times)
{
    fe_sqr(r, a);
    for (int i = 1; i < times; i++)
        fe_sqr(r, r);
}

/* 1/a = a^(p-2); zero for zero. p - 2 = FFFFFFFE FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF 00000000 FFFFFFFF FFFFFFFD. */
static inline void fe_invert(fe *r, const fe *a)
{
    fe x2, x3, x6, x12, x15, x30, x31, x32, t; /* xN = a^(2^N - 1) */
    fe_sqr(&t, a);
    fe_mul(&x2, &t, a);
    fe_sqr(&t, &x2);
    fe_mul(&x3, &t, a);
    fe_sqr_times(&t, &x3, 3);
    fe_mul(&x6, &t, &x3);
    fe_sqr_times(&t, &x6, 6);
    fe_mul(&x12, &t, &x6);
    fe_sqr_times(&t, &x12, 3);
    fe_mul(&x15, &t, &x3);
    fe_sqr_times(&t, &x15, 15);
    fe_mul(&x30, &t, &x15);
    fe_sqr(&t, &x30);
    fe_mul(&x31, &t, a);
    fe_sqr(&t, &x31);
    fe_mul(&x32, &t, a);
    fe_sqr(&t, &x31);
    for (int word = 0; word < 4; word++) {
        fe_sqr_times(&t, &t, 32);
        fe_mul(&t, &t, &x32);
    }
    fe_sqr_times(&t, &t, 64);
    fe_mul(&t, &t, &x32);
    fe_sqr_times(&t, &t, 30);
    fe_mul(&t, &t, &x30);
    fe_sqr_times(&t, &t, 2);
    fe_mul(r, &t, a);
}

#endif
