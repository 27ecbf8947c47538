#include "cpu.h"

#include <stdint.h>
#include <string.h>

static struct kernel_cpu chosen;

#if defined(__x86_64__)
#include <cpuid.h>

/* Valgrind runs ADCX and ADOX but does not announce ADX: the constant-time check would miss what is built on them. */
#ifdef KERNEL_CT_CHECK
#include <valgrind/valgrind.h>
#define UNANNOUNCED_ADX (RUNNING_ON_VALGRIND != 0)
#else
#define UNANNOUNCED_ADX 0
#endif

#define ARCHITECTURE "x86-64"

/* CPUID leaf 1, ECX */
#define BIT_SSSE3 (1U << 9)
#define BIT_SSE41 (1U << 19)
#define OSXSAVE (1U << 27)
/* CPUID leaf 7, EBX */
#define BIT_BMI1 (1U << 3)
#define BIT_AVX2 (1U << 5)
#define BIT_BMI2 (1U << 8)
#define BIT_AVX512F (1U << 16)
#define BIT_AVX512DQ (1U << 17)
#define BIT_ADX (1U << 19)
#define BIT_SHA (1U << 29)
#define BIT_AVX512BW (1U << 30)
#define BIT_AVX512VL (1U << 31)
#define BITS_AVX512 (BIT_AVX512F | BIT_AVX512DQ | BIT_AVX512BW | BIT_AVX512VL)
/* XCR0: what the operating system saves; SSE and AVX state, then opmask, upper halves of ZMM 0-15, ZMM 16-31 */
#define STATE_AVX 0x06U
#define STATE_AVX512 0xE6U

static uint32_t saved_state(void)
{
    uint32_t low;
    uint32_t high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static struct kernel_cpu detect(void)
{
    struct kernel_cpu found = {0, 0, 0, 0, 0};
    uint32_t a = 0;
    uint32_t b = 0;
    uint32_t c = 0;
    uint32_t d = 0;
    uint32_t state = 0;
    int sse41 = 0; /* which moves words about for the SHA extensions, with SSSE3 */

    if (__get_cpuid(1, &a, &b, &c, &d)) {
        sse41 = (c & BIT_SSSE3) && (c & BIT_SSE41);
        if (c & OSXSAVE) {
            state = saved_state();
        }
    }
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        return found;
    }
    found.bmi2_adx = (b & BIT_BMI1) && (b & BIT_BMI2) && ((b & BIT_ADX) || UNANNOUNCED_ADX);
    found.sha2 = sse41 && (b & BIT_SHA);
    found.avx2 = (b & BIT_AVX2) && (state & STATE_AVX) == STATE_AVX;
    found.avx512 = found.avx2 && (b & BITS_AVX512) == BITS_AVX512 && (state & STATE_AVX512) == STATE_AVX512;
    return found;
}

#elif defined(__aarch64__)

#define ARCHITECTURE "aarch64"

#if defined(__linux__)
#include <sys/auxv.h>

/* Linux, uapi/asm/hwcap.h of arm64: HWCAP_SHA2. */
#define BIT_SHA2 (1UL << 6)
#define HAS_SHA2 ((getauxval(AT_HWCAP) & BIT_SHA2) != 0)
#elif defined(__APPLE__)
#define HAS_SHA2 1 /* every 64-bit processor of theirs */
#else
#define HAS_SHA2 0
#endif

static struct kernel_cpu detect(void)
{
    struct kernel_cpu found = {0, 0, 0, 1, HAS_SHA2};
    return found;
}

#else

#define ARCHITECTURE ""

static struct kernel_cpu detect(void)
{
    struct kernel_cpu found = {0, 0, 0, 0, 0};
    return found;
}

#endif

int kernel_cpu_select(const char *mode)
{
    struct kernel_cpu found = detect();

    if (mode == NULL || *mode == '\0' || strcmp(mode, "auto") == 0) {
        chosen = found;
        return 0;
    }
    if (strcmp(mode, "portable") == 0) {
        memset(&chosen, 0, sizeof chosen);
        return 0;
    }
    /* The others are exactly what they name, whatever else there is. */
    found.sha2 = 0;
    if (strcmp(mode, "avx2") == 0) {
        if (!found.bmi2_adx || !found.avx2) {
            return -2;
        }
        found.avx512 = 0;
        chosen = found;
        return 0;
    }
    if (strcmp(mode, "avx512") == 0) {
        if (!found.bmi2_adx || !found.avx512) {
            return -2;
        }
        chosen = found;
        return 0;
    }
    if (strcmp(mode, "neon") == 0) {
        if (!found.neon) {
            return -2;
        }
        chosen = found;
        return 0;
    }
    return -1;
}

const struct kernel_cpu *kernel_cpu(void)
{
    return &chosen;
}

static size_t append(char *out, size_t size, size_t length, const char *text)
{
    for (; *text != '\0'; text++, length++) {
        if (length + 1 < size) {
            out[length] = *text;
        }
    }
    return length;
}

size_t kernel_cpu_describe(char *out, size_t size)
{
    size_t length = 0;

    if (!chosen.bmi2_adx && !chosen.avx2 && !chosen.avx512 && !chosen.neon && !chosen.sha2) {
        length = append(out, size, length, "portable");
    } else {
        length = append(out, size, length, ARCHITECTURE);
        length = append(out, size, length, chosen.bmi2_adx ? " bmi2+adx" : "");
        length = append(out, size, length, chosen.avx2 ? " avx2" : "");
        length = append(out, size, length, chosen.avx512 ? " avx512" : "");
        length = append(out, size, length, chosen.neon ? " neon" : "");
        length = append(out, size, length, chosen.sha2 ? " sha2" : "");
    }
    if (size > 0) {
        out[length < size ? length : size - 1] = '\0';
    }
    return length;
}

void kernel_wipe(void *p, size_t n)
{
    if (n > 0) {
        memset(p, 0, n);
        __asm__ volatile("" : : "r"(p) : "memory"); /* the zeros may be read here, as far as the compiler knows */
    }
}
