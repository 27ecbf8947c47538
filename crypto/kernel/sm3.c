#include "sm3.h"

#include <string.h>

#include "cpu.h"
#include "sm3_lanes.h"

const uint32_t sm3_initial[8] = {
    0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e,
};

const uint32_t sm3_round_constants[64] = {
    0x79cc4519, 0xf3988a32, 0xe7311465, 0xce6228cb, 0x9cc45197, 0x3988a32f, 0x7311465e, 0xe6228cbc,
    0xcc451979, 0x988a32f3, 0x311465e7, 0x6228cbce, 0xc451979c, 0x88a32f39, 0x11465e73, 0x228cbce6,
    0x9d8a7a87, 0x3b14f50f, 0x7629ea1e, 0xec53d43c, 0xd8a7a879, 0xb14f50f3, 0x629ea1e7, 0xc53d43ce,
    0x8a7a879d, 0x14f50f3b, 0x29ea1e76, 0x53d43cec, 0xa7a879d8, 0x4f50f3b1, 0x9ea1e762, 0x3d43cec5,
    0x7a879d8a, 0xf50f3b14, 0xea1e7629, 0xd43cec53, 0xa879d8a7, 0x50f3b14f, 0xa1e7629e, 0x43cec53d,
    0x879d8a7a, 0x0f3b14f5, 0x1e7629ea, 0x3cec53d4, 0x79d8a7a8, 0xf3b14f50, 0xe7629ea1, 0xcec53d43,
    0x9d8a7a87, 0x3b14f50f, 0x7629ea1e, 0xec53d43c, 0xd8a7a879, 0xb14f50f3, 0x629ea1e7, 0xc53d43ce,
    0x8a7a879d, 0x14f50f3b, 0x29ea1e76, 0x53d43cec, 0xa7a879d8, 0x4f50f3b1, 0x9ea1e762, 0x3d43cec5,
};

static inline uint32_t rotl(uint32_t x, unsigned int n)
{
    return (x << n) | (x >> (32 - n));
}

/* Between a number and its four big-endian bytes, whichever way the processor reads them. */
static inline uint32_t big_endian(uint32_t x)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_bswap32(x);
#else
    return x;
#endif
}

static inline uint32_t load_be32(const uint8_t *p)
{
    uint32_t x;

    memcpy(&x, p, sizeof x);
    return big_endian(x);
}

static inline void store_be32(uint8_t *p, uint32_t x)
{
    x = big_endian(x);
    memcpy(p, &x, sizeof x);
}

static inline void store_be64(uint8_t *p, uint64_t x)
{
    store_be32(p, (uint32_t)(x >> 32));
    store_be32(p + 4, (uint32_t)x);
}

static void store_words(uint8_t out[SM3_BYTES], const uint32_t h[8])
{
    for (size_t i = 0; i < 8; i++) {
        store_be32(out + 4 * i, h[i]);
    }
}

/* ---- one message: GB/T 32905, 5.3 ----------------------------------------------------------------------------- */

#define P0(x) ((x) ^ rotl(x, 9) ^ rotl(x, 17))
#define P1(x) ((x) ^ rotl(x, 15) ^ rotl(x, 23))
#define FF0(x, y, z) ((x) ^ (y) ^ (z))
#define GG0(x, y, z) ((x) ^ (y) ^ (z))
/* The two halves of each have no bit in common, so that a sum serves as well as an OR and joins the other sums. */
#define FF1(x, y, z) (((x) & (y)) + (((x) ^ (y)) & (z)))
#define GG1(x, y, z) (((x) & (y)) + (~(x) & (z)))

/* The state is not moved: each round writes its two new words where the two that fall out were, and the next round
 * names the eight one place further. wx is W'_j. */
#define ROUND(a, b, c, d, e, f, g, h, j, w, wx, FF, GG)                                                                \
    do {                                                                                                               \
        const uint32_t a12 = rotl(a, 12);                                                                              \
        const uint32_t ss1 = rotl(a12 + (e + sm3_round_constants[j]), 7);                                              \
        h = (h + (w)) + GG(e, f, g) + ss1;                                                                             \
        d = (d + (wx)) + FF(a, b, c) + (ss1 ^ a12);                                                                    \
        h = P0(h);                                                                                                     \
        b = rotl(b, 9);                                                                                                \
        f = rotl(f, 19);                                                                                               \
    } while (0)

#define W(j) w[(j)&15]
/* W_{j+4}, in the place of W_{j-12}, which round j is the first not to need. */
#define EXPAND(j)                                                                                                      \
    do {                                                                                                               \
        const uint32_t x = W((j) + 4) ^ W((j) + 11) ^ rotl(W((j) + 1), 15);                                            \
        W((j) + 4) = P1(x) ^ rotl(W((j) + 7), 7) ^ W((j) + 14);                                                        \
    } while (0)

#define FIRST(a, b, c, d, e, f, g, h, j) ROUND(a, b, c, d, e, f, g, h, j, W(j), W(j) ^ W((j) + 4), FF0, GG0)
#define MIDDLE(a, b, c, d, e, f, g, h, j)                                                                              \
    do {                                                                                                               \
        EXPAND(j);                                                                                                     \
        FIRST(a, b, c, d, e, f, g, h, j);                                                                              \
    } while (0)
#define LATER(a, b, c, d, e, f, g, h, base, j)                                                                         \
    do {                                                                                                               \
        EXPAND(j);                                                                                                     \
        ROUND(a, b, c, d, e, f, g, h, (base) + (j), W(j), W(j) ^ W((j) + 4), FF1, GG1);                                \
    } while (0)
/* Compiled twice: as it is, and for BMI2, whose RORX rotates into another register. */
static inline __attribute__((always_inline)) void compress(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    uint32_t w[16];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];

    for (; count > 0; count--, blocks += SM3_BLOCK_BYTES) {
        for (size_t i = 0; i < 16; i++) {
            w[i] = load_be32(blocks + 4 * i);
        }
        FIRST(a, b, c, d, e, f, g, h, 0);
        FIRST(d, a, b, c, h, e, f, g, 1);
        FIRST(c, d, a, b, g, h, e, f, 2);
        FIRST(b, c, d, a, f, g, h, e, 3);
        FIRST(a, b, c, d, e, f, g, h, 4);
        FIRST(d, a, b, c, h, e, f, g, 5);
        FIRST(c, d, a, b, g, h, e, f, 6);
        FIRST(b, c, d, a, f, g, h, e, 7);
        FIRST(a, b, c, d, e, f, g, h, 8);
        FIRST(d, a, b, c, h, e, f, g, 9);
        FIRST(c, d, a, b, g, h, e, f, 10);
        FIRST(b, c, d, a, f, g, h, e, 11);
        MIDDLE(a, b, c, d, e, f, g, h, 12);
        MIDDLE(d, a, b, c, h, e, f, g, 13);
        MIDDLE(c, d, a, b, g, h, e, f, 14);
        MIDDLE(b, c, d, a, f, g, h, e, 15);
        for (size_t j = 16; j < 64; j += 16) {
            LATER(a, b, c, d, e, f, g, h, j, 0);
            LATER(d, a, b, c, h, e, f, g, j, 1);
            LATER(c, d, a, b, g, h, e, f, j, 2);
            LATER(b, c, d, a, f, g, h, e, j, 3);
            LATER(a, b, c, d, e, f, g, h, j, 4);
            LATER(d, a, b, c, h, e, f, g, j, 5);
            LATER(c, d, a, b, g, h, e, f, j, 6);
            LATER(b, c, d, a, f, g, h, e, j, 7);
            LATER(a, b, c, d, e, f, g, h, j, 8);
            LATER(d, a, b, c, h, e, f, g, j, 9);
            LATER(c, d, a, b, g, h, e, f, j, 10);
            LATER(b, c, d, a, f, g, h, e, j, 11);
            LATER(a, b, c, d, e, f, g, h, j, 12);
            LATER(d, a, b, c, h, e, f, g, j, 13);
            LATER(c, d, a, b, g, h, e, f, j, 14);
            LATER(b, c, d, a, f, g, h, e, j, 15);
        }
        state[0] = a ^= state[0];
        state[1] = b ^= state[1];
        state[2] = c ^= state[2];
        state[3] = d ^= state[3];
        state[4] = e ^= state[4];
        state[5] = f ^= state[5];
        state[6] = g ^= state[6];
        state[7] = h ^= state[7];
    }
    kernel_wipe(w, sizeof w);
}

static void compress_portable(uint32_t h[8], const uint8_t *blocks, size_t count)
{
    compress(h, blocks, count);
}

#if defined(__x86_64__)
__attribute__((target("bmi,bmi2"))) static void compress_bmi2(uint32_t h[8], const uint8_t *blocks, size_t count)
{
    compress(h, blocks, count);
}
#endif

void sm3_compress(uint32_t h[8], const uint8_t *blocks, size_t count)
{
    if (count == 0) {
        return;
    }
#if defined(__x86_64__)
    if (kernel_cpu()->bmi2_adx) {
        compress_bmi2(h, blocks, count);
        return;
    }
#endif
    compress_portable(h, blocks, count);
}

void sm3_init(sm3_state *state)
{
    memset(state, 0, sizeof *state);
    memcpy(state->h, sm3_initial, sizeof state->h);
}

void sm3_update(sm3_state *state, const uint8_t *data, size_t size)
{
    if (size == 0) {
        return;
    }
    state->length += size;
    if (state->used > 0) {
        const size_t room = SM3_BLOCK_BYTES - state->used;
        const size_t taken = size < room ? size : room;
        memcpy(state->buffer + state->used, data, taken);
        state->used += taken;
        if (state->used < SM3_BLOCK_BYTES) {
            return;
        }
        sm3_compress(state->h, state->buffer, 1);
        state->used = 0;
        data += taken;
        size -= taken;
    }
    sm3_compress(state->h, data, size / SM3_BLOCK_BYTES);
    state->used = size % SM3_BLOCK_BYTES;
    if (state->used > 0) {
        memcpy(state->buffer, data + (size - state->used), state->used);
    }
}

void sm3_final(sm3_state *state, uint8_t out[SM3_BYTES])
{
    size_t used = state->used;

    state->buffer[used++] = 0x80;
    memset(state->buffer + used, 0, SM3_BLOCK_BYTES - used);
    if (used > SM3_BLOCK_BYTES - 8) {
        sm3_compress(state->h, state->buffer, 1);
        memset(state->buffer, 0, SM3_BLOCK_BYTES);
    }
    store_be64(state->buffer + SM3_BLOCK_BYTES - 8, state->length << 3);
    sm3_compress(state->h, state->buffer, 1);
    store_words(out, state->h);
    kernel_wipe(state, sizeof *state);
}

void sm3_digest(const uint8_t *data, size_t size, uint8_t out[SM3_BYTES])
{
    sm3_state state;

    sm3_init(&state);
    sm3_update(&state, data, size);
    sm3_final(&state, out);
}

/* ---- HMAC: RFC 2104 ------------------------------------------------------------------------------------------- */

void hmac_sm3_init(hmac_sm3_key *key, const uint8_t *bytes, size_t size)
{
    uint8_t block[SM3_BLOCK_BYTES] = {0};

    if (size > SM3_BLOCK_BYTES) {
        sm3_digest(bytes, size, block);
    } else if (size > 0) {
        memcpy(block, bytes, size);
    }
    for (size_t i = 0; i < SM3_BLOCK_BYTES; i++) {
        block[i] ^= 0x36;
    }
    memcpy(key->inner, sm3_initial, sizeof key->inner);
    sm3_compress(key->inner, block, 1);
    for (size_t i = 0; i < SM3_BLOCK_BYTES; i++) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    memcpy(key->outer, sm3_initial, sizeof key->outer);
    sm3_compress(key->outer, block, 1);
    kernel_wipe(block, sizeof block);
}

void hmac_sm3_digest(const hmac_sm3_key *key, const uint8_t *message, size_t size, uint8_t out[SM3_BYTES])
{
    sm3_state state;

    sm3_init(&state);
    memcpy(state.h, key->inner, sizeof state.h);
    state.length = SM3_BLOCK_BYTES;
    sm3_update(&state, message, size);
    sm3_final(&state, out);

    memcpy(state.h, key->outer, sizeof state.h);
    state.length = SM3_BLOCK_BYTES;
    state.used = 0;
    sm3_update(&state, out, SM3_BYTES);
    sm3_final(&state, out);
}

void hmac_sm3(const uint8_t *key, size_t key_size, const uint8_t *message, size_t size, uint8_t out[SM3_BYTES])
{
    hmac_sm3_key prepared;

    hmac_sm3_init(&prepared, key, key_size);
    hmac_sm3_digest(&prepared, message, size, out);
    kernel_wipe(&prepared, sizeof prepared);
}

/* ---- many messages -------------------------------------------------------------------------------------------- */

static const struct sm3_lanes *best_lanes(void)
{
#if defined(__x86_64__)
    if (kernel_cpu()->avx512) {
        return &sm3_lanes_avx512;
    }
    if (kernel_cpu()->avx2) {
        return &sm3_lanes_avx2;
    }
#elif defined(__aarch64__)
    if (kernel_cpu()->neon) {
        return &sm3_lanes_neon;
    }
#endif
    return NULL;
}

static void node(const uint8_t children[2 * SM3_BYTES], uint8_t parent[SM3_BYTES])
{
    uint8_t blocks[2 * SM3_BLOCK_BYTES] = {0x01};
    uint32_t h[8];

    memcpy(blocks + 1, children, 2 * SM3_BYTES);
    blocks[1 + 2 * SM3_BYTES] = 0x80;
    store_be64(blocks + sizeof blocks - 8, 8 * (1 + 2 * SM3_BYTES));
    memcpy(h, sm3_initial, sizeof h);
    sm3_compress(h, blocks, 2);
    store_words(parent, h);
}

void sm3_merkle_nodes(const uint8_t *children, size_t pairs, uint8_t *parents)
{
    const struct sm3_lanes *lanes = best_lanes();

    /* In place, a parent is written where children lie that have been read: never ahead of the reading. */
    if (lanes != NULL) {
        const size_t width = lanes->width;
        for (; pairs >= width; pairs -= width) {
            lanes->nodes(children, parents);
            children += 2 * SM3_BYTES * width;
            parents += SM3_BYTES * width;
        }
        if (pairs > 1) {
            uint8_t last[2 * SM3_BYTES * SM3_MAX_LANES];
            memcpy(last, children, 2 * SM3_BYTES * pairs);
            memset(last + 2 * SM3_BYTES * pairs, 0, 2 * SM3_BYTES * (width - pairs));
            lanes->nodes(last, last);
            memcpy(parents, last, SM3_BYTES * pairs);
            return;
        }
    }
    for (; pairs > 0; pairs--, children += 2 * SM3_BYTES, parents += SM3_BYTES) {
        node(children, parents);
    }
}

/* The messages of one call: anywhere, or one after the other. */
struct batch {
    const uint8_t *const *messages; /* NULL: message i is at data + i * size */
    const size_t *lengths;
    const uint8_t *data;
    size_t size;
    size_t count;
    size_t prefix_used; /* 0 or 1 */
    uint8_t prefix;
    uint8_t *out;
};

static size_t length_of(const struct batch *batch, size_t index)
{
    return batch->messages == NULL ? batch->size : batch->lengths[index];
}

static const uint8_t *message_of(const struct batch *batch, size_t index)
{
    if (batch->messages != NULL) {
        return batch->messages[index];
    }
    return batch->size == 0 ? NULL : batch->data + index * batch->size;
}

/* Where one lane is in its message: what is left are whole chunks of 64 bytes, read where they lie, then the one or two
 * in `end` that hold the rest, the padding and the length. With a prefix, a block begins one byte before its chunk. */
struct lane {
    const uint8_t *next;
    size_t whole;
    size_t ends;
    size_t rest;  /* bytes of the message in end */
    size_t done;  /* chunks folded in */
    size_t index; /* of the message */
    int busy;
    uint8_t end[2 * SM3_BLOCK_BYTES];
};

static void lane_begin(struct lane *lane, const struct batch *batch, size_t index)
{
    const size_t length = length_of(batch, index);
    const uint8_t *const message = message_of(batch, index);

    lane->whole = length / SM3_BLOCK_BYTES;
    lane->rest = length % SM3_BLOCK_BYTES;
    lane->ends = batch->prefix_used + lane->rest + 1 + 8 <= SM3_BLOCK_BYTES ? 1 : 2;
    lane->next = lane->whole > 0 ? message : lane->end;
    lane->done = 0;
    lane->index = index;
    lane->busy = 1;
    memset(lane->end, 0, SM3_BLOCK_BYTES);
    if (lane->ends > 1) {
        memset(lane->end + SM3_BLOCK_BYTES, 0, SM3_BLOCK_BYTES);
    }
    if (lane->rest > 0) {
        memcpy(lane->end, message + (length - lane->rest), lane->rest);
    }
    lane->end[lane->rest] = 0x80;
    store_be64(lane->end + lane->ends * SM3_BLOCK_BYTES - 8 - batch->prefix_used,
               (uint64_t)(length + batch->prefix_used) << 3);
}

static const uint8_t *lane_chunk(struct lane *lane)
{
    const uint8_t *const chunk = lane->next;

    lane->done++;
    lane->next += SM3_BLOCK_BYTES;
    if (lane->whole == 0) {
        lane->ends--;
    } else if (--lane->whole == 0) {
        lane->next = lane->end;
    }
    return chunk;
}

/* The last message of a batch may be far longer than the others: alone, it is done one block after the other. */
static void finish_alone(const struct lane *lane, const struct batch *batch, const uint32_t h[8], uint32_t carry)
{
    sm3_state state;

    sm3_init(&state);
    memcpy(state.h, h, sizeof state.h);
    state.length = (uint64_t)lane->done * SM3_BLOCK_BYTES + batch->prefix_used;
    state.used = batch->prefix_used;
    state.buffer[0] = (uint8_t)(carry >> 24);
    sm3_update(&state, lane->next, lane->whole * SM3_BLOCK_BYTES + lane->rest);
    sm3_final(&state, batch->out + SM3_BYTES * lane->index);
}

/* The lanes of one call. */
struct work {
    _Alignas(64) uint32_t state[8 * SM3_MAX_LANES]; /* as `absorb` wants it */
    _Alignas(64) uint32_t carry[SM3_MAX_LANES];
    struct lane lane[SM3_MAX_LANES];
    size_t width;
};

static void take_state(const struct work *work, size_t n, uint32_t h[8])
{
    for (size_t i = 0; i < 8; i++) {
        h[i] = work->state[i * work->width + n];
    }
}

static void work_begin(struct work *work, size_t n, const struct batch *batch, size_t index)
{
    lane_begin(&work->lane[n], batch, index);
    work->carry[n] = (uint32_t)batch->prefix << 24;
    for (size_t i = 0; i < 8; i++) {
        work->state[i * work->width + n] = sm3_initial[i];
    }
}

/* Each lane takes the next message as soon as its last one is done, so that lengths may differ. */
static void hash_batch(const struct sm3_lanes *lanes, const struct batch *batch)
{
    static const uint8_t idle[SM3_BLOCK_BYTES];
    struct work work;
    const uint8_t *chunks[SM3_MAX_LANES];
    uint32_t h[8];
    size_t begun = 0;
    size_t busy = 0;

    memset(work.state, 0, sizeof work.state);
    memset(work.carry, 0, sizeof work.carry);
    work.width = lanes->width;
    for (size_t n = 0; n < work.width; n++) {
        work.lane[n].busy = begun < batch->count;
        if (work.lane[n].busy) {
            work_begin(&work, n, batch, begun++);
            busy++;
        }
    }
    while (busy > 0) {
        for (size_t n = 0; n < work.width; n++) {
            if (busy == 1 && work.lane[n].busy && work.lane[n].whole > 0) {
                take_state(&work, n, h);
                finish_alone(&work.lane[n], batch, h, work.carry[n]);
                return;
            }
            chunks[n] = work.lane[n].busy ? lane_chunk(&work.lane[n]) : idle;
        }
        lanes->absorb(work.state, batch->prefix_used ? work.carry : NULL, chunks);
        for (size_t n = 0; n < work.width; n++) {
            if (!work.lane[n].busy || work.lane[n].ends > 0) {
                continue;
            }
            take_state(&work, n, h);
            store_words(batch->out + SM3_BYTES * work.lane[n].index, h);
            if (begun < batch->count) {
                work_begin(&work, n, batch, begun++);
            } else {
                work.lane[n].busy = 0;
                busy--;
            }
        }
    }
}

static void hash_one_by_one(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        sm3_state state;

        sm3_init(&state);
        sm3_update(&state, &batch->prefix, batch->prefix_used);
        sm3_update(&state, message_of(batch, i), length_of(batch, i));
        sm3_final(&state, batch->out + SM3_BYTES * i);
    }
}

static void hash_all(const struct batch *batch)
{
    const struct sm3_lanes *lanes = best_lanes();

    if (lanes != NULL && batch->count > 1) {
        hash_batch(lanes, batch);
    } else {
        hash_one_by_one(batch);
    }
}

void sm3_merkle_leaves(const uint8_t *data, size_t size, size_t count, uint8_t *out)
{
    const struct batch batch = {NULL, NULL, data, size, count, 1, 0x00, out};

    hash_all(&batch);
}

void sm3_many(const uint8_t *const *messages, const size_t *lengths, size_t count, uint8_t prefix_used, uint8_t prefix,
              uint8_t *out)
{
    const struct batch batch = {messages, lengths, NULL, 0, count, prefix_used != 0, prefix, out};

    if (count > 0) {
        hash_all(&batch);
    }
}
