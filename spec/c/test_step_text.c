/* test_step_text.c - what is read of a step's payload without decoding it, and what is not. */
#include "durable/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    const char *kind, *path, *name, *held; /* kind NULL: it has to be decoded */
    lua_Integer ordinal;
    orr_step_state state;
} table[] = {
    {"{\"k\":\"step\",\"o\":1,\"n\":\"a\",\"v\":7}", "step", "", "a", "7", 1, STEP_VALUE},
    {"{\"k\":\"step\",\"o\":12,\"n\":\"a b\",\"p\":\"/2.1\",\"v\":{\"x\":\"}\"}}", "step", "/2.1", "a b",
     "{\"x\":\"}\"}", 12, STEP_VALUE},
    {"{\"k\":\"step\",\"o\":1,\"n\":\"a\"}", "step", "", "a", "", 1, STEP_VALUE},
    {"{\"k\":\"step\",\"o\":1,\"n\":\"\",\"e\":{\"code\":\"x\"}}", "step", "", "", "{\"code\":\"x\"}", 1,
     STEP_ERROR},
    {"{\"k\":\"sleep\",\"o\":4294967295,\"n\":\"\xc3\xa9\",\"d\":-1.5e+20}", "sleep", "", "\xc3\xa9", "",
     4294967295, STEP_VALUE},
    {"{\"k\":\"now\",\"o\":3,\"n\":\"\",\"d\":2,\"v\":\"2\"}", "now", "", "", "\"2\"", 3, STEP_VALUE},
    /* what has to be undone, or is of a child run or a signal */
    {"{\"k\":\"step\",\"o\":1,\"n\":\"a\\\"b\",\"v\":7}", NULL, NULL, NULL, NULL, 0, STEP_NONE},
    {"{\"k\":\"step\",\"o\":1,\"n\":{\"$bytes\":\"/w==\"},\"v\":7}", NULL, NULL, NULL, NULL, 0, STEP_NONE},
    {"{\"k\":\"call\",\"o\":1,\"n\":\"w\",\"c\":\"id\"}", NULL, NULL, NULL, NULL, 0, STEP_NONE},
    {"{\"k\":\"wait\",\"o\":1,\"n\":\"go\",\"s\":\"go\",\"v\":7}", NULL, NULL, NULL, NULL, 0, STEP_NONE},
    /* another order, another key, spaces: not as we write them */
    {"{\"o\":1,\"k\":\"step\",\"n\":\"a\",\"v\":7}", NULL, NULL, NULL, NULL, 0, STEP_NONE},
    {"{\"k\":\"step\",\"o\":1,\"n\":\"a\",\"z\":7}", NULL, NULL, NULL, NULL, 0, STEP_NONE},
    {"{ \"k\":\"step\",\"o\":1,\"n\":\"a\",\"v\":7}", NULL, NULL, NULL, NULL, 0, STEP_NONE},
    {"{\"k\":\"step\",\"o\":1,\"n\":\"a\",\"v\":}", NULL, NULL, NULL, NULL, 0, STEP_NONE},
    {"{\"k\":\"step\",\"o\":12345678901,\"n\":\"a\",\"v\":7}", NULL, NULL, NULL, NULL, 0, STEP_NONE},
    {"{\"k\":\"step\",\"o\":,\"n\":\"a\",\"v\":7}", NULL, NULL, NULL, NULL, 0, STEP_NONE},
    {"[]", NULL, NULL, NULL, NULL, 0, STEP_NONE},
    {"}", NULL, NULL, NULL, NULL, 0, STEP_NONE},
    {"", NULL, NULL, NULL, NULL, 0, STEP_NONE},
};

/* Out of memory of just that size, so that a sanitizer sees a byte read behind it. */
static bool read_exactly(const char *text, size_t size, char **copy, orr_step_text *step) {
    *copy = malloc(size > 0 ? size : 1);
    assert_non_null(*copy);
    memcpy(*copy, text, size);
    return orr_step_text_read(*copy, size, step);
}

static void is(orr_payload found, const char *expected) {
    assert_int_equal(found.size, strlen(expected));
    assert_memory_equal(found.text, expected, found.size);
}

static void parts_are_found(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        orr_step_text step;
        char *copy;
        bool known = read_exactly(table[i].text, strlen(table[i].text), &copy, &step);
        if (known != (table[i].kind != NULL)) fail_msg("%s", table[i].text);
        if (known && table[i].kind) {
            is(step.kind, table[i].kind);
            is(step.path, table[i].path);
            is(step.name, table[i].name);
            is(step.held, table[i].held);
            assert_int_equal(step.ordinal, table[i].ordinal);
            assert_int_equal(step.state, table[i].state);
        }
        free(copy);
    }
}

/* A value may end with what ends the payload, so only those without one are surely told. */
static void what_is_cut_off_is_decoded(void **state) {
    (void)state;
    static const char whole[] = "{\"k\":\"step\",\"o\":12,\"n\":\"a b\",\"p\":\"/2.1\",\"d\":1,\"v\":[1,2]}";
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        orr_step_text step;
        char *copy;
        assert_false(read_exactly(whole, size, &copy, &step));
        free(copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(what_is_cut_off_is_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
