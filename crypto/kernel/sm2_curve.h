/* What the arithmetic of the SM2 curve offers to the protocols, once for each kind of processor.
 *
 * Coordinates and scalars passed as u256 are plain integers; the `affine` of tables are in Montgomery form. Functions
 * named `secret_` take a secret scalar: they are constant in time in it and scan their tables. Functions named
 * `public_` see public values alone and branch freely.
 */
#ifndef EDUTRUST_KERNEL_SM2_CURVE_H
#define EDUTRUST_KERNEL_SM2_CURVE_H

#include "u256.h"

typedef struct {
    u256 x, y;
} affine;

/* Multiples 1..32 of 2^(6i) G, i = 0..42, scanned with secret scalars: 88 KB. */
#define SECRET_BASE_WINDOWS 43
#define SECRET_BASE_ENTRIES 32
/* Multiples 1..128 of 2^(8i) P, i = 0..31, looked up with public scalars: 256 KB, for G and for each known key. */
#define PUBLIC_WINDOWS 32
#define PUBLIC_ENTRIES 128
#define PUBLIC_TABLE_POINTS (PUBLIC_WINDOWS * PUBLIC_ENTRIES)

/* One signature's numbers: is x(s G + t P) = v (mod n)? v, s, t in [0, n - 1]. */
typedef struct {
    u256 s, t, v;
} sm2_claim;

typedef struct {
    const char *name;
    /* 1 when (x, y) are below p and on the curve. */
    int (*on_curve)(const u256 *x, const u256 *y);
    /* [k] G, k in [1, n - 1]. y may be NULL. */
    void (*secret_base_mul)(u256 *x, u256 *y, const u256 *k);
    /* [k] P, k in [1, n - 1], P on the curve. */
    void (*secret_mul)(u256 *x, u256 *y, const u256 *k, const affine *point);
    /* [a] G + [b] P, a and b in [1, n - 1]; returns 0 when that is the point at infinity, else 1. */
    int (*secret_two_mul)(u256 *x, u256 *y, const u256 *a, const u256 *b, const affine *point);
    /* Fill a public table of PUBLIC_TABLE_POINTS; returns 0 without memory. */
    int (*public_table)(affine *table, const affine *point);
    /* 1 when the claim holds under P. */
    int (*public_check)(const sm2_claim *claim, const affine *point);
    int (*public_check_known)(const sm2_claim *claim, const affine *table);
    /* verdicts[i] = 1 when claim i holds; returns 0 without memory. */
    int (*public_check_many)(const sm2_claim *claims, size_t count, const affine *table, uint8_t *verdicts);
    /* Point (plain coordinates) to the form of the tables. */
    void (*to_affine)(affine *point, const u256 *x, const u256 *y);
} sm2_curve;

/* The tables of G, filled once by sm2_initialise. */
extern affine sm2_secret_base[SECRET_BASE_WINDOWS][SECRET_BASE_ENTRIES];
extern affine sm2_public_base[PUBLIC_TABLE_POINTS];

extern const sm2_curve sm2_curve_portable;
#if defined(__x86_64__)
extern const sm2_curve sm2_curve_adx;
#endif
/* Fill sm2_secret_base; returns 0 without memory. */
int sm2_fill_secret_base(void);

#endif
