/* SM2: signatures (GB/T 32918.2), encryption (GB/T 32918.4) and multiplication of points, over one of the curves.
 *
 * Bytes: private key d 32, public key x || y 64, signature r || s 64, ciphertext C1 || C3 || C2 with C1 = 04 || x || y.
 * Functions return SM2_OK or one of the refusals below. Everything secret is constant in time and wiped.
 */
#ifndef EDUTRUST_KERNEL_SM2_H
#define EDUTRUST_KERNEL_SM2_H

#include "sm2_curve.h"
#include "sm3.h"

enum {
    SM2_OK = 1,
    SM2_INVALID = 0,    /* the signature does not verify; the ciphertext does not open */
    SM2_RANGE = -1,     /* a scalar outside its range */
    SM2_POINT = -2,     /* not a point of the curve */
    SM2_RANDOM = -3,    /* no random bytes from the system */
    SM2_MEMORY = -4,
    SM2_INFINITY = -5,  /* the result is the point at infinity */
    SM2_LENGTH = -6,
};

#define SM2_CIPHERTEXT_OVERHEAD (65 + 32)
/* ENTL counts bits in 16 bits (GB/T 32918.2 §5.5). */
#define SM2_MAX_ID_BYTES 8191

/* GM/T 0009-2012 §10: the user ID where none is agreed. */
static const uint8_t SM2_DEFAULT_ID[16] = {'1', '2', '3', '4', '5', '6', '7', '8',
                                           '1', '2', '3', '4', '5', '6', '7', '8'};

typedef struct {
    uint8_t bytes[64];
    affine point;
    sm3_state z_default; /* SM3 with Z of the default user ID absorbed */
} sm2_public_key;

typedef struct {
    u256 d;
    u256 inverse;        /* 1 / (1 + d) mod n, in Montgomery form */
    hmac_sm3_key nonce;  /* HMAC-SM3 keyed with d: the half of each nonce that no failing generator takes away */
    sm2_public_key public_key;
} sm2_private_key;

/* Choose the curve for this processor and fill its tables; call once, before anything else. SM2_OK or SM2_MEMORY. */
int sm2_initialise(void);
const sm2_curve *sm2_active_curve(void);

/* SM2_OK, SM2_RANGE unless 1 <= d <= n - 2. */
int sm2_private_load(sm2_private_key *key, const uint8_t d[32]);
/* SM2_OK, SM2_POINT. */
int sm2_public_load(sm2_public_key *key, const uint8_t public_key[64]);
/* SM2_OK, SM2_RANDOM. */
int sm2_generate(uint8_t d[32], uint8_t public_key[64]);

/* The state of SM3 with Z absorbed, to which the message follows. id NULL: the default user ID. */
void sm2_begin_digest(sm3_state *state, const sm2_public_key *key, const uint8_t *id, size_t id_size);

/* Sign the digest e. SM2_OK, SM2_RANDOM. */
int sm2_sign(const sm2_private_key *key, const uint8_t e[32], uint8_t signature[64]);
/* The same with the system's random bytes given; `attempt` tells retries apart. SM2_OK, or SM2_INVALID: try another. */
int sm2_sign_with(const sm2_private_key *key, const uint8_t e[32], const uint8_t random[32], uint8_t attempt,
                  uint8_t signature[64]);

/* The claim a signature makes over e. SM2_OK or SM2_INVALID for r, s outside [1, n - 1] and r + s = 0. */
int sm2_claim_of(sm2_claim *claim, const uint8_t e[32], const uint8_t signature[64]);

/* out has size + SM2_CIPHERTEXT_OVERHEAD bytes. SM2_OK, SM2_RANDOM. */
int sm2_encrypt(const sm2_public_key *key, const uint8_t *plain, size_t size, uint8_t *out);
/* out has size - SM2_CIPHERTEXT_OVERHEAD bytes. SM2_OK, SM2_INVALID (wiped), SM2_POINT, SM2_LENGTH. */
int sm2_decrypt(const sm2_private_key *key, const uint8_t *cipher, size_t size, uint8_t *out);

/* [k] G; [k] P; [a] G + [b] P, as x || y. SM2_OK, SM2_RANGE, SM2_POINT, SM2_INFINITY. */
int sm2_multiply_base(const uint8_t k[32], uint8_t out[64]);
int sm2_multiply(const uint8_t k[32], const uint8_t point[64], uint8_t out[64]);
int sm2_multiply_two(const uint8_t a[32], const uint8_t b[32], const uint8_t point[64], uint8_t out[64]);

#endif
