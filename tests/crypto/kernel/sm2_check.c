/* Checks of the kernel's SM2 against answers computed elsewhere, on one of its curves, and of what it does when the
 * system's random number generator fails.
 *
 *     sm2_check auto|portable|avx2 < cases
 *
 * Each line of the standard input is a case: a verb, its arguments and last the answer, in hexadecimal ("-" for no bytes)
 * or as a word. Prints how many comparisons were made, or the first line that failed, and then exits with 1. Exit 77:
 * this processor lacks the mode. Linked with -Wl,--wrap=getrandom: the random bytes are what a case says they are.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cpu.h"
#include "random.h"
#include "sm2.h"
#include "sm2_scalar.h"

#define MODE_MISSING 77
#define FIELDS 8

static unsigned long checks, line_number;

static void fail(const char *what)
{
    fprintf(stderr, "sm2_check: %s, line %lu after %lu checks\n", what, line_number, checks);
    exit(1);
}

static void expect(int holds, const char *what)
{
    checks++;
    if (!holds)
        fail(what);
}

/* ---- the random number generator, as it should not be ---- */

enum fault { SCRIPT, STUCK, INTERRUPTED, SHORT, EMPTY, ERROR_AT_ONCE, ERROR_LATER, SYSTEM };

static struct {
    enum fault fault;
    const uint8_t *script;
    size_t left;
    uint8_t byte;
    int error;
    unsigned calls;
} generator;

ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags);
ssize_t __real_getrandom(void *out, size_t size, unsigned flags);

ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags)
{
    uint8_t *bytes = out;
    generator.calls++;
    switch (generator.fault) {
    case SCRIPT:
        if (generator.left < size)
            break;
        memcpy(out, generator.script, size);
        generator.script += size;
        generator.left -= size;
        return (ssize_t)size;
    case STUCK:
        memset(out, generator.byte, size);
        return (ssize_t)size;
    case INTERRUPTED:
        if (generator.calls % 3 != 0) {
            errno = EINTR;
            return -1;
        }
        memset(out, generator.byte, size);
        return (ssize_t)size;
    case SHORT:
        bytes[0] = (uint8_t)generator.calls;
        return 1;
    case EMPTY:
        return 0;
    case ERROR_LATER:
        if (generator.calls < 4) {
            bytes[0] = 0xA5;
            return 1;
        }
        break;
    case ERROR_AT_ONCE:
        break;
    case SYSTEM:
        return __real_getrandom(out, size, flags);
    }
    errno = generator.error;
    return -1;
}

static void set_fault(enum fault fault, uint8_t byte, int error)
{
    memset(&generator, 0, sizeof generator);
    generator.fault = fault;
    generator.byte = byte;
    generator.error = error;
}

static void set_script(const uint8_t *bytes, size_t size)
{
    set_fault(SCRIPT, 0, EIO);
    generator.script = bytes;
    generator.left = size;
}

/* ---- fields of a line ---- */

typedef struct {
    const char *text;
    uint8_t *bytes; /* exactly as large as they are, so that the address sanitizer sees a byte too many */
    size_t size;
} field;

static uint8_t *allocate(size_t size)
{
    uint8_t *p = malloc(size > 0 ? size : 1);
    if (p == NULL)
        fail("no memory");
    return p;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What is no hexadecimal is a word and has no bytes. */
static void read_field(field *f, const char *text)
{
    size_t digits = strlen(text);
    f->text = text;
    f->size = digits / 2;
    f->bytes = allocate(f->size);
    for (size_t i = 0; i < f->size; i++) {
        int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
        if (high < 0 || low < 0)
            f->size = 0;
        else
            f->bytes[i] = (uint8_t)(16 * high + low);
    }
}

static const uint8_t *sized(const field *f, size_t size)
{
    if (f->size != size)
        fail("a case has a field of another length");
    return f->bytes;
}

static int says(const field *answer, const char *word)
{
    return strcmp(answer->text, word) == 0;
}

/* The refusal by its word, or success with these bytes. */
static void expect_answer(const field *answer, int result, const uint8_t *got, size_t size, const char *what)
{
    static const struct {
        int result;
        const char *word;
    } refusals[] = {
        {SM2_INVALID, "invalid"}, {SM2_RANGE, "range"},       {SM2_POINT, "off_curve"},
        {SM2_RANDOM, "random"},   {SM2_INFINITY, "infinity"}, {SM2_LENGTH, "form"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if (says(answer, refusals[i].word)) {
            expect(result == refusals[i].result, what);
            return;
        }
    }
    expect(result == SM2_OK && answer->size == size && memcmp(got, answer->bytes, size) == 0, what);
}

static sm2_public_key public_of(const field *f)
{
    sm2_public_key key;
    if (sm2_public_load(&key, sized(f, 64)) != SM2_OK)
        fail("a case has a public key off the curve");
    return key;
}

static sm2_private_key private_of(const field *f)
{
    sm2_private_key key;
    if (sm2_private_load(&key, sized(f, 32)) != SM2_OK)
        fail("a case has a private key out of range");
    return key;
}

/* ---- verbs ---- */

static void check_multiply_base(const field *f)
{
    uint8_t *out = allocate(64);
    expect_answer(&f[1], sm2_multiply_base(sized(&f[0], 32), out), out, 64, "[k]G");
    free(out);
}

static void check_multiply(const field *f)
{
    uint8_t *out = allocate(64);
    expect_answer(&f[2], sm2_multiply(sized(&f[0], 32), sized(&f[1], 64), out), out, 64, "[k]P");
    free(out);
}

static void check_multiply_two(const field *f)
{
    uint8_t *out = allocate(64);
    int result = sm2_multiply_two(sized(&f[0], 32), sized(&f[1], 32), sized(&f[2], 64), out);
    expect_answer(&f[3], result, out, 64, "[a]G + [b]P");
    free(out);
}

static void check_private(const field *f)
{
    sm2_private_key key;
    int result = sm2_private_load(&key, sized(&f[0], 32));
    expect_answer(&f[1], result, key.public_key.bytes, 64, "the public key of a private key");
    if (result != SM2_OK) /* nothing is left of what was refused */
        for (size_t i = 0; i < sizeof key; i++)
            expect(((const uint8_t *)&key)[i] == 0, "a refused private key is wiped");
}

static void check_public(const field *f)
{
    sm2_public_key key;
    int result = sm2_public_load(&key, sized(&f[0], 64));
    expect_answer(&f[1], result, key.bytes, 64, "a public key");
}

/* One table a public key, for cases in a row about the same one. */
static const affine *table_of(const sm2_public_key *key)
{
    static affine *table;
    static uint8_t whose[64];
    if (table == NULL || memcmp(whose, key->bytes, 64) != 0) {
        if (table == NULL)
            table = malloc(sizeof *table * PUBLIC_TABLE_POINTS);
        if (table == NULL || !sm2_active_curve()->public_table(table, &key->point))
            fail("no memory");
        memcpy(whose, key->bytes, 64);
    }
    return table;
}

/* verify PUBLIC E SIGNATURE yes|no|refused: the three ways agree. */
static void check_verify(const field *f)
{
    const sm2_curve *curve = sm2_active_curve();
    sm2_public_key key = public_of(&f[0]);
    sm2_claim claim;
    int loaded = sm2_claim_of(&claim, sized(&f[1], 32), sized(&f[2], 64)), wanted = says(&f[3], "yes");
    expect(loaded == (says(&f[3], "refused") ? SM2_INVALID : SM2_OK), "the form of a signature");
    if (loaded != SM2_OK)
        return;
    uint8_t verdict = 2;
    expect(curve->public_check(&claim, &key.point) == wanted, "a signature without a table");
    expect(curve->public_check_known(&claim, table_of(&key)) == wanted, "a signature with a table");
    expect(curve->public_check_many(&claim, 1, table_of(&key), &verdict), "memory");
    expect(verdict == wanted, "a signature among one");
}

/* Signatures side by side: `many PUBLIC COUNT`, then COUNT lines `lane E SIGNATURE yes|no`. */
static struct {
    sm2_public_key key;
    sm2_claim *claims;
    uint8_t *wanted, *verdicts;
    size_t count, have;
} lanes;

static void begin_lanes(const field *f)
{
    lanes.key = public_of(&f[0]);
    lanes.count = strtoul(f[1].text, NULL, 10);
    lanes.have = 0;
    lanes.claims = malloc(lanes.count * sizeof *lanes.claims);
    lanes.wanted = allocate(lanes.count);
    lanes.verdicts = allocate(lanes.count);
    if (lanes.claims == NULL)
        fail("no memory");
}

static void check_lane(const field *f)
{
    if (sm2_claim_of(&lanes.claims[lanes.have], sized(&f[0], 32), sized(&f[1], 64)) != SM2_OK)
        fail("a lane cannot be refused");
    lanes.wanted[lanes.have++] = (uint8_t)says(&f[2], "yes");
    if (lanes.have < lanes.count)
        return;
    expect(sm2_active_curve()->public_check_many(lanes.claims, lanes.count, table_of(&lanes.key), lanes.verdicts),
           "memory");
    for (size_t i = 0; i < lanes.count; i++)
        expect(lanes.verdicts[i] == lanes.wanted[i], "a signature among many");
    free(lanes.claims);
    free(lanes.wanted);
    free(lanes.verdicts);
}

/* sign D E RANDOM ATTEMPT ANSWER */
static void check_sign_with(const field *f)
{
    sm2_private_key key = private_of(&f[0]);
    uint8_t *out = allocate(64);
    int result = sm2_sign_with(&key, sized(&f[1], 32), sized(&f[2], 32), *sized(&f[3], 1), out);
    expect_answer(&f[4], result, out, 64, "a signature with a given nonce");
    free(out);
}

/* sign_system D E STREAM ANSWER: what sm2_sign makes of the random bytes it asks for */
static void check_sign(const field *f)
{
    sm2_private_key key = private_of(&f[0]);
    uint8_t *out = allocate(64);
    set_script(f[2].bytes, f[2].size);
    int result = sm2_sign(&key, sized(&f[1], 32), out);
    expect(generator.left == 0, "a signature takes its random bytes");
    expect_answer(&f[3], result, out, 64, "a signature");
    free(out);
}

/* generate STREAM ANSWER, the answer being d || x || y */
static void check_generate(const field *f)
{
    uint8_t *out = allocate(96);
    set_script(f[0].bytes, f[0].size);
    int result = sm2_generate(out, out + 32);
    expect(generator.left == 0, "a key takes its random bytes");
    expect_answer(&f[1], result, out, 96, "a new key");
    free(out);
}

/* encrypt PUBLIC PLAIN STREAM ANSWER */
static void check_encrypt(const field *f)
{
    sm2_public_key key = public_of(&f[0]);
    size_t size = f[1].size + SM2_CIPHERTEXT_OVERHEAD;
    uint8_t *out = allocate(size);
    set_script(f[2].bytes, f[2].size);
    int result = sm2_encrypt(&key, f[1].bytes, f[1].size, out);
    expect(generator.left == 0, "a ciphertext takes its random bytes");
    expect_answer(&f[3], result, out, size, "a ciphertext");
    for (size_t i = 0; result != SM2_OK && i < size; i++)
        expect(out[i] == 0, "nothing is left of a ciphertext that was not made");
    free(out);
}

/* decrypt D CIPHER ANSWER */
static void check_decrypt(const field *f)
{
    sm2_private_key key = private_of(&f[0]);
    size_t size = f[1].size > SM2_CIPHERTEXT_OVERHEAD ? f[1].size - SM2_CIPHERTEXT_OVERHEAD : 0;
    uint8_t *out = allocate(size);
    memset(out, 0xA5, size);
    int result = sm2_decrypt(&key, f[1].bytes, f[1].size, out);
    expect_answer(&f[2], result, out, size, "a plaintext");
    for (size_t i = 0; result == SM2_INVALID && i < size; i++)
        expect(out[i] == 0, "nothing is left of a plaintext that was refused");
    free(out);
}

/* digest PUBLIC ID MESSAGE ANSWER: e; the ID "default" is the one of GM/T 0009 */
static void check_digest(const field *f)
{
    sm2_public_key key = public_of(&f[0]);
    sm3_state state;
    uint8_t e[32];
    sm2_begin_digest(&state, &key, says(&f[1], "default") ? NULL : f[1].bytes, f[1].size);
    sm3_update(&state, f[2].bytes, f[2].size);
    sm3_final(&state, e);
    expect_answer(&f[3], SM2_OK, e, 32, "the digest of Z and a message");
}

static const struct {
    const char *name;
    void (*check)(const field *fields);
    size_t fields;
} verbs[] = {
    {"multiply_base", check_multiply_base, 2}, {"multiply", check_multiply, 3}, {"multiply_two", check_multiply_two, 4},
    {"private", check_private, 2},             {"public", check_public, 2},     {"verify", check_verify, 4},
    {"many", begin_lanes, 2},                  {"lane", check_lane, 3},         {"sign", check_sign_with, 5},
    {"sign_system", check_sign, 4},            {"generate", check_generate, 2}, {"encrypt", check_encrypt, 4},
    {"decrypt", check_decrypt, 3},             {"digest", check_digest, 4},
};

static void check_line(char *line)
{
    field fields[FIELDS];
    size_t count = 0;
    const char *name = strtok(line, " \n");
    if (name == NULL)
        return;
    for (char *text; (text = strtok(NULL, " \n")) != NULL && count < FIELDS; count++)
        read_field(&fields[count], text);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, name) == 0 && verbs[i].fields == count) {
            verbs[i].check(fields);
            while (count > 0)
                free(fields[--count].bytes);
            return;
        }
    }
    fail("no such case");
}

/* ---- what needs no answers from elsewhere ---- */

static void check_failing_generator(enum fault fault, int error)
{
    static const uint8_t e[32] = {1}, d[32] = {2};
    uint8_t bytes[40], out[64 + SM2_CIPHERTEXT_OVERHEAD];
    sm2_private_key key;
    if (sm2_private_load(&key, d) != SM2_OK)
        fail("private key 0200..");
    memset(bytes, 0xA5, sizeof bytes);
    set_fault(fault, 0, error);
    expect(kernel_random(bytes, sizeof bytes) == 0, "a failing generator is noticed");
    for (size_t i = 0; i < sizeof bytes; i++)
        expect(bytes[i] == 0, "bytes that did not all come are not used");
    set_fault(fault, 0, error);
    expect(sm2_sign(&key, e, out) == SM2_RANDOM, "no signature without random bytes");
    set_fault(fault, 0, error);
    expect(sm2_generate(out, out + 32) == SM2_RANDOM, "no key without random bytes");
    set_fault(fault, 0, error);
    expect(sm2_encrypt(&key.public_key, e, 32, out) == SM2_RANDOM, "no ciphertext without random bytes");
}

static void check_generator(void)
{
    uint8_t bytes[40];
    set_fault(INTERRUPTED, 0x5A, 0);
    expect(kernel_random(bytes, sizeof bytes) == 1 && bytes[39] == 0x5A, "an interruption is no failure");
    set_fault(SHORT, 0, 0);
    expect(kernel_random(bytes, sizeof bytes) == 1 && generator.calls == sizeof bytes, "short reads go on");
    for (size_t i = 0; i < sizeof bytes; i++)
        expect(bytes[i] == i + 1, "short reads follow one another");
    check_failing_generator(ERROR_AT_ONCE, ENOSYS);
    check_failing_generator(ERROR_AT_ONCE, EIO);
    check_failing_generator(ERROR_AT_ONCE, EAGAIN);
    check_failing_generator(ERROR_LATER, EIO);
    check_failing_generator(EMPTY, 0);
}

/* k = s (1 + d) + r d (GB/T 32918.2 §6.1 A6 solved for k), in the arithmetic of the kernel's integers modulo n. */
static u256 nonce_of(const u256 *d, const uint8_t signature[64])
{
    u256 r = u256_load(signature), s = u256_load(signature + 32), t, k;
    scalar_add(&t, &r, &s);
    scalar_mul_montgomery(&k, &t, d);
    scalar_mul_montgomery(&k, &k, &SM2_N_R2);
    scalar_add(&k, &k, &s);
    return k;
}

/* A generator that repeats itself takes nothing away from the nonces but their freshness for one and the same message. */
static void check_stuck_generator(void)
{
    static const uint8_t stuck_at[] = {0x00, 0x01, 0x42, 0xFF};
    uint8_t d[32] = {7, 7, 7}, e[32] = {0}, signature[64], again[64];
    sm2_private_key key;
    u256 nonces[64];
    size_t count = 0;
    if (sm2_private_load(&key, d) != SM2_OK)
        fail("private key 070707..");
    for (size_t i = 0; i < sizeof stuck_at; i++) {
        for (uint8_t message = 0; message < 16; message++) {
            e[31] = message;
            set_fault(STUCK, stuck_at[i], 0);
            expect(sm2_sign(&key, e, signature) == SM2_OK, "a stuck generator still signs");
            expect(sm2_sign(&key, e, again) == SM2_OK && memcmp(signature, again, 64) == 0,
                   "one message, one state of the generator, one signature");
            nonces[count] = nonce_of(&key.d, signature);
            for (size_t j = 0; j < count; j++)
                expect(!u256_equal_mask(&nonces[j], &nonces[count]), "no two nonces are equal");
            count++;
        }
    }
    /* 00.. and FF.. are never below n and above 0: the kernel gives up instead of asking for ever. */
    uint8_t out[1 + SM2_CIPHERTEXT_OVERHEAD];
    for (size_t i = 0; i < sizeof stuck_at; i += 3) {
        set_fault(STUCK, stuck_at[i], 0);
        expect(sm2_generate(signature, again) == SM2_RANDOM, "a generator stuck out of range makes no key");
        set_fault(STUCK, stuck_at[i], 0);
        expect(sm2_encrypt(&key.public_key, e, 1, out) == SM2_RANDOM, "nor a ciphertext");
        expect(generator.calls < 1000, "and is not asked for ever");
    }
}

/* Encryption opens again for every length, and no changed byte does. */
static void check_round_trips(void)
{
    uint8_t d[32], public_bytes[64];
    sm2_private_key key;
    set_fault(SYSTEM, 0, 0);
    expect(sm2_generate(d, public_bytes) == SM2_OK && sm2_private_load(&key, d) == SM2_OK, "a key");
    expect(memcmp(key.public_key.bytes, public_bytes, 64) == 0, "the public key of a new key");
    for (size_t size = 1; size <= 65536; size = size < 200 ? size + 1 : size == 200 ? 65535 : size + 1) {
        uint8_t *plain = allocate(size), *cipher = allocate(size + SM2_CIPHERTEXT_OVERHEAD), *back = allocate(size);
        for (size_t i = 0; i < size; i++)
            plain[i] = (uint8_t)(i * 7 + size);
        expect(sm2_encrypt(&key.public_key, plain, size, cipher) == SM2_OK, "encrypted");
        expect(sm2_decrypt(&key, cipher, size + SM2_CIPHERTEXT_OVERHEAD, back) == SM2_OK, "opened");
        expect(memcmp(plain, back, size) == 0, "what was encrypted");
        cipher[SM2_CIPHERTEXT_OVERHEAD - 32 + size % 32] ^= 1;
        expect(sm2_decrypt(&key, cipher, size + SM2_CIPHERTEXT_OVERHEAD, back) == SM2_INVALID, "another C3");
        free(plain);
        free(cipher);
        free(back);
    }
}

int main(int argc, char **argv)
{
    /* 64 KiB of plaintext, in hexadecimal, twice */
    static char line[1 << 19];
    const char *mode = argc > 1 ? argv[1] : "auto";
    int chosen = kernel_cpu_select(mode);
    if (chosen != 0)
        return chosen == -1 ? 2 : MODE_MISSING;
    if (sm2_initialise() != SM2_OK)
        fail("no memory");
    check_generator();
    check_stuck_generator();
    check_round_trips();
    set_fault(ERROR_AT_ONCE, 0, EIO);
    while (fgets(line, sizeof line, stdin) != NULL) {
        line_number++;
        check_line(line);
    }
    printf("sm2_check %s (%s): %lu lines, %lu checks, no difference\n", mode, sm2_active_curve()->name, line_number,
           checks);
    return 0;
}
