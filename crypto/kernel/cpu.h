/* What this processor can do, found at run time, and the one place that decides which of it the kernel uses.
 *
 * Until `kernel_cpu_select` has been called, everything runs on the portable path.
 */
#ifndef EDUTRUST_KERNEL_CPU_H
#define EDUTRUST_KERNEL_CPU_H

#include <stddef.h>

struct kernel_cpu {
    int bmi2_adx; /* x86-64: MULX, RORX (BMI2) and ADCX, ADOX (ADX) */
    int avx2;     /* x86-64: AVX2, its registers kept by the operating system */
    int avx512;   /* x86-64: AVX-512 F, BW, DQ and VL, its registers kept by the operating system */
    int neon;     /* aarch64: Advanced SIMD, which every such processor has */
    int sha2;     /* instructions for SHA-256: x86-64's SHA extensions, aarch64's SHA2 */
};

/* Choose by mode: "auto" (also NULL and "") takes all there is, "portable" nothing, "avx2" BMI2+ADX and AVX2 alone,
 * "avx512" these and AVX-512, "neon" Advanced SIMD alone. Only "auto" takes the instructions for SHA-256.
 * Return 0; -1 for a name that is none of these; -2 for a mode this processor lacks (the choice then stays as it was).
 * Call it once, before any other function of the kernel runs: it writes without a lock what all others read. */
int kernel_cpu_select(const char *mode);

/* What was chosen; never NULL. */
const struct kernel_cpu *kernel_cpu(void);

/* Write what was chosen in words, such as "x86-64 bmi2+adx avx2 avx512 sha2", "aarch64 neon sha2" or "portable", cut
 * to size - 1 bytes and ended with a zero. Return the length of the whole text, as snprintf does. */
size_t kernel_cpu_describe(char *out, size_t size);

/* Overwrite n bytes with zeros, in a way the compiler may not leave out. */
void kernel_wipe(void *p, size_t n);

#endif
