/* The kernel's verification of given digests, which its Python face does not offer.
 *
 *     sm2_cases_digests auto|portable
 *
 * Reads lines of public (128 digits), digest (64) and signature (128), and writes for each the verdicts of an unknown
 * key, of a key with its table, and of a batch of one and of three rows: 1 or 0. Exit 1: input or processor not usable.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu.h"
#include "sm2.h"

#define ROWS 3

static affine table[PUBLIC_TABLE_POINTS];

static int read_hex(uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned value;
        if (scanf("%2x", &value) != 1)
            return 0;
        out[i] = (uint8_t)value;
    }
    return 1;
}

int main(int count, char **arguments)
{
    uint8_t public_key[64], digest[32], signature[64], verdicts[ROWS];
    if (count != 2 || kernel_cpu_select(arguments[1]) != 0 || sm2_initialise() != SM2_OK)
        return 1;
    const sm2_curve *curve = sm2_active_curve();
    while (read_hex(public_key, 64)) {
        sm2_public_key key;
        sm2_claim claims[ROWS];
        if (!read_hex(digest, 32) || !read_hex(signature, 64) || sm2_public_load(&key, public_key) != SM2_OK)
            return 1;
        if (sm2_claim_of(&claims[0], digest, signature) != SM2_OK) {
            printf("0000\n");
            continue;
        }
        if (!curve->public_table(table, &key.point))
            return 1;
        int unknown = curve->public_check(&claims[0], &key.point);
        int known = curve->public_check_known(&claims[0], table);
        if (!curve->public_check_many(claims, 1, table, verdicts))
            return 1;
        int alone = verdicts[0];
        /* Between two claims that do not hold, so that a shared inversion is shared. */
        claims[1] = claims[0];
        claims[0].v.v[0] ^= 2;
        claims[2] = claims[1];
        claims[2].v.v[0] ^= 2;
        if (!curve->public_check_many(claims, ROWS, table, verdicts))
            return 1;
        printf("%d%d%d%d\n", unknown, known, alone, verdicts[1] && !verdicts[0] && !verdicts[2]);
    }
    return 0;
}
