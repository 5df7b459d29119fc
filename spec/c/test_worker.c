/* test_worker.c - threads with Lua states of their own and the jobs that go to them. What a
 * job does is Lua code that the test sends as its text.
 */
#include "bind/bind.h"
#include "chance.h"
#include "failing_heap.h"
#include "run/run.h"

#include <lauxlib.h>
#include <luv/luv.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* In place of orrery.worker.main: what the text says. */
static const char do_job[] = "return function(job, text) return assert(load(text))(job) end";

static int open_main(lua_State *L) {
    luaL_requiref(L, "orrery.core", luaopen_orrery_core, 1);
    if (luaL_dostring(L, do_job) != LUA_OK) return lua_error(L);
    return 1;
}

/* In place of orrery.worker.main as well: no worker can begin. */
static int open_broken(lua_State *L) {
    return luaL_error(L, "its main module is broken");
}

/* The memory of the state that run_script makes. */
static failing_heap heap;

/* Lets its n-th allocation from now on fail, or none (0); whether one has. */
static int fail_at(lua_State *L) {
    bool failed = heap.failed;
    heap.fail_from = luaL_checkinteger(L, 1) > 0 ? heap.calls + luaL_checkinteger(L, 1) : 0;
    heap.fail_for = 1;
    heap.failed = false;
    lua_pushboolean(L, failed);
    return 1;
}

static int rand_below(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)chance_below(lua_touserdata(L, lua_upvalueindex(1)),
                                                 (uint32_t)luaL_checkinteger(L, 1)));
    return 1;
}

static int open_state(lua_State *L) {
    uv_loop_t *loop = lua_touserdata(L, 1);
    static const luaL_Reg preloaded[] = {{"luv", luaopen_luv}, {"orrery.worker.main", open_main}};
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (size_t i = 0; i < sizeof preloaded / sizeof *preloaded; i++) {
        lua_pushcfunction(L, preloaded[i].func);
        lua_setfield(L, -2, preloaded[i].name);
    }
    orr_script_configure(L, &(orr_script_options){.alloc = {orr_alloc_libc, NULL},
                                                  .loop = loop,
                                                  .no_luv = true,
                                                  .watchdog = true});
    luaL_requiref(L, "orrery.core", luaopen_orrery_core, 1);
    return 0;
}

/* Functions for the scripts below. `done` is called with what a job ends with. */
static const char prelude[] =
    "local core = require 'orrery.core'\n"
    "function wait(job_of) return core.await(function(resume)\n"
    "  job_of(function(kind, a, b) if kind ~= 'text' then resume(kind, a, b) end end) end) end\n"
    "function run(workers, text) return wait(function(fn) workers:start(text, fn) end) end\n"
    "core_workers = core.workers\n"
    "await, core_sleep = core.await, core.sleep\n"
    /* several jobs at once: ends[i] = { kind, a, b } once it is over; `left` of them are not */
    "function begin(workers, texts, on_text)\n"
    "  local all = { ends = {}, jobs = {}, left = #texts }\n"
    "  for i, text in ipairs(texts) do\n"
    "    all.jobs[i] = workers:start(text, function(kind, a, b)\n"
    "      if kind == 'text' then return on_text and on_text(all, i, a) end\n"
    "      assert(not all.ends[i])\n"
    "      all.ends[i], all.left = { kind, a, b }, all.left - 1\n"
    "    end)\n"
    "  end\n"
    "  return all\n"
    "end\n"
    "function until_true(fn)\n"
    "  for _ = 1, 12000 do if fn() then return end core.sleep(0.005) end\n"
    "  error('it does not come true', 2)\n"
    "end\n"
    "function finish(all) until_true(function() return all.left == 0 end) return all.ends end\n";

/* Runs a script in a state of its own, which is closed afterwards; what it returns has to be
 * true. */
static void run_script(const char *script, chance *c) {
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    heap = (failing_heap){0};
    lua_State *L = lua_newstate(failing_heap_fn, &heap);
    lua_pushcfunction(L, open_state);
    lua_pushlightuserdata(L, &loop);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) fail_msg("%s", lua_tostring(L, -1));
    lua_pushlightuserdata(L, c);
    lua_pushcclosure(L, rand_below, 1);
    lua_setglobal(L, "below");
    lua_pushcfunction(L, fail_at);
    lua_setglobal(L, "fail_at");
    lua_pushcfunction(L, open_broken);
    lua_setglobal(L, "open_broken");
    if (luaL_dostring(L, prelude) != LUA_OK || luaL_loadstring(L, script) != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    int n;
    if (orr_script_run(orr_script_of(L), L, 0, &n) != LUA_OK) fail_msg("%s", luaL_tolstring(L, -2, NULL));
    assert_true(n > 0 && lua_toboolean(L, -n));
    lua_close(L);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(heap.bytes, 0);
}

static void a_job_is_done_by_its_text(void **state) {
    (void)state;
    run_script("local w = core_workers { max = 2 }\n"
               "local kind, text = run(w, 'return \"done\"')\n"
               "assert(kind == 'ended' and text == 'done', text)\n"
               "local kind, code, message = run(w, 'error { code = \"mine\", message = \"no\" }')\n"
               "assert(kind == 'failed' and code == 'mine' and message == 'no', code)\n"
               "kind, code, message = run(w, 'return 1')\n"
               "assert(kind == 'failed', kind)\n"
               "local s = w:stats()\n"
               "assert(s.done == 1 and s.failed == 2 and s.queued == 0 and s.live == 0)\n"
               "w:close()\n"
               "assert(not pcall(w.start, w, 'return \"\"', print))\n"
               "return true",
               NULL);
}

static void messages_keep_their_order(void **state) {
    (void)state;
    run_script("local w = core_workers { max = 1 }\n"
               "local came, job = {}, nil\n"
               "local kind, text = await(function(resume)\n"
               "  job = w:start([[local job = ...\n"
               "    local core, n = require 'orrery.core', 0\n"
               "    for i = 1, 100 do job:send(tostring(i)) end\n"
               "    for i = 1, 100 do\n"
               "      local text = core.await(function(resume) job:on(resume) end)\n"
               "      assert(text == tostring(-i), text)\n"
               "    end\n"
               "    return 'all']], function(kind, text)\n"
               "      if kind ~= 'text' then return resume(kind, text) end\n"
               "      came[#came + 1] = text\n"
               "      job:send('-' .. text)\n"
               "    end)\n"
               "end)\n"
               "assert(text == 'all', text)\n"
               "for i = 1, 100 do assert(came[i] == tostring(i)) end\n"
               "job:send 'late' job:cancel()\n"
               "return true",
               NULL);
}

static void what_does_not_wait_is_stopped(void **state) {
    (void)state;
#ifdef __SANITIZE_THREAD__
    puts("skipped what_does_not_wait_is_stopped: the thread sanitizer delivers no signal inside of Lua");
    skip();
#endif
    run_script(
        "local w = core_workers { max = 1 }\n"
        "local kind, code = await(function(resume)\n"
        "  local job\n"
        "  job = w:start([[local job = ... job:send 'x' while true do pcall(function() while true do end "
        "end) end]],\n"
        "    function(kind, a) if kind == 'text' then job:cancel() else resume(kind, a) end end)\n"
        "end)\n"
        "assert(kind == 'failed' and code == 'timeout', code)\n"
        "local _, text = run(w, 'return \"goes on\"')\n"
        "assert(text == 'goes on')\n"
        "return true",
        NULL);
}

static void what_waits_is_cancelled(void **state) {
    (void)state;
    run_script("local w = core_workers { max = 1 }\n"
               "local kind, code = await(function(resume)\n"
               "  local job\n"
               "  job = w:start([[local job = ... job:send 'x' require 'orrery.core'.sleep(60)]],\n"
               "    function(kind, a) if kind == 'text' then job:cancel() else resume(kind, a) end end)\n"
               "end)\n"
               "assert(kind == 'failed' and code == 'cancelled', code)\n"
               "return true",
               NULL);
}

/* It is asked once. A function that catches that and waits for what never comes is dropped, so that
 * it neither keeps its worker nor those that close it. */
static void what_waits_again_is_dropped(void **state) {
    (void)state;
    run_script("local w = core_workers { max = 1 }\n"
               "local stubborn = [[local job = ... local core = require 'orrery.core' job:send 'x'\n"
               "  pcall(core.sleep, 60) core.await(function() end)]]\n"
               "local all = begin(w, { stubborn }, function(all, i) all.jobs[i]:cancel() end)\n"
               "local e = finish(all)[1]\n"
               "assert(e[1] == 'failed' and e[2] == 'cancelled', e[2])\n"
               "local _, text = run(w, 'return \"goes on\"')\n"
               "assert(text == 'goes on' and w:stats().started == 1)\n"
               "local begun\n"
               "begin(w, { stubborn }, function() begun = true end)\n"
               "until_true(function() return begun end)\n"
               "w:close()\n"
               "return true",
               NULL);
}

/* The worker's end takes a while, for its state is large. */
static void a_job_that_comes_while_the_last_worker_ends_is_done(void **state) {
    (void)state;
    chance c = chance_begin("jobs that come as a worker ends");
    run_script("local w = core_workers { max = 1, patience = 0.001 }\n"
               "local large = 'kept = {} for i = 1, 300000 do kept[i] = {} end return \"a\"'\n"
               "for round = 1, 6 do\n"
               "  assert(finish(begin(w, { large }))[1][1] == 'ended')\n"
               "  core_sleep(0.001 * (1 + below(4)))\n"
               "end\n"
               "return true",
               &c);
}

/* One whose job waits counts as idle; not any more once the job goes on. */
static void one_that_goes_on_with_its_own_takes_no_other(void **state) {
    (void)state;
    run_script("local computing\n"
               "local w = core_workers { max = 2 }\n"
               "local name = os.tmpname() os.remove(name)\n"
               "local all = begin(w, { ([[local job = ... require 'orrery.core'.sleep(0.05) job:send 'x'\n"
               "  while not io.open('%s') do end return 'first']]):format(name) }, function() computing = "
               "true end)\n"
               "until_true(function() return computing end)\n"
               "local other = begin(w, { ([[io.open('%s', 'w'):close() return 'second']]):format(name) })\n"
               "finish(other) finish(all)\n"
               "os.remove(name)\n"
               "return true",
               NULL);
}

/* Two whose jobs wait; a job comes, and with it what one of the two waits for: whichever was called
 * for the job, it is the other's. */
static void a_job_goes_to_another_where_the_one_that_was_called_goes_on(void **state) {
    (void)state;
    run_script("for round = 1, 2 do\n"
               "  local w = core_workers { max = 2 }\n"
               "  local name = os.tmpname() os.remove(name)\n"
               "  local waits = ([[local job = ... local core = require 'orrery.core' job:send 'x'\n"
               "    core.await(function(resume) job:on(resume) end)\n"
               "    while not io.open('%s') do end return 'went on']]):format(name)\n"
               "  local begun = 0\n"
               "  local all = begin(w, { waits, waits }, function() begun = begun + 1 end)\n"
               "  until_true(function() return begun == 2 and w:stats().threads == 2 end)\n"
               "  core_sleep(0.02)\n" /* both block by now, and count as idle */
               "  local other = begin(w, { ([[io.open('%s', 'w'):close() return 'done']]):format(name) })\n"
               "  all.jobs[round]:send 'go'\n"
               "  finish(other)\n"
               "  all.jobs[3 - round]:send 'go'\n"
               "  finish(all)\n"
               "  os.remove(name)\n"
               "  w:close()\n"
               "end\n"
               "return true",
               NULL);
}

static void all_in_line_are_told_where_no_worker_can_begin(void **state) {
    (void)state;
    run_script("package.preload['orrery.worker.main'] = open_broken\n"
               "local w = core_workers { max = 1 }\n"
               "local ends = finish(begin(w, { 'a', 'b', 'c', 'd' }))\n"
               "for i = 1, 4 do\n"
               "  assert(ends[i][1] == 'failed' and ends[i][2] == 'worker_failed', ends[i][2])\n"
               "  assert(ends[i][3]:find 'its main module is broken', ends[i][3])\n"
               "end\n"
               "local s = w:stats()\n"
               "assert(s.queued == 0 and s.live == 0)\n"
               "return true",
               NULL);
}

/* A worker without jobs is taken before one that shares its thread. */
static void a_job_gets_a_thread_of_its_own_where_there_is_one(void **state) {
    (void)state;
    run_script("local w = core_workers { max = 3 }\n"
               "local begun = 0\n"
               "local wait = [[local job = ... job:send 'x' require 'orrery.core'.sleep(60)]]\n"
               "for i = 1, 3 do\n"
               "  begin(w, { wait }, function() begun = begun + 1 end)\n"
               "  until_true(function() return begun == i end)\n"
               "  core_sleep(0.02)\n"
               "end\n"
               "for _, one in ipairs(w:stats().workers) do assert(one.live == 1, one.live) end\n"
               "return true",
               NULL);
}

static void warnings_come_with_the_job_that_runs(void **state) {
    (void)state;
    run_script("local w = core_workers { max = 1 }\n"
               "local said = {}\n"
               "await(function(resume) w:start([[warn('a', 'b') warn('@off') warn('c') warn('@on')\n"
               "  warn('@later') warn(('x'):rep(600)) return '']], function(kind, text)\n"
               "    if kind == 'warning' then said[#said + 1] = text else resume() end end) end)\n"
               "assert(#said == 2 and said[1] == 'ab' and said[2] == ('x'):rep(512), #said)\n"
               "return true",
               NULL);
}

/* The state that the work comes from is out of memory, at one moment after the other. */
static void every_allocation_of_the_loops_state_may_fail(void **state) {
    (void)state;
    run_script("local text = [[local job = ... job:send 'x' warn 'w'\n"
               "  return require 'orrery.core'.await(function(r) job:on(r) end)]]\n"
               "local w = core_workers { max = 1 }\n"
               "assert(run(w, 'return \"\"') == 'ended')\n"
               "local n, good, failed = 0, 0, nil\n"
               "repeat\n"
               "  n = n + 1\n"
               "  fail_at(n)\n"
               "  local ok, kind, said = pcall(function()\n"
               "    local job\n"
               "    return wait(function(fn)\n"
               "      job = w:start(text, function(kind, a)\n"
               "        if kind == 'text' then job:send('to ' .. a .. kind)\n"
               "        elseif kind ~= 'warning' then fn(kind, a) end\n"
               "      end)\n"
               "    end)\n"
               "  end)\n"
               "  failed = fail_at(0)\n"
               "  if ok then assert(kind == 'ended' and said == 'to xtext', said) good = good + 1\n"
               "  else assert(tostring(kind):find 'memory', tostring(kind)) end\n"
               "until not failed\n"
               "assert(n > 8 and good > 1, n)\n"
               "return true",
               NULL);
}

/* Whatever is done with workers in whatever order: each job ends once, and closing waits for
 * all. */
static void anything_in_any_order(void **state) {
    (void)state;
    chance c = chance_begin("jobs of workers");
    for (int i = 0; i < 12; i++)
        run_script(
            "local TEXTS = { 'return \"a\"', 'error \"b\"', 'require \"orrery.core\".sleep(0.001) return "
            "\"c\"',\n"
            "  'require \"orrery.core\".sleep(60)', 'local j = ... j:send \"x\" return \"d\"',\n"
            "  'local j = ... return require \"orrery.core\".await(function(r) j:on(r) end)',\n"
            "  'local t = {} for i = 1, 20000 do t[i] = i end return \"e\"' }\n"
            "local w = core_workers { min = below(2), max = 1 + below(3), patience = 0.002 * below(3) }\n"
            "local jobs, left, ends = {}, 0, {}\n"
            "for n = 1, 60 do\n"
            "  local id, job = n, nil\n"
            "  job = w:start(TEXTS[1 + below(#TEXTS)], function(kind)\n"
            "    if kind == 'text' then return end\n"
            "    assert(not ends[id]) ends[id] = true left = left - 1\n"
            "  end)\n"
            "  left = left + 1\n"
            "  jobs[n] = job\n"
            "  if below(3) == 0 then jobs[1 + below(n)]:cancel() end\n"
            "  if below(3) == 0 then jobs[1 + below(n)]:send 'y' end\n"
            "  if below(9) == 0 then require 'orrery.core'.sleep(0.001) end\n"
            "end\n"
            "w:stats()\n"
            "if below(3) == 0 then w:close() return true end\n"
            "if below(4) == 0 then return true end\n"
            "for _, job in ipairs(jobs) do job:send 'last' job:cancel() end\n"
            "for i = 1, 6000 do if left == 0 then break end require 'orrery.core'.sleep(0.005) end\n"
            "assert(left == 0, left)\n"
            "return true",
            &c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_done_by_its_text),
        cmocka_unit_test(messages_keep_their_order),
        cmocka_unit_test(what_does_not_wait_is_stopped),
        cmocka_unit_test(what_waits_is_cancelled),
        cmocka_unit_test(what_waits_again_is_dropped),
        cmocka_unit_test(a_job_that_comes_while_the_last_worker_ends_is_done),
        cmocka_unit_test(one_that_goes_on_with_its_own_takes_no_other),
        cmocka_unit_test(a_job_goes_to_another_where_the_one_that_was_called_goes_on),
        cmocka_unit_test(all_in_line_are_told_where_no_worker_can_begin),
        cmocka_unit_test(a_job_gets_a_thread_of_its_own_where_there_is_one),
        cmocka_unit_test(warnings_come_with_the_job_that_runs),
        cmocka_unit_test(every_allocation_of_the_loops_state_may_fail),
        cmocka_unit_test(anything_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
