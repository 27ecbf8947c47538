/* Checks of the kernel's many-at-once SHA-256, in one mode of the processor.
 *
 *     cd crypto/kernel; cc -std=c11 -O2 -I. -o sha256_check ../../tests/crypto/kernel/sha256_check.c cpu.c sha256*.c sm3*.c
 *     ./sha256_check [auto|portable|avx2|avx512|neon]
 *
 * prints how many comparisons it made, or the first that failed, and then exits with 1. Exit 77: this processor lacks
 * the mode. Built with -DKERNEL_CT_CHECK and run under valgrind, messages are marked as undefined memory, so that each
 * branch or address that depends on them is reported.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "ct.h"
#include "sha256.h"

#define MODE_MISSING 77
#define EVERY_LENGTH 300
/* The kernel pads messages of up to so many blocks into a buffer and reads longer ones where they lie. */
#define AROUND_PADDED (16 * 64)

#ifdef KERNEL_CT_CHECK /* valgrind is some fifty times slower */
#define THOROUGH 1
#else
#define THOROUGH 8
#endif

static unsigned long checks;

static void fail(const char *what, size_t a, size_t b)
{
    fprintf(stderr, "sha256_check: %s (%zu, %zu) after %lu checks\n", what, a, b, checks);
    exit(1);
}

static void expect_equal(uint8_t *got, const uint8_t *wanted, size_t size, const char *what, size_t a, size_t b)
{
    ct_public(got, size);
    checks++;
    if (memcmp(got, wanted, size) != 0) {
        fail(what, a, b);
    }
}

static uint64_t seed = 0x5eed;

static uint32_t any(void) /* SplitMix64 */
{
    uint64_t z = seed += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

/* Exactly as large as asked for, so that the address sanitizer sees a byte too many. */
static uint8_t *bytes(size_t size)
{
    uint8_t *const p = calloc(size > 0 ? size : 1, 1);
    if (p == NULL) {
        fail("no memory", size, 0);
    }
    return p;
}

static uint8_t *random_bytes(size_t size)
{
    uint8_t *const p = bytes(size);
    for (size_t i = 0; i < size; i++) {
        p[i] = (uint8_t)any();
    }
    return p;
}

/* ---- the oracle: FIPS 180-4 word for word, its constants worked out and not copied ------------------------------ */

__extension__ typedef unsigned __int128 uint128;

static uint32_t constants[64];
static uint32_t initial[8];

/* The first 32 bits after the point of the square root (power 2) or the cube root (power 3) of a prime. */
static uint32_t root_fraction(uint64_t prime, int power)
{
    /* The largest r with (r / 2^32)^power <= prime, found bit by bit: r^power <= prime * 2^(32 power). */
    uint128 r = 0;
    for (int bit = 36; bit >= 0; bit--) {
        const uint128 next = r | (uint128)1 << bit;
        const uint128 square = next * next;
        /* r^3 has up to 105 bits, prime * 2^96 up to 105 */
        const int fits = power == 2 ? square <= (uint128)prime << 64
                                    : square <= ((uint128)prime << 96) / next;
        if (fits) {
            r = next;
        }
    }
    return (uint32_t)r;
}

static void work_out_constants(void)
{
    size_t found = 0;
    for (uint64_t n = 2; found < 64; n++) {
        int prime = 1;
        for (uint64_t d = 2; d * d <= n; d++) {
            prime = prime && n % d != 0;
        }
        if (prime) {
            if (found < 8) {
                initial[found] = root_fraction(n, 2);
            }
            constants[found++] = root_fraction(n, 3);
        }
    }
}

static uint32_t turn(uint32_t x, unsigned int n)
{
    return x >> n | x << (32 - n);
}

static void oracle_block(uint32_t v[8], const uint8_t *b)
{
    uint32_t w[64];
    uint32_t r[8];

    for (size_t t = 0; t < 16; t++) {
        w[t] = 0;
        for (size_t i = 0; i < 4; i++) {
            w[t] = w[t] << 8 | b[4 * t + i];
        }
    }
    for (size_t t = 16; t < 64; t++) {
        const uint32_t s0 = turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >> 3;
        const uint32_t s1 = turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
    memcpy(r, v, sizeof r);
    for (size_t t = 0; t < 64; t++) {
        const uint32_t s1 = turn(r[4], 6) ^ turn(r[4], 11) ^ turn(r[4], 25);
        const uint32_t s0 = turn(r[0], 2) ^ turn(r[0], 13) ^ turn(r[0], 22);
        const uint32_t t1 = r[7] + s1 + ((r[4] & r[5]) ^ (~r[4] & r[6])) + constants[t] + w[t];
        const uint32_t t2 = s0 + ((r[0] & r[1]) ^ (r[0] & r[2]) ^ (r[1] & r[2]));
        memmove(r + 1, r, 7 * sizeof *r);
        r[4] += t1;
        r[0] = t1 + t2;
    }
    for (size_t i = 0; i < 8; i++) {
        v[i] += r[i];
    }
}

/* SHA-256(head || tail). */
static void oracle(const uint8_t *head, size_t head_size, const uint8_t *tail, size_t tail_size, uint8_t out[32])
{
    uint32_t v[8];
    const size_t size = head_size + tail_size;
    const size_t padded = (size + 9 + 63) / 64 * 64;
    uint8_t *const m = bytes(padded);

    memcpy(v, initial, sizeof v);
    if (head_size > 0) {
        memcpy(m, head, head_size);
    }
    if (tail_size > 0) {
        memcpy(m + head_size, tail, tail_size);
    }
    m[size] = 0x80;
    for (size_t i = 0; i < 8; i++) {
        m[padded - 1 - i] = (uint8_t)((uint64_t)size * 8 >> (8 * i));
    }
    for (size_t at = 0; at < padded; at += 64) {
        oracle_block(v, m + at);
    }
    for (size_t i = 0; i < 32; i++) {
        out[i] = (uint8_t)(v[i / 4] >> (24 - 8 * (i % 4)));
    }
    free(m);
}

/* ---- published answers ---------------------------------------------------------------------------------------- */

static void check_answers(void)
{
    static const struct {
        const char *message;
        const char *digest;
    } answers[] = {
        /* NIST, examples of FIPS 180-4: one block, two blocks; and the empty message. */
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    };

    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        uint8_t wanted[32];
        uint8_t got[32];
        const uint8_t *const message = (const uint8_t *)answers[i].message;
        const size_t length = strlen(answers[i].message);

        for (size_t at = 0; at < 32; at++) {
            unsigned int byte = 0;
            if (sscanf(answers[i].digest + 2 * at, "%2x", &byte) != 1) {
                fail("a vector of this program is not hexadecimal", i, at);
            }
            wanted[at] = (uint8_t)byte;
        }
        sha256_many(&message, &length, 1, 0, 0, got);
        expect_equal(got, wanted, 32, "SHA-256 answer of FIPS 180-4", i, 0);
        oracle(NULL, 0, message, length, got);
        expect_equal(got, wanted, 32, "the oracle's answer of FIPS 180-4", i, 0);
    }
}

/* ---- many messages -------------------------------------------------------------------------------------------- */

static void check_nodes(size_t pairs)
{
    static const uint8_t prefix = 0x01;
    uint8_t *const children = random_bytes(64 * pairs);
    uint8_t *const wanted = bytes(32 * pairs);
    uint8_t *const parents = bytes(32 * pairs);

    for (size_t i = 0; i < pairs; i++) {
        oracle(&prefix, 1, children + 64 * i, 64, wanted + 32 * i);
    }
    ct_secret(children, 64 * pairs);
    sha256_merkle_nodes(children, pairs, parents);
    expect_equal(parents, wanted, 32 * pairs, "Merkle nodes", pairs, 0);
    sha256_merkle_nodes(children, pairs, children);
    expect_equal(children, wanted, 32 * pairs, "Merkle nodes in place", pairs, 0);
    free(children);
    free(wanted);
    free(parents);
}

static void check_many(const size_t *lengths, size_t count, uint8_t prefix_used)
{
    const uint8_t prefix = (uint8_t)any();
    uint8_t **const messages = calloc(count + 1, sizeof *messages);
    uint8_t *const wanted = bytes(32 * count);
    uint8_t *const got = bytes(32 * count);

    if (messages == NULL) {
        fail("no memory", count, 0);
    }
    for (size_t i = 0; i < count; i++) {
        messages[i] = lengths[i] == 0 && any() % 2 ? NULL : random_bytes(lengths[i]);
        oracle(&prefix, prefix_used ? 1 : 0, messages[i], lengths[i], wanted + 32 * i);
        if (lengths[i] > 0) {
            ct_secret(messages[i], lengths[i]);
        }
    }
    sha256_many((const uint8_t *const *)messages, lengths, count, prefix_used, prefix, got);
    expect_equal(got, wanted, 32 * count, "many messages", count, prefix_used);
    for (size_t i = 0; i < count; i++) {
        free(messages[i]);
    }
    free(messages);
    free(wanted);
    free(got);
}

static void check_many_of_random_lengths(void)
{
    size_t lengths[100];
    const size_t most = any() % 500;
    const size_t count = any() % 101;

    for (size_t i = 0; i < count; i++) {
        lengths[i] = any() % (most + 1);
    }
    check_many(lengths, count, 0);
    check_many(lengths, count, 1);
    if (count > 0) { /* one message that outlasts all others */
        lengths[any() % count] = 20 * most + 1;
        check_many(lengths, count, 0);
        check_many(lengths, count, 2);
    }
}

int main(int argc, char **argv)
{
    const char *const mode = argc > 1 ? argv[1] : "auto";
    const int chosen = kernel_cpu_select(mode);
    char text[64];

    kernel_cpu_describe(text, sizeof text);
    if (chosen != 0) {
        fprintf(stderr, "sha256_check: %s: %s\n", mode, chosen == -1 ? "no such mode" : "not on this processor");
        return chosen == -1 ? 2 : MODE_MISSING;
    }

    work_out_constants();
    check_answers();
    for (size_t size = 0; size <= EVERY_LENGTH; size++) {
        /* Two of a length side by side, one alone, one beside a longer one, whichever comes first. */
        const size_t alone[1] = {size};
        const size_t lengths[5] = {size, size, any() % EVERY_LENGTH, size, any() % EVERY_LENGTH};

        check_many(alone, 1, 0);
        check_many(alone, 1, 1);
        check_many(lengths, 5, 0);
        check_many(lengths, 5, 1);
        check_many(lengths + 1, 4, 1);
    }
    for (size_t size = AROUND_PADDED - 12; size <= AROUND_PADDED + 70; size++) {
        const size_t lengths[4] = {size, size, size - 12, any() % EVERY_LENGTH};

        check_many(lengths, 4, 0);
        check_many(lengths, 4, 1);
        check_many(lengths + 2, 2, 1);
    }
    for (size_t pairs = 0; pairs <= 100; pairs++) {
        check_nodes(pairs);
    }
    for (size_t i = 0; i < 25 * THOROUGH; i++) {
        check_nodes(any() % 300);
        check_many_of_random_lengths();
    }
    printf("sha256_check %s (%s): %lu checks, no difference\n", mode, text, checks);
    return 0;
}
