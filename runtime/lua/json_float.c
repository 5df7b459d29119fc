/* json_float.c - the shortest decimal that reads back as a given double.
 *
 * The algorithm is Schubfach (R. Giulietti, "The Schubfach way to render doubles", 2020): the
 * doubles that round to d are an interval, and the decimals of one power of ten either have one
 * place in it, which is the answer, or none. The interval's ends are multiplied by a power of ten
 * of 128 bits; what is lost of the product is kept as its lowest bit, which is enough to compare.
 * The powers are those that are needed, rounded up; one in 27 is stored, and what lies between is
 * multiplied out and corrected by what the table says is missing, 0 to 3 (the way of J. Jeon's
 * "Dragonbox", 2020).
 */
#include "lua/json_inner.h"

#include <math.h>

__extension__ typedef unsigned __int128 wide;

enum { LEAST_POWER = -292, STRIDE = 27, MISSING_EACH = 32 };

/* 10^-292, 10^-265, …, of which the highest 128 bits, rounded down: high and low word */
static const uint64_t powers[][2] = {
    {0xff77b1fcbebcdc4f, 0x25e8e89c13bb0f7a}, {0xce5d73ff402d98e3, 0xfb0a3d212dc8128f},
    {0xa6b34ad8c9dfc06f, 0xf42faa48c0ea481e}, {0x86a8d39ef77164bc, 0xae5dff9c02033197},
    {0xd98ddaee19068c76, 0x3badd624dd9b0957}, {0xafbd2350644eeacf, 0xe5d1929ef90898fa},
    {0x8df5efabc5979c8f, 0xca8d3ffa1ef463c1}, {0xe55990879ddcaabd, 0xcc420a6a101d0515},
    {0xb94470938fa89bce, 0xf808e40e8d5b3e69}, {0x95a8637627989aad, 0xdde7001379a44aa8},
    {0xf1c90080baf72cb1, 0x5324c68b12dd6338}, {0xc350000000000000, 0x0000000000000000},
    {0x9dc5ada82b70b59d, 0xf020000000000000}, {0xfee50b7025c36a08, 0x02f236d04753d5b4},
    {0xcde6fd5e09abcf26, 0xed4c0226b55e6f86}, {0xa6539930bf6bff45, 0x84db8346b786151c},
    {0x865b86925b9bc5c2, 0x0b8a2392ba45a9b2}, {0xd910f7ff28069da4, 0x1b2ba1518094da04},
    {0xaf58416654a6babb, 0x387ac8d1970027b2}, {0x8da471a9de737e24, 0x5ceaecfed289e5d2},
    {0xe4d5e82392a40515, 0x0fabaf3feaa5334a}, {0xb8da1662e7b00a17, 0x3d6a751f3b936243},
    {0x95527a5202df0ccb, 0x0f37801e0c43ebc8},
};

/* by power from 10^-292 on, two bits each: how much larger it is, rounded up, than what follows
 * from the stored one before it */
static const uint64_t missing[] = {
    0xa9599655a5556955, 0xaaea996aa9569aaa, 0x55555556a966aaaa, 0x55659555a5555555, 0x5a559556a9565559,
    0x96a9aaaaaaaaaa99, 0x6a99aa9aa9595aa6, 0x6555556aa6aaaa69, 0x5665556a55656655, 0x0000000000015555,
    0x5500000000000000, 0x9a969665599a5a69, 0xa5a995a5aaaaa69a, 0x665a96956a5956aa, 0x669a69a9a5666a69,
    0x5555555555955a96, 0x655abaa6aaaaa9a5, 0xaaaa6569655a9566, 0x5a6a665ebea69aaa, 0x000000000002aaaa,
};

static const uint64_t fives[STRIDE] = {
    UINT64_C(1),
    UINT64_C(5),
    UINT64_C(25),
    UINT64_C(125),
    UINT64_C(625),
    UINT64_C(3125),
    UINT64_C(15625),
    UINT64_C(78125),
    UINT64_C(390625),
    UINT64_C(1953125),
    UINT64_C(9765625),
    UINT64_C(48828125),
    UINT64_C(244140625),
    UINT64_C(1220703125),
    UINT64_C(6103515625),
    UINT64_C(30517578125),
    UINT64_C(152587890625),
    UINT64_C(762939453125),
    UINT64_C(3814697265625),
    UINT64_C(19073486328125),
    UINT64_C(95367431640625),
    UINT64_C(476837158203125),
    UINT64_C(2384185791015625),
    UINT64_C(11920928955078125),
    UINT64_C(59604644775390625),
    UINT64_C(298023223876953125),
    UINT64_C(1490116119384765625),
};

/* floor(log2(10^k)), for |k| up to 1233 */
static int log2_of_power(int k) {
    return (k * 1741647) >> 19;
}

/* 10^k, of which the highest 128 bits, rounded up. */
static wide power(int k) {
    unsigned at = (unsigned)(k - LEAST_POWER), stored = at / STRIDE, off = at % STRIDE;
    int before = (int)(stored * STRIDE) + LEAST_POWER;
    wide high = powers[stored][0], low = powers[stored][1];
    uint64_t more = missing[at / MISSING_EACH] >> (at % MISSING_EACH * 2) & 3;
    if (off == 0) return (high << 64 | low) + more;
    int excess = log2_of_power(k) - log2_of_power(before) - (int)off; /* bits beyond 128, 1 to 63 */
    low *= fives[off];
    high = high * fives[off] + (low >> 64);
    return (high << (64 - excess) | (uint64_t)low >> excess) + more;
}

/* The highest 64 bits of a product of 192; the lowest of them is set where anything is below. */
static uint64_t product(wide by, uint64_t n) {
    wide low = (wide)(uint64_t)by * n, high = (wide)(uint64_t)(by >> 64) * n + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

typedef struct decimal {
    uint64_t digits;
    int exponent; /* of ten */
} decimal;

/* The nearest of the shortest decimals that round to c * 2^q. `closer`: the double below is half as
 * far away as the one above, c being a power of two. */
static decimal shortest(uint64_t c, int q, bool closer) {
    uint64_t odd = c & 1; /* then the ends of the interval round to another */
    int k = (q * 1262611 - (closer ? 524031 : 0)) >> 22;
    int h = q + log2_of_power(-k) + 1;
    wide g = power(-k);
    uint64_t lower = product(g, (4 * c - 2 + closer) << h) + odd;
    uint64_t value = product(g, (4 * c) << h);
    uint64_t upper = product(g, (4 * c + 2) << h) - odd;
    uint64_t s = value / 4;
    if (s >= 10) { /* one digit less */
        uint64_t t = s / 10;
        bool below = lower <= 40 * t, above = 40 * t + 40 <= upper;
        if (below != above) return (decimal){t + above, k + 1};
    }
    bool below = lower <= 4 * s, above = 4 * s + 4 <= upper;
    if (below != above) return (decimal){s + above, k};
    uint64_t middle = 4 * s + 2;
    return (decimal){s + (value > middle || (value == middle && (s & 1))), k};
}

/* Takes zeros from the right. */
static void trim(decimal *d) {
    for (; d->digits % 100000000 == 0; d->exponent += 8) d->digits /= 100000000;
    for (; d->digits % 100 == 0; d->exponent += 2) d->digits /= 100;
    if (d->digits % 10 == 0) {
        d->digits /= 10;
        d->exponent++;
    }
}

static decimal decimal_of(double d) {
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    int exponent = (int)(bits >> 52 & 0x7FF);
    uint64_t c = exponent ? fraction | UINT64_C(1) << 52 : fraction;
    int q = (exponent ? exponent : 1) - 1075;
    decimal made = {c, 0};
    if (q <= 0 && q > -53 && (c & ((UINT64_C(1) << -q) - 1)) == 0) made.digits = c >> -q; /* whole */
    else made = shortest(c, q, fraction == 0 && exponent > 1);
    trim(&made);
    return made;
}

/* The exponent as C writes it: a sign and at least two digits. */
static char *put_exponent(char *to, int exponent) {
    *to++ = 'e';
    *to++ = exponent < 0 ? '-' : '+';
    unsigned size = (unsigned)(exponent < 0 ? -exponent : exponent);
    if (size >= 100) *to++ = (char)('0' + size / 100);
    *to++ = (char)('0' + size / 10 % 10);
    *to++ = (char)('0' + size % 10);
    return to;
}

static char *put_zeros(char *to, int n) {
    memset(to, '0', (size_t)n);
    return to + n;
}

static char *put_text(char *to, const char *s, int n) {
    memcpy(to, s, (size_t)n);
    return to + n;
}

size_t orr_json_float(double d, char *text) {
    char room[24], *end = room + sizeof room, *to = text;
    if (signbit(d)) *to++ = '-';
    if (d == 0) return (size_t)(put_text(to, "0.0", 3) - text);
    decimal made = decimal_of(d);
    const char *digits = orr_json_digits(made.digits, end);
    int n = (int)(end - digits);
    int first = n - 1 + made.exponent; /* the exponent of the first digit */
    int most = n > 15 ? n : 15;
    if (first < -4 || first >= most) {
        *to++ = digits[0];
        if (n > 1) {
            *to++ = '.';
            to = put_text(to, digits + 1, n - 1);
        }
        to = put_exponent(to, first);
    } else if (first < 0) {
        to = put_zeros(put_text(to, "0.", 2), -1 - first);
        to = put_text(to, digits, n);
    } else if (first >= n - 1) {
        to = put_zeros(put_text(to, digits, n), first - n + 1);
        to = put_text(to, ".0", 2);
    } else {
        to = put_text(to, digits, first + 1);
        *to++ = '.';
        to = put_text(to, digits + first + 1, n - first - 1);
    }
    return (size_t)(to - text);
}
