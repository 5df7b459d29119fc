/* test_json_float.c - the shortest text of a double, judged by the C library: it reads back, no
 * text with fewer digits does, and none with as many is nearer. */
#include "lua/json_inner.h"
#include "chance.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "skip.h"

/* The text, which the next call writes anew. */
static const char *text_of(double d) {
    static char text[ORR_JSON_NUMBER + 1];
    memset(text, '#', sizeof text);
    size_t n = orr_json_float(d, text);
    assert_true(n <= ORR_JSON_NUMBER);
    text[n] = '\0';
    return text;
}

/* The digits of a text without leading and trailing zeros. */
static int digits_of(const char *text, char *to) {
    int n = 0, kept = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (n == 0 && *text == '0')) continue;
        to[n++] = *text;
        if (*text != '0') kept = n;
    }
    to[kept] = '\0';
    return kept;
}

/* What C writes with `n` digits. */
static const char *nearest(double d, int n) {
    static char text[64];
    snprintf(text, sizeof text, "%.*e", n - 1, d);
    return text;
}

static bool judge(double d) {
    char own[32], other[64];
    const char *text = text_of(d);
    if (strtod(text, NULL) != d || !strpbrk(text, ".e")) return false;
    int n = digits_of(text, own);
    if (n < 1 || n > 17) return false;
    if (n > 1 && strtod(nearest(d, n - 1), NULL) == d) return false;
    if (strtod(nearest(d, n), NULL) != d) return true; /* below a power of two there is less room */
    digits_of(nearest(d, n), other);
    return strcmp(own, other) == 0;
}

static void check(double d) {
    if (!judge(d)) fail_msg("%a is written as %s", d, text_of(d));
}

static double of_bits(uint64_t bits) {
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

static void known_numbers(void **state) {
    (void)state;
    static const struct {
        double d;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {0.3, "0.3"},
        {100.0, "100.0"},
        {123456.789, "123456.789"},
        {1e-4, "0.0001"},
        {9.999999999999999e-5, "9.999999999999999e-05"},
        {1e-5, "1e-05"},
        {999999999999999.0, "999999999999999.0"},
        {1e15, "1e+15"},
        {1234567890123456.0, "1234567890123456.0"},
        {12345678901234567.0, "12345678901234568.0"},
        {9007199254740991.0, "9007199254740991.0"},
        {9007199254740992.0, "9007199254740992.0"},
        {9007199254740994.0, "9007199254740994.0"},
        {1e22, "1e+22"},
        {1e23, "1e+23"},
        {9.5367431640625e-07, "9.5367431640625e-07"},
        {9.1093837015e-31, "9.1093837015e-31"},
        {1.0 / 3, "0.3333333333333333"},
        {2.0 / 3, "0.6666666666666666"},
        {-0.00012345678901234567, "-0.00012345678901234567"},
        {4.35, "4.35"},
        {2.2250738585072011e-308, "2.225073858507201e-308"}, /* the largest without a leading one */
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {5e-324, "5e-324"},
        {1e-323, "1e-323"},
        {1.5e-323, "1.5e-323"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        /* ends of the interval that are decimals themselves */
        {9007199254740993e0, "9007199254740992.0"},
        {5.764607523034235e17, "5.764607523034235e+17"},
        {2.305843009213694e18, "2.305843009213694e+18"},
        {9.007199254740992e15 * 4, "3.602879701896397e+16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(text_of(cases[i].d), cases[i].text);
}

/* Around every power of two, where the doubles below are nearer together than those above, and of
 * ten; so each power that the algorithm multiplies by is used. */
static void powers_and_what_is_beside_them(void **state) {
    (void)state;
    for (int i = -1074; i < 1024; i++) {
        double d = ldexp(1.0, i);
        check(d);
        check(nextafter(d, INFINITY));
        check(nextafter(d, 0) > 0 ? nextafter(d, 0) : d);
        check(-d);
    }
    for (int i = -323; i <= 308; i++) {
        char text[16];
        snprintf(text, sizeof text, "1e%d", i);
        double d = strtod(text, NULL);
        check(d);
        check(nextafter(d, INFINITY));
        check(nextafter(d, 0) > 0 ? nextafter(d, 0) : d);
    }
}

static void chance_of_every_size(void **state) {
    (void)state;
    chance r = chance_begin("floats as text");
    for (uint64_t exponent = 0; exponent < 2047; exponent++) {
        for (int i = 0; i < 40; i++) {
            uint64_t fraction = chance_next(&r) >> 12;
            if (i % 4 == 1) fraction &= ~UINT64_C(0) << chance_below(&r, 52); /* few bits */
            if (i % 4 == 2) fraction >>= chance_below(&r, 52);
            if (exponent + fraction > 0) check(of_bits(exponent << 52 | fraction));
        }
    }
}

/* What people write: few digits, and sums of such. */
static void chance_of_few_digits(void **state) {
    (void)state;
    chance r = chance_begin("floats of few digits");
    for (int i = 0; i < 100000; i++) {
        double d = (double)(chance_next(&r) >> chance_below(&r, 64)) / pow(10, (double)chance_below(&r, 20));
        if (d > 0) check(d);
        if (d > 0) check(d + (double)chance_below(&r, 100) / 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_numbers),
        cmocka_unit_test(powers_and_what_is_beside_them),
        cmocka_unit_test(chance_of_every_size),
        cmocka_unit_test(chance_of_few_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
