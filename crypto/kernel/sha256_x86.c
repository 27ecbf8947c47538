/* SHA-256 by the SHA extensions of x86-64: two rounds an instruction, the state as the words A B E F and C D G H. */
#include "sha256_ways.h"

#if defined(__x86_64__)

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("sse4.1,sha"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("sse4.1,sha")
#endif

#define MAX_STREAMS 2
/* Words in an array stay in registers only where each index is a constant. */
#define UNROLL _Pragma("GCC unroll 16")

static inline __attribute__((always_inline)) __m128i load(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

static inline __attribute__((always_inline)) void fold(uint32_t h[][8], const uint8_t *const *blocks, size_t count,
                                                       const size_t streams)
{
    const __m128i big_endian = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    __m128i abef[MAX_STREAMS];
    __m128i cdgh[MAX_STREAMS];

    UNROLL
    for (size_t n = 0; n < streams; n++) {
        const __m128i cdab = _mm_shuffle_epi32(load(h[n]), 0xb1);
        const __m128i efgh = _mm_shuffle_epi32(load(h[n] + 4), 0x1b);
        abef[n] = _mm_alignr_epi8(cdab, efgh, 8);
        cdgh[n] = _mm_blend_epi16(efgh, cdab, 0xf0);
    }
    for (size_t at = 0; at < count * 64; at += 64) {
        __m128i w[MAX_STREAMS][4]; /* the last sixteen words of the schedule, FIPS 180-4, 6.2.2 */
        __m128i abef_before[MAX_STREAMS];
        __m128i cdgh_before[MAX_STREAMS];

        UNROLL
        for (size_t n = 0; n < streams; n++) {
            abef_before[n] = abef[n];
            cdgh_before[n] = cdgh[n];
        }
        UNROLL
        for (size_t four = 0; four < 16; four++) {
            const __m128i k = load(sha256_round_constants + 4 * four);

            UNROLL
            for (size_t n = 0; n < streams; n++) {
                __m128i *const now = &w[n][four % 4];
                const __m128i before = w[n][(four + 3) % 4];
                __m128i sum;

                if (four < 4) {
                    *now = _mm_shuffle_epi8(load(blocks[n] + at + 16 * four), big_endian);
                } else {
                    const __m128i seven_back = _mm_alignr_epi8(before, w[n][(four + 2) % 4], 4);
                    sum = _mm_add_epi32(_mm_sha256msg1_epu32(*now, w[n][(four + 1) % 4]), seven_back);
                    *now = _mm_sha256msg2_epu32(sum, before);
                }
                sum = _mm_add_epi32(*now, k);
                cdgh[n] = _mm_sha256rnds2_epu32(cdgh[n], abef[n], sum);
                abef[n] = _mm_sha256rnds2_epu32(abef[n], cdgh[n], _mm_shuffle_epi32(sum, 0x0e));
            }
        }
        UNROLL
        for (size_t n = 0; n < streams; n++) {
            abef[n] = _mm_add_epi32(abef[n], abef_before[n]);
            cdgh[n] = _mm_add_epi32(cdgh[n], cdgh_before[n]);
        }
    }
    UNROLL
    for (size_t n = 0; n < streams; n++) {
        const __m128i feba = _mm_shuffle_epi32(abef[n], 0x1b);
        const __m128i dchg = _mm_shuffle_epi32(cdgh[n], 0xb1);
        _mm_storeu_si128((__m128i *)(void *)h[n], _mm_blend_epi16(feba, dchg, 0xf0));
        _mm_storeu_si128((__m128i *)(void *)(h[n] + 4), _mm_alignr_epi8(dchg, feba, 8));
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

const struct sha256_way sha256_x86 = {one, two};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
