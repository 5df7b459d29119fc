/* test_worker_memory.c - workers whose threads are out of memory, at one moment after the other:
 * each job ends once all the same, and nothing is left behind. */
#include "bind/bind.h"
#include "failing_heap.h"
#include "run/run.h"
#include "worker/inner.h"

#include <lauxlib.h>
#include <luv/luv.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Used by several threads at once. */
static struct {
    pthread_mutex_t lock;
    failing_heap heap;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *shared_fn(void *ud, void *ptr, size_t osize, size_t nsize) {
    (void)ud;
    pthread_mutex_lock(&shared.lock);
    void *block = failing_heap_fn(&shared.heap, ptr, osize, nsize);
    pthread_mutex_unlock(&shared.lock);
    return block;
}

/* In place of orrery.worker.main: the job says something, and returns what it is answered. */
static const char do_job[] = "local core = require 'orrery.core'\n"
                             "return function(job, text)\n"
                             "  warn('begins ', text)\n"
                             "  job:send(text)\n"
                             "  local answer = core.await(function(resume) job:on(resume) end)\n"
                             "  local t = {} for i = 1, 100 do t[i] = answer .. i end\n"
                             "  return answer\n"
                             "end";

static int open_main(lua_State *L) {
    luaL_requiref(L, "orrery.core", luaopen_orrery_core, 1);
    if (luaL_dostring(L, do_job) != LUA_OK) return lua_error(L);
    return 1;
}

static void configure(lua_State *L, const void *ud) {
    (void)ud;
    orr_script_configure(L, &(orr_script_options){.alloc = {orr_alloc_libc, NULL}});
}

enum { JOBS = 3 };

typedef struct outcome {
    job *jobs[JOBS];
    unsigned ends[JOBS], ended_well, left;
} outcome;

static bool deliver(void *ud, job *j, message_kind kind, const char *text, size_t size) {
    outcome *o = ud;
    (void)text;
    (void)size;
    if (!j || kind == MESSAGE_WARNING) return true;
    if (kind == MESSAGE_TEXT) {
        if (!orr_workers_send(j, "answer", 6)) orr_workers_cancel(j);
        return true;
    }
    unsigned i = *(unsigned *)j->ud;
    assert_int_equal(++o->ends[i], 1);
    if (kind == MESSAGE_ENDED) o->ended_well++;
    o->left--;
    return true;
}

/* What a state needs for its workers; it is made once. */
static int read_modules(lua_State *L) {
    orr_modules_read(L, &(orr_alloc){shared_fn, NULL}, lua_touserdata(L, 1));
    return 0;
}

static bool modules_of(lua_State *L, modules *m) {
    lua_pushcfunction(L, read_modules);
    lua_pushlightuserdata(L, m);
    bool ok = lua_pcall(L, 1, 0, 0) == LUA_OK;
    lua_settop(L, 0);
    return ok;
}

/* Three jobs for two workers of that budget; how many ended well. */
static unsigned try_jobs(lua_State *L, size_t budget) {
    static unsigned numbers[JOBS] = {0, 1, 2};
    uv_loop_t loop;
    outcome o = {{NULL}, {0}, 0, 0};
    assert_int_equal(uv_loop_init(&loop), 0);
    orr_workers_options options = {.alloc = {shared_fn, NULL},
                                   .loop = &loop,
                                   .min = 1,
                                   .max = 2,
                                   .budget = budget,
                                   .patience = INT64_C(1000000000),
                                   .setup = {configure, NULL},
                                   .ud = &o,
                                   .deliver = deliver};
    orr_workers *p = modules_of(L, &options.modules) ? orr_workers_open(&options) : NULL;
    for (unsigned i = 0; p && i < JOBS; i++) {
        o.jobs[i] = orr_workers_add(p, "text", 4, &numbers[i]);
        o.left += o.jobs[i] != NULL;
    }
    while (o.left) uv_run(&loop, UV_RUN_ONCE);
    if (p) orr_workers_close(p);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(shared.heap.bytes, 0);
    return o.ended_well;
}

static lua_State *new_state(void) {
    static const luaL_Reg preloaded[] = {{"luv", luaopen_luv}, {"orrery.worker.main", open_main}};
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (size_t i = 0; i < sizeof preloaded / sizeof *preloaded; i++) {
        lua_pushcfunction(L, preloaded[i].func);
        lua_setfield(L, -2, preloaded[i].name);
    }
    lua_settop(L, 0);
    return L;
}

static void every_allocation_outside_of_lua_may_fail(void **state) {
    (void)state;
    lua_State *L = new_state();
    long n = 0;
    unsigned well = 0;
    do {
        shared.heap = (failing_heap){.fail_from = ++n, .fail_for = 1};
        well = try_jobs(L, 1 << 24);
    } while (shared.heap.failed);
    assert_int_equal(well, JOBS);
    assert_true(n > 12);
    lua_close(L);
}

static void a_state_may_have_any_budget(void **state) {
    (void)state;
    enum { STEP = 2999, MOST = 1 << 20 };
    lua_State *L = new_state();
    unsigned some = 0, well = 0;
    size_t budget = 0;
    for (; well < JOBS && budget < MOST; budget += STEP) {
        shared.heap = (failing_heap){0};
        well = try_jobs(L, budget);
        some += well > 0;
    }
    assert_int_equal(well, JOBS);
    assert_true(budget > 20 * (size_t)STEP && some > 0);
    lua_close(L);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_outside_of_lua_may_fail),
        cmocka_unit_test(a_state_may_have_any_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
