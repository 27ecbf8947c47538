/* SHA-256 by the SHA2 instructions of aarch64: four rounds a pair of instructions. */
#include "sha256_ways.h"

#if defined(SHA256_AARCH64)

#include <arm_neon.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("sha2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("+crypto")
#endif

#define MAX_STREAMS 2
/* Words in an array stay in registers only where each index is a constant. */
#define UNROLL _Pragma("GCC unroll 16")

static inline __attribute__((always_inline)) void fold(uint32_t h[][8], const uint8_t *const *blocks, size_t count,
                                                       const size_t streams)
{
    uint32x4_t abcd[MAX_STREAMS];
    uint32x4_t efgh[MAX_STREAMS];

    UNROLL
    for (size_t n = 0; n < streams; n++) {
        abcd[n] = vld1q_u32(h[n]);
        efgh[n] = vld1q_u32(h[n] + 4);
    }
    for (size_t at = 0; at < count * 64; at += 64) {
        uint32x4_t w[MAX_STREAMS][4]; /* the last sixteen words of the schedule, FIPS 180-4, 6.2.2 */
        uint32x4_t abcd_before[MAX_STREAMS];
        uint32x4_t efgh_before[MAX_STREAMS];

        UNROLL
        for (size_t n = 0; n < streams; n++) {
            abcd_before[n] = abcd[n];
            efgh_before[n] = efgh[n];
        }
        UNROLL
        for (size_t four = 0; four < 16; four++) {
            const uint32x4_t k = vld1q_u32(sha256_round_constants + 4 * four);

            UNROLL
            for (size_t n = 0; n < streams; n++) {
                uint32x4_t *const now = &w[n][four % 4];
                const uint32x4_t abcd_now = abcd[n];

                if (four < 4) {
                    *now = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(blocks[n] + at + 16 * four)));
                } else {
                    *now = vsha256su0q_u32(*now, w[n][(four + 1) % 4]);
                    *now = vsha256su1q_u32(*now, w[n][(four + 2) % 4], w[n][(four + 3) % 4]);
                }
                abcd[n] = vsha256hq_u32(abcd[n], efgh[n], vaddq_u32(*now, k));
                efgh[n] = vsha256h2q_u32(efgh[n], abcd_now, vaddq_u32(*now, k));
            }
        }
        UNROLL
        for (size_t n = 0; n < streams; n++) {
            abcd[n] = vaddq_u32(abcd[n], abcd_before[n]);
            efgh[n] = vaddq_u32(efgh[n], efgh_before[n]);
        }
    }
    UNROLL
    for (size_t n = 0; n < streams; n++) {
        vst1q_u32(h[n], abcd[n]);
        vst1q_u32(h[n] + 4, efgh[n]);
    }
}

static void one(uint32_t h[8], const uint8_t *blocks, size_t count)
{
    fold((uint32_t(*)[8])h, &blocks, count, 1);
}

static void two(uint32_t h[2][8], const uint8_t *const blocks[2], size_t count)
{
    fold(h, blocks, count, 2);
}

const struct sha256_way sha256_aarch64 = {one, two};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
