/* Checks of the arithmetic below the curve, of one of the two fields, against answers computed elsewhere.
 *
 *     sm2_arithmetic_check < cases
 *
 * Built with -DSM2_FIELD_ADX -madx -mbmi2 it checks the field in x86-64 instructions, else the portable one. Each line is
 * an operation, one or two operands and the answer, all of 64 hexadecimal digits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sm2_field.h"
#include "sm2_scalar.h"

static void unhex(uint8_t out[32], const char *text)
{
    for (size_t i = 0; i < 32; i++) {
        unsigned byte = 0;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            exit(2);
        out[i] = (uint8_t)byte;
    }
}

static int compute(const char *operation, u256 *r, const u256 *a, const u256 *b)
{
    if (strcmp(operation, "field_multiply") == 0)
        fe_mul(r, a, b);
    else if (strcmp(operation, "field_square") == 0)
        fe_sqr(r, a);
    else if (strcmp(operation, "field_add") == 0)
        fe_add(r, a, b);
    else if (strcmp(operation, "field_subtract") == 0)
        fe_sub(r, a, b);
    else if (strcmp(operation, "field_half") == 0)
        fe_half(r, a);
    else if (strcmp(operation, "field_triple") == 0)
        fe_triple(r, a);
    else if (strcmp(operation, "field_negate") == 0)
        fe_negate(r, a);
    else if (strcmp(operation, "field_invert") == 0)
        fe_invert(r, a);
    else if (strcmp(operation, "field_to_montgomery") == 0)
        fe_to_montgomery(r, a);
    else if (strcmp(operation, "field_from_montgomery") == 0)
        fe_from_montgomery(r, a);
    else if (strcmp(operation, "scalar_multiply") == 0)
        scalar_mul_montgomery(r, a, b);
    else if (strcmp(operation, "scalar_add") == 0)
        scalar_add(r, a, b);
    else if (strcmp(operation, "scalar_subtract") == 0)
        scalar_sub(r, a, b);
    else if (strcmp(operation, "scalar_reduce") == 0)
        scalar_reduce(r, a);
    else if (strcmp(operation, "scalar_invert") == 0)
        scalar_invert_montgomery(r, a);
    else
        return 0;
    return 1;
}

int main(void)
{
    static char line[512];
    unsigned long lines = 0;
    while (fgets(line, sizeof line, stdin) != NULL) {
        char operation[32], text[3][65];
        uint8_t bytes[32], got[32];
        u256 a, b, r;
        lines++;
        if (sscanf(line, "%31s %64s %64s %64s", operation, text[0], text[1], text[2]) != 4)
            return 2;
        unhex(bytes, text[0]);
        a = u256_load(bytes);
        unhex(bytes, text[1]);
        b = u256_load(bytes);
        /* Once into another place, once over each operand: results may be written where operands lie. */
        for (int place = 0; place < 3; place++) {
            u256 x = a, y = b, *target = place == 0 ? &r : place == 1 ? &x : &y;
            if (!compute(operation, target, &x, &y))
                return 2;
            u256_store(got, target);
            unhex(bytes, text[2]);
            if (memcmp(got, bytes, 32) != 0) {
                fprintf(stderr, "sm2_arithmetic_check: line %lu, place %d: %s", lines, place, line);
                return 1;
            }
        }
    }
    printf("sm2_arithmetic_check: %lu lines, no difference\n", lines);
    return 0;
}
