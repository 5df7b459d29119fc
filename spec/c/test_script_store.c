/* test_script_store.c - durable runs on SQLite under hardship: every allocation fails in turn while
 * a run starts, records steps, waits for a signal, is suspended, restored, and reads an output
 * back. Nothing leaks, crashes or hangs, no error leaves protected code; and what is left in the
 * store goes on when there is memory again.
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

/* What both programs know: the workflow. Node a's output is long enough to leave memory before
 * the run's output mentions it. */
static const char workflow[] =
    "local core, path, id = ...\n"
    "local rt = core.runtime { clock = 'virtual', store = path }\n"
    "rt:on(function() end)\n"
    "local child = core.plan { name = 'child', output = function(ctx) return ctx.nodes.x end, nodes = {\n"
    "  { name = 'x', run = function(ctx) return ctx:step('in', function() return { ctx.input } end) end } } "
    "}\n"
    "core.set_compiler(function(w, input) return w, { input = input, lock = 'm' } end)\n"
    "local plan = core.plan { name = 'w', nodes = {\n"
    "  { name = 'a', run = function(ctx) ctx:log('info', 'here', { n = 1 }) return { text = ('x'):rep(20000) "
    "} end },\n"
    "  { name = 'b', deps = { { node = 1 } }, run = function(ctx, inputs)\n"
    "      local one = ctx:step('one', function() return 1 end)\n"
    "      local t = core.gather { function() return ctx:step('g', function() return 1 end) end,\n"
    "        function() ctx:sleep(1) return ctx:now() end }\n"
    "      return one + t[1] + #inputs.a.text end },\n"
    "  { name = 'c', deps = { { node = 2 } }, run = function(ctx) return ctx:call(child, 'i')[1] .. "
    "ctx:wait('go') end },\n"
    "}, output = function(ctx) return ctx.nodes.b .. ctx.nodes.c .. #ctx.nodes.a.text end }\n";

static const char goes_wrong[] =
    "local run = rt:start(plan, { id = id, input = { 1 }, labels = { suite = 's' }, lock = 'l' })\n"
    "for i = 1, 1000 do\n"
    "  if run.ended or run:why('c').kind == 'signal' then break end\n"
    "  core.sleep(0.001)\n"
    "end\n"
    "run:suspend()\n"
    "run = rt:restore(plan, run.id, {})\n"
    "core.sleep(0.001)\n"
    "run:signal('go', 'now')\n"
    "rt:wait(run)\n"
    "rt:close()\n"
    "return run.state, run.output\n";

/* Children go on with those that called them, or by themselves where these had ended without them:
 * they have locks that others wait for. A run without a record never began. */
static const char goes_on[] =
    "local function left(which)\n"
    "  return rt:store():query(([[SELECT id FROM runs WHERE parent IS %s AND state NOT IN ('completed', "
    "'failed', 'cancelled')]]):format(which))\n"
    "end\n"
    "local n = 0\n"
    "for _, row in ipairs(left 'NULL') do\n"
    "  local ok, run = pcall(rt.restore, rt, plan, row.id, {})\n"
    "  if ok then\n"
    "    pcall(run.signal, run, 'go', 'now')\n"
    "    rt:wait(run)\n"
    "    assert(run.state == 'completed' or run.state == 'failed', run.state)\n"
    "    assert(run.state == 'failed' or run.output == '20002inow20000', run.output)\n"
    "    n = n + 1\n"
    "  else\n"
    "    assert(type(run) == 'table' and run.code == 'run_not_begun', tostring(run))\n"
    "    assert(#rt:store():query('SELECT 1 FROM runs WHERE id = ?', row.id) == 0, 'its row is still "
    "there')\n"
    "  end\n"
    "end\n"
    "for _, row in ipairs(left 'NOT NULL') do\n"
    "  local ok, run = pcall(rt.restore, rt, child, row.id, {})\n"
    "  if ok then rt:wait(run) end\n"
    "end\n"
    "rt:close()\n"
    "return 'went on', tostring(n)\n";

#define WELL "completed 20002inow20000"

static int panicked(lua_State *L) {
    fprintf(stderr, "an error left protected code: %s\n", lua_tostring(L, -1));
    abort();
}

static int open_core(lua_State *L) {
    orr_script_configure(L, lua_touserdata(L, 1));
    luaL_requiref(L, "orrery.core", luaopen_orrery_core, 0);
    return 1;
}

static void silent(void *ud, const char *message, int more) {
    (void)ud, (void)message, (void)more;
}

/* The whole life of a state in which allocation `from` and the `n` - 1 after it fail, counted
 * from where the core is open. What the program returned, or its error, is in `text`. */
static int live(failing_heap *h, const char *path, const char *program, long from, long n, char *text,
                size_t size) {
    static int runs; /* in virtual time each state would give its run the same id */
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    *h = (failing_heap){0};
    lua_State *L = lua_newstate(failing_heap_fn, h);
    assert_non_null(L);
    lua_atpanic(L, panicked);
    lua_setwarnf(L, silent, NULL);
    luaL_openlibs(L);
    orr_script_options options = {.alloc = {failing_heap_fn, h}, .loop = &loop, .no_luv = true};
    lua_pushcfunction(L, open_core);
    lua_pushlightuserdata(L, &options);
    assert_int_equal(lua_pcall(L, 1, 1, 0), LUA_OK);
    lua_pushfstring(L, "%s%s", workflow, program);
    assert_int_equal(luaL_loadstring(L, lua_tostring(L, -1)), LUA_OK);
    lua_replace(L, -2);
    lua_insert(L, -2);
    lua_pushstring(L, path);
    lua_pushfstring(L, "018f3c7e-1b2a-7c3d-8e4f-%d", 100000000 + ++runs);
    lua_pushliteral(L, "000");
    lua_concat(L, 2);
    h->calls = 0;
    h->fail_from = from;
    h->fail_for = n;
    int nresults, status = orr_script_run(orr_script_of(L), L, 3, &nresults);
    h->fail_from = 0;
    text[0] = '\0';
    const char *first = luaL_tolstring(L, -2, NULL), *second = luaL_tolstring(L, -2, NULL);
    snprintf(text, size, status == LUA_OK ? "%s %s" : "%s", first, second);
    lua_close(L);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    if (h->bytes) print_message("  with allocation %ld failing:\n", from);
    assert_int_equal(h->bytes, 0);
    return status;
}

typedef struct place {
    char directory[64], path[80];
} place;

/* In memory where there is such a place: thousands of stores are opened, and nobody pulls the
 * plug. */
static int make_place(void **state) {
    static place p;
    snprintf(p.directory, sizeof p.directory, "%s/orrery-test-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(p.directory)) return -1;
    snprintf(p.path, sizeof p.path, "%s/runs.db", p.directory);
    *state = &p;
    return 0;
}

static int remove_place(void **state) {
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};
    const place *p = *state;
    char path[120];
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        snprintf(path, sizeof path, "%s%s", p->path, suffixes[i]);
        unlink(path);
    }
    return rmdir(p->directory);
}

static void a_run_ends_with_enough_memory(void **state) {
    const place *p = *state;
    failing_heap h;
    char text[500];
    int status = live(&h, p->path, goes_wrong, 0, 0, text, sizeof text);
    assert_string_equal(text, WELL);
    assert_int_equal(status, LUA_OK);
    live(&h, p->path, goes_on, 0, 0, text, sizeof text);
    assert_string_equal(text, "went on 0");
}

/* Every `step`-th allocation; how many runs went on afterwards is counted. */
static void allocations(const place *p, long in_a_row, long step) {
    failing_heap h;
    char text[500];
    long i = 1, n = 0, well = 0, on = 0;
    for (bool failed = true; failed; i += step, n++) {
        alarm(600);
        int status = live(&h, p->path, goes_wrong, i, in_a_row, text, sizeof text);
        failed = h.failed;
        if (!failed) assert_string_equal(text, WELL);
        if (status == LUA_OK && strcmp(text, WELL) == 0) well++;
        status = live(&h, p->path, goes_on, 0, 0, text, sizeof text);
        if (status != LUA_OK) print_message("  after allocation %ld: %s\n", i, text);
        assert_int_equal(status, LUA_OK);
        on += strtol(text + sizeof "went on", NULL, 10);
    }
    alarm(0);
    assert_true(n * step > 500);
    assert_true(well > 0); /* the last one, at least */
    print_message(
        "  %ld times allocations failed: after %ld the run ended as without, %ld runs went on later\n", n - 1,
        well, on);
}

/* ORRERY_TEST_LONG tries each; otherwise primes that have nothing to do with anything. */
static long step_of(long step) {
    return getenv("ORRERY_TEST_LONG") ? 1 : step;
}

static void one_allocation_fails(void **state) {
    allocations(*state, 1, step_of(17));
}

static void three_allocations_fail(void **state) {
    allocations(*state, 3, step_of(29));
}

static void all_further_allocations_fail(void **state) {
    allocations(*state, INT32_MAX, step_of(37));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_ends_with_enough_memory, make_place, remove_place),
        cmocka_unit_test_setup_teardown(one_allocation_fails, make_place, remove_place),
        cmocka_unit_test_setup_teardown(three_allocations_fail, make_place, remove_place),
        cmocka_unit_test_setup_teardown(all_further_allocations_fail, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
