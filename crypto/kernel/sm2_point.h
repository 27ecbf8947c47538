/* Points of the SM2 curve and their multiples: a template, compiled by sm2_portable.c and sm2_adx.c.
 *
 * Jacobian coordinates (X : Y : Z), x = X/Z^2, y = Y/Z^3, infinity where Z = 0; a = -3. The formulas are the classical
 * ones: doubling by 4M + 4S, addition by 12M + 4S, mixed addition by 8M + 3S.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "sm2_curve.h"
#include "sm2_field.h"
#include "sm2_scalar.h"

typedef struct {
    fe x, y, z;
} jacobian;

/* r = 2 p, and infinity for infinity; no point of this curve has order two. */
static void point_double(jacobian *r, const jacobian *p)
{
    fe y2, s, m, t, u;
    fe_double(&y2, &p->y);
    fe_sqr(&t, &p->z);
    fe_sub(&u, &p->x, &t);
    fe_add(&t, &p->x, &t);
    fe_mul(&t, &t, &u);
    fe_triple(&m, &t); /* 3 (X - Z^2) (X + Z^2) */
    fe_mul(&r->z, &y2, &p->z);
    fe_sqr(&y2, &y2);
    fe_mul(&s, &y2, &p->x); /* 4 X Y^2 */
    fe_sqr(&y2, &y2);
    fe_half(&y2, &y2); /* 8 Y^4 */
    fe_sqr(&t, &m);
    fe_sub(&t, &t, &s);
    fe_sub(&r->x, &t, &s);
    fe_sub(&s, &s, &r->x);
    fe_mul(&t, &m, &s);
    fe_sub(&r->y, &t, &y2);
}

/* The last half of both additions, from H = U2 - U1 and S = S2 - S1 with U1, S1 given. Leaves Z to the caller. */
static inline void point_finish(jacobian *r, const fe *u1, const fe *s1, const fe *h, const fe *s)
{
    fe hh, hhh, v, t;
    fe_sqr(&hh, h);
    fe_mul(&hhh, &hh, h);
    fe_mul(&v, u1, &hh);
    fe_sqr(&t, s);
    fe_sub(&t, &t, &hhh);
    fe_sub(&t, &t, &v);
    fe_sub(&r->x, &t, &v);
    fe_sub(&v, &v, &r->x);
    fe_mul(&v, &v, s);
    fe_mul(&hhh, &hhh, s1);
    fe_sub(&r->y, &v, &hhh);
}

/* r = p + q, right unless p = q or an argument is infinity; h and s come back zero in those cases of equality. */
static inline void point_add_plain(jacobian *r, const jacobian *p, const jacobian *q, fe *h, fe *s)
{
    fe z1z1, z2z2, u1, u2, s1, s2, z;
    fe_sqr(&z1z1, &p->z);
    fe_sqr(&z2z2, &q->z);
    fe_mul(&u1, &p->x, &z2z2);
    fe_mul(&u2, &q->x, &z1z1);
    fe_mul(&s1, &p->y, &q->z);
    fe_mul(&s1, &s1, &z2z2);
    fe_mul(&s2, &q->y, &p->z);
    fe_mul(&s2, &s2, &z1z1);
    fe_sub(h, &u2, &u1);
    fe_sub(s, &s2, &s1);
    fe_mul(&z, &p->z, &q->z);
    fe_mul(&r->z, &z, h);
    point_finish(r, &u1, &s1, h, s);
}

static inline void point_add_mixed_plain(jacobian *r, const jacobian *p, const affine *q, fe *h, fe *s)
{
    fe zz, u2, s2, x1 = p->x, y1 = p->y;
    fe_sqr(&zz, &p->z);
    fe_mul(&u2, &q->x, &zz);
    fe_mul(&s2, &q->y, &p->z);
    fe_mul(&s2, &s2, &zz);
    fe_sub(h, &u2, &x1);
    fe_sub(s, &s2, &y1);
    fe_mul(&r->z, &p->z, h);
    point_finish(r, &x1, &y1, h, s);
}

static inline void jacobian_cmov(jacobian *r, const jacobian *a, uint64_t mask)
{
    u256_cmov(&r->x, &a->x, mask);
    u256_cmov(&r->y, &a->y, mask);
    u256_cmov(&r->z, &a->z, mask);
}

static inline void jacobian_from_affine(jacobian *r, const affine *a)
{
    r->x = a->x;
    r->y = a->y;
    r->z = FE_ONE;
}

/* Plain affine coordinates; the point is not infinity. */
static void point_to_plain(u256 *x, u256 *y, const jacobian *p)
{
    fe zi, zz, t;
    fe_invert(&zi, &p->z);
    fe_sqr(&zz, &zi);
    fe_mul(&t, &p->x, &zz);
    fe_from_montgomery(x, &t);
    if (y != NULL) {
        fe_mul(&zz, &zz, &zi);
        fe_mul(&t, &p->y, &zz);
        fe_from_montgomery(y, &t);
    }
    /* Z tells something of the way the point was come by, and with it of the scalar. */
    kernel_wipe(&zi, sizeof zi);
    kernel_wipe(&zz, sizeof zz);
    kernel_wipe(&t, sizeof t);
}

/* ---- secret scalars: constant in time ---- */

/* Booth's recoding of window i: bits wi - 1 .. wi + w - 1 of k to a digit in [-2^(w-1), 2^(w-1)].
 * Returns its magnitude; *negative is all ones where it is below zero. The position is public, the bits are not. */
static inline uint64_t booth_digit(const u256 *k, unsigned w, unsigned i, uint64_t *negative)
{
    uint64_t bits;
    if (i == 0) {
        bits = k->v[0] << 1;
    } else {
        unsigned at = w * i - 1, limb = at / 64, shift = at % 64;
        bits = limb < 4 ? k->v[limb] >> shift : 0;
        if (shift != 0 && limb + 1 < 4)
            bits |= k->v[limb + 1] << (64 - shift);
    }
    uint64_t size = (uint64_t)1 << (w + 1);
    bits &= size - 1;
    uint64_t sign = ct_mask(bits >> w);
    uint64_t magnitude = (bits & ~sign) | ((size - 1 - bits) & sign);
    *negative = sign;
    return (magnitude + 1) >> 1;
}

/* out = table[index - 1], or zeros for index 0, reading every entry. `words` 64-bit words an entry. */
static inline void scan_table(uint64_t *out, const uint64_t *table, unsigned entries, unsigned words, uint64_t index)
{
    typedef uint64_t lanes __attribute__((vector_size(32), aligned(8), may_alias));
    lanes sum[3] = {{0}, {0}, {0}};
    unsigned vectors = words / 4;
    for (unsigned j = 0; j < entries; j++) {
        uint64_t mask = ct_equal(index, j + 1);
        lanes wide = {mask, mask, mask, mask};
        for (unsigned v = 0; v < vectors; v++)
            sum[v] |= wide & *(const lanes *)(const void *)(table + (size_t)words * j + 4 * v);
    }
    memcpy(out, sum, sizeof(uint64_t) * words);
}

/* [k] G, 0 < k < n. Window after window, from the lowest: the running sum of the windows below i is smaller than
 * 0.51 * 2^(6i), so it equals no multiple that is added to it, nor its opposite, as integers; modulo n only the top
 * window could make them so, adding d * 2^252, d <= 16. For d < 16, n - d * 2^252 is larger than the sum can be. For
 * d = 16 the sum is k - 2^256, negative: equal would take k = 2^257 - n, above n, and opposite k = n. */
static void base_mul(jacobian *r, const u256 *k)
{
    jacobian acc, sum, first;
    affine entry;
    fe minus, h, s;
    memset(&acc, 0, sizeof acc);
    uint64_t empty = UINT64_MAX;
    for (unsigned i = 0; i < SECRET_BASE_WINDOWS; i++) {
        uint64_t negative, digit = booth_digit(k, 6, i, &negative);
        scan_table((uint64_t *)&entry, (const uint64_t *)sm2_secret_base[i], SECRET_BASE_ENTRIES, 8, digit);
        fe_negate(&minus, &entry.y);
        u256_cmov(&entry.y, &minus, negative);
        point_add_mixed_plain(&sum, &acc, &entry, &h, &s);
        jacobian_from_affine(&first, &entry);
        uint64_t nothing = ct_is_zero(digit);
        jacobian_cmov(&sum, &first, empty);
        jacobian_cmov(&acc, &sum, ~nothing);
        empty &= nothing;
    }
    *r = acc;
    kernel_wipe(&acc, sizeof acc);
    kernel_wipe(&sum, sizeof sum);
    kernel_wipe(&first, sizeof first);
    kernel_wipe(&entry, sizeof entry);
    kernel_wipe(&minus, sizeof minus);
    kernel_wipe(&h, sizeof h);
    kernel_wipe(&s, sizeof s);
}

static void secret_base_mul(u256 *x, u256 *y, const u256 *k)
{
    jacobian point;
    base_mul(&point, k);
    point_to_plain(x, y, &point);
    kernel_wipe(&point, sizeof point);
}

/* acc = acc + entry for entry not infinity, whatever acc is; complete, by computing the doubling as well. */
static void add_complete(jacobian *acc, const jacobian *entry)
{
    jacobian sum, twice;
    fe h, s;
    uint64_t empty = u256_zero_mask(&acc->z);
    point_add_plain(&sum, acc, entry, &h, &s);
    point_double(&twice, acc);
    /* Equal points give h = s = 0; opposite ones h = 0 alone, and then Z = 0 is right. */
    jacobian_cmov(&sum, &twice, u256_zero_mask(&h) & u256_zero_mask(&s));
    jacobian_cmov(&sum, entry, empty);
    *acc = sum;
    kernel_wipe(&sum, sizeof sum);
    kernel_wipe(&twice, sizeof twice);
    kernel_wipe(&h, sizeof h);
    kernel_wipe(&s, sizeof s);
}

/* [k] P, 0 < k < n. Windows of five bits from the top. 32 a P meets +-d P, |d| <= 16, only for a = 0 as integers, which
 * `empty` covers; modulo n only in the last window (k = n - 6 does), which is therefore added completely. */
static void variable_mul(jacobian *r, const u256 *k, const affine *point)
{
    jacobian table[16], acc, sum, entry;
    fe h, s, minus;
    jacobian_from_affine(&table[0], point);
    for (unsigned i = 1; i < 16; i++) {
        if (i % 2 == 1)
            point_double(&table[i], &table[i / 2]);
        else
            point_add_mixed_plain(&table[i], &table[i - 1], point, &h, &s);
    }
    memset(&acc, 0, sizeof acc);
    uint64_t empty = UINT64_MAX;
    for (unsigned i = 52; i-- > 0;) {
        if (i != 51)
            for (int j = 0; j < 5; j++)
                point_double(&acc, &acc);
        uint64_t negative, digit = booth_digit(k, 5, i, &negative);
        scan_table((uint64_t *)&entry, (const uint64_t *)table, 16, 12, digit);
        fe_negate(&minus, &entry.y);
        u256_cmov(&entry.y, &minus, negative);
        uint64_t nothing = ct_is_zero(digit);
        if (i == 0) {
            sum = acc;
            add_complete(&sum, &entry);
        } else {
            point_add_plain(&sum, &acc, &entry, &h, &s);
            jacobian_cmov(&sum, &entry, empty);
        }
        jacobian_cmov(&acc, &sum, ~nothing);
        empty &= nothing;
    }
    *r = acc;
    kernel_wipe(&acc, sizeof acc);
    kernel_wipe(&sum, sizeof sum);
    kernel_wipe(&entry, sizeof entry);
    kernel_wipe(&minus, sizeof minus);
    kernel_wipe(&h, sizeof h);
    kernel_wipe(&s, sizeof s);
}

static void secret_mul(u256 *x, u256 *y, const u256 *k, const affine *point)
{
    jacobian product;
    variable_mul(&product, k, point);
    point_to_plain(x, y, &product);
    kernel_wipe(&product, sizeof product);
}

static int secret_two_mul(u256 *x, u256 *y, const u256 *a, const u256 *b, const affine *point)
{
    jacobian first, second;
    base_mul(&first, a);
    variable_mul(&second, b, point);
    add_complete(&first, &second);
    uint64_t infinite = u256_zero_mask(&first.z);
    /* That the sum is infinity is the answer itself. */
    ct_public(&infinite, sizeof infinite);
    if (!infinite)
        point_to_plain(x, y, &first);
    kernel_wipe(&first, sizeof first);
    kernel_wipe(&second, sizeof second);
    return infinite == 0;
}

/* ---- public values: verification ---- */

static inline int fe_is_zero(const fe *a)
{
    return (a->v[0] | a->v[1] | a->v[2] | a->v[3]) == 0;
}

/* p += q in every case. */
static inline void public_add_mixed(jacobian *p, const affine *q, int negate)
{
    affine entry = *q;
    if (negate)
        fe_negate(&entry.y, &q->y);
    if (fe_is_zero(&p->z)) {
        jacobian_from_affine(p, &entry);
        return;
    }
    fe h, s;
    jacobian sum;
    point_add_mixed_plain(&sum, p, &entry, &h, &s);
    if (fe_is_zero(&h) && fe_is_zero(&s))
        point_double(&sum, p);
    *p = sum;
}

static inline void public_add(jacobian *p, const jacobian *q, int negate)
{
    jacobian entry = *q;
    if (negate)
        fe_negate(&entry.y, &q->y);
    if (fe_is_zero(&p->z)) {
        *p = entry;
        return;
    }
    fe h, s;
    jacobian sum;
    point_add_plain(&sum, p, &entry, &h, &s);
    if (fe_is_zero(&h) && fe_is_zero(&s))
        point_double(&sum, p);
    *p = sum;
}

/* Signed bytes: k = sum of digits[i] 2^(8i), digits in [-127, 128], for k < 2^255; a larger k is taken as -(n - k). */
static void signed_bytes(int16_t digits[PUBLIC_WINDOWS], const u256 *k)
{
    u256 other;
    int sign = 1;
    u256_sub(&other, &SM2_N, k);
    if (k->v[3] >> 63) {
        k = &other;
        sign = -1;
    }
    int carry = 0;
    for (int i = 0; i < PUBLIC_WINDOWS; i++) {
        int digit = (int)((k->v[i / 8] >> (8 * (i % 8))) & 0xFF) + carry;
        carry = digit > 128;
        if (carry)
            digit -= 256;
        digits[i] = (int16_t)(sign * digit);
    }
}

static inline void public_add_window(jacobian *acc, const affine *window, int digit)
{
    if (digit > 0)
        public_add_mixed(acc, &window[digit - 1], 0);
    else if (digit < 0)
        public_add_mixed(acc, &window[-digit - 1], 1);
}

/* Is x(p) = v mod n? x is below p, so v and v + n (when that is below p) are the candidates; X = v Z^2 saves a division. */
static int x_is(const jacobian *p, const u256 *v)
{
    if (fe_is_zero(&p->z))
        return 0;
    fe zz, t;
    u256 candidate = *v;
    fe_sqr(&zz, &p->z);
    for (int round = 0; round < 2; round++) {
        fe_to_montgomery(&t, &candidate);
        fe_mul(&t, &t, &zz);
        if (memcmp(&t, &p->x, sizeof t) == 0)
            return 1;
        if (u256_add(&candidate, v, &SM2_N) || !u256_less_mask(&candidate, &SM2_P))
            return 0;
    }
    return 0;
}

/* Non-adjacent form of width 5: digits odd in [-15, 15], at least four zeros after each. Returns how many digits. */
static int naf5(int8_t digits[260], const u256 *k)
{
    const uint64_t v[6] = {k->v[0], k->v[1], k->v[2], k->v[3], 0, 0};
    int length = 0;
    uint64_t carry = 0;
    memset(digits, 0, 260);
    for (unsigned bit = 0; bit < 257;) {
        unsigned limb = bit / 64, shift = bit % 64;
        uint64_t window = v[limb] >> shift;
        if ((window & 1) == carry) {
            /* With its carry this bit is even: a zero digit, and the carry stays what it is. */
            bit++;
            continue;
        }
        if (shift > 59)
            window |= v[limb + 1] << (64 - shift);
        window = (window & 31) + carry;
        carry = window >> 4;
        digits[bit] = (int8_t)((int)window - 32 * (int)carry);
        length = (int)bit + 1;
        bit += 5;
    }
    return length;
}

static int public_check(const sm2_claim *claim, const affine *point)
{
    jacobian odd[8], twice, acc;
    int8_t naf[260];
    int16_t digits[PUBLIC_WINDOWS];
    jacobian_from_affine(&odd[0], point);
    point_double(&twice, &odd[0]);
    for (int i = 1; i < 8; i++) {
        odd[i] = odd[i - 1];
        public_add(&odd[i], &twice, 0);
    }
    memset(&acc, 0, sizeof acc);
    for (int i = naf5(naf, &claim->t) - 1; i >= 0; i--) {
        point_double(&acc, &acc);
        if (naf[i] > 0)
            public_add(&acc, &odd[naf[i] / 2], 0);
        else if (naf[i] < 0)
            public_add(&acc, &odd[-naf[i] / 2], 1);
    }
    signed_bytes(digits, &claim->s);
    for (int i = 0; i < PUBLIC_WINDOWS; i++)
        public_add_window(&acc, sm2_public_base + i * PUBLIC_ENTRIES, digits[i]);
    return x_is(&acc, &claim->v);
}

static int public_check_known(const sm2_claim *claim, const affine *table)
{
    jacobian acc;
    int16_t s[PUBLIC_WINDOWS], t[PUBLIC_WINDOWS];
    memset(&acc, 0, sizeof acc);
    signed_bytes(s, &claim->s);
    signed_bytes(t, &claim->t);
    for (int i = 0; i < PUBLIC_WINDOWS; i++) {
        public_add_window(&acc, sm2_public_base + i * PUBLIC_ENTRIES, s[i]);
        public_add_window(&acc, table + i * PUBLIC_ENTRIES, t[i]);
    }
    return x_is(&acc, &claim->v);
}

/* Many claims under one key, side by side in affine coordinates: each step adds one table entry to every sum and
 * shares one inversion among them (Montgomery's trick), about 6M for an addition where a lone one takes 11M. */
#define MANY 128

typedef struct {
    affine sum;
    int16_t digits[2 * PUBLIC_WINDOWS];
    uint8_t empty; /* nothing added yet */
    uint8_t alone; /* met an equal or opposite point: checked by itself instead */
} many_lane;

static void many_step(many_lane *lanes, size_t count, const affine *window, int column, const affine **entries,
                      fe *prefix, fe *differences)
{
    fe running = FE_ONE, inverse, t, slope, x, y;
    for (size_t i = 0; i < count; i++) {
        many_lane *lane = &lanes[i];
        int digit = lane->digits[column];
        entries[i] = NULL;
        if (digit == 0 || lane->alone)
            continue;
        const affine *entry = &window[(digit > 0 ? digit : -digit) - 1];
        if (lane->empty) {
            lane->sum = *entry;
            if (digit < 0)
                fe_negate(&lane->sum.y, &entry->y);
            lane->empty = 0;
            continue;
        }
        fe_sub(&differences[i], &entry->x, &lane->sum.x);
        if (fe_is_zero(&differences[i])) {
            lane->alone = 1;
            continue;
        }
        entries[i] = entry;
        prefix[i] = running;
        fe_mul(&running, &running, &differences[i]);
    }
    fe_invert(&inverse, &running);
    for (size_t i = count; i-- > 0;) {
        if (entries[i] == NULL)
            continue;
        many_lane *lane = &lanes[i];
        fe_mul(&t, &inverse, &prefix[i]);
        fe_mul(&inverse, &inverse, &differences[i]);
        y = entries[i]->y;
        if (lane->digits[column] < 0)
            fe_negate(&y, &y);
        fe_sub(&slope, &y, &lane->sum.y);
        fe_mul(&slope, &slope, &t);
        fe_sqr(&x, &slope);
        fe_sub(&x, &x, &lane->sum.x);
        fe_sub(&x, &x, &entries[i]->x);
        fe_sub(&t, &lane->sum.x, &x);
        fe_mul(&t, &t, &slope);
        fe_sub(&lane->sum.y, &t, &lane->sum.y);
        lane->sum.x = x;
    }
}

static int public_check_many(const sm2_claim *claims, size_t count, const affine *table, uint8_t *verdicts)
{
    struct {
        many_lane lanes[MANY];
        const affine *entries[MANY];
        fe prefix[MANY], differences[MANY];
    } *work = malloc(sizeof *work);
    if (work == NULL)
        return 0;
    for (size_t start = 0; start < count; start += MANY) {
        size_t here = count - start < MANY ? count - start : MANY;
        for (size_t i = 0; i < here; i++) {
            signed_bytes(work->lanes[i].digits, &claims[start + i].s);
            signed_bytes(work->lanes[i].digits + PUBLIC_WINDOWS, &claims[start + i].t);
            work->lanes[i].empty = 1;
            work->lanes[i].alone = 0;
        }
        for (int column = 0; column < 2 * PUBLIC_WINDOWS; column++) {
            const affine *window = (column < PUBLIC_WINDOWS ? sm2_public_base : table)
                                   + (size_t)(column % PUBLIC_WINDOWS) * PUBLIC_ENTRIES;
            many_step(work->lanes, here, window, column, work->entries, work->prefix, work->differences);
        }
        for (size_t i = 0; i < here; i++) {
            const many_lane *lane = &work->lanes[i];
            if (lane->alone || lane->empty) {
                verdicts[start + i] = (uint8_t)public_check_known(&claims[start + i], table);
            } else {
                jacobian point;
                jacobian_from_affine(&point, &lane->sum);
                verdicts[start + i] = (uint8_t)x_is(&point, &claims[start + i].v);
            }
        }
    }
    free(work);
    return 1;
}

/* ---- tables ---- */

/* Multiples 1..entries of 2^(bits * i) P for each window i, in affine form. */
static int fill_table(affine *table, unsigned windows, unsigned entries, unsigned bits, const affine *point)
{
    size_t total = (size_t)windows * entries;
    jacobian *all = malloc(total * sizeof *all);
    fe *prefix = malloc(total * sizeof *prefix);
    if (all == NULL || prefix == NULL) {
        free(all);
        free(prefix);
        return 0;
    }
    jacobian base;
    jacobian_from_affine(&base, point);
    for (unsigned w = 0; w < windows; w++) {
        jacobian *window = all + (size_t)w * entries;
        window[0] = base;
        for (unsigned i = 1; i < entries; i++) {
            if (i % 2 == 1) {
                point_double(&window[i], &window[i / 2]);
            } else {
                window[i] = window[i - 1];
                public_add(&window[i], &base, 0);
            }
        }
        for (unsigned b = 0; b < bits; b++)
            point_double(&base, &base);
    }
    fe running = FE_ONE, inverse, zi, zz;
    for (size_t i = 0; i < total; i++) {
        prefix[i] = running;
        fe_mul(&running, &running, &all[i].z);
    }
    fe_invert(&inverse, &running);
    for (size_t i = total; i-- > 0;) {
        fe_mul(&zi, &inverse, &prefix[i]);
        fe_mul(&inverse, &inverse, &all[i].z);
        fe_sqr(&zz, &zi);
        fe_mul(&table[i].x, &all[i].x, &zz);
        fe_mul(&zz, &zz, &zi);
        fe_mul(&table[i].y, &all[i].y, &zz);
    }
    free(all);
    free(prefix);
    return 1;
}

static int public_table(affine *table, const affine *point)
{
    return fill_table(table, PUBLIC_WINDOWS, PUBLIC_ENTRIES, 8, point);
}

static int on_curve(const u256 *x, const u256 *y)
{
    if (!u256_less_mask(x, &SM2_P) || !u256_less_mask(y, &SM2_P))
        return 0;
    fe fx, fy, t, u;
    fe_to_montgomery(&fx, x);
    fe_to_montgomery(&fy, y);
    fe_sqr(&t, &fx);
    fe_mul(&t, &t, &fx);
    fe_triple(&u, &fx);
    fe_sub(&t, &t, &u);
    fe_add(&t, &t, &SM2_B);
    fe_sqr(&u, &fy);
    return memcmp(&t, &u, sizeof t) == 0;
}

static void to_affine(affine *point, const u256 *x, const u256 *y)
{
    fe_to_montgomery(&point->x, x);
    fe_to_montgomery(&point->y, y);
}

#define SM2_CURVE_TABLE(label)                                                                                         \
    {                                                                                                                  \
        label, on_curve, secret_base_mul, secret_mul, secret_two_mul, public_table, public_check, public_check_known,  \
            public_check_many, to_affine                                                                               \
    }
