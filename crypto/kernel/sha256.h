/* Many SHA-256 (FIPS 180-4) at once, for the second tree of the ledger; one at a time it is the standard library's.
 *
 * All of it is for what is published as hashes: nothing is wiped. Time and addresses depend on lengths and counts alone.
 * Every function is safe to call from several threads on different data, once `kernel_cpu_select` has returned.
 */
#ifndef EDUTRUST_KERNEL_SHA256_H
#define EDUTRUST_KERNEL_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32
#define SHA256_BLOCK_BYTES 64

/* parents[i] = SHA-256(0x01 || left || right), RFC 6962 2.1. children: pairs * 64 bytes, parents: pairs * 32 bytes.
 * parents may be children (a level is folded in place); no other overlap. */
void sha256_merkle_nodes(const uint8_t *children, size_t pairs, uint8_t *parents);

/* out[i] = SHA-256(messages[i]), or SHA-256(prefix || messages[i]) where prefix_used is not 0; any lengths. No overlap.
 * A message of no bytes may be NULL. */
void sha256_many(const uint8_t *const *messages, const size_t *lengths, size_t count, uint8_t prefix_used,
                 uint8_t prefix, uint8_t *out);

#endif
