/* The ways this kernel has to fold blocks into SHA-256 states: what sha256.c sees of the files for one processor each. */
#ifndef EDUTRUST_KERNEL_SHA256_WAYS_H
#define EDUTRUST_KERNEL_SHA256_WAYS_H

#include <stddef.h>
#include <stdint.h>

/* FIPS 180-4, 4.2.2 and 5.3.3. */
extern const uint32_t sha256_round_constants[64];
extern const uint32_t sha256_initial[8];

struct sha256_way {
    /* Fold count blocks of 64 bytes into h. */
    void (*one)(uint32_t h[8], const uint8_t *blocks, size_t count);
    /* The same for two messages side by side: the instructions of one fill the waits of the other. */
    void (*two)(uint32_t h[2][8], const uint8_t *const blocks[2], size_t count);
};

#if defined(__x86_64__)
extern const struct sha256_way sha256_x86;
#elif defined(__aarch64__) && (!defined(__clang__) || __clang_major__ >= 16 || defined(__ARM_FEATURE_SHA2))
/* Before clang 16, arm_neon.h knows the instructions only where the whole program may use them. */
#define SHA256_AARCH64
extern const struct sha256_way sha256_aarch64;
#endif

#endif
