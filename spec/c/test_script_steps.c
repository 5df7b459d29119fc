/* test_script_steps.c - recorded steps and signals under hardship: every allocation fails in turn,
 * and a run either ends as it would have or says why not; nothing leaks, nothing crashes, no error
 * leaves protected code, nothing hangs.
 */
#include "bind/bind.h"
#include "run/run.h"
#include "failing_heap.h"
#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* A step is counted where its function is called: more often than once only where its record
 * could not be made. */
static const char script[] =
    "local core = ...\n"
    "local rt = core.runtime { clock = 'virtual', grace = 2 }\n"
    "rt:on(function() end)\n"
    "local child = core.plan { name = 'child', output = function(ctx) return ctx.nodes.x end, nodes = {\n"
    "  { name = 'x', run = function(ctx) return ctx:step('in', function() return { ctx.input } end) end } } "
    "}\n"
    "core.set_compiler(function(w, input) return w, { input = input } end)\n"
    "local run\n"
    "local plan = core.plan { name = 'w', on_error = 'continue', output = function(ctx) return ctx.nodes.a "
    "end, nodes = {\n"
    "  { name = 'a', retry = { max = 1, delay = 1 }, run = function(ctx)\n"
    "      local one = ctx:step('one', function() return { n = 1 } end)\n"
    "      pcall(ctx.step, ctx, 'bad', function() if ctx.attempt == 1 then error('plain') end end)\n"
    "      local t = core.gather { function() ctx:sleep(1) return ctx:step('g', function() ctx:sleep(1) "
    "return 2 end) end,\n"
    "        function() return ctx:wait('x', { timeout = 5 }) end }\n"
    "      local called = ctx:call(child, 'i')\n"
    "      local _, late = pcall(ctx.wait, ctx, 'y', { timeout = 1 })\n"
    "      ctx:log('info', 'here') ctx:now() ctx:uuid()\n"
    "      if ctx.attempt == 1 then error('again') end\n"
    "      return one.n .. t[1] .. t[2] .. called[1] .. tostring(late.code) end },\n"
    "  { name = 'b', run = function(ctx) ctx:sleep(1) run:signal('x', 'm') run:signal('z', { 1 }) "
    "ctx:wait('z') end },\n"
    "} }\n"
    "run = rt:start(plan, { journal = true })\n"
    "rt:wait(run)\n"
    "return run.state, run.output\n";

static int panicked(lua_State *L) {
    fprintf(stderr, "an error left protected code: %s\n", lua_tostring(L, -1));
    abort();
}

static int open_core(lua_State *L) {
    orr_script_configure(L, lua_touserdata(L, 1));
    luaL_requiref(L, "orrery.core", luaopen_orrery_core, 0);
    return 1;
}

/* The whole life of a state in which allocation `from` and the `n` - 1 after it fail. What the
 * script returned is in text. */
static int live(failing_heap *h, long from, long n, char *text, size_t size) {
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    lua_State *L = lua_newstate(failing_heap_fn, h);
    assert_non_null(L);
    lua_atpanic(L, panicked);
    luaL_openlibs(L);
    orr_script_options options = {.alloc = {failing_heap_fn, h}, .loop = &loop, .no_luv = true};
    *h = (failing_heap){.fail_from = from, .fail_for = n, .bytes = h->bytes};
    lua_pushcfunction(L, open_core);
    lua_pushlightuserdata(L, &options);
    int status = lua_pcall(L, 1, 1, 0);
    text[0] = '\0';
    if (status == LUA_OK) {
        orr_script *s = orr_script_of(L);
        status = luaL_loadbuffer(L, script, sizeof script - 1, "=script");
        if (status == LUA_OK) {
            int nresults;
            lua_insert(L, -2);
            status = orr_script_run(s, L, 1, &nresults);
            if (status == LUA_OK) snprintf(text, size, "%s %s", lua_tostring(L, -2), lua_tostring(L, -1));
        }
    }
    h->fail_from = 0;
    lua_close(L);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    if (h->bytes) print_message("  with allocation %ld failing:\n", from);
    assert_int_equal(h->bytes, 0);
    return status;
}

#define WELL "completed 12misignal_timeout"

static void steps_end_with_enough_memory(void **state) {
    (void)state;
    failing_heap h = {0};
    char text[200];
    assert_int_equal(live(&h, 0, 0, text, sizeof text), LUA_OK);
    assert_string_equal(text, WELL);
}

static void every_allocation(long in_a_row) {
    failing_heap h = {0};
    char text[200];
    long i = 1, well = 0;
    for (; i < 100000; i++) {
        alarm(600);
        int status = live(&h, i, in_a_row, text, sizeof text);
        if (status == LUA_OK && strcmp(text, WELL) == 0) well++;
        if (!h.failed) break;
    }
    alarm(0);
    assert_true(i > 500);
    assert_true(well > 0); /* the last one, at least */
    print_message("  %ld allocations failed, after %ld of them the run ended as without\n", i - 1, well);
}

static void one_allocation_fails(void **state) {
    (void)state;
    every_allocation(1);
}

static void two_allocations_fail(void **state) {
    (void)state;
    every_allocation(2);
}

static void all_further_allocations_fail(void **state) {
    (void)state;
    every_allocation(INT32_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_end_with_enough_memory),
        cmocka_unit_test(one_allocation_fails),
        cmocka_unit_test(two_allocations_fail),
        cmocka_unit_test(all_further_allocations_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
