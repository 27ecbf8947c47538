#include "sha256.h"

#include <string.h>

#include "cpu.h"
#include "sha256_ways.h"
#include "sm3_lanes.h"

/* The first 32 bits of the fractional parts of the square roots of the first eight primes. */
const uint32_t sha256_initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/* The same of the cube roots of the first 64 primes. */
const uint32_t sha256_round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* A message of up to so many blocks is padded into a buffer, so that two can be folded side by side. The usual entry of
 * the ledger is four; a longer one is read where it lies, one after the other. */
#define PADDED_BLOCKS 16
/* What the padding adds at least: the byte 0x80 and the length in 64 bits (FIPS 180-4, 5.1.1). */
#define LEAST_PADDING 9

static inline uint32_t rotr(uint32_t x, unsigned int n)
{
    return (x >> n) | (x << (32 - n));
}

static inline uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void store_be32(uint8_t *p, uint32_t x)
{
    p[0] = (uint8_t)(x >> 24);
    p[1] = (uint8_t)(x >> 16);
    p[2] = (uint8_t)(x >> 8);
    p[3] = (uint8_t)x;
}

static inline void store_be64(uint8_t *p, uint64_t x)
{
    store_be32(p, (uint32_t)(x >> 32));
    store_be32(p + 4, (uint32_t)x);
}

static void store_words(uint8_t out[SHA256_BYTES], const uint32_t h[8])
{
    for (size_t i = 0; i < 8; i++) {
        store_be32(out + 4 * i, h[i]);
    }
}

/* ---- folding: FIPS 180-4, 6.2.2 ------------------------------------------------------------------------------- */

#define CH(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define MAJ(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))
#define SUM0(x) (rotr(x, 2) ^ rotr(x, 13) ^ rotr(x, 22))
#define SUM1(x) (rotr(x, 6) ^ rotr(x, 11) ^ rotr(x, 25))
#define SIGMA0(x) (rotr(x, 7) ^ rotr(x, 18) ^ ((x) >> 3))
#define SIGMA1(x) (rotr(x, 17) ^ rotr(x, 19) ^ ((x) >> 10))

/* The state is not moved: the next round names the eight one place further. */
#define ROUND(a, b, c, d, e, f, g, h, j)                                                                               \
    do {                                                                                                               \
        const uint32_t t1 = h + SUM1(e) + CH(e, f, g) + sha256_round_constants[start + (j)] + w[j];                    \
        d += t1;                                                                                                       \
        h = t1 + SUM0(a) + MAJ(a, b, c);                                                                               \
    } while (0)
#define EIGHT(j)                                                                                                       \
    do {                                                                                                               \
        ROUND(a, b, c, d, e, f, g, h, j);                                                                              \
        ROUND(h, a, b, c, d, e, f, g, (j) + 1);                                                                        \
        ROUND(g, h, a, b, c, d, e, f, (j) + 2);                                                                        \
        ROUND(f, g, h, a, b, c, d, e, (j) + 3);                                                                        \
        ROUND(e, f, g, h, a, b, c, d, (j) + 4);                                                                        \
        ROUND(d, e, f, g, h, a, b, c, (j) + 5);                                                                        \
        ROUND(c, d, e, f, g, h, a, b, (j) + 6);                                                                        \
        ROUND(b, c, d, e, f, g, h, a, (j) + 7);                                                                        \
    } while (0)

/* Compiled twice: as it is, and for BMI2, whose RORX rotates into another register. */
static inline __attribute__((always_inline)) void fold(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    for (; count > 0; count--, blocks += SHA256_BLOCK_BYTES) {
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        uint32_t w[16];

        for (size_t j = 0; j < 16; j++) {
            w[j] = load_be32(blocks + 4 * j);
        }
        for (size_t start = 0;; start += 16) {
            EIGHT(0);
            EIGHT(8);
            if (start == 48) {
                break;
            }
            for (size_t j = 0; j < 16; j++) {
                w[j] += SIGMA0(w[(j + 1) % 16]) + w[(j + 9) % 16] + SIGMA1(w[(j + 14) % 16]);
            }
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
        state[5] += f;
        state[6] += g;
        state[7] += h;
    }
}

static void one_portable(uint32_t h[8], const uint8_t *blocks, size_t count)
{
    fold(h, blocks, count);
}

static void two_portable(uint32_t h[2][8], const uint8_t *const blocks[2], size_t count)
{
    fold(h[0], blocks[0], count);
    fold(h[1], blocks[1], count);
}

static const struct sha256_way portable = {one_portable, two_portable};

#if defined(__x86_64__)
__attribute__((target("bmi,bmi2"))) static void one_bmi2(uint32_t h[8], const uint8_t *blocks, size_t count)
{
    fold(h, blocks, count);
}

__attribute__((target("bmi,bmi2"))) static void two_bmi2(uint32_t h[2][8], const uint8_t *const blocks[2],
                                                         size_t count)
{
    fold(h[0], blocks[0], count);
    fold(h[1], blocks[1], count);
}

static const struct sha256_way bmi2 = {one_bmi2, two_bmi2};
#endif

static const struct sha256_way *best_way(void)
{
#if defined(__x86_64__)
    if (kernel_cpu()->sha2) {
        return &sha256_x86;
    }
    if (kernel_cpu()->bmi2_adx) {
        return &bmi2;
    }
#elif defined(SHA256_AARCH64)
    if (kernel_cpu()->sha2) {
        return &sha256_aarch64;
    }
#endif
    return &portable;
}

/* Lanes, where they are faster than two messages at once: they serve nodes alone, which are all of one length. */
static const struct sm3_lanes *best_lanes(void)
{
#if defined(__x86_64__)
    if (kernel_cpu()->avx512) {
        return &sm3_lanes_avx512;
    }
    if (kernel_cpu()->avx2 && !kernel_cpu()->sha2) {
        return &sm3_lanes_avx2;
    }
#elif defined(__aarch64__)
    if (kernel_cpu()->neon && !kernel_cpu()->sha2) {
        return &sm3_lanes_neon;
    }
#endif
    return NULL;
}

/* ---- nodes ---------------------------------------------------------------------------------------------------- */

#define NODE_BLOCKS 2
/* All lanes at once take as long as a third of them two by two. */
#define WORTH_ALL_LANES 3

/* 0x01 || left || right and its padding. */
static void node_blocks(uint8_t blocks[NODE_BLOCKS * SHA256_BLOCK_BYTES], const uint8_t children[2 * SHA256_BYTES])
{
    blocks[0] = 0x01;
    memcpy(blocks + 1, children, 2 * SHA256_BYTES);
    blocks[1 + 2 * SHA256_BYTES] = 0x80;
    memset(blocks + 2 + 2 * SHA256_BYTES, 0, NODE_BLOCKS * SHA256_BLOCK_BYTES - 2 - 2 * SHA256_BYTES - 8);
    store_be64(blocks + NODE_BLOCKS * SHA256_BLOCK_BYTES - 8, 8 * (1 + 2 * SHA256_BYTES));
}

void sha256_merkle_nodes(const uint8_t *children, size_t pairs, uint8_t *parents)
{
    const struct sha256_way *const way = best_way();
    const struct sm3_lanes *const lanes = best_lanes();
    uint8_t blocks[2][NODE_BLOCKS * SHA256_BLOCK_BYTES];
    const uint8_t *const both[2] = {blocks[0], blocks[1]};
    uint32_t h[2][8];

    /* In place, a parent is written where children lie that have been read: never ahead of the reading. */
    if (lanes != NULL) {
        const size_t width = lanes->width;
        for (; pairs >= width; pairs -= width) {
            lanes->sha256_nodes(children, parents);
            children += 2 * SHA256_BYTES * width;
            parents += SHA256_BYTES * width;
        }
        if (pairs > width / WORTH_ALL_LANES) {
            uint8_t last[2 * SHA256_BYTES * SM3_MAX_LANES];
            memcpy(last, children, 2 * SHA256_BYTES * pairs);
            memset(last + 2 * SHA256_BYTES * pairs, 0, 2 * SHA256_BYTES * (width - pairs));
            lanes->sha256_nodes(last, last);
            memcpy(parents, last, SHA256_BYTES * pairs);
            return;
        }
    }
    for (; pairs > 1; pairs -= 2, children += 4 * SHA256_BYTES, parents += 2 * SHA256_BYTES) {
        for (size_t n = 0; n < 2; n++) {
            node_blocks(blocks[n], children + 2 * SHA256_BYTES * n);
            memcpy(h[n], sha256_initial, sizeof h[n]);
        }
        way->two(h, both, NODE_BLOCKS);
        store_words(parents, h[0]);
        store_words(parents + SHA256_BYTES, h[1]);
    }
    if (pairs > 0) {
        node_blocks(blocks[0], children);
        memcpy(h[0], sha256_initial, sizeof h[0]);
        way->one(h[0], blocks[0], NODE_BLOCKS);
        store_words(parents, h[0]);
    }
}

/* ---- many messages -------------------------------------------------------------------------------------------- */

struct message {
    const uint8_t *data;
    size_t length;
    size_t prefix_used; /* 0 or 1 */
    uint8_t prefix;
};

static size_t blocks_of(const struct message *message)
{
    return (message->prefix_used + message->length + LEAST_PADDING + SHA256_BLOCK_BYTES - 1) / SHA256_BLOCK_BYTES;
}

/* Write the end of a message, used bytes of which are there, and fill up to the end of the last block. */
static void pad(uint8_t *blocks, size_t used, size_t size, uint64_t length)
{
    blocks[used] = 0x80;
    memset(blocks + used + 1, 0, size - used - LEAST_PADDING);
    store_be64(blocks + size - 8, length << 3);
}

/* Write a message with its padding, which is that many blocks long. */
static void padded(uint8_t *blocks, const struct message *message, size_t count)
{
    const size_t length = message->prefix_used + message->length;

    blocks[0] = message->prefix;
    if (message->length > 0) {
        memcpy(blocks + message->prefix_used, message->data, message->length);
    }
    pad(blocks, length, count * SHA256_BLOCK_BYTES, length);
}

/* A message of any length, its whole blocks read where they lie. */
static void hash_long(const struct sha256_way *way, const struct message *message, uint8_t out[SHA256_BYTES])
{
    const uint8_t *data = message->data;
    size_t left = message->length;
    uint8_t end[2 * SHA256_BLOCK_BYTES];
    uint32_t h[8];

    memcpy(h, sha256_initial, sizeof h);
    if (message->prefix_used) {
        end[0] = message->prefix;
        memcpy(end + 1, data, SHA256_BLOCK_BYTES - 1);
        way->one(h, end, 1);
        data += SHA256_BLOCK_BYTES - 1;
        left -= SHA256_BLOCK_BYTES - 1;
    }
    way->one(h, data, left / SHA256_BLOCK_BYTES);
    data += left - left % SHA256_BLOCK_BYTES;
    left %= SHA256_BLOCK_BYTES;
    memcpy(end, data, left);
    const size_t ends = left + LEAST_PADDING <= SHA256_BLOCK_BYTES ? 1 : 2;
    pad(end, left, ends * SHA256_BLOCK_BYTES, message->prefix_used + message->length);
    way->one(h, end, ends);
    store_words(out, h);
}

static void hash_two(const struct sha256_way *way, const struct message *first, const struct message *second,
                     uint8_t out[2 * SHA256_BYTES])
{
    const size_t blocks[2] = {blocks_of(first), blocks_of(second)};
    const size_t shared = blocks[0] < blocks[1] ? blocks[0] : blocks[1];
    uint8_t buffer[2][PADDED_BLOCKS * SHA256_BLOCK_BYTES];
    const uint8_t *const both[2] = {buffer[0], buffer[1]};
    uint32_t h[2][8];

    padded(buffer[0], first, blocks[0]);
    padded(buffer[1], second, blocks[1]);
    memcpy(h[0], sha256_initial, sizeof h[0]);
    memcpy(h[1], sha256_initial, sizeof h[1]);
    way->two(h, both, shared);
    for (size_t n = 0; n < 2; n++) {
        way->one(h[n], buffer[n] + shared * SHA256_BLOCK_BYTES, blocks[n] - shared);
        store_words(out + SHA256_BYTES * n, h[n]);
    }
}

static void hash_one(const struct sha256_way *way, const struct message *message, uint8_t out[SHA256_BYTES])
{
    uint8_t buffer[PADDED_BLOCKS * SHA256_BLOCK_BYTES];
    const size_t blocks = blocks_of(message);
    uint32_t h[8];

    if (blocks > PADDED_BLOCKS) {
        hash_long(way, message, out);
        return;
    }
    padded(buffer, message, blocks);
    memcpy(h, sha256_initial, sizeof h);
    way->one(h, buffer, blocks);
    store_words(out, h);
}

void sha256_many(const uint8_t *const *messages, const size_t *lengths, size_t count, uint8_t prefix_used,
                 uint8_t prefix, uint8_t *out)
{
    const struct sha256_way *const way = best_way();
    size_t i = 0;

    while (i < count) {
        const struct message first = {messages[i], lengths[i], prefix_used != 0, prefix};

        if (i + 1 < count) {
            const struct message second = {messages[i + 1], lengths[i + 1], prefix_used != 0, prefix};

            if (blocks_of(&first) <= PADDED_BLOCKS && blocks_of(&second) <= PADDED_BLOCKS) {
                hash_two(way, &first, &second, out + SHA256_BYTES * i);
                i += 2;
                continue;
            }
        }
        hash_one(way, &first, out + SHA256_BYTES * i);
        i++;
    }
}
