#include "sm2.h"

#include <string.h>

#include "cpu.h"
#include "random.h"
#include "sm2_scalar.h"

static const sm2_curve *curve = &sm2_curve_portable;

/* Compilers keep copies of their own, which no function can wipe by name. So each operation with a secret is a function
 * apart (WITH_SECRETS), and when it has returned, the stack it stood on is overwritten. The deepest takes some 5 KB. */
#define WITH_SECRETS static __attribute__((noinline)) int
#define STACK_OF_AN_OPERATION 8192

static __attribute__((noinline)) void wipe_stack(void)
{
    uint8_t below[STACK_OF_AN_OPERATION];
    kernel_wipe(below, sizeof below);
}

/* a, b, xG, yG: what Z names of the curve (GB/T 32918.5-2017 §2). */
static const uint8_t CURVE_BYTES[128] = {
    0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFC,
    0x28, 0xE9, 0xFA, 0x9E, 0x9D, 0x9F, 0x5E, 0x34, 0x4D, 0x5A, 0x9E, 0x4B, 0xCF, 0x65, 0x09, 0xA7,
    0xF3, 0x97, 0x89, 0xF5, 0x15, 0xAB, 0x8F, 0x92, 0xDD, 0xBC, 0xBD, 0x41, 0x4D, 0x94, 0x0E, 0x93,
    0x32, 0xC4, 0xAE, 0x2C, 0x1F, 0x19, 0x81, 0x19, 0x5F, 0x99, 0x04, 0x46, 0x6A, 0x39, 0xC9, 0x94,
    0x8F, 0xE3, 0x0B, 0xBF, 0xF2, 0x66, 0x0B, 0xE1, 0x71, 0x5A, 0x45, 0x89, 0x33, 0x4C, 0x74, 0xC7,
    0xBC, 0x37, 0x36, 0xA2, 0xF4, 0xF6, 0x77, 0x9C, 0x59, 0xBD, 0xCE, 0xE3, 0x6B, 0x69, 0x21, 0x53,
    0xD0, 0xA9, 0x87, 0x7C, 0xC6, 0x2A, 0x47, 0x40, 0x02, 0xDF, 0x32, 0xE5, 0x21, 0x39, 0xF0, 0xA0,
};

/* SM3 after ENTL, the default user ID and the curve: where every default Z begins. */
static sm3_state default_prefix;

static void absorb_identity(sm3_state *state, const uint8_t *id, size_t id_size)
{
    uint8_t entl[2] = {(uint8_t)(id_size * 8 >> 8), (uint8_t)(id_size * 8)};
    sm3_init(state);
    sm3_update(state, entl, 2);
    sm3_update(state, id, id_size);
    sm3_update(state, CURVE_BYTES, sizeof CURVE_BYTES);
}

int sm2_initialise(void)
{
    curve = &sm2_curve_portable;
#if defined(__x86_64__)
    if (kernel_cpu()->bmi2_adx && kernel_cpu()->avx2)
        curve = &sm2_curve_adx;
#endif
    absorb_identity(&default_prefix, SM2_DEFAULT_ID, sizeof SM2_DEFAULT_ID);
    return sm2_fill_secret_base() ? SM2_OK : SM2_MEMORY;
}

const sm2_curve *sm2_active_curve(void)
{
    return curve;
}

static void finish_z(sm3_state *out, const sm3_state *prefix, const uint8_t public_key[64])
{
    sm3_state state = *prefix;
    uint8_t z[32];
    sm3_update(&state, public_key, 64);
    sm3_final(&state, z);
    sm3_init(out);
    sm3_update(out, z, sizeof z);
}

void sm2_begin_digest(sm3_state *state, const sm2_public_key *key, const uint8_t *id, size_t id_size)
{
    if (id == NULL) {
        *state = key->z_default;
        return;
    }
    sm3_state prefix;
    absorb_identity(&prefix, id, id_size);
    finish_z(state, &prefix, key->bytes);
}

int sm2_public_load(sm2_public_key *key, const uint8_t public_key[64])
{
    u256 x = u256_load(public_key), y = u256_load(public_key + 32);
    if (!curve->on_curve(&x, &y))
        return SM2_POINT;
    memcpy(key->bytes, public_key, 64);
    curve->to_affine(&key->point, &x, &y);
    finish_z(&key->z_default, &default_prefix, public_key);
    return SM2_OK;
}

/* All ones where 1 <= a <= n - 1. */
static uint64_t in_range_mask(const u256 *a)
{
    return ~u256_zero_mask(a) & u256_less_mask(a, &SM2_N);
}

WITH_SECRETS private_load(sm2_private_key *key, const uint8_t d[32])
{
    u256 one = {{1, 0, 0, 0}}, next;
    key->d = u256_load(d);
    uint64_t fits = in_range_mask(&key->d);
    u256_add(&next, &key->d, &one);
    fits &= ~u256_equal_mask(&next, &SM2_N);
    /* Whether a key may be used at all is no secret. */
    ct_public(&fits, sizeof fits);
    if (!fits) {
        kernel_wipe(key, sizeof *key);
        return SM2_RANGE;
    }
    u256 x, y;
    uint8_t public_key[64];
    curve->secret_base_mul(&x, &y, &key->d);
    u256_store(public_key, &x);
    u256_store(public_key + 32, &y);
    ct_public(public_key, sizeof public_key);
    /* A public key off the curve would be this machine's own fault: such a private key is not used. */
    if (sm2_public_load(&key->public_key, public_key) != SM2_OK) {
        kernel_wipe(key, sizeof *key);
        kernel_wipe(&next, sizeof next);
        return SM2_POINT;
    }
    scalar_invert_montgomery(&key->inverse, &next);
    hmac_sm3_init(&key->nonce, d, 32);
    kernel_wipe(&next, sizeof next);
    return SM2_OK;
}

int sm2_private_load(sm2_private_key *key, const uint8_t d[32])
{
    int result = private_load(key, d);
    wipe_stack();
    return result;
}

/* A random integer in [1, n - 1], by rejection: about one candidate in 2^32 is refused. So many in a row come only from
 * a broken generator, which must not hold the caller for ever. */
#define RANDOM_ATTEMPTS 16

static int random_scalar(u256 *k)
{
    uint8_t bytes[32];
    uint64_t fits = 0;
    for (int attempt = 0; attempt < RANDOM_ATTEMPTS && !fits; attempt++) {
        if (!kernel_random(bytes, sizeof bytes))
            break;
        ct_secret(bytes, sizeof bytes);
        *k = u256_load(bytes);
        fits = in_range_mask(k);
        /* A refused candidate is thrown away, so that it was refused tells nothing of the next. */
        ct_public(&fits, sizeof fits);
    }
    kernel_wipe(bytes, sizeof bytes);
    if (!fits)
        kernel_wipe(k, sizeof *k);
    return fits ? SM2_OK : SM2_RANDOM;
}

WITH_SECRETS generate(uint8_t d[32], uint8_t public_key[64])
{
    u256 k, next, x, y, one = {{1, 0, 0, 0}};
    if (random_scalar(&k) != SM2_OK)
        return SM2_RANDOM;
    /* n - 1 is no private key and comes once in 2^256: a generator that gives it is broken. */
    u256_add(&next, &k, &one);
    uint64_t last = u256_equal_mask(&next, &SM2_N);
    ct_public(&last, sizeof last);
    if (last)
        return SM2_RANDOM;
    curve->secret_base_mul(&x, &y, &k);
    u256_store(d, &k);
    u256_store(public_key, &x);
    u256_store(public_key + 32, &y);
    ct_public(public_key, 64);
    kernel_wipe(&k, sizeof k);
    kernel_wipe(&next, sizeof next);
    return SM2_OK;
}

int sm2_generate(uint8_t d[32], uint8_t public_key[64])
{
    int result = generate(d, public_key);
    wipe_stack();
    return result;
}

WITH_SECRETS sign_with(const sm2_private_key *key, const uint8_t e[32], const uint8_t random[32], uint8_t attempt,
                       uint8_t signature[64])
{
    /* k = HMAC-SM3(d, random || e || attempt): uniform if either d or the random bytes are unknown; two messages never
     * share a nonce even if the generator repeats itself; one message signed twice does not either unless it does. */
    uint8_t input[65], bytes[32];
    u256 digest = u256_load(e), k, x, r, s, sum;
    memcpy(input, random, 32);
    memcpy(input + 32, e, 32);
    input[64] = attempt;
    hmac_sm3_digest(&key->nonce, input, sizeof input, bytes);
    k = u256_load(bytes);
    uint64_t fits = in_range_mask(&k);
    /* A refused candidate is thrown away, so that it was refused tells nothing of the next. */
    ct_public(&fits, sizeof fits);
    if (fits) {
        curve->secret_base_mul(&x, NULL, &k);
        /* x is x1 of [k]G and becomes public with r. */
        scalar_reduce(&digest, &digest);
        scalar_reduce(&x, &x);
        scalar_add(&r, &digest, &x);
        scalar_add(&sum, &r, &k);
        scalar_mul_montgomery(&s, &sum, &key->inverse);
        scalar_sub(&s, &s, &r);
        /* r = 0, r + k = n, s = 0 (GB/T 32918.2 §6.1 A5, A6): never met; a refusal throws the nonce away. */
        fits = ~(u256_zero_mask(&r) | u256_zero_mask(&sum) | u256_zero_mask(&s));
        ct_public(&fits, sizeof fits);
        u256_store(signature, &r);
        u256_store(signature + 32, &s);
    }
    kernel_wipe(input, sizeof input);
    kernel_wipe(bytes, sizeof bytes);
    kernel_wipe(&k, sizeof k);
    kernel_wipe(&sum, sizeof sum);
    if (!fits) {
        kernel_wipe(signature, 64);
        return SM2_INVALID;
    }
    /* The signature is what is published. */
    ct_public(signature, 64);
    return SM2_OK;
}

int sm2_sign_with(const sm2_private_key *key, const uint8_t e[32], const uint8_t random[32], uint8_t attempt,
                  uint8_t signature[64])
{
    int result = sign_with(key, e, random, attempt, signature);
    wipe_stack();
    return result;
}

WITH_SECRETS sign(const sm2_private_key *key, const uint8_t e[32], uint8_t signature[64])
{
    uint8_t random[32];
    int result = SM2_INVALID;
    /* Each attempt fails with probability 2^-32 at most; 256 of them never do. */
    for (unsigned attempt = 0; attempt < 256 && result == SM2_INVALID; attempt++) {
        if (!kernel_random(random, sizeof random))
            return SM2_RANDOM;
        ct_secret(random, sizeof random);
        result = sign_with(key, e, random, (uint8_t)attempt, signature);
    }
    kernel_wipe(random, sizeof random);
    return result == SM2_OK ? SM2_OK : SM2_RANDOM;
}

int sm2_sign(const sm2_private_key *key, const uint8_t e[32], uint8_t signature[64])
{
    int result = sign(key, e, signature);
    wipe_stack();
    return result;
}

int sm2_claim_of(sm2_claim *claim, const uint8_t e[32], const uint8_t signature[64])
{
    u256 digest = u256_load(e), r = u256_load(signature);
    claim->s = u256_load(signature + 32);
    if (!in_range_mask(&r) || !in_range_mask(&claim->s))
        return SM2_INVALID;
    scalar_add(&claim->t, &r, &claim->s);
    if (u256_zero_mask(&claim->t))
        return SM2_INVALID;
    scalar_reduce(&digest, &digest);
    scalar_sub(&claim->v, &r, &digest);
    return SM2_OK;
}

/* GB/T 32918.4 §5.4.3: KDF of x2 || y2, exclusive-or'd onto in. Returns all ones where the stream was all zero. */
static uint64_t kdf_xor(const uint8_t shared[64], const uint8_t *in, size_t size, uint8_t *out)
{
    sm3_state base, state;
    uint8_t block[32], counter[4];
    uint64_t any = 0;
    sm3_init(&base);
    sm3_update(&base, shared, 64);
    for (size_t at = 0, ct = 1; at < size; at += 32, ct++) {
        for (int i = 0; i < 4; i++)
            counter[i] = (uint8_t)(ct >> (24 - 8 * i));
        state = base;
        sm3_update(&state, counter, 4);
        sm3_final(&state, block);
        for (size_t i = 0; i < 32 && at + i < size; i++) {
            any |= block[i];
            out[at + i] = in[at + i] ^ block[i];
        }
    }
    kernel_wipe(block, sizeof block);
    kernel_wipe(&base, sizeof base);
    kernel_wipe(&state, sizeof state);
    return ct_is_zero(any);
}

static void c3_of(const uint8_t shared[64], const uint8_t *plain, size_t size, uint8_t out[32])
{
    sm3_state state;
    sm3_init(&state);
    sm3_update(&state, shared, 32);
    sm3_update(&state, plain, size);
    sm3_update(&state, shared + 32, 32);
    sm3_final(&state, out);
    kernel_wipe(&state, sizeof state);
}

/* A stream of zeros comes once in 2^(8 size), so that of one byte is met; so many in a row are met by a generator alone
 * that repeats itself. */
#define ENCRYPT_ATTEMPTS 64

WITH_SECRETS encrypt(const sm2_public_key *key, const uint8_t *plain, size_t size, uint8_t *out)
{
    u256 k, x, y;
    uint8_t shared[64];
    uint64_t again = UINT64_MAX;
    for (int attempt = 0; attempt < ENCRYPT_ATTEMPTS && again; attempt++) {
        if (random_scalar(&k) != SM2_OK)
            break;
        curve->secret_base_mul(&x, &y, &k);
        out[0] = 4;
        u256_store(out + 1, &x);
        u256_store(out + 33, &y);
        curve->secret_mul(&x, &y, &k, &key->point);
        u256_store(shared, &x);
        u256_store(shared + 32, &y);
        again = kdf_xor(shared, plain, size, out + SM2_CIPHERTEXT_OVERHEAD);
        /* A stream of zeros would show the plaintext: another k, as the standard says (§6.1 A5). */
        ct_public(&again, sizeof again);
    }
    if (again)
        kernel_wipe(out, size + SM2_CIPHERTEXT_OVERHEAD); /* it may hold the plaintext under a stream of zeros */
    else
        c3_of(shared, plain, size, out + 65);
    ct_public(out, size + SM2_CIPHERTEXT_OVERHEAD);
    kernel_wipe(&k, sizeof k);
    kernel_wipe(shared, sizeof shared);
    kernel_wipe(&x, sizeof x);
    kernel_wipe(&y, sizeof y);
    return again ? SM2_RANDOM : SM2_OK;
}

int sm2_encrypt(const sm2_public_key *key, const uint8_t *plain, size_t size, uint8_t *out)
{
    int result = encrypt(key, plain, size, out);
    wipe_stack();
    return result;
}

WITH_SECRETS decrypt(const sm2_private_key *key, const uint8_t *cipher, size_t size, uint8_t *out)
{
    if (size <= SM2_CIPHERTEXT_OVERHEAD || cipher[0] != 4)
        return SM2_LENGTH;
    u256 x = u256_load(cipher + 1), y = u256_load(cipher + 33);
    if (!curve->on_curve(&x, &y))
        return SM2_POINT;
    affine c1;
    uint8_t shared[64], digest[32];
    curve->to_affine(&c1, &x, &y);
    curve->secret_mul(&x, &y, &key->d, &c1);
    u256_store(shared, &x);
    u256_store(shared + 32, &y);
    size -= SM2_CIPHERTEXT_OVERHEAD;
    uint64_t wrong = kdf_xor(shared, cipher + SM2_CIPHERTEXT_OVERHEAD, size, out);
    c3_of(shared, out, size, digest);
    uint64_t difference = 0;
    for (int i = 0; i < 32; i++)
        difference |= (uint64_t)(digest[i] ^ cipher[65 + i]);
    wrong |= ~ct_is_zero(difference);
    /* Whether it opened is the answer. */
    ct_public(&wrong, sizeof wrong);
    kernel_wipe(shared, sizeof shared);
    kernel_wipe(digest, sizeof digest);
    kernel_wipe(&x, sizeof x);
    kernel_wipe(&y, sizeof y);
    if (wrong) {
        kernel_wipe(out, size);
        return SM2_INVALID;
    }
    return SM2_OK;
}

int sm2_decrypt(const sm2_private_key *key, const uint8_t *cipher, size_t size, uint8_t *out)
{
    int result = decrypt(key, cipher, size, out);
    wipe_stack();
    return result;
}

static int scalar_load(u256 *k, const uint8_t bytes[32])
{
    *k = u256_load(bytes);
    uint64_t fits = in_range_mask(k);
    /* Whether a scalar may be used at all is no secret. */
    ct_public(&fits, sizeof fits);
    return fits ? SM2_OK : SM2_RANGE;
}

static int point_load(affine *point, const uint8_t bytes[64])
{
    u256 x = u256_load(bytes), y = u256_load(bytes + 32);
    if (!curve->on_curve(&x, &y))
        return SM2_POINT;
    curve->to_affine(point, &x, &y);
    return SM2_OK;
}

/* A product may be a secret two parties share: it is the caller's alone. */
static void give_point(uint8_t out[64], u256 *x, u256 *y)
{
    u256_store(out, x);
    u256_store(out + 32, y);
    kernel_wipe(x, sizeof *x);
    kernel_wipe(y, sizeof *y);
}

WITH_SECRETS multiply_base(const uint8_t k[32], uint8_t out[64])
{
    u256 scalar, x, y;
    int result = scalar_load(&scalar, k);
    if (result == SM2_OK) {
        curve->secret_base_mul(&x, &y, &scalar);
        give_point(out, &x, &y);
    }
    kernel_wipe(&scalar, sizeof scalar);
    return result;
}

int sm2_multiply_base(const uint8_t k[32], uint8_t out[64])
{
    int result = multiply_base(k, out);
    wipe_stack();
    return result;
}

WITH_SECRETS multiply(const uint8_t k[32], const uint8_t point[64], uint8_t out[64])
{
    u256 scalar, x, y;
    affine p;
    int result = scalar_load(&scalar, k);
    if (result == SM2_OK)
        result = point_load(&p, point);
    if (result == SM2_OK) {
        curve->secret_mul(&x, &y, &scalar, &p);
        give_point(out, &x, &y);
    }
    kernel_wipe(&scalar, sizeof scalar);
    return result;
}

int sm2_multiply(const uint8_t k[32], const uint8_t point[64], uint8_t out[64])
{
    int result = multiply(k, point, out);
    wipe_stack();
    return result;
}

WITH_SECRETS multiply_two(const uint8_t a[32], const uint8_t b[32], const uint8_t point[64], uint8_t out[64])
{
    u256 first, second, x, y;
    affine p;
    int result = scalar_load(&first, a);
    if (result == SM2_OK)
        result = scalar_load(&second, b);
    if (result == SM2_OK)
        result = point_load(&p, point);
    if (result == SM2_OK) {
        if (curve->secret_two_mul(&x, &y, &first, &second, &p))
            give_point(out, &x, &y);
        else
            result = SM2_INFINITY;
    }
    kernel_wipe(&first, sizeof first);
    kernel_wipe(&second, sizeof second);
    return result;
}

int sm2_multiply_two(const uint8_t a[32], const uint8_t b[32], const uint8_t point[64], uint8_t out[64])
{
    int result = multiply_two(a, b, point, out);
    wipe_stack();
    return result;
}
