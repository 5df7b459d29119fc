/* test_json.c - the JSON codec from C: every allocation made to fail in turn, sizes, depth, the
 * process's locale. */
#include "lua/json.h"
#include "checked_heap.h"

#include <lauxlib.h>
#include <locale.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "skip.h"

/* Its keys are sorted and its texts as short as they can be, so that it is written as it was
 * read. */
static const char document[] = "{\"deep\":[[[[{\"x\":[1.0,-2]}]]]],\"id\":9007199254740993,\"ratio\":0.1,"
                               "\"tags\":[\"a\\n\xC3\xA9\",null,true,[],{}]}";

/* Lua passes a type's number as the size of a block that is not there yet. */
static void *lua_hook(void *ud, void *ptr, size_t osize, size_t nsize) {
    orr_alloc hook = checked_heap_hook(ud);
    return hook.fn(hook.ud, ptr, ptr ? osize : 0, nsize);
}

static lua_State *open_state(checked_heap *heap) {
    lua_State *L = lua_newstate(lua_hook, heap);
    assert_non_null(L);
    return L;
}

static int round_trip(lua_State *L) {
    size_t n, m;
    const char *text = lua_tolstring(L, 1, &n);
    orr_open_json(L);
    if (!orr_json_decode(L, text, n, NULL)) return lua_error(L);
    if (!orr_value_check(L, -1, "output", NULL) || !orr_json_encode(L, -1, NULL)) return lua_error(L);
    const char *back = lua_tolstring(L, -1, &m);
    if (n != m || memcmp(text, back, n) != 0) return luaL_error(L, "came back as %s", back);
    return 0;
}

/* What is wrong in three ways, each of which makes a message. */
static int refusals(lua_State *L) {
    orr_open_json(L);
    if (orr_json_decode(L, "[1,{\"a\":1,\"a\":2}]", 17, NULL))
        return luaL_error(L, "a duplicate key was read");
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "self");
    if (orr_json_encode(L, -1, NULL)) return luaL_error(L, "a cycle was written");
    lua_pop(L, 1);
    if (orr_value_check(L, -1, "output", NULL)) return luaL_error(L, "a cycle is no plain value");
    return 0;
}

/* Runs `fn` with the n-th request failing, for n from 1 until none is left to fail. Each time it
 * must end with the memory error alone, and closing the state must give every byte back. */
static void fail_each(lua_CFunction fn, const char *text, size_t len) {
    uint64_t n = 0, last;
    int status;
    do {
        checked_heap heap = {0};
        lua_State *L = open_state(&heap);
        int base = lua_gettop(L);
        lua_pushcfunction(L, fn);
        lua_pushlstring(L, text, len);
        heap.fail_at = heap.requests + ++n;
        heap.fail_after = true;
        status = lua_pcall(L, 1, 0, 0);
        last = heap.requests;
        bool failed = last >= heap.fail_at;
        heap.fail_at = 0;
        if (status != LUA_OK) {
            const char *message = lua_tostring(L, -1);
            if (!failed || !strstr(message, "memory")) fail_msg("request %d: %s", (int)n, message);
            lua_pop(L, 1);
        }
        assert_int_equal(lua_gettop(L), base);
        lua_close(L);
        assert_int_equal(heap.live_bytes, 0);
        assert_true(n < 100000);
        if (!failed) break;
    } while (true);
    assert_int_equal(status, LUA_OK);
    assert_true(n > 10);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    fail_each(round_trip, document, sizeof document - 1);
    fail_each(refusals, "", 0);
}

static void every_allocation_of_a_long_text_may_fail(void **state) {
    (void)state;
    static char text[20000];
    memset(text, 'w', sizeof text);
    memcpy(text, "{\"k\":\"\\n", 8);
    memcpy(text + sizeof text - 2, "\"}", 2);
    fail_each(round_trip, text, sizeof text);
}

static void every_allocation_of_many_fields_may_fail(void **state) {
    (void)state;
    static char text[20000];
    size_t n = 0;
    text[n++] = '{';
    for (int i = 100; i < 400; i++) n += (size_t)snprintf(text + n, sizeof text - n, "\"k%d\":[%d],", i, i);
    text[n - 1] = '}';
    fail_each(round_trip, text, n);
}

/* The text need not end in a NUL: reading stops at its length, also inside a number or a word. */
static void reading_stops_at_the_length(void **state) {
    (void)state;
    lua_State *L = luaL_newstate();
    assert_true(orr_json_decode(L, "123456", 3, NULL));
    assert_int_equal(lua_tointeger(L, -1), 123);
    assert_true(orr_json_decode(L, "1.25999", 4, NULL));
    assert_true(lua_tonumber(L, -1) == 1.25);
    for (size_t n = 0; n < sizeof document - 1; n++) {
        char *exact = malloc(n + 1); /* a heap block, so that a sanitizer sees a byte too many */
        memcpy(exact, document, n);
        exact = realloc(exact, n > 0 ? n : 1);
        assert_false(orr_json_decode(L, exact, n, NULL));
        free(exact);
        lua_settop(L, 0);
    }
    lua_close(L);
}

static void a_hundred_thousand_levels_are_refused(void **state) {
    (void)state;
    enum { LEVELS = 100000 };
    static char text[LEVELS];
    lua_State *L = luaL_newstate();
    memset(text, '[', LEVELS);
    assert_false(orr_json_decode(L, text, LEVELS, NULL));
    assert_string_equal(lua_tostring(L, -1), "JSON:1:1001: nested deeper than 1000 levels");
    lua_newtable(L);
    for (int i = 0; i < LEVELS; i++) {
        lua_createtable(L, 1, 0);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
    }
    orr_json_writing how = {.depth = ORR_JSON_DEPTH_MAX};
    assert_false(orr_json_encode(L, -1, &how));
    assert_non_null(strstr(lua_tostring(L, -1), "is nested deeper than 5000 levels"));
    lua_pop(L, 1);
    assert_false(orr_value_check(L, -1, "output", NULL));
    assert_non_null(strstr(lua_tostring(L, -1), "is nested deeper than 1000 levels"));
    lua_close(L);
}

/* A table that holds another twice, sixty times over, has 2^60 paths. */
static void shared_tables_are_checked_once(void **state) {
    (void)state;
    lua_State *L = luaL_newstate();
    lua_newtable(L);
    for (int i = 0; i < 60; i++) {
        lua_createtable(L, 2, 0);
        lua_pushvalue(L, -2);
        lua_rawseti(L, -2, 1);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 2);
    }
    assert_true(orr_value_check(L, -1, "output", NULL));
    orr_json_writing how = {.limit = 100000};
    assert_false(orr_json_encode(L, -1, &how));
    assert_non_null(strstr(lua_tostring(L, -1), "longer than the limit of 100000 bytes"));
    lua_close(L);
}

static void numbers_do_not_depend_on_the_locale(void **state) {
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "pt_BR.UTF-8"};
    lua_State *L = luaL_newstate();
    bool found = false;
    for (size_t i = 0; !found && i < sizeof names / sizeof *names; i++)
        found = setlocale(LC_NUMERIC, names[i]) && localeconv()->decimal_point[0] == ',';
    if (!found) {
        lua_close(L);
        skip_for("no locale with a decimal comma is installed");
    }
    assert_true(orr_json_decode(L, "[0.5,1.5e300]", 13, NULL));
    assert_true(orr_json_encode(L, -1, NULL));
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(lua_tostring(L, -1), "[0.5,1.5e+300]");
    lua_close(L);
}

/* A value that is fine leaves the stack as it was; one that is not leaves its message alone on
 * it. */
static void the_check_says_what_and_where(void **state) {
    (void)state;
    lua_State *L = luaL_newstate();
    lua_newtable(L);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "nothing");
    assert_true(orr_value_check(L, -1, "output", NULL));
    assert_int_equal(lua_gettop(L), 1);
    lua_newtable(L);
    lua_newuserdatauv(L, 0, 0);
    lua_rawseti(L, -2, 1);
    lua_setfield(L, -2, "items");
    assert_false(orr_value_check(L, -1, "input", "a run takes plain data"));
    assert_int_equal(lua_gettop(L), 2);
    assert_string_equal(lua_tostring(L, -1),
                        "input.items[1] is a userdata; a run takes plain data: nil, boolean, "
                        "number, string, array or table of those");
    lua_close(L);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_allocation_of_a_long_text_may_fail),
        cmocka_unit_test(every_allocation_of_many_fields_may_fail),
        cmocka_unit_test(reading_stops_at_the_length),
        cmocka_unit_test(a_hundred_thousand_levels_are_refused),
        cmocka_unit_test(shared_tables_are_checked_once),
        cmocka_unit_test(numbers_do_not_depend_on_the_locale),
        cmocka_unit_test(the_check_says_what_and_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
