/* The operating system's random number generator. No state of our own: nothing a fork() could copy. */
#ifndef EDUTRUST_KERNEL_RANDOM_H
#define EDUTRUST_KERNEL_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fill out[0..size), size <= 256; returns 1, or 0 when the system gives no random bytes (then out is zero). */
int kernel_random(uint8_t *out, size_t size);

#endif
