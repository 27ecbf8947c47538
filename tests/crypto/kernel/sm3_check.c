/* Checks of the kernel's SM3, HMAC-SM3 and many-at-once SM3, in one mode of the processor.
 *
 *     cd crypto/kernel; cc -std=c11 -O2 -I. -o sm3_check ../../tests/crypto/kernel/sm3_check.c cpu.c sm3*.c sha256*.c
 *     ./sm3_check [auto|portable|avx2|avx512|neon]
 *
 * prints how many comparisons it made, or the first that failed, and then exits with 1. Exit 77: this processor lacks
 * the mode. Built with -DKERNEL_CT_CHECK and run under valgrind, keys and messages are marked as undefined memory, so
 * that each branch or address that depends on them is reported.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "ct.h"
#include "sm3.h"

#define MODE_MISSING 77
#define EVERY_LENGTH 300

#ifdef KERNEL_CT_CHECK /* valgrind is some fifty times slower */
#define THOROUGH 1
#else
#define THOROUGH 8
#endif

static unsigned long checks;

static void fail(const char *what, size_t a, size_t b)
{
    fprintf(stderr, "sm3_check: %s (%zu, %zu) after %lu checks\n", what, a, b, checks);
    exit(1);
}

static void expect(int holds, const char *what, size_t a, size_t b)
{
    checks++;
    if (!holds) {
        fail(what, a, b);
    }
}

static void expect_equal(uint8_t *got, const uint8_t *wanted, size_t size, const char *what, size_t a, size_t b)
{
    ct_public(got, size);
    expect(memcmp(got, wanted, size) == 0, what, a, b);
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

/* ---- the oracle: GB/T 32905-2016 word for word, sharing nothing with the kernel ------------------------------- */

static uint32_t turn(uint32_t x, unsigned int n)
{
    n %= 32;
    return n == 0 ? x : x << n | x >> (32 - n);
}

static void oracle_block(uint32_t v[8], const uint8_t *b)
{
    uint32_t w[68];
    uint32_t wx[64];
    uint32_t r[8];

    for (size_t j = 0; j < 16; j++) {
        w[j] = 0;
        for (size_t i = 0; i < 4; i++) {
            w[j] = w[j] << 8 | b[4 * j + i];
        }
    }
    for (size_t j = 16; j < 68; j++) {
        const uint32_t x = w[j - 16] ^ w[j - 9] ^ turn(w[j - 3], 15);
        w[j] = x ^ turn(x, 15) ^ turn(x, 23) ^ turn(w[j - 13], 7) ^ w[j - 6];
    }
    for (size_t j = 0; j < 64; j++) {
        wx[j] = w[j] ^ w[j + 4];
    }
    memcpy(r, v, sizeof r);
    for (unsigned int j = 0; j < 64; j++) {
        const uint32_t t = j < 16 ? 0x79cc4519 : 0x7a879d8a;
        const uint32_t ss1 = turn(turn(r[0], 12) + r[4] + turn(t, j), 7);
        const uint32_t ss2 = ss1 ^ turn(r[0], 12);
        const uint32_t ff =
            j < 16 ? r[0] ^ r[1] ^ r[2] : (r[0] & r[1]) | (r[0] & r[2]) | (r[1] & r[2]);
        const uint32_t gg = j < 16 ? r[4] ^ r[5] ^ r[6] : (r[4] & r[5]) | (~r[4] & r[6]);
        const uint32_t tt1 = ff + r[3] + ss2 + wx[j];
        const uint32_t tt2 = gg + r[7] + ss1 + w[j];
        r[3] = r[2];
        r[2] = turn(r[1], 9);
        r[1] = r[0];
        r[0] = tt1;
        r[7] = r[6];
        r[6] = turn(r[5], 19);
        r[5] = r[4];
        r[4] = tt2 ^ turn(tt2, 9) ^ turn(tt2, 17);
    }
    for (size_t i = 0; i < 8; i++) {
        v[i] ^= r[i];
    }
}

/* SM3(head || tail). */
static void oracle(const uint8_t *head, size_t head_size, const uint8_t *tail, size_t tail_size, uint8_t out[32])
{
    uint32_t v[8] = {0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e};
    const size_t size = head_size + tail_size;
    const size_t padded = (size + 9 + 63) / 64 * 64;
    uint8_t *const m = bytes(padded);

    memset(m, 0, padded);
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

static void oracle_hmac(const uint8_t *key, size_t key_size, const uint8_t *message, size_t size, uint8_t out[32])
{
    uint8_t k[64] = {0};
    uint8_t inner[32];

    if (key_size > 64) {
        oracle(NULL, 0, key, key_size, k);
    } else if (key_size > 0) {
        memcpy(k, key, key_size);
    }
    for (size_t i = 0; i < 64; i++) {
        k[i] ^= 0x36;
    }
    oracle(k, 64, message, size, inner);
    for (size_t i = 0; i < 64; i++) {
        k[i] ^= 0x36 ^ 0x5c;
    }
    oracle(k, 64, inner, 32, out);
}

/* ---- published answers ---------------------------------------------------------------------------------------- */

static void unhex(const char *hex, uint8_t *out)
{
    for (size_t i = 0; hex[2 * i] != '\0'; i++) {
        unsigned int byte = 0;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            fail("a vector of this program is not hexadecimal", i, 0);
        }
        out[i] = (uint8_t)byte;
    }
}

static void check_sm3_answers(void)
{
    static const struct {
        const char *message;
        const char *digest;
    } answers[] = {
        /* GB/T 32905-2016, A.1 and A.2 */
        {"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"},
        {"abcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcd",
         "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"},
    };

    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        uint8_t wanted[32];
        uint8_t got[32];
        const uint8_t *const message = (const uint8_t *)answers[i].message;

        unhex(answers[i].digest, wanted);
        sm3_digest(message, strlen(answers[i].message), got);
        expect_equal(got, wanted, 32, "SM3 answer of GB/T 32905", i, 0);
        oracle(NULL, 0, message, strlen(answers[i].message), got);
        expect_equal(got, wanted, 32, "the oracle's answer of GB/T 32905", i, 0);
    }
}

static void check_hmac_answers(void)
{
    static const struct {
        const char *key; /* hexadecimal */
        const char *message;
        const char *digest;
    } answers[] = {
        /* GM/T 0042-2015, D.3 */
        {"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
         "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
         "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a"},
        {"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425",
         "\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"
         "\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd",
         "220bf579ded555393f0159f66c99877822a3ecf610d1552154b41d44b94db3ae"},
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "Hi There",
         "c0ba18c68b90c88bc07de794bfc7d2c8d19ec31ed8773bc2b390c9604e0be11e"},
        {"4a656665", "what do ya want for nothing?",
         "2e87f1d16862e6d964b50a5200bf2b10b764faa9680a296a2405f24bec39f882"},
    };

    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        uint8_t wanted[32];
        uint8_t got[32];
        uint8_t key[64];
        const size_t key_size = strlen(answers[i].key) / 2;
        const uint8_t *const message = (const uint8_t *)answers[i].message;

        unhex(answers[i].digest, wanted);
        unhex(answers[i].key, key);
        oracle_hmac(key, key_size, message, strlen(answers[i].message), got);
        expect_equal(got, wanted, 32, "the oracle's answer of GM/T 0042", i, 0);
        ct_secret(key, key_size);
        hmac_sm3(key, key_size, message, strlen(answers[i].message), got);
        expect_equal(got, wanted, 32, "HMAC-SM3 answer of GM/T 0042", i, 0);
    }
}

/* ---- one message ---------------------------------------------------------------------------------------------- */

static void check_one_message(size_t size)
{
    uint8_t *const message = random_bytes(size);
    uint8_t wanted[32];
    uint8_t got[32];
    sm3_state state;
    sm3_state copy;
    const size_t cut = size > 0 ? any() % size : 0;
    const size_t second = cut + (size - cut > 0 ? any() % (size - cut) : 0);

    oracle(NULL, 0, message, size, wanted);
    ct_secret(message, size);
    sm3_digest(message, size, got);
    expect_equal(got, wanted, 32, "SM3 in one piece", size, 0);

    sm3_init(&state);
    sm3_update(&state, message, cut);
    copy = state;
    sm3_update(&state, message + cut, second - cut);
    sm3_update(&state, message + second, size - second);
    sm3_final(&state, got);
    expect_equal(got, wanted, 32, "SM3 in three pieces", cut, second);
    sm3_update(&copy, message + cut, size - cut);
    sm3_final(&copy, got);
    expect_equal(got, wanted, 32, "SM3 from a copied state", size, cut);

    for (size_t i = 0; i < sizeof state; i++) {
        expect(((const uint8_t *)&state)[i] == 0, "a finished state is wiped", size, i);
    }
    free(message);
}

static void check_hmac(size_t key_size, size_t size)
{
    uint8_t *const key = random_bytes(key_size);
    uint8_t *const message = random_bytes(size);
    uint8_t wanted[32];
    uint8_t got[32];
    hmac_sm3_key prepared;

    oracle_hmac(key, key_size, message, size, wanted);
    ct_secret(key, key_size);
    ct_secret(message, size);
    hmac_sm3(key, key_size, message, size, got);
    expect_equal(got, wanted, 32, "HMAC-SM3", key_size, size);
    hmac_sm3_init(&prepared, key, key_size);
    for (int i = 0; i < 2; i++) { /* a prepared key serves again */
        hmac_sm3_digest(&prepared, message, size, got);
        expect_equal(got, wanted, 32, "HMAC-SM3 with a prepared key", key_size, size);
    }
    kernel_wipe(&prepared, sizeof prepared);
    free(key);
    free(message);
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
    sm3_merkle_nodes(children, pairs, parents);
    expect_equal(parents, wanted, 32 * pairs, "Merkle nodes", pairs, 0);
    sm3_merkle_nodes(children, pairs, children);
    expect_equal(children, wanted, 32 * pairs, "Merkle nodes in place", pairs, 0);
    free(children);
    free(wanted);
    free(parents);
}

static void check_leaves(size_t size, size_t count)
{
    static const uint8_t prefix = 0x00;
    uint8_t *const data = random_bytes(size * count);
    uint8_t *const wanted = bytes(32 * count);
    uint8_t *const got = bytes(32 * count);

    for (size_t i = 0; i < count; i++) {
        oracle(&prefix, 1, data + size * i, size, wanted + 32 * i);
    }
    ct_secret(data, size * count);
    sm3_merkle_leaves(data, size, count, got);
    expect_equal(got, wanted, 32 * count, "Merkle leaves", size, count);
    free(data);
    free(wanted);
    free(got);
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
    sm3_many((const uint8_t *const *)messages, lengths, count, prefix_used, prefix, got);
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
    size_t lengths[200];
    const size_t most = any() % 500;
    const size_t count = any() % 201;

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

/* ---- the processor -------------------------------------------------------------------------------------------- */

static void check_modes(void)
{
    char text[64];
    char little[5];

    memset(text, 'x', sizeof text);
    expect(kernel_cpu_select("portable") == 0, "portable is always there", 0, 0);
    expect(kernel_cpu_describe(text, sizeof text) == 8 && strcmp(text, "portable") == 0, "portable says so", 0, 0);
    expect(kernel_cpu_describe(little, sizeof little) == 8 && strcmp(little, "port") == 0, "a text is cut", 0, 0);
    expect(kernel_cpu_describe(NULL, 0) == 8, "no room at all", 0, 0);
    expect(kernel_cpu_select("AVX2") == -1, "names are exact", 0, 0);
    expect(kernel_cpu_select("avx2 ") == -1, "names are exact", 0, 1);
    expect(kernel_cpu_describe(text, sizeof text) == 8, "a refused name changes nothing", 0, 0);
    if (kernel_cpu_select("avx2") == 0) {
        expect(kernel_cpu()->avx2 && kernel_cpu()->bmi2_adx && !kernel_cpu()->avx512, "avx2 is no more", 0, 0);
        kernel_cpu_describe(text, sizeof text);
        expect(strcmp(text, "x86-64 bmi2+adx avx2") == 0, "avx2 says so", 0, 0);
    } else {
        expect(kernel_cpu_select("avx2") == -2 && kernel_cpu_describe(text, sizeof text) == 8, "avx2 is missing", 0, 0);
    }
    expect(kernel_cpu_select(NULL) == 0 && kernel_cpu_select("") == 0, "no name means auto", 0, 0);
#if defined(__aarch64__)
    kernel_cpu_describe(text, sizeof text);
    expect(strcmp(text, kernel_cpu()->sha2 ? "aarch64 neon sha2" : "aarch64 neon") == 0, "aarch64 has neon", 0, 0);
    expect(kernel_cpu_select("neon") == 0 && !kernel_cpu()->sha2, "neon is no more", 0, 0);
    expect(kernel_cpu_select("avx2") == -2, "avx2 is missing", 0, 0);
#else
    expect(kernel_cpu_select("neon") == -2, "neon is missing", 0, 0);
#endif
}

static void check_wipe(void)
{
    uint8_t secret[100];

    memset(secret, 0xa5, sizeof secret);
    kernel_wipe(secret + 1, sizeof secret - 2);
    kernel_wipe(NULL, 0);
    expect(secret[0] == 0xa5 && secret[99] == 0xa5, "wiping keeps to its bounds", 0, 0);
    for (size_t i = 1; i < 99; i++) {
        expect(secret[i] == 0, "wiped", i, 0);
    }
}

int main(int argc, char **argv)
{
    const char *const mode = argc > 1 ? argv[1] : "auto";
    char text[64];
    int chosen;

    check_modes();
    check_wipe();
    chosen = kernel_cpu_select(mode);
    kernel_cpu_describe(text, sizeof text);
    if (chosen != 0) {
        fprintf(stderr, "sm3_check: %s: %s\n", mode, chosen == -1 ? "no such mode" : "not on this processor");
        return chosen == -1 ? 2 : MODE_MISSING;
    }

    check_sm3_answers();
    check_hmac_answers();
    for (size_t size = 0; size <= EVERY_LENGTH; size++) {
        size_t lengths[40];

        check_one_message(size);
        check_hmac(size, any() % 200);
        check_hmac(any() % 100, size);
        for (size_t i = 0; i < 40; i++) {
            lengths[i] = size;
        }
        check_leaves(size, any() % 70);
        check_leaves(size, 33);
        check_many(lengths, 40, 0);
        check_many(lengths, 1 + any() % 40, 1);
    }
    for (size_t pairs = 0; pairs <= 100; pairs++) {
        check_nodes(pairs);
    }
    for (size_t i = 0; i < 25 * THOROUGH; i++) {
        check_one_message(any() % 5000);
        check_nodes(any() % 500);
        check_leaves(any() % 1000, 1 + i % 100);
        check_many_of_random_lengths();
    }
    printf("sm3_check %s (%s): %lu checks, no difference\n", mode, text, checks);
    return 0;
}
