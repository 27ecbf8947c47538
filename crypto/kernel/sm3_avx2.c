/* SM3 in eight lanes of AVX2, two vectors of them side by side. */
#include "sm3_lanes.h"

#include "sm3.h"

#if defined(__x86_64__)

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#define VECTOR __m256i
#define LANES 8
#define STREAMS 2

#define ADD(x, y) _mm256_add_epi32(x, y)
#define XOR(x, y) _mm256_xor_si256(x, y)
#define XOR3(x, y, z) XOR(XOR(x, y), z)
#define SET1(x) _mm256_set1_epi32((int)(x))
#define ROTL(x, n) _mm256_or_si256(_mm256_slli_epi32(x, n), _mm256_srli_epi32(x, 32 - (n)))
#define SHR(x, n) _mm256_srli_epi32(x, n)
#define ROTL_9_17(x) rotl_and_8(x, ROTL(x, 9))
#define ROTL_15_23(x) rotl_and_8(x, ROTL(x, 15))
#define MAJORITY(x, y, z) majority(x, y, z)
#define CHOOSE(x, y, z) choose(x, y, z)
#define LOAD(p) _mm256_load_si256((const __m256i *)(const void *)(p))
#define STORE(p, v) _mm256_store_si256((__m256i *)(void *)(p), v)
#define GATHER(p, at) gather((p)[0] + (at), (p)[4] + (at))
#define SCATTER(p, stride, v) scatter((p), (p) + 4 * (stride), v)
#define LOW32(x, y) _mm256_unpacklo_epi32(x, y)
#define HIGH32(x, y) _mm256_unpackhi_epi32(x, y)
#define LOW64(x, y) _mm256_unpacklo_epi64(x, y)
#define HIGH64(x, y) _mm256_unpackhi_epi64(x, y)
#define SWAP_BYTES(x) big_endian(x)
#define CARRIED(x) carried(x)
#define JOIN(now, before) _mm256_blendv_epi8(before, now, SET1(0x00ffffff))

/* x ^ y ^ (y <<< 8): a rotation by whole bytes is one shuffle. */
SM3_INLINE __m256i rotl_and_8(__m256i x, __m256i y)
{
    const __m256i by_8 = _mm256_setr_epi8(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14,
                                          3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
    return XOR3(x, y, _mm256_shuffle_epi8(y, by_8));
}

SM3_INLINE __m256i majority(__m256i x, __m256i y, __m256i z)
{
    return _mm256_or_si256(_mm256_and_si256(x, y), _mm256_and_si256(z, _mm256_or_si256(x, y)));
}

SM3_INLINE __m256i choose(__m256i x, __m256i y, __m256i z)
{
    return XOR(z, _mm256_and_si256(x, XOR(y, z)));
}

SM3_INLINE __m256i gather(const uint8_t *low, const uint8_t *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)low)),
                                   _mm_loadu_si128((const __m128i *)(const void *)high), 1);
}

SM3_INLINE void scatter(uint8_t *low, uint8_t *high, __m256i v)
{
    _mm_storeu_si128((__m128i *)(void *)low, _mm256_castsi256_si128(v));
    _mm_storeu_si128((__m128i *)(void *)high, _mm256_extracti128_si256(v, 1));
}

SM3_INLINE __m256i big_endian(__m256i x)
{
    return _mm256_shuffle_epi8(x, _mm256_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
                                                   3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
}

SM3_INLINE __m256i carried(__m256i x)
{
    return _mm256_shuffle_epi8(x, _mm256_setr_epi8(2, 1, 0, 3, 6, 5, 4, 7, 10, 9, 8, 11, 14, 13, 12, 15,
                                                   2, 1, 0, 3, 6, 5, 4, 7, 10, 9, 8, 11, 14, 13, 12, 15));
}

#include "sm3_lanes.h"

const struct sm3_lanes sm3_lanes_avx2 = {WIDTH, absorb, nodes, sha256_nodes};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
