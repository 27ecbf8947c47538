/* SM3 of many messages at once, and the Merkle nodes of SHA-256: word i of message n lies in lane n of vector i, so that
 * one instruction serves all.
 *
 * The first half is what sm3.c and sha256.c see. The second half is the text of one such way, for a file that has said in macros
 * what its vectors are (it includes this header twice: see sm3_avx2.c):
 *
 *   VECTOR LANES STREAMS       the type, how many words it holds, how many of them advance side by side (1 or 2: with
 *                              two, one fills the processor while the other waits for its own last round)
 *   ADD XOR XOR3 ROTL SHR SET1 word by word
 *   ROTL_9_17 ROTL_15_23       x ^ (x <<< 9) ^ (x <<< 17), x ^ (x <<< 15) ^ (x <<< 23): P0 and P1
 *   MAJORITY CHOOSE            FF and GG of the rounds from 16 on
 *   LOAD STORE                 a whole vector, aligned
 *   GATHER(p, at)              16 bytes from p[0] + at, p[4] + at, p[8] + at ... as the vector's 128-bit quarters
 *   SCATTER(p, stride, v)      these quarters to p, p + 4 stride, p + 8 stride ...
 *   LOW32 HIGH32 LOW64 HIGH64  interleave the lower or upper halves of each quarter
 *   SWAP_BYTES CARRIED         of the four bytes b0 b1 b2 b3 of each word in memory, make the number b0 b1 b2 b3, or
 *                              b3 b0 b1 b2
 *   JOIN(now, before)          the top byte of before, the lower three of now
 */
#ifndef EDUTRUST_KERNEL_SM3_LANES_H
#define EDUTRUST_KERNEL_SM3_LANES_H

#include <stddef.h>
#include <stdint.h>

#define SM3_MAX_LANES 32
#define SM3_INLINE static inline __attribute__((always_inline))

/* T_j rotated left by j (GB/T 32905, 4.2 and 5.3.3). */
extern const uint32_t sm3_round_constants[64];
extern const uint32_t sm3_initial[8];
/* FIPS 180-4, 4.2.2 and 5.3.3. */
extern const uint32_t sha256_round_constants[64];
extern const uint32_t sha256_initial[8];

/* One way to do it. */
struct sm3_lanes {
    size_t width; /* how many messages at once */
    /* Fold one block of each message into its state: word i of message n is state[i * width + n]. With carry NULL the
     * blocks are as they lie in memory. Otherwise the messages have a byte before them, so that each block ends one
     * byte earlier than the 64 bytes pointed at: the top byte of carry[n] is the byte before (the rest is ignored),
     * and is set to the last byte of the 64. state and carry are aligned to 64 bytes. */
    void (*absorb)(uint32_t *state, uint32_t *carry, const uint8_t *const *chunks);
    /* parents[i] = SM3(0x01 || children 2i || children 2i + 1) for width pairs; parents may be children. */
    void (*nodes)(const uint8_t *children, uint8_t *parents);
    /* The same with SHA-256. */
    void (*sha256_nodes)(const uint8_t *children, uint8_t *parents);
};

#if defined(__x86_64__)
extern const struct sm3_lanes sm3_lanes_avx2;
extern const struct sm3_lanes sm3_lanes_avx512;
#elif defined(__aarch64__)
extern const struct sm3_lanes sm3_lanes_neon;
#endif

#endif /* EDUTRUST_KERNEL_SM3_LANES_H */

#ifdef VECTOR

#define WIDTH (LANES * STREAMS)
_Static_assert(WIDTH <= SM3_MAX_LANES, "callers have room for SM3_MAX_LANES");

/* Words in an array stay in registers only where each index is a constant. */
#define UNROLL _Pragma("GCC unroll 32")

#if STREAMS == 2
#define EACH_STREAM(MACRO, ...) MACRO(0, __VA_ARGS__) MACRO(1, __VA_ARGS__)
#else
#define EACH_STREAM(MACRO, ...) MACRO(0, __VA_ARGS__)
#endif

/* ---- between memory and lanes --------------------------------------------------------------------------------- */

/* Four vectors of four words of four messages become four of one word each; the same serves back. */
SM3_INLINE void transpose(VECTOR r[4])
{
    const VECTOR low01 = LOW32(r[0], r[1]);
    const VECTOR low23 = LOW32(r[2], r[3]);
    const VECTOR high01 = HIGH32(r[0], r[1]);
    const VECTOR high23 = HIGH32(r[2], r[3]);
    r[0] = LOW64(low01, low23);
    r[1] = HIGH64(low01, low23);
    r[2] = LOW64(high01, high23);
    r[3] = HIGH64(high01, high23);
}

/* The 16 words of a block of each message, their bytes in the order of memory. */
SM3_INLINE void gather_blocks(VECTOR w[16], const uint8_t *const *chunks)
{
    UNROLL
    for (size_t i = 0; i < 16; i += 4) {
        w[i] = GATHER(chunks, 4 * i);
        w[i + 1] = GATHER(chunks + 1, 4 * i);
        w[i + 2] = GATHER(chunks + 2, 4 * i);
        w[i + 3] = GATHER(chunks + 3, 4 * i);
        transpose(w + i);
    }
}

SM3_INLINE void plain_words(VECTOR w[16])
{
    UNROLL
    for (size_t i = 0; i < 16; i++) {
        w[i] = SWAP_BYTES(w[i]);
    }
}

/* The words of blocks that begin one byte earlier, with the top byte of before; return what the next begin with. */
SM3_INLINE VECTOR shifted_words(VECTOR w[16], VECTOR before)
{
    UNROLL
    for (size_t i = 0; i < 16; i++) {
        const VECTOR now = CARRIED(w[i]);
        w[i] = JOIN(now, before);
        before = now;
    }
    return before;
}

SM3_INLINE void scatter_digests(uint8_t *out, const VECTOR s[8])
{
    UNROLL
    for (size_t half = 0; half < 2; half++) {
        VECTOR r[4] = {s[4 * half], s[4 * half + 1], s[4 * half + 2], s[4 * half + 3]};
        transpose(r);
        UNROLL
        for (size_t i = 0; i < 4; i++) {
            SCATTER(out + SM3_BYTES * i + 16 * half, SM3_BYTES, SWAP_BYTES(r[i]));
        }
    }
}

/* ---- rounds: as in sm3.c, n being the stream ------------------------------------------------------------------ */

#define ROUND_OF(n, a, b, c, d, e, f, g, h, k, w, wx, FF, GG)                                                          \
    {                                                                                                                  \
        const VECTOR a12 = ROTL(a##n, 12);                                                                             \
        const VECTOR ss1 = ROTL(ADD(a12, ADD(e##n, k)), 7);                                                            \
        h##n = ADD(ADD(ADD(h##n, w), GG(e##n, f##n, g##n)), ss1);                                                      \
        d##n = ADD(ADD(ADD(d##n, wx), FF(a##n, b##n, c##n)), XOR(ss1, a12));                                           \
        h##n = ROTL_9_17(h##n);                                                                                        \
        b##n = ROTL(b##n, 9);                                                                                          \
        f##n = ROTL(f##n, 19);                                                                                         \
    }

/* W_j to W_{j+15} in a window of 16, which round j moves on by one. */
#define W(n, j) w[n][(j)&15]
#define WINDOW_ROUND_OF(n, a, b, c, d, e, f, g, h, k, j, FF, GG)                                                       \
    ROUND_OF(n, a, b, c, d, e, f, g, h, k, W(n, j), XOR(W(n, j), W(n, (j) + 4)), FF, GG)
#define EXPAND_OF(n, j)                                                                                                \
    W(n, (j) + 4) = XOR3(ROTL_15_23(XOR3(W(n, (j) + 4), W(n, (j) + 11), ROTL(W(n, (j) + 1), 15))),                     \
                         ROTL(W(n, (j) + 7), 7), W(n, (j) + 14));

#define FIRST(a, b, c, d, e, f, g, h, j)                                                                               \
    {                                                                                                                  \
        const VECTOR k = SET1(sm3_round_constants[j]);                                                                 \
        EACH_STREAM(WINDOW_ROUND_OF, a, b, c, d, e, f, g, h, k, j, XOR3, XOR3)                                         \
    }
#define MIDDLE(a, b, c, d, e, f, g, h, j)                                                                              \
    EACH_STREAM(EXPAND_OF, j)                                                                                          \
    FIRST(a, b, c, d, e, f, g, h, j)
#define LATER(a, b, c, d, e, f, g, h, j)                                                                               \
    {                                                                                                                  \
        const VECTOR k = SET1(sm3_round_constants[start + (j)]);                                                       \
        EACH_STREAM(EXPAND_OF, j)                                                                                      \
        EACH_STREAM(WINDOW_ROUND_OF, a, b, c, d, e, f, g, h, k, j, MAJORITY, CHOOSE)                                   \
    }
#define FOUR(KIND, j)                                                                                                  \
    KIND(a, b, c, d, e, f, g, h, j)                                                                                    \
    KIND(d, a, b, c, h, e, f, g, (j) + 1)                                                                              \
    KIND(c, d, a, b, g, h, e, f, (j) + 2)                                                                              \
    KIND(b, c, d, a, f, g, h, e, (j) + 3)
#define LATER_FROM(j)                                                                                                  \
    for (size_t start = (j); start < 64; start += 16) {                                                                \
        FOUR(LATER, 0)                                                                                                 \
        FOUR(LATER, 4)                                                                                                 \
        FOUR(LATER, 8)                                                                                                 \
        FOUR(LATER, 12)                                                                                                \
    }

#define STATE_IN_OF(n, s)                                                                                              \
    VECTOR a##n = s[n][0], b##n = s[n][1], c##n = s[n][2], d##n = s[n][3];                                             \
    VECTOR e##n = s[n][4], f##n = s[n][5], g##n = s[n][6], h##n = s[n][7];
#define STATE_OUT_OF(n, s)                                                                                             \
    s[n][0] = XOR(s[n][0], a##n);                                                                                      \
    s[n][1] = XOR(s[n][1], b##n);                                                                                      \
    s[n][2] = XOR(s[n][2], c##n);                                                                                      \
    s[n][3] = XOR(s[n][3], d##n);                                                                                      \
    s[n][4] = XOR(s[n][4], e##n);                                                                                      \
    s[n][5] = XOR(s[n][5], f##n);                                                                                      \
    s[n][6] = XOR(s[n][6], g##n);                                                                                      \
    s[n][7] = XOR(s[n][7], h##n);

SM3_INLINE void compress_lanes(VECTOR s[STREAMS][8], VECTOR w[STREAMS][16])
{
    EACH_STREAM(STATE_IN_OF, s)
    FOUR(FIRST, 0)
    FOUR(FIRST, 4)
    FOUR(FIRST, 8)
    FOUR(MIDDLE, 12)
    LATER_FROM(16)
    EACH_STREAM(STATE_OUT_OF, s)
}

/* ---- rounds of SHA-256: as in sha256.c ------------------------------------------------------------------------- */

#define SHA256_SUM0(x) XOR3(ROTL(x, 30), ROTL(x, 19), ROTL(x, 10))
#define SHA256_SUM1(x) XOR3(ROTL(x, 26), ROTL(x, 21), ROTL(x, 7))
#define SHA256_SIGMA0(x) XOR3(ROTL(x, 25), ROTL(x, 14), SHR(x, 3))
#define SHA256_SIGMA1(x) XOR3(ROTL(x, 15), ROTL(x, 13), SHR(x, 10))

#define SHA256_ROUND_OF(n, a, b, c, d, e, f, g, h, k, j)                                                               \
    {                                                                                                                  \
        const VECTOR t1 = ADD(ADD(ADD(h##n, k), W(n, j)), ADD(CHOOSE(e##n, f##n, g##n), SHA256_SUM1(e##n)));           \
        d##n = ADD(d##n, t1);                                                                                          \
        h##n = ADD(t1, ADD(MAJORITY(a##n, b##n, c##n), SHA256_SUM0(a##n)));                                            \
    }
/* W_{j+16}, in the place of W_j, which round j is the last to need. */
#define SHA256_EXPAND_OF(n, j)                                                                                         \
    W(n, j) = ADD(ADD(W(n, j), SHA256_SIGMA0(W(n, (j) + 1))), ADD(W(n, (j) + 9), SHA256_SIGMA1(W(n, (j) + 14))));
#define SHA256_ROUND(a, b, c, d, e, f, g, h, j)                                                                        \
    {                                                                                                                  \
        const VECTOR k = SET1(sha256_round_constants[start + (j)]);                                                    \
        EACH_STREAM(SHA256_ROUND_OF, a, b, c, d, e, f, g, h, k, j)                                                     \
        EACH_STREAM(SHA256_EXPAND_OF, j)                                                                               \
    }
#define SHA256_EIGHT(j)                                                                                                \
    SHA256_ROUND(a, b, c, d, e, f, g, h, j)                                                                            \
    SHA256_ROUND(h, a, b, c, d, e, f, g, (j) + 1)                                                                      \
    SHA256_ROUND(g, h, a, b, c, d, e, f, (j) + 2)                                                                      \
    SHA256_ROUND(f, g, h, a, b, c, d, e, (j) + 3)                                                                      \
    SHA256_ROUND(e, f, g, h, a, b, c, d, (j) + 4)                                                                      \
    SHA256_ROUND(d, e, f, g, h, a, b, c, (j) + 5)                                                                      \
    SHA256_ROUND(c, d, e, f, g, h, a, b, (j) + 6)                                                                      \
    SHA256_ROUND(b, c, d, e, f, g, h, a, (j) + 7)

#define SHA256_STATE_OUT_OF(n, s)                                                                                      \
    s[n][0] = ADD(s[n][0], a##n);                                                                                      \
    s[n][1] = ADD(s[n][1], b##n);                                                                                      \
    s[n][2] = ADD(s[n][2], c##n);                                                                                      \
    s[n][3] = ADD(s[n][3], d##n);                                                                                      \
    s[n][4] = ADD(s[n][4], e##n);                                                                                      \
    s[n][5] = ADD(s[n][5], f##n);                                                                                      \
    s[n][6] = ADD(s[n][6], g##n);                                                                                      \
    s[n][7] = ADD(s[n][7], h##n);

SM3_INLINE void sha256_compress_lanes(VECTOR s[STREAMS][8], VECTOR w[STREAMS][16])
{
    EACH_STREAM(STATE_IN_OF, s)
    /* The last sixteen rounds expand too, for nothing: a second copy of the rounds would cost more. */
    for (size_t start = 0; start < 64; start += 16) {
        SHA256_EIGHT(0)
        SHA256_EIGHT(8)
    }
    EACH_STREAM(SHA256_STATE_OUT_OF, s)
}

/* ---- what the table offers ------------------------------------------------------------------------------------ */

SM3_INLINE void nodes_by(const uint8_t *children, uint8_t *parents, const uint32_t initial[8], const int is_sha256)
{
    VECTOR s[STREAMS][8];
    VECTOR w[STREAMS][16];
    VECTOR last[STREAMS]; /* W_0 of the second block: the last byte of each right child, and 0x80 */

    UNROLL
    for (size_t n = 0; n < STREAMS; n++) {
        const uint8_t *chunks[LANES];
        UNROLL
        for (size_t i = 0; i < LANES; i++) {
            chunks[i] = children + 64 * (n * LANES + i);
        }
        gather_blocks(w[n], chunks);
        last[n] = JOIN(SET1(0x00800000), shifted_words(w[n], SET1(0x01000000)));
        UNROLL
        for (size_t i = 0; i < 8; i++) {
            s[n][i] = SET1(initial[i]);
        }
    }
    /* Both blocks go through one copy of the rounds. A second one, made for a block of which all but one byte is known,
     * saves one instruction in twenty and is slower: together they outgrow the instruction cache. */
    for (int block = 0; block < 2; block++) {
        if (is_sha256) {
            sha256_compress_lanes(s, w);
        } else {
            compress_lanes(s, w);
        }
        for (size_t n = 0; n < STREAMS; n++) {
            w[n][0] = last[n];
            for (size_t j = 1; j < 15; j++) {
                w[n][j] = SET1(0);
            }
            w[n][15] = SET1(8 * (1 + 2 * SM3_BYTES)); /* the length in bits */
        }
    }
    UNROLL
    for (size_t n = 0; n < STREAMS; n++) {
        scatter_digests(parents + SM3_BYTES * LANES * n, s[n]);
    }
}

static void nodes(const uint8_t *children, uint8_t *parents)
{
    nodes_by(children, parents, sm3_initial, 0);
}

static void sha256_nodes(const uint8_t *children, uint8_t *parents)
{
    nodes_by(children, parents, sha256_initial, 1);
}

static void absorb(uint32_t *state, uint32_t *carry, const uint8_t *const *chunks)
{
    VECTOR s[STREAMS][8];
    VECTOR w[STREAMS][16];

    UNROLL
    for (size_t n = 0; n < STREAMS; n++) {
        gather_blocks(w[n], chunks + n * LANES);
        if (carry != NULL) {
            STORE(carry + n * LANES, shifted_words(w[n], LOAD(carry + n * LANES)));
        } else {
            plain_words(w[n]);
        }
        UNROLL
        for (size_t i = 0; i < 8; i++) {
            s[n][i] = LOAD(state + i * WIDTH + n * LANES);
        }
    }
    compress_lanes(s, w);
    UNROLL
    for (size_t n = 0; n < STREAMS; n++) {
        UNROLL
        for (size_t i = 0; i < 8; i++) {
            STORE(state + i * WIDTH + n * LANES, s[n][i]);
        }
    }
}

#endif /* VECTOR */
