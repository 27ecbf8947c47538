/* Everything the kernel does with secrets, under valgrind, on one of its curves.
 *
 *     constant_time portable|avx2 [leaky]
 *
 * Built with -DKERNEL_CT_CHECK. Secrets are marked as undefined memory, and memcheck reports each branch and each address
 * that depends on one. The program itself checks that the marks reach where they must (a wrong ct_public would silence
 * memcheck) and that the answers are right. `leaky` instead runs one branch on a secret and one load at a secret address:
 * two reports, else the method is blind. Exit 77: this processor lacks the mode.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/valgrind.h>

#include "cpu.h"
#include "sm2.h"

#ifndef KERNEL_CT_CHECK
#error "build with -DKERNEL_CT_CHECK"
#endif

#define MODE_MISSING 77

static void expect(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "constant_time: %s\n", what);
        exit(2);
    }
}

/* How many of the bits memcheck takes for undefined; asking reports nothing. */
static unsigned undefined_bits(const void *p, size_t size)
{
    uint8_t marks[1024];
    unsigned found = 0;
    const unsigned answered = (unsigned)VALGRIND_GET_VBITS(p, marks, size);
    expect(size <= sizeof marks && answered == 1, "memcheck answers");
    for (size_t i = 0; i < size; i++)
        for (uint8_t bits = marks[i]; bits != 0; bits &= (uint8_t)(bits - 1))
            found++;
    return found;
}

static void expect_secret(const void *p, size_t size, const char *what)
{
    expect(undefined_bits(p, size) == 8 * size, what);
}

static void expect_public(const void *p, size_t size, const char *what)
{
    expect(undefined_bits(p, size) == 0, what);
}

/* What a program may leak in the two ways there are. Volatile, so that no compiler makes a mask of it. */
static volatile unsigned leaked;
static const volatile uint8_t leak_table[256] = {1, 2, 3};

static __attribute__((noinline)) void leak(const uint8_t *secret)
{
    if (secret[0] & 1)
        leaked = leaked + 3;
    leaked = leaked + leak_table[secret[1]];
}

static const uint8_t SCALARS[][32] = {
    {0x36, 0x45, 0x17, 0xF0, 0x2B, 0x9C, 0x00, 0xFF, 0x80, 0x7F, 0x20, 0x08, 0x41, 0xC3, 0x5A, 0xA5,
     0x11, 0xEE, 0x93, 0x04, 0xDB, 0x6E, 0x72, 0x19, 0x8D, 0x30, 0xBF, 0x55, 0x62, 0xFA, 0x0C, 0x77},
    {[31] = 1},
    /* n - 2 and n - 6: the largest private key, and the scalar whose last addition is a doubling */
    {0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
     0x72, 0x03, 0xDF, 0x6B, 0x21, 0xC6, 0x05, 0x2B, 0x53, 0xBB, 0xF4, 0x09, 0x39, 0xD5, 0x41, 0x21},
    {0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
     0x72, 0x03, 0xDF, 0x6B, 0x21, 0xC6, 0x05, 0x2B, 0x53, 0xBB, 0xF4, 0x09, 0x39, 0xD5, 0x41, 0x1D},
};
#define SCALAR_COUNT (sizeof SCALARS / sizeof *SCALARS)

static void take_secret(uint8_t out[32], size_t which)
{
    memcpy(out, SCALARS[which], 32);
    ct_secret(out, 32);
}

static void load(sm2_private_key *key, size_t which)
{
    uint8_t d[32];
    take_secret(d, which);
    expect(sm2_private_load(key, d) == SM2_OK, "a private key loads");
    expect_secret(&key->d, sizeof key->d, "d stays secret");
    expect_secret(&key->inverse, sizeof key->inverse, "1 / (1 + d) is secret");
    expect_secret(&key->nonce, sizeof key->nonce, "what nonces are made with is secret");
    expect_public(&key->public_key, sizeof key->public_key, "the public key is public");
}

static void check_signing(const sm2_private_key *key)
{
    uint8_t e[32], random[32], signature[64];
    sm2_claim claim;
    for (uint8_t round = 0; round < 3; round++) {
        memset(e, round == 0 ? 0xFF : round, sizeof e); /* FF..: not below n */
        memset(random, round, sizeof random);
        ct_secret(random, sizeof random);
        expect(sm2_sign_with(key, e, random, round, signature) == SM2_OK, "signed with a given nonce");
        expect_public(signature, sizeof signature, "a signature is public");
        expect(sm2_sign(key, e, signature) == SM2_OK, "signed");
        expect_public(signature, sizeof signature, "a signature is public");
        expect(sm2_claim_of(&claim, e, signature) == SM2_OK
                   && sm2_active_curve()->public_check(&claim, &key->public_key.point),
               "it verifies");
    }
}

static void check_keys(void)
{
    uint8_t d[32], public_key[64];
    sm2_private_key key;
    expect(sm2_generate(d, public_key) == SM2_OK, "a key is made");
    expect_secret(d, sizeof d, "a new private key is secret");
    expect_public(public_key, sizeof public_key, "its public key is public");
    expect(sm2_private_load(&key, d) == SM2_OK && memcmp(public_key, key.public_key.bytes, 64) == 0, "they belong");
    check_signing(&key);
}

static void check_encryption(const sm2_private_key *key)
{
    for (size_t size = 1; size <= 100; size += 33) {
        uint8_t plain[128], cipher[128 + SM2_CIPHERTEXT_OVERHEAD], back[128];
        memset(plain, 0x5C, sizeof plain);
        ct_secret(plain, sizeof plain);
        expect(sm2_encrypt(&key->public_key, plain, size, cipher) == SM2_OK, "encrypted");
        expect_public(cipher, size + SM2_CIPHERTEXT_OVERHEAD, "a ciphertext is public");
        expect(sm2_decrypt(key, cipher, size + SM2_CIPHERTEXT_OVERHEAD, back) == SM2_OK, "opened");
        expect_secret(back, size, "a plaintext is secret");
        cipher[65] ^= 1;
        expect(sm2_decrypt(key, cipher, size + SM2_CIPHERTEXT_OVERHEAD, back) == SM2_INVALID, "another C3 is refused");
    }
}

static void check_multiplication(const affine *point, const uint8_t bytes[64])
{
    const sm2_curve *curve = sm2_active_curve();
    uint8_t k[32], other[32], out[64];
    u256 scalar, second, x, y;
    for (size_t i = 0; i < SCALAR_COUNT; i++) {
        take_secret(k, i);
        take_secret(other, SCALAR_COUNT - 1 - i);
        scalar = u256_load(k);
        second = u256_load(other);
        curve->secret_base_mul(&x, &y, &scalar);
        expect_secret(&x, sizeof x, "[k]G is secret until it is given away");
        curve->secret_mul(&x, &y, &scalar, point);
        expect_secret(&y, sizeof y, "[k]P is secret");
        expect(curve->secret_two_mul(&x, &y, &scalar, &second, point) == 1, "[a]G + [b]P is finite");
        expect_secret(&x, sizeof x, "[a]G + [b]P is secret");
        expect(sm2_multiply_base(k, out) == SM2_OK && sm2_multiply(k, bytes, out) == SM2_OK
                   && sm2_multiply_two(k, other, bytes, out) == SM2_OK,
               "the same from bytes");
        expect_secret(out, sizeof out, "a product is secret");
    }
}

static void check_hmac(void)
{
    uint8_t key[100], message[200], out[32];
    hmac_sm3_key prepared;
    memset(key, 0x3A, sizeof key);
    memset(message, 0xC4, sizeof message);
    ct_secret(key, sizeof key);
    ct_secret(message, sizeof message);
    for (size_t size = 0; size <= sizeof message; size += 8) {
        hmac_sm3(key, size / 2, message, size, out);
        hmac_sm3_init(&prepared, key, size / 2);
        hmac_sm3_digest(&prepared, message, size, out);
        if (size > 0)
            expect_secret(out, sizeof out, "a MAC is secret until it is given away");
    }
}

int main(int argc, char **argv)
{
    static const uint8_t SECRET[32] = {1, 2, 3};
    uint8_t secret[32];
    expect(RUNNING_ON_VALGRIND, "this program proves nothing outside valgrind");
    expect(argc > 1, "which mode?");
    int chosen = kernel_cpu_select(argv[1]);
    expect(chosen == 0 || chosen == -2, "no such mode");
    if (chosen == -2)
        return MODE_MISSING;
    if (argc > 2) {
        memcpy(secret, SECRET, sizeof secret);
        ct_secret(secret, sizeof secret);
        leak(secret);
        return 0;
    }
    expect(sm2_initialise() == SM2_OK, "memory");
    for (size_t i = 0; i < 3; i++) {
        sm2_private_key key;
        load(&key, i);
        check_signing(&key);
        check_encryption(&key);
        if (i == 0)
            check_multiplication(&key.public_key.point, key.public_key.bytes);
        kernel_wipe(&key, sizeof key);
        expect_public(&key, sizeof key, "a wiped key holds nothing");
    }
    check_keys();
    check_hmac();
    printf("constant_time %s (%s): done\n", argv[1], sm2_active_curve()->name);
    return 0;
}
