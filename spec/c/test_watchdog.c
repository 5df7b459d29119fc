/* test_watchdog.c - runaway Lua code is stopped on time, wherever it hides, and nothing else is
 * touched. These tests wait for real: what they test is a thread against the clock. */
#include "fiber/watchdog.h"

#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "skip.h"

#define MS INT64_C(1000000)

/* The thread sanitizer delivers a signal only inside a function that it intercepts, and Lua is
 * not built with it. So every loop below calls `tick`, which is such a function there and
 * nothing elsewhere. */
#if defined(__SANITIZE_THREAD__)
#define TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#endif
#ifndef TSAN
#define TSAN 0
#endif

static int tick(lua_State *L) {
    (void)L;
    if (TSAN) usleep(1);
    return 0;
}

static orr_watchdog dog;

/* What the engine's coroutine.resume does about the chain. */
static int tracked_resume(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    int n, top = lua_gettop(L) - 1;
    lua_xmove(L, co, top);
    orr_watchdog_frame frame;
    orr_watchdog_push(&dog, &frame, co);
    int status = lua_resume(co, L, top, &n);
    orr_watchdog_pop(&dog, &frame);
    lua_pushboolean(L, status == LUA_OK || status == LUA_YIELD);
    lua_xmove(co, L, n);
    return n + 1;
}

static const char tracked_wrap[] = "local resume = coroutine.resume\n"
                                   "function coroutine.wrap(f) local co = coroutine.create(f)\n"
                                   "  return function(...) return select(2, assert(resume(co, ...))) end end";

static int busy(lua_State *L) {
    int64_t end = orr_watchdog_now() + (int64_t)luaL_checkinteger(L, 1) * MS;
    while (orr_watchdog_now() < end) usleep(100);
    return 0;
}

static lua_State *new_state(void) {
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    lua_register(L, "tick", tick);
    lua_getglobal(L, "coroutine");
    lua_pushcfunction(L, tracked_resume);
    lua_setfield(L, -2, "resume");
    lua_pop(L, 1);
    assert_int_equal(luaL_dostring(L, tracked_wrap), LUA_OK);
    lua_register(L, "busy", busy);
    return L;
}

static int setup(void **state) {
    orr_watchdog_init(&dog);
    if (orr_watchdog_start(&dog) != ORR_OK) return -1;
    lua_State *L = new_state();
    lua_getglobal(L, "xpcall");
    dog.xpcall = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    *state = L;
    return 0;
}

static int teardown(void **state) {
    orr_watchdog_stop(&dog);
    lua_close(*state);
    return 0;
}

typedef struct outcome {
    int status, results;
    bool fired;
    int64_t took;
    char where[160];
    lua_State *co;
} outcome;

/* Runs `source` as a handler would run, in a slice of `ms` milliseconds (0: no limit). */
static outcome run(lua_State *L, const char *source, int64_t ms) {
    outcome o = {0};
    o.co = lua_newthread(L);
    assert_int_equal(luaL_loadbuffer(o.co, source, strlen(source), "=chunk"), LUA_OK);
    int64_t start = orr_watchdog_now();
    orr_watchdog_frame frame;
    orr_watchdog_enter(&dog, &frame, o.co, ms ? start + ms * MS : ORR_WATCHDOG_NEVER);
    o.status = lua_resume(o.co, L, 0, &o.results);
    o.fired = orr_watchdog_fired(&dog);
    snprintf(o.where, sizeof o.where, "%s", dog.where);
    orr_watchdog_leave(&dog, &frame);
    o.took = orr_watchdog_now() - start;
    assert_false(orr_watchdog_fired(&dog));
    assert_null(lua_gethook(o.co));
    return o;
}

/* Not before its time, and not much later: the second bound is wide because the machine may be
 * loaded. */
static void assert_stopped(const outcome *o, int64_t ms) {
    assert_true(o->fired);
    assert_int_equal(o->status, LUA_YIELD);
    assert_int_equal(o->results, 0);
    assert_true(o->took >= ms * MS);
    assert_true(o->took < (ms + 60000) * MS);
}

static void runaways_are_stopped(void **state) {
    static const char *const sources[] = {
        "while true do tick() end",
        "while true do pcall(function() while true do tick() end end) end",
        "local function f() tick() return pcall(f) end while true do f() end",
        "while true do pcall(pcall, tick) end",
        ("while true do xpcall(function() while true do tick() end end, function() while true do tick() end "
         "end) end"),
        ("while true do local c <close> = setmetatable({}, {__close = function() while true do tick() end "
         "end}) end"),
        ("local co = coroutine.wrap(function() while true do tick() end end) while true do pcall(co) tick() "
         "end"),
        "local function nest(n) while n == 0 do tick() end return coroutine.wrap(nest)(n - 1) end nest(20)",
        "while true do coroutine.resume(coroutine.create(function() while true do tick() end end)) end",
        "while true do pcall(table.sort, {3, 2, 1}, function() while true do tick() end end) end",
        "while true do pcall(string.gsub, 'abc', '.', function() while true do tick() end end) end",
        "local t = setmetatable({}, {__index = function() while true do tick() end end}) return t.x",
        "for _ in function() return 1 end do tick() end",
        "::again:: tick() goto again",
        "repeat local ok = select(2, pcall(error, {})) tick() until not ok",
        "while true do busy(1) end",
        "xpcall(error, function() while true do tick() end end)",
        "xpcall(error, function() xpcall(error, function() while true do tick() end end) end)",
        ("while true do pcall(table.sort, {3, 2, 1}, function() xpcall(error, function() while true do "
         "tick() end end) end) end"),
        ("local function on() while true do tick() end end xpcall(table.sort, on, {3, 2, 1}, on)"),
        "while true do debug.sethook() tick() end",
        "while true do pcall(debug.sethook) tick() end",
    };
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        outcome o = run(*state, sources[i], 20);
        if (!o.fired || o.status != LUA_YIELD) print_message("not stopped: %s\n", sources[i]);
        assert_stopped(&o, 20);
    }
}

static void an_empty_loop_is_stopped(void **state) {
    if (TSAN) skip_for("the thread sanitizer delivers no signal inside of Lua");
    outcome o = run(*state, "\nwhile true do end", 20);
    assert_stopped(&o, 20);
    assert_string_equal(o.where, "chunk:2");
    o = run(*state, "for i = 1, math.huge do end", 20);
    assert_stopped(&o, 20);
}

static void where_names_the_line(void **state) {
    outcome o = run(*state, "local x = 1\n\nwhile x do tick() end", 10);
    assert_stopped(&o, 10);
    assert_string_equal(o.where, "chunk:3");
    assert_string_equal(dog.where, "chunk:3"); /* still, after the slice */
}

/* A thread of the state that is no coroutine cannot yield: there the hook raises. */
static void the_main_thread_gets_an_error(void **state) {
    lua_State *L = *state;
    orr_watchdog_frame frame;
    assert_int_equal(luaL_loadstring(L, "while true do pcall(function() while true do tick() end end) end"),
                     LUA_OK);
    orr_watchdog_enter(&dog, &frame, L, orr_watchdog_now() + 10 * MS);
    int status = lua_pcall(L, 0, 0, 0);
    assert_true(orr_watchdog_fired(&dog));
    orr_watchdog_leave(&dog, &frame);
    assert_int_equal(status, LUA_ERRRUN);
    assert_ptr_equal(lua_touserdata(L, -1), ORR_WATCHDOG_ERROR);
    lua_pop(L, 1);
    assert_int_equal(luaL_dostring(L, "local n = 0 for i = 1, 1000 do n = n + i end return n"), LUA_OK);
    assert_int_equal(lua_tointeger(L, -1), 500500);
}

static void closing_is_bounded_by_its_own_slice(void **state) {
    outcome o = run(*state,
                    "local function close() closed = true while true do tick() end end\n"
                    "local c <close> = setmetatable({}, {__close = close}) while true do tick() end",
                    10);
    assert_stopped(&o, 10);
    orr_watchdog_frame frame;
    orr_watchdog_enter(&dog, &frame, o.co, orr_watchdog_now() + 10 * MS);
    assert_int_not_equal(lua_resetthread(o.co), LUA_OK);
    assert_true(orr_watchdog_fired(&dog));
    orr_watchdog_leave(&dog, &frame);
    assert_int_equal(luaL_dostring(*state, "return closed"), LUA_OK);
    assert_true(lua_toboolean(*state, -1));
}

/* It was suspended where an error would call a message handler that never returns. */
static void closing_calls_no_message_handler(void **state) {
    lua_State *co = lua_newthread(*state);
    static const char source[] = "local function hang() while true do tick() end end\n"
                                 "xpcall(function() local c <close> = setmetatable({}, {__close = hang})\n"
                                 "  coroutine.yield() end, hang)";
    int results;
    assert_int_equal(luaL_loadstring(co, source), LUA_OK);
    assert_int_equal(lua_resume(co, *state, 0, &results), LUA_YIELD);
    orr_watchdog_frame frame;
    orr_watchdog_enter(&dog, &frame, co, orr_watchdog_now() + 10 * MS);
    frame.closes = true;
    assert_int_not_equal(lua_resetthread(co), LUA_OK);
    assert_true(orr_watchdog_fired(&dog));
    orr_watchdog_leave(&dog, &frame);
    assert_int_equal(lua_status(co), LUA_OK);
}

/* The allocator of the state is put back. */
static void failing_unseen_leaves_the_state_as_it_was(void **state) {
    void *before_ud, *after_ud;
    lua_Alloc before = lua_getallocf(*state, &before_ud);
    outcome o = run(*state,
                    "pcall(table.sort, {3, 2, 1}, function() xpcall(error, function() while true do tick() "
                    "end end) end)",
                    10);
    assert_stopped(&o, 10);
    assert_ptr_equal(lua_getallocf(*state, &after_ud), before);
    assert_ptr_equal(after_ud, before_ud);
    assert_int_equal(luaL_dostring(*state, "return #string.rep('x', 1000000)"), LUA_OK);
}

static volatile sig_atomic_t stuck_calls;
static char stuck_where[64];
static bool go_on;

static void on_stuck(const char *where) {
    snprintf(stuck_where, sizeof stuck_where, "%s", where);
    stuck_calls++;
    go_on = true;
}

static int spin(lua_State *L) {
    (void)L;
    while (!*(volatile bool *)&go_on)
        if (TSAN) usleep(1);
    return 0;
}

/* A C function that never returns is told of, after its processor time is used up. */
static void what_cannot_be_stopped_is_told(void **state) {
    if (TSAN) skip_for("the thread sanitizer delivers a signal only in calls, which use no time");
    lua_register(*state, "spin", spin);
    dog.stuck = on_stuck;
    go_on = false;
    stuck_calls = 0;
    outcome o = run(*state, "local x\nspin()\nreturn x", 10);
    dog.stuck = NULL;
    assert_true(o.fired);
    assert_true(stuck_calls > 0);
    assert_string_equal(stuck_where, "chunk:2");
}

/* What waits in C uses no processor time, and is waited for. */
static void what_blocks_is_waited_for(void **state) {
    dog.stuck = on_stuck;
    stuck_calls = 0;
    outcome o = run(*state, "busy(100) return 1", 10);
    dog.stuck = NULL;
    assert_true(o.fired);
    assert_int_equal(stuck_calls, 0);
}

static void what_is_in_time_is_left_alone(void **state) {
    outcome o = run(*state, "local n = 0 for i = 1, 100000 do n = n + 1 end return n", 60000);
    assert_int_equal(o.status, LUA_OK);
    assert_int_equal(lua_tointeger(o.co, -1), 100000);
    assert_false(o.fired);
}

static void without_a_limit_there_is_no_thread(void **state) {
    outcome o = run(*state, "busy(20) return 1", 0);
    assert_int_equal(o.status, LUA_OK);
    assert_false(o.fired);
    assert_false(dog.threaded);
}

static void off_it_does_nothing(void **state) {
    orr_watchdog_stop(&dog);
    outcome o = run(*state, "busy(20) return 1", 1);
    assert_int_equal(o.status, LUA_OK);
    assert_false(o.fired);
    assert_false(dog.threaded);
    assert_int_equal(orr_watchdog_start(&dog), ORR_OK); /* and on again */
    o = run(*state, "while true do tick() end", 10);
    assert_stopped(&o, 10);
}

/* The thread sleeps for the long slice; the short one that follows must wake it. */
static void a_shorter_slice_after_a_longer_one(void **state) {
    for (int i = 0; i < 3; i++) {
        outcome o = run(*state, "busy(8)", 60000);
        assert_false(o.fired);
        o = run(*state, "while true do tick() end", 15);
        assert_stopped(&o, 15);
    }
}

static void many_short_slices(void **state) {
    lua_State *L = *state;
    assert_int_equal(luaL_loadstring(L, "return 1"), LUA_OK);
    for (int i = 0; i < 50000; i++) {
        orr_watchdog_frame frame;
        orr_watchdog_enter(&dog, &frame, L, orr_watchdog_now() + 10000 * MS);
        lua_pushvalue(L, -1);
        lua_call(L, 0, 0);
        assert_false(orr_watchdog_fired(&dog));
        orr_watchdog_leave(&dog, &frame);
    }
    outcome o = run(L, "while true do tick() end", 10);
    assert_stopped(&o, 10);
}

static void a_slice_within_a_slice(void **state) {
    lua_State *L = *state;
    lua_State *outer = lua_newthread(L);
    orr_watchdog_frame frame;
    int64_t start = orr_watchdog_now();
    orr_watchdog_enter(&dog, &frame, outer, start + 60000 * MS);
    outcome o = run(L, "while true do tick() end", 10); /* the inner limit is the inner's alone */
    assert_stopped(&o, 10);
    assert_int_equal(atomic_load(&dog.due), start + 60000 * MS);
    assert_null(lua_gethook(outer));
    orr_watchdog_leave(&dog, &frame);
    assert_int_equal(atomic_load(&dog.due), ORR_WATCHDOG_NEVER);

    orr_watchdog_enter(&dog, &frame, outer, orr_watchdog_now() + 10 * MS);
    orr_watchdog_frame inner;
    lua_State *co = lua_newthread(L);
    assert_int_equal(luaL_loadstring(co, "while true do tick() end"), LUA_OK);
    orr_watchdog_enter(&dog, &inner, co, ORR_WATCHDOG_NEVER); /* the outer limit holds within */
    int results;
    assert_int_equal(lua_resume(co, outer, 0, &results), LUA_YIELD);
    orr_watchdog_leave(&dog, &inner);
    assert_true(orr_watchdog_fired(&dog)); /* the outer one is overdue too */
    assert_non_null(lua_gethook(outer));
    orr_watchdog_leave(&dog, &frame);
    assert_false(orr_watchdog_fired(&dog));
    assert_null(lua_gethook(outer));
}

/* A user's coroutine that the hook suspended keeps no hook that would matter to a later slice. */
static void a_coroutine_outlives_the_slice(void **state) {
    lua_State *L = *state;
    outcome o = run(L,
                    "kept = coroutine.create(function() while not go do tick() end return 'went on' end)\n"
                    "coroutine.resume(kept)",
                    10);
    assert_stopped(&o, 10);
    o = run(L, "go = true local ok, v = coroutine.resume(kept) return v", 5000);
    assert_int_equal(o.status, LUA_OK);
    assert_string_equal(lua_tostring(o.co, -1), "went on");
}

static volatile sig_atomic_t former_calls;
static void former_handler(int number) {
    (void)number;
    former_calls++;
}

static void a_former_handler_is_kept(void **state) {
    orr_watchdog_stop(&dog);
    struct sigaction mine = {.sa_handler = former_handler}, old, now;
    sigemptyset(&mine.sa_mask);
    assert_int_equal(sigaction(ORR_WATCHDOG_SIGNAL, &mine, &old), 0);
    assert_int_equal(orr_watchdog_start(&dog), ORR_OK);
    former_calls = 0;
    raise(ORR_WATCHDOG_SIGNAL); /* a stray one: nobody is overdue */
    assert_int_equal(former_calls, 1);
    assert_false(orr_watchdog_fired(&dog));
    outcome o = run(*state, "while true do tick() end", 10);
    assert_stopped(&o, 10);
    orr_watchdog_stop(&dog);
    assert_int_equal(sigaction(ORR_WATCHDOG_SIGNAL, &old, &now), 0);
    assert_ptr_equal(now.sa_handler, former_handler);
}

static void two_states_on_one_thread(void **state) {
    orr_watchdog second;
    orr_watchdog_init(&second);
    assert_int_equal(orr_watchdog_start(&second), ORR_OK);
    lua_State *other = new_state();
    orr_watchdog_frame frame;
    orr_watchdog_enter(&second, &frame, other, orr_watchdog_now() + 60000 * MS);
    outcome o = run(*state, "while true do tick() end", 10);
    assert_stopped(&o, 10);
    assert_false(orr_watchdog_fired(&second));
    orr_watchdog_leave(&second, &frame);
    orr_watchdog_stop(&second);
    o = run(*state, "while true do tick() end", 10);
    assert_stopped(&o, 10);
    lua_close(other);
}

/* Every thread with a loop of its own has its own watchdog. */
static void *other_loop(void *arg) {
    orr_watchdog w;
    orr_watchdog_init(&w);
    lua_State *L = new_state();
    bool *ok = arg;
    *ok = orr_watchdog_start(&w) == ORR_OK;
    for (int i = 0; i < 5 && *ok; i++) {
        lua_State *co = lua_newthread(L);
        int results;
        orr_watchdog_frame frame;
        *ok = luaL_loadstring(co, "while true do tick() end") == LUA_OK;
        orr_watchdog_enter(&w, &frame, co, orr_watchdog_now() + 10 * MS);
        *ok = *ok && lua_resume(co, L, 0, &results) == LUA_YIELD && orr_watchdog_fired(&w);
        orr_watchdog_leave(&w, &frame);
    }
    orr_watchdog_stop(&w);
    lua_close(L);
    return NULL;
}

static void two_threads(void **state) {
    pthread_t thread;
    bool ok = false;
    assert_int_equal(pthread_create(&thread, NULL, other_loop, &ok), 0);
    for (int i = 0; i < 5; i++) {
        outcome o = run(*state, "while true do tick() end", 10);
        assert_stopped(&o, 10);
    }
    pthread_join(thread, NULL);
    assert_true(ok);
}

static volatile sig_atomic_t deaf_in, deaf_out; /* calls within a slice, and outside of any */

static void on_deaf(bool slice) {
    if (slice) deaf_in++;
    else deaf_out++;
}

/* Slices without a limit, and with one that is far away, until it is known that somebody asked. */
static void slices_are_stopped_where_nobody_hears(void **state) {
    assert_true(orr_watchdog_listen(&dog, on_deaf));
    deaf_in = 0;
    int64_t since = orr_watchdog_now();
    orr_watchdog_ask(&dog);
    assert_false(orr_watchdog_unheard(&dog));
    outcome o = run(*state, "while true do pcall(function() while true do tick() end end) end", 0);
    assert_stopped(&o, 0);
    assert_true(orr_watchdog_now() - since >= ORR_WATCHDOG_PATIENCE);
    assert_true(orr_watchdog_unheard(&dog));
    assert_true(deaf_in > 0);
    o = run(*state, "while true do tick() end", 60000);
    assert_stopped(&o, 0);
    assert_false(dog.threaded && o.took > 59000 * MS);
    orr_watchdog_heard(&dog);
    assert_false(orr_watchdog_unheard(&dog));
    o = run(*state, "busy(100) return 1", 0);
    assert_int_equal(o.status, LUA_OK);
    assert_false(o.fired);
}

static void what_is_heard_in_time_stops_nothing(void **state) {
    assert_true(orr_watchdog_listen(&dog, on_deaf));
    orr_watchdog_ask(&dog);
    orr_watchdog_heard(&dog);
    outcome o = run(*state, "busy(700) return 1", 0);
    assert_int_equal(o.status, LUA_OK);
    assert_false(o.fired);
}

/* What runs outside of a slice is left to who listens, also in a coroutine. */
static void outside_of_slices_it_is_told(void **state) {
    assert_true(orr_watchdog_listen(&dog, on_deaf));
    deaf_in = deaf_out = 0;
    orr_watchdog_ask(&dog);
    orr_watchdog_frame frame;
    orr_watchdog_push(&dog, &frame, *state);
    while (deaf_out < 3) usleep(1000);
    orr_watchdog_pop(&dog, &frame);
    assert_int_equal(deaf_in, 0);
    assert_int_equal(atomic_load(&dog.due), ORR_WATCHDOG_NEVER);
    orr_watchdog_heard(&dog);
    outcome o = run(*state, "return 1", 0);
    assert_int_equal(o.status, LUA_OK);
}

#define WATCHED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WATCHED(runaways_are_stopped),
        WATCHED(an_empty_loop_is_stopped),
        WATCHED(where_names_the_line),
        WATCHED(the_main_thread_gets_an_error),
        WATCHED(closing_is_bounded_by_its_own_slice),
        WATCHED(closing_calls_no_message_handler),
        WATCHED(failing_unseen_leaves_the_state_as_it_was),
        WATCHED(what_cannot_be_stopped_is_told),
        WATCHED(what_blocks_is_waited_for),
        WATCHED(what_is_in_time_is_left_alone),
        WATCHED(without_a_limit_there_is_no_thread),
        WATCHED(off_it_does_nothing),
        WATCHED(a_shorter_slice_after_a_longer_one),
        WATCHED(many_short_slices),
        WATCHED(a_slice_within_a_slice),
        WATCHED(a_coroutine_outlives_the_slice),
        WATCHED(a_former_handler_is_kept),
        WATCHED(two_states_on_one_thread),
        WATCHED(two_threads),
        WATCHED(slices_are_stopped_where_nobody_hears),
        WATCHED(what_is_heard_in_time_stops_nothing),
        WATCHED(outside_of_slices_it_is_told),
    };
    return cmocka_run_group_tests_name("watchdog", tests, NULL, NULL);
}
