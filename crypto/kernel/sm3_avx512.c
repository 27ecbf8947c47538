/* SM3 in sixteen lanes of AVX-512 (F, BW, DQ and VL), two vectors of them side by side. VPROLD rotates, and VPTERNLOGD
 * does any logic of three inputs. */
#include "sm3_lanes.h"

#include "sm3.h"

#if defined(__x86_64__)

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#define VECTOR __m512i
#define LANES 16
#define STREAMS 2

/* The last number of a VPTERNLOGD is the truth table: bit 4x + 2y + z is the result. */
#define ADD(x, y) _mm512_add_epi32(x, y)
#define XOR(x, y) _mm512_xor_si512(x, y)
#define XOR3(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0x96)
#define SET1(x) _mm512_set1_epi32((int)(x))
#define ROTL(x, n) _mm512_rol_epi32(x, n)
#define SHR(x, n) _mm512_srli_epi32(x, n)
#define ROTL_9_17(x) rotl_9_17(x)
#define ROTL_15_23(x) rotl_15_23(x)
#define MAJORITY(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xe8)
#define CHOOSE(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xca)
#define LOAD(p) _mm512_load_si512((const void *)(p))
#define STORE(p, v) _mm512_store_si512((void *)(p), v)
#define GATHER(p, at) gather((p)[0] + (at), (p)[4] + (at), (p)[8] + (at), (p)[12] + (at))
#define SCATTER(p, stride, v) scatter(p, stride, v)
#define LOW32(x, y) _mm512_unpacklo_epi32(x, y)
#define HIGH32(x, y) _mm512_unpackhi_epi32(x, y)
#define LOW64(x, y) _mm512_unpacklo_epi64(x, y)
#define HIGH64(x, y) _mm512_unpackhi_epi64(x, y)
#define SWAP_BYTES(x) _mm512_shuffle_epi8(x, _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203))
#define CARRIED(x) _mm512_shuffle_epi8(x, _mm512_set4_epi32(0x0f0c0d0e, 0x0b08090a, 0x07040506, 0x03000102))
#define JOIN(now, before) _mm512_ternarylogic_epi32(SET1(0x00ffffff), now, before, 0xca)

SM3_INLINE __m512i rotl_9_17(__m512i x)
{
    return XOR3(x, ROTL(x, 9), ROTL(x, 17));
}

SM3_INLINE __m512i rotl_15_23(__m512i x)
{
    return XOR3(x, ROTL(x, 15), ROTL(x, 23));
}

SM3_INLINE __m128i load_128(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

SM3_INLINE __m512i gather(const uint8_t *p0, const uint8_t *p1, const uint8_t *p2, const uint8_t *p3)
{
    __m512i v = _mm512_castsi128_si512(load_128(p0));
    v = _mm512_inserti32x4(v, load_128(p1), 1);
    v = _mm512_inserti32x4(v, load_128(p2), 2);
    return _mm512_inserti32x4(v, load_128(p3), 3);
}

SM3_INLINE void scatter(uint8_t *p, size_t stride, __m512i v)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_castsi512_si128(v));
    _mm_storeu_si128((__m128i *)(void *)(p + 4 * stride), _mm512_extracti32x4_epi32(v, 1));
    _mm_storeu_si128((__m128i *)(void *)(p + 8 * stride), _mm512_extracti32x4_epi32(v, 2));
    _mm_storeu_si128((__m128i *)(void *)(p + 12 * stride), _mm512_extracti32x4_epi32(v, 3));
}

#include "sm3_lanes.h"

const struct sm3_lanes sm3_lanes_avx512 = {WIDTH, absorb, nodes, sha256_nodes};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
