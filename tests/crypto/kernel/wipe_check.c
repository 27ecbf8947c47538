/* After each operation with a secret, is any of it left on the stack it ran on?
 *
 *     wipe_check portable|avx2
 *
 * Each operation runs on a stack of its own; then every eight bytes there are compared with the
 * limbs of the secrets, as numbers and as they are on the wire. Prints each place where one is found and exits with 1.
 * Exit 77: this processor lacks the mode.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <ucontext.h>

#include "cpu.h"
#include "sm2.h"
#include "sm2_scalar.h"

#define MODE_MISSING 77
#define STACK_BYTES ((size_t)1 << 18)

static _Alignas(4096) uint8_t stack[STACK_BYTES];
static unsigned found;
static size_t deepest;

ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags);

/* The random bytes of every operation. */
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)(0x51 + 37 * i);
    return (ssize_t)size;
}

static void fail(const char *what)
{
    fprintf(stderr, "wipe_check: %s\n", what);
    exit(2);
}

/* ---- what an operation reads and writes: not on the stack that is searched ---- */

static sm2_private_key private_key;
static uint8_t d[32], e[32], signature[64], pair[96], plain[100], cipher[100 + SM2_CIPHERTEXT_OVERHEAD], back[100];
static uint8_t product[64], point[64];
static int result;

static void do_load(void)
{
    result = sm2_private_load(&private_key, d);
}

static void do_sign(void)
{
    result = sm2_sign(&private_key, e, signature);
}

static void do_generate(void)
{
    result = sm2_generate(pair, pair + 32);
}

static void do_encrypt(void)
{
    result = sm2_encrypt(&private_key.public_key, plain, sizeof plain, cipher);
}

static void do_decrypt(void)
{
    result = sm2_decrypt(&private_key, cipher, sizeof cipher, back);
}

static void do_multiply_base(void)
{
    result = sm2_multiply_base(d, product);
}

static void do_multiply(void)
{
    result = sm2_multiply(d, point, product);
}

static void do_multiply_two(void)
{
    result = sm2_multiply_two(d, pair, point, product);
}

/* Leaves a copy of d behind: the search must find it. */
static void do_leak(void)
{
    uint8_t copy[32];
    memcpy(copy, d, sizeof copy);
    __asm__ volatile("" : : "r"(copy) : "memory"); /* it is used, as far as the compiler knows */
    result = SM2_OK;
}

static void run(void (*operation)(void))
{
    static ucontext_t here, there;
    memset(stack, 0xA5, sizeof stack);
    if (getcontext(&there) != 0)
        fail("no context");
    /* What this program has in its registers, limbs it searched for, is none of the operation's doing. */
#if defined(__aarch64__)
    memset(there.uc_mcontext.regs, 0, sizeof there.uc_mcontext.regs);
#else
    memset(there.uc_mcontext.gregs, 0, sizeof there.uc_mcontext.gregs);
#endif
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = sizeof stack;
    there.uc_link = &here;
    makecontext(&there, operation, 0);
    if (swapcontext(&here, &there) != 0)
        fail("no other stack");
    if (result != SM2_OK)
        fail("an operation did not succeed");
    size_t untouched = 0;
    while (stack[untouched] == 0xA5)
        untouched++;
    if (sizeof stack - untouched > deepest)
        deepest = sizeof stack - untouched;
}

/* A limb with few bits says nothing: zeros and small numbers are everywhere. */
static int telling(uint64_t word)
{
    return __builtin_popcountll(word) > 8 && __builtin_popcountll(word) < 56;
}

static void search(const void *secret, size_t size, const char *operation, const char *what)
{
    for (size_t at = 0; at + 8 <= size; at += 8) {
        uint64_t wanted, word;
        memcpy(&wanted, (const uint8_t *)secret + at, 8);
        for (size_t i = 0; telling(wanted) && i + 8 <= sizeof stack; i++) {
            memcpy(&word, stack + i, 8);
            if (word == wanted || word == __builtin_bswap64(wanted)) {
                if (operation != NULL)
                    printf("%s leaves %s, bytes %zu to %zu, %zu from the top of the stack\n", operation, what, at,
                           at + 7, sizeof stack - i);
                found++;
            }
        }
    }
}

static void search_number(const u256 *number, const char *operation, const char *what)
{
    search(number, sizeof *number, operation, what);
}

static void search_key(const char *operation)
{
    search(d, sizeof d, operation, "d");
    search_number(&private_key.inverse, operation, "1/(1+d)");
    search(&private_key.nonce, sizeof private_key.nonce, operation, "the key of the nonces");
}

static void check_sign(void)
{
    uint8_t input[65], nonce[32];
    u256 k, r, sum;
    run(do_sign);
    if (__wrap_getrandom(input, 32, 0) != 32)
        fail("no random bytes");
    memcpy(input + 32, e, 32);
    input[64] = 0;
    hmac_sm3_digest(&private_key.nonce, input, sizeof input, nonce);
    k = u256_load(nonce);
    r = u256_load(signature);
    scalar_add(&sum, &r, &k);
    search_key("signing");
    search(nonce, sizeof nonce, "signing", "k");
    search_number(&sum, "signing", "r + k");
}

/* d·C1 = k·P, from which key and stream are made. */
static void search_shared(const char *operation, const uint8_t k[32])
{
    uint8_t shared[64];
    if (sm2_multiply(k, private_key.public_key.bytes, shared) != SM2_OK)
        fail("no shared point");
    search(shared, sizeof shared, operation, "the shared point");
}

int main(int argc, char **argv)
{
    uint8_t k[32];
    if (argc < 2 || kernel_cpu_select(argv[1]) != 0)
        return MODE_MISSING;
    if (sm2_initialise() != SM2_OK || __wrap_getrandom(k, sizeof k, 0) != 32)
        fail("no memory");
    for (size_t i = 0; i < 32; i++) {
        d[i] = (uint8_t)(0x91 + 91 * i);
        e[i] = (uint8_t)(0x13 + 53 * i);
    }
    memset(plain, 'p', sizeof plain);
    if (sm2_multiply_base(e, point) != SM2_OK)
        fail("no point");

    run(do_leak);
    search(d, sizeof d, NULL, NULL);
    if (found < 4)
        fail("the search does not find what lies there");
    found = 0;

    run(do_load);
    search_key("loading");
    check_sign();
    run(do_generate);
    search(pair, 32, "key generation", "d");
    run(do_encrypt);
    search(k, sizeof k, "encryption", "k");
    search_shared("encryption", k);
    run(do_decrypt);
    search_key("decryption");
    search_shared("decryption", k);
    run(do_multiply_base);
    search(d, sizeof d, "[k]G", "k");
    run(do_multiply);
    search(d, sizeof d, "[k]P", "k");
    search(product, sizeof product, "[k]P", "the product");
    run(do_multiply_two);
    search(d, sizeof d, "[a]G + [b]P", "a");
    search(pair, 32, "[a]G + [b]P", "b");
    printf("wipe_check %s (%s): %u secrets left on the stack, %zu bytes deep\n", argv[1],
           sm2_active_curve()->name, found, deepest);
    /* What wipe_stack in sm2.c overwrites, and the frames above it. */
    if (deepest > 8192 + 512)
        fail("an operation stands deeper than what is wiped after it");
    return found == 0 ? 0 : 1;
}
