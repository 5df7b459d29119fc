/* test_uvtimer.c - luv's timers on a virtual clock under hardship: where an allocation of ours
 * fails luv's functions say so; what is left set when a state is closed is given back, and
 * finalisers that come later find luv's own functions.
 */
#include "orrery.h"
#include "bind/bind.h"
#include "run/run.h"
#include "failing_heap.h"
#include <lauxlib.h>
#include <lualib.h>
#include <luv/luv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define WELL "completed 3600 00000"

/* What each call gives is part of the output: 0, or an error of luv's kind. A callback that does
 * not come leaves a run that is reported as stuck. */
static const char waits[] =
    "local core, uv = ..., require 'luv'\n"
    "local rt = core.runtime { clock = 'virtual' }\n"
    "local began = rt:now()\n"
    "local plan = core.plan { name = 'w', on_error = 'stop', output = function(ctx) return ctx.nodes.a end, "
    "nodes = {\n"
    "  { name = 'a', run = function(ctx)\n"
    "    local said, timers = {}, { uv.new_timer(), uv.new_timer() }\n"
    "    local function say(result, message, name)\n"
    "      assert(result == 0 or (result == nil and message == 'ENOMEM: not enough memory' and name == "
    "'ENOMEM'), message)\n"
    "      said[#said + 1] = tostring(result)\n"
    "      return result\n"
    "    end\n"
    "    local close <close> = setmetatable({}, { __close = function() for _, t in ipairs(timers) do "
    "t:close() end end })\n"
    "    local function try(start) return pcall(core.await, function(resume) if not start(resume) then "
    "resume() end end) end\n"
    "    try(function(resume) return say(timers[1]:start(1000000, 1000000, resume)) end)\n"
    "    try(function(resume)\n"
    "      timers[1]:stop()\n"
    "      say(timers[2]:start(600000, 0, function() say(timers[1]:again()) end))\n"
    "      timers[1]:unref()\n"
    "      timers[1]:ref()\n"
    "      return say(timers[1]:start(2000000, 600000, resume))\n"
    "    end)\n"
    "    ctx:sleep(0)\n"
    "    say(timers[2]:stop())\n"
    "    ctx:sleep(began + 3600 - rt:now())\n"
    "    return table.concat(said)\n"
    "  end } } }\n"
    "local run = rt:start(plan, {})\n"
    "rt:wait(run)\n"
    "return run.state, math.tointeger(rt:now() - began), run.output\n";

/* Leaves timers behind: set and due, without a run and with one, and in a finaliser that comes
 * after all. */
static const char leaves[] =
    "local core, uv = ..., require 'luv'\n"
    "kept = {}\n"
    "for i = 1, 3 do\n"
    "  local rt = core.runtime { clock = 'virtual' }\n"
    "  local plan = core.plan { name = 'w', on_error = 'stop', nodes = { { name = 'a', run = function(ctx)\n"
    "    for j = 1, 8 do\n"
    "      local t = uv.new_timer()\n"
    "      t:start(j * 1000, j % 3 * 1000, function() if j == 1 then t:close() end end)\n"
    "      if j == 4 then t:unref() end\n"
    "      kept[#kept + 1] = setmetatable({}, { __gc = function()\n"
    "        pcall(t.start, t, 10, 10, print) pcall(t.again, t) pcall(t.is_active, t) pcall(t.get_due_in, "
    "t)\n"
    "        pcall(t.unref, t) pcall(t.stop, t) pcall(uv.now)\n"
    "      end })\n"
    "    end\n"
    "    ctx:sleep(i == 2 and 1e6 or i)\n"
    "  end } } }\n"
    "  local run = rt:start(plan, {})\n"
    "  if i == 2 then while run:stats().running > 0 do rt:step(0) end else rt:wait(run) end\n"
    "  if i == 3 then rt, run = nil, nil collectgarbage() collectgarbage() end\n"
    "end\n"
    "return 'left', #kept, ''\n";

static void silent(void *ud, const char *message, int more) {
    (void)ud, (void)message, (void)more;
}

static int open_core(lua_State *L) {
    orr_script_configure(L, lua_touserdata(L, 1));
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_luv);
    lua_setfield(L, -2, "luv");
    luaL_requiref(L, "orrery.core", luaopen_orrery_core, 0);
    return 1;
}

/* The whole life of a state in which the allocation `from` of the engine and the `n` - 1 after
 * it fail; Lua and luv have memory. */
static int live(failing_heap *h, const char *program, long from, long n, char *text, size_t size) {
    *h = (failing_heap){0};
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    lua_setwarnf(L, silent, NULL);
    luaL_openlibs(L);
    orr_script_options options = {.alloc = {failing_heap_fn, h}};
    lua_pushcfunction(L, open_core);
    lua_pushlightuserdata(L, &options);
    assert_int_equal(lua_pcall(L, 1, 1, 0), LUA_OK);
    assert_int_equal(luaL_loadstring(L, program), LUA_OK);
    lua_insert(L, -2);
    h->calls = 0;
    h->fail_from = from;
    h->fail_for = n;
    int nresults, status = orr_script_run(orr_script_of(L), L, 1, &nresults);
    h->fail_from = 0;
    int first = status == LUA_OK ? -3 : -2;
    text[0] = '\0';
    for (int i = first; i < 0; i++) {
        size_t used = strlen(text);
        snprintf(text + used, size - used, "%s%s", i == first ? "" : " ", luaL_tolstring(L, i, NULL));
        lua_pop(L, 1);
    }
    uv_run(luv_loop(L), UV_RUN_NOWAIT); /* luv frees the memory of handles that are being closed */
    lua_close(L);
    if (h->bytes) print_message("  with allocation %ld failing:\n", from);
    assert_int_equal(h->bytes, 0);
    return status;
}

static void every_allocation(long in_a_row) {
    failing_heap h;
    char text[2000];
    long i = 1, ended = 0, said = 0;
    for (bool failed = true; failed; i++) {
        alarm(600);
        int status = live(&h, waits, i, in_a_row, text, sizeof text);
        failed = h.failed;
        if (!failed) {
            assert_string_equal(text, WELL);
            break;
        }
        if (status == LUA_OK && strncmp(text, "completed ", 10) == 0) ended++;
        if (strstr(text, "nil")) said++;
    }
    alarm(0);
    assert_true(i > 10);
    assert_true(ended > 0);
    assert_true(said > 0); /* at least one was that of a timer */
    print_message(
        "  %ld allocations failed; after %ld of them the run ended well, %ld timers could not be set\n",
        i - 1, ended, said);
}

static void one_allocation_fails(void **state) {
    (void)state;
    every_allocation(1);
}

static void all_further_allocations_fail(void **state) {
    failing_heap h;
    char text[2000];
    (void)state;
    long i = 1;
    for (bool failed = true; failed; i++) {
        alarm(600);
        live(&h, waits, i, INT32_MAX, text, sizeof text);
        failed = h.failed;
    }
    alarm(0);
    assert_true(i > 10);
    assert_string_equal(text, WELL);
}

static void what_is_left_is_given_back(void **state) {
    failing_heap h;
    char text[2000];
    (void)state;
    live(&h, leaves, 0, 0, text, sizeof text);
    assert_string_equal(text, "left 24 ");
}

/* ---- embedded -------------------------------------------------------------------------------- */

static const char patrol[] = "local flow, uv = require 'orrery', require 'luv'\n"
                             "local w = flow.workflow { name = 'patrol', output = '${nodes.watch}' }\n"
                             "w.watch = { timeout = '2d', run = function()\n"
                             "  return flow.await(function(resume)\n"
                             "    local timer, hours = uv.new_timer(), 0\n"
                             "    timer:start(3600000, 3600000, function()\n"
                             "      hours = hours + 1\n"
                             "      if hours == 24 then timer:close(function() resume(hours) end) end\n"
                             "    end)\n"
                             "  end)\n"
                             "end }\n"
                             "return w\n";

static orr_runtime *open_virtual(void) {
    orr_config config;
    orr_config_init(&config);
    config.clock = ORR_CLOCK_VIRTUAL;
    orr_runtime *rt = orr_open(&config);
    assert_non_null(rt);
    return rt;
}

static void a_host_steps_through_a_day(void **state) {
    (void)state;
    orr_runtime *rt = open_virtual();
    orr_workflow *w = orr_load_string(rt, patrol, "patrol.lua");
    assert_non_null(w);
    orr_run_id run = orr_start(rt, w, NULL, NULL);
    alarm(600);
    while (orr_step(rt, 0)) continue;
    alarm(0);
    assert_int_equal(orr_state(rt, run), ORR_RUN_COMPLETED);
    assert_string_equal(orr_output(rt, run), "24");
    orr_close(rt);
}

static const char leaving[] = "local flow, uv = require 'orrery', require 'luv'\n"
                              "local w = flow.workflow { name = 'leaving' }\n"
                              "w.a = { run = function() uv.new_timer():close(closed) end }\n"
                              "return w\n";

static int n_closed;

static int closed(lua_State *L) {
    (void)L;
    n_closed++;
    return 0;
}

/* luv frees handles with the state, whether or not the loop is done with them: so it has to be
 * done before. */
static void a_handle_is_being_closed_when_its_runtime_is(void **state) {
    (void)state;
    orr_runtime *rt = open_virtual();
    orr_workflow *w = orr_load_string(rt, leaving, "leaving.lua");
    assert_non_null(w);
    lua_register(orr_lua(rt), "closed", closed);
    orr_run_id run = orr_start(rt, w, NULL, NULL);
    assert_false(orr_step(rt, INT64_C(10000000000))); /* one look at the loop, at its beginning */
    assert_int_equal(orr_state(rt, run), ORR_RUN_COMPLETED);
    assert_int_equal(n_closed, 0);
    orr_close(rt);
    assert_int_equal(n_closed, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_allocation_fails),
        cmocka_unit_test(all_further_allocations_fail),
        cmocka_unit_test(what_is_left_is_given_back),
        cmocka_unit_test(a_host_steps_through_a_day),
        cmocka_unit_test(a_handle_is_being_closed_when_its_runtime_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
