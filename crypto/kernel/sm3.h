/* SM3 (GB/T 32905-2016), HMAC-SM3 (RFC 2104 with a 64-byte block; vectors of GM/T 0042-2015) and many SM3 at once.
 *
 * Time and addresses depend on lengths and counts, which are public, and on nothing in the messages or keys.
 * What passes through one message at a time and through HMAC is wiped from the stack; the functions for many messages
 * are for what is published as hashes, and leave it there.
 * Every function is safe to call from several threads on different data, once `kernel_cpu_select` has returned.
 */
#ifndef EDUTRUST_KERNEL_SM3_H
#define EDUTRUST_KERNEL_SM3_H

#include <stddef.h>
#include <stdint.h>

#define SM3_BYTES 32
#define SM3_BLOCK_BYTES 64

/* A message in the making. It may be copied by assignment, so that what many messages begin with is hashed once. */
typedef struct sm3_state {
    uint32_t h[8];
    uint64_t length; /* bytes so far; GB/T 32905 ends at 2^61 - 1 */
    uint8_t buffer[SM3_BLOCK_BYTES];
    size_t used; /* bytes waiting in the buffer, 0 to 63 */
} sm3_state;

/* The eight words every message begins with (GB/T 32905, 4.1). */
extern const uint32_t sm3_initial[8];

void sm3_init(sm3_state *state);
void sm3_update(sm3_state *state, const uint8_t *data, size_t size);
/* Write the digest and wipe the state; begin again with sm3_init or with a copy. */
void sm3_final(sm3_state *state, uint8_t out[SM3_BYTES]);
void sm3_digest(const uint8_t *data, size_t size, uint8_t out[SM3_BYTES]);

/* Fold count blocks of 64 bytes into h. */
void sm3_compress(uint32_t h[8], const uint8_t *blocks, size_t count);

/* A key with its first block, inner and outer, already hashed. Wipe it with kernel_wipe. */
typedef struct hmac_sm3_key {
    uint32_t inner[8];
    uint32_t outer[8];
} hmac_sm3_key;

void hmac_sm3_init(hmac_sm3_key *key, const uint8_t *bytes, size_t size);
void hmac_sm3_digest(const hmac_sm3_key *key, const uint8_t *message, size_t size, uint8_t out[SM3_BYTES]);
void hmac_sm3(const uint8_t *key, size_t key_size, const uint8_t *message, size_t size, uint8_t out[SM3_BYTES]);

/* parents[i] = SM3(0x01 || left || right), RFC 6962 2.1. children: pairs * 64 bytes, parents: pairs * 32 bytes.
 * parents may be children (a level is folded in place); no other overlap. */
void sm3_merkle_nodes(const uint8_t *children, size_t pairs, uint8_t *parents);

/* out[i] = SM3(0x00 || record i), RFC 6962 2.1, of count records of size bytes, one after the other. No overlap. */
void sm3_merkle_leaves(const uint8_t *data, size_t size, size_t count, uint8_t *out);

/* out[i] = SM3(messages[i]), or SM3(prefix || messages[i]) where prefix_used is not 0; any lengths. No overlap.
 * A message of no bytes may be NULL. */
void sm3_many(const uint8_t *const *messages, const size_t *lengths, size_t count, uint8_t prefix_used, uint8_t prefix,
              uint8_t *out);

#endif
