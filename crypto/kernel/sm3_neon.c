/* SM3 in four lanes of aarch64's Advanced SIMD, two of them side by side. */
#include "sm3_lanes.h"

#include "sm3.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#define VECTOR uint32x4_t
#define LANES 4
#define STREAMS 2

#define ADD(x, y) vaddq_u32(x, y)
#define XOR(x, y) veorq_u32(x, y)
#define XOR3(x, y, z) XOR(XOR(x, y), z)
#define SET1(x) vdupq_n_u32(x)
#define ROTL(x, n) vsriq_n_u32(vshlq_n_u32(x, n), x, 32 - (n))
#define SHR(x, n) vshrq_n_u32(x, n)
#define ROTL_9_17(x) XOR3(x, ROTL(x, 9), ROTL(x, 17))
#define ROTL_15_23(x) XOR3(x, ROTL(x, 15), ROTL(x, 23))
#define MAJORITY(x, y, z) vbslq_u32(XOR(x, y), z, x)
#define CHOOSE(x, y, z) vbslq_u32(x, y, z)
#define LOAD(p) vld1q_u32(p)
#define STORE(p, v) vst1q_u32(p, v)
#define GATHER(p, at) vreinterpretq_u32_u8(vld1q_u8((p)[0] + (at)))
#define SCATTER(p, stride, v) vst1q_u8(p, vreinterpretq_u8_u32(v))
#define LOW32(x, y) vzip1q_u32(x, y)
#define HIGH32(x, y) vzip2q_u32(x, y)
#define LOW64(x, y) vreinterpretq_u32_u64(vzip1q_u64(vreinterpretq_u64_u32(x), vreinterpretq_u64_u32(y)))
#define HIGH64(x, y) vreinterpretq_u32_u64(vzip2q_u64(vreinterpretq_u64_u32(x), vreinterpretq_u64_u32(y)))
#define SWAP_BYTES(x) vreinterpretq_u32_u8(vrev32q_u8(vreinterpretq_u8_u32(x)))
#define CARRIED(x) carried(x)
#define JOIN(now, before) vbslq_u32(SET1(0x00ffffff), now, before)

/* b0 b1 b2 b3 as the number b3 b0 b1 b2: the big-endian number, turned by one byte. */
SM3_INLINE uint32x4_t carried(uint32x4_t x)
{
    const uint32x4_t plain = SWAP_BYTES(x);
    return ROTL(plain, 24);
}

#include "sm3_lanes.h"

const struct sm3_lanes sm3_lanes_neon = {WIDTH, absorb, nodes, sha256_nodes};

#endif
