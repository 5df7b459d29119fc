/* test_script.c - the binding under hardship: every allocation, Lua's and ours, fails in turn, and
 * the engine either goes on or says so; nothing leaks, nothing crashes, no error leaves protected
 * code.
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

/* ---- a workflow that uses everything --------------------------------------------------------- */

static const char script[] =
    "local core = ...\n"
    "local rt = core.runtime { clock = 'virtual', grace = 2 }\n"
    "local heard = 0\n"
    "rt:on(function(event) heard = heard + 1 end)\n"
    "rt:pool('db', { max = 1 })\n"
    "local child = core.plan { name = 'child', output = function(ctx) return ctx.nodes.x end, nodes = {\n"
    "  { name = 'x', run = function(ctx) ctx:sleep(1) return ctx.input end } } }\n"
    "core.set_compiler(function(w, input) return w, { input = input } end)\n"
    "local late\n"
    "local def = { name = 'w', on_error = 'continue', output = function(ctx) return { a = ctx.nodes.a } end, "
    "nodes = {\n"
    "  { name = 'a', run = function() return { 1, 2, 3 } end },\n"
    "  { name = 'b', deps = { { node = 1 } }, pool = function() return 'db' end, run = function(ctx, "
    "inputs)\n"
    "      ctx:log('info', 'hello') ctx:sleep(1) return #inputs.a end },\n"
    "  { name = 'c', each = function(ctx) return ctx.nodes.a end, deps = { { node = 1 } },\n"
    "    run = function(ctx) ctx:sleep(ctx.index) return { ctx.item } end },\n"
    "  { name = 'd', retry = { max = 1, delay = 1 }, run = function(ctx)\n"
    "      if ctx.attempt == 1 then error { code = 'again', message = 'once more' } end return "
    "ctx.idempotency_key end },\n"
    "  { name = 'e', run = function(ctx) return core.gather {\n"
    "      function() ctx:sleep(2) return 1 end,\n"
    "      function() return core.await(function(resume) late = resume resume(2) end) end } end },\n"
    "  { name = 'f', run = function(ctx) local co = coroutine.wrap(function() ctx:sleep(1) return 'in' end)\n"
    "      return co() .. ctx:call(child, 'x') end },\n"
    "  { name = 'g', fallback = { fn = function(ctx, err) return err.message end }, run = function() "
    "error('plain') end },\n"
    "  { name = 'h', when = function(ctx) return ctx.states.a == 'completed' end, deps = { { node = 1 } },\n"
    "    run = function() return core.outcome('gold', 1) end },\n"
    "  { name = 'i', deps = { { node = 8, port = 'gold' } }, run = function() end },\n"
    "  { name = 'j', timeout = 1, on_error = 'ignore', run = function(ctx) core.await(function() return "
    "function() end end) end },\n"
    "  { name = 'k', on_error = 'ignore', run = function() local function fs(...) local args = "
    "table.pack(...)\n"
    "      return core.await(function(resume) args[args.n + 1] = resume "
    "core.fs(table.unpack(args, 1, args.n + 1)) end) end\n"
    "      local _, fd = fs('open', '/', 0, 0) fs('scandir', '/proc/self') fs('lstat', '/') core.fs('close', "
    "fd) end },\n"
    "} }\n"
    "local nodes, flat = {}, { count = 20, names = {}, specs = {}, index = {}, name_of = {}, reserved = {} "
    "}\n"
    "for i = 1, 20 do\n"
    "  flat.names[i], flat.index['n' .. i] = 'n' .. i, i\n"
    "  flat.specs[i] = { run = function() end, retry = i % 18, after = i > 1 and 'n' .. i - 1 or nil }\n"
    "end\n"
    "local alike = core.alike(flat, function(i)\n"
    "  nodes[i] = { name = 'n' .. i, run = flat.specs[i].run, retry = { max = i % 18 } } return true\n"
    "end, function() end, function() end)\n"
    "assert(#core.plan({ name = 'many', nodes = nodes }, alike) == 20 and alike:of(20))\n"
    "local plan = core.plan(def)\n"
    "local run = rt:start(plan, { input = { 1 }, env = true })\n"
    "rt:wait(run)\n"
    "local doomed = rt:start(plan)\n"
    "core.sleep(0)\n"
    "doomed:cancel()\n"
    "rt:wait(doomed)\n"
    "local first = rt:start(child, { input = 1, lock = 'x' })\n"
    "local second = rt:start(child, { input = 2, lock = 'x', on_conflict = 'cancel_running' })\n"
    "second:why('x')\n"
    "rt:wait(second)\n"
    "assert(first.ended)\n"
    "run:why('j') run:stats() run:outputs() run:errors() run:states()\n"
    "return run.state, run.error and run.error.code, run.output and #run.output.a, heard, late(1)\n";

static int panicked(lua_State *L) {
    fprintf(stderr, "an error left protected code: %s\n", lua_tostring(L, -1));
    abort();
}

static int open_core(lua_State *L) {
    orr_script_configure(L, lua_touserdata(L, 1));
    luaL_requiref(L, "orrery.core", luaopen_orrery_core, 0);
    return 1;
}

typedef struct outcome {
    int status;
    char text[200];
} outcome;

/* The whole life of a state in which allocation `from` and the `n` - 1 after it fail. */
static outcome live(failing_heap *h, long from, long n) {
    outcome out = {0};
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    lua_State *L = lua_newstate(failing_heap_fn, h);
    assert_non_null(L);
    lua_atpanic(L, panicked);
    luaL_openlibs(L);
    orr_script_options options = {.alloc = {failing_heap_fn, h}, .loop = &loop, .no_luv = true};
    h->calls = 0;
    h->fail_from = from;
    h->fail_for = n;
    lua_pushcfunction(L, open_core);
    lua_pushlightuserdata(L, &options);
    out.status = lua_pcall(L, 1, 1, 0);
    if (out.status == LUA_OK) {
        orr_script *s = orr_script_of(L);
        out.status = luaL_loadbuffer(L, script, sizeof script - 1, "=script");
        if (out.status == LUA_OK) {
            lua_insert(L, -2);
            int nresults;
            out.status = orr_script_run(s, L, 1, &nresults);
            if (out.status == LUA_OK) {
                assert_int_equal(nresults, 5);
                snprintf(out.text, sizeof out.text, "%s %d %d", lua_tostring(L, -5),
                         (int)lua_tointeger(L, -3), lua_toboolean(L, -1));
            }
        }
    }
    if (out.status != LUA_OK && lua_type(L, -1) == LUA_TSTRING)
        snprintf(out.text, sizeof out.text, "%s", lua_tostring(L, -1));
    h->fail_from = 0;
    lua_close(L);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    if (h->bytes) print_message("  with allocation %ld failing:\n", from);
    assert_int_equal(h->bytes, 0);
    return out;
}

static void runs_with_enough_memory(void **state) {
    (void)state;
    failing_heap h = {0};
    outcome out = live(&h, 0, 0);
    assert_int_equal(out.status, LUA_OK);
    assert_string_equal(out.text, "completed 3 0");
}

static void every_allocation(long in_a_row) {
    failing_heap h = {0};
    long i = 1, said = 0;
    for (; i < 100000; i++) {
        h.failed = false;
        alarm(600);
        outcome out = live(&h, i, in_a_row);
        if (out.status != LUA_OK) said++;
        if (!h.failed) break;
    }
    alarm(0);
    assert_true(i > 500);
    if (in_a_row > 1) assert_true(said > 100);
    print_message("  %ld allocations failed, %ld of them ended the script\n", i - 1, said);
}

/* Lua collects garbage and tries again: the work goes on, but a collection happens at every
 * place. */
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

/* ---- the functions for hosts ----------------------------------------------------------------- */

static lua_State *open_state(uv_loop_t *loop, failing_heap *h) {
    assert_int_equal(uv_loop_init(loop), 0);
    lua_State *L = lua_newstate(failing_heap_fn, h);
    luaL_openlibs(L);
    orr_script_options options = {.alloc = {failing_heap_fn, h}, .loop = loop, .no_luv = true};
    lua_pushcfunction(L, open_core);
    lua_pushlightuserdata(L, &options);
    assert_int_equal(lua_pcall(L, 1, 1, 0), LUA_OK);
    lua_setglobal(L, "core");
    return L;
}

static void close_state(lua_State *L, uv_loop_t *loop, failing_heap *h) {
    lua_close(L);
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
    assert_int_equal(h->bytes, 0);
}

static void a_main_fiber_returns_and_fails(void **state) {
    (void)state;
    failing_heap h = {0};
    uv_loop_t loop;
    lua_State *L = open_state(&loop, &h);
    orr_script *s = orr_script_of(L);
    int top = lua_gettop(L), n;
    assert_int_equal(luaL_loadstring(L, "core.sleep(0.001) return ..., 2, core.running()"), LUA_OK);
    lua_pushinteger(L, 1);
    assert_int_equal(orr_script_run(s, L, 1, &n), LUA_OK);
    assert_int_equal(n, 3);
    assert_int_equal(lua_tointeger(L, -3), 1);
    assert_true(lua_isnil(L, -1));
    lua_settop(L, top);
    assert_int_equal(luaL_loadstring(L, "core.sleep(0) error('bad')"), LUA_OK);
    assert_int_equal(orr_script_run(s, L, 0, &n), LUA_ERRRUN);
    assert_int_equal(n, 2);
    assert_non_null(strstr(lua_tostring(L, -2), "bad"));
    assert_non_null(strstr(lua_tostring(L, -1), "traceback"));
    lua_settop(L, top);
    assert_int_equal(luaL_loadstring(L, "core.await(function() end)"), LUA_OK);
    assert_int_equal(orr_script_run(s, L, 0, &n), LUA_ERRRUN);
    assert_non_null(strstr(luaL_tolstring(L, -2, NULL), "can no longer come"));
    lua_settop(L, top);
    assert_int_equal(orr_script_drain(s, L), LUA_OK);
    close_state(L, &loop, &h);
}

static void a_host_steps_within_a_budget(void **state) {
    (void)state;
    failing_heap h = {0};
    uv_loop_t loop;
    lua_State *L = open_state(&loop, &h);
    orr_script *s = orr_script_of(L);
    assert_int_equal(
        luaL_dostring(L,
                      "rt = core.runtime { clock = 'virtual' } local p = core.plan { name = 'w', nodes = {\n"
                      "{ name = 'a', run = function(ctx) for i = 1, 10 do ctx:sleep(3600) end end } } }\n"
                      "run = rt:start(p)"),
        LUA_OK);
    int steps = 0;
    while (orr_script_step(s, L, 0)) steps++;
    assert_true(steps >= 10);
    assert_int_equal(luaL_dostring(L, "assert(run.state == 'completed', run.state)"), LUA_OK);
    assert_int_equal(
        luaL_dostring(L,
                      "run = rt:start(core.plan { name = 'w', nodes = { { name = 'a', run = function(ctx)\n"
                      "ctx:sleep(3600) end } } })"),
        LUA_OK);
    assert_int_equal(orr_script_cancel_all(s), 1);
    while (orr_script_step(s, L, 1000000)) continue;
    assert_int_equal(luaL_dostring(L, "assert(run.state == 'cancelled', run.state)"), LUA_OK);
    close_state(L, &loop, &h);
}

static void a_state_is_closed_while_a_run_is_live(void **state) {
    (void)state;
    failing_heap h = {0};
    uv_loop_t loop;
    lua_State *L = open_state(&loop, &h);
    assert_int_equal(
        luaL_dostring(
            L, "rt = core.runtime() p = core.plan { name = 'w', nodes = {\n"
               "{ name = 'a', run = function(ctx) kept = ctx ctx:sleep(3600) end } } }\n"
               "for i = 1, 3 do rt:start(p) end rt:step(0)\n"
               "setmetatable({}, { __gc = function() pcall(function() return kept.attempt end) end })"),
        LUA_OK);
    close_state(L, &loop, &h);
}

/* Outside our command a module may have kept coroutine.resume before orrery was loaded. */
static void an_escaped_wait_is_reported(void **state) {
    (void)state;
    failing_heap h = {0};
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    lua_State *L = lua_newstate(failing_heap_fn, &h);
    luaL_openlibs(L);
    assert_int_equal(luaL_dostring(L, "old = coroutine.resume"), LUA_OK);
    orr_script_options options = {.alloc = {failing_heap_fn, &h}, .loop = &loop, .no_luv = true};
    lua_pushcfunction(L, open_core);
    lua_pushlightuserdata(L, &options);
    assert_int_equal(lua_pcall(L, 1, 1, 0), LUA_OK);
    lua_setglobal(L, "core");
    int bad = luaL_dostring(
        L, "local rt = core.runtime { clock = 'virtual' }\n"
           "local function error_of(fn)\n"
           "  return rt:wait(rt:start(core.plan { name = 'w', nodes = { { name = 'a', run = fn } } })).error "
           "end\n"
           "local function escape(ctx) old(coroutine.create(function() ctx:sleep(1) end)) end\n"
           "local e = error_of(escape)\n"
           "assert(e.code == 'wait_escaped', e.code)\n"
           "e = error_of(function(ctx) escape(ctx) ctx:sleep(1) end)\n"
           "assert(e.code == 'wait_escaped', e.code)\n"
           "e = error_of(function(ctx) local co = coroutine.create(function() ctx:sleep(1) end)\n"
           "  old(co) local _, err = old(co) error(err) end)\n"
           "assert(e.code == 'wait_escaped', e.code)\n"
           "assert(error_of(function(ctx) pcall(function() escape(ctx) ctx:sleep(1) end) ctx:sleep(2) end) "
           "== nil)\n");
    if (bad) print_message("%s\n", lua_tostring(L, -1));
    assert_int_equal(bad, LUA_OK);
    close_state(L, &loop, &h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_with_enough_memory),
        cmocka_unit_test(one_allocation_fails),
        cmocka_unit_test(two_allocations_fail),
        cmocka_unit_test(all_further_allocations_fail),
        cmocka_unit_test(a_main_fiber_returns_and_fails),
        cmocka_unit_test(a_host_steps_within_a_budget),
        cmocka_unit_test(a_state_is_closed_while_a_run_is_live),
        cmocka_unit_test(an_escaped_wait_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
