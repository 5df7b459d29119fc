/* test_api_borrowed.c - runtimes on a lua_State and a loop that the program made and keeps: what
 * one leaves behind when it is closed, another opened there later, and what scripts use. */
#include <orrery.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

typedef struct host {
    lua_State *L;
    uv_loop_t loop;
    char folder[64], url[128];
    int handler_calls;
} host;

/* What one runtime of the host's sees. */
typedef struct seen {
    int events, errors, started, cancelled;
    orr_runtime *rt; /* that the last attempt was started in */
    orr_token token;
    bool at_once, no_type;
} seen;

static void on_event(void *ud, const char *json) {
    ((seen *)ud)->events += json[0] == '{';
}

static void on_error(void *ud, const orr_error_info *error) {
    (void)error;
    ((seen *)ud)->errors++;
}

static void start_work(void *ud, orr_runtime *rt, const orr_call *call) {
    seen *s = ud;
    s->started++;
    s->rt = rt;
    s->token = call->token;
    if (s->at_once) orr_complete(rt, call->token, "7");
}

static void cancel_work(void *ud, orr_runtime *rt, orr_token token) {
    (void)rt;
    (void)token;
    ((seen *)ud)->cancelled++;
}

static int count_call(lua_State *L) {
    ((host *)lua_touserdata(L, lua_upvalueindex(1)))->handler_calls++;
    return 0;
}

static int set_up(void **state) {
    host *h = calloc(1, sizeof *h);
    if (h == NULL || uv_loop_init(&h->loop) != 0) return -1;
    h->L = luaL_newstate();
    luaL_openlibs(h->L);
    lua_pushlightuserdata(h->L, h);
    lua_pushcclosure(h->L, count_call, 1);
    lua_setglobal(h->L, "count_call");
    snprintf(h->folder, sizeof h->folder, "/tmp/orrery-borrowed-XXXXXX");
    if (mkdtemp(h->folder) == NULL) return -1;
    snprintf(h->url, sizeof h->url, "sqlite:%s/runs.db", h->folder);
    *state = h;
    return 0;
}

static void note_handle(uv_handle_t *handle, void *names) {
    size_t at = strlen(names);
    snprintf((char *)names + at, 256 - at, " %s", uv_handle_type_name(handle->type));
}

/* As the header says: after one turn of the loop it can be closed. */
static void close_loop(host *h) {
    char names[256] = "";
    uv_run(&h->loop, UV_RUN_NOWAIT);
    uv_walk(&h->loop, note_handle, names);
    assert_string_equal(names, "");
    assert_int_equal(uv_loop_close(&h->loop), 0);
}

static int tear_down(void **state) {
    host *h = *state;
    char line[128];
    close_loop(h);
    lua_close(h->L);
    snprintf(line, sizeof line, "rm -rf %s", h->folder);
    int status = system(line);
    free(h);
    return status;
}

static orr_runtime *open_with(host *h, seen *s, const char *store, int clock) {
    orr_config config;
    orr_config_init(&config);
    config.lua = h->L;
    config.loop = &h->loop;
    config.ud = s;
    config.on_event = on_event;
    config.on_error = on_error;
    config.store = store;
    config.clock = clock;
    orr_runtime *rt = orr_open(&config);
    assert_non_null(rt);
    if (s->no_type) return rt;
    orr_type type = {.size = sizeof type,
                     .name = "my.work",
                     .ud = s,
                     .start = start_work,
                     .cancel = cancel_work};
    assert_int_equal(orr_register(rt, &type), ORR_OK);
    return rt;
}

static orr_workflow *load(orr_runtime *rt, const char *body) {
    char text[1024];
    snprintf(text, sizeof text,
             "local flow = require 'orrery'\nlocal w = flow.workflow { name = 'w', output = '${nodes.a}' "
             "}\n%s\nreturn w",
             body);
    orr_workflow *w = orr_load_string(rt, text, "w.lua");
    if (w == NULL) fail_msg("%s", orr_last_error(rt));
    return w;
}

static void run_to_its_end(orr_runtime *rt, const char *body, const char *output) {
    orr_run_id run = orr_start(rt, load(rt, body), NULL, NULL);
    assert_int_equal(orr_wait(rt, run), ORR_OK);
    if (orr_state(rt, run) != ORR_RUN_COMPLETED) fail_msg("%s", orr_run_error_json(rt, run));
    if (output != NULL) assert_string_equal(orr_output(rt, run), output);
}

static void steps(orr_runtime *rt, int n) {
    for (int i = 0; i < n; i++) assert_true(orr_step(rt, 1000000) >= 0);
}

/* The second registers the type that the first had, and its attempts are the second's. */
static void types_go_with_their_runtime(void **state) {
    host *h = *state;
    seen first = {.at_once = true}, second = {.at_once = true};
    orr_runtime *rt = open_with(h, &first, NULL, ORR_CLOCK_REAL);
    run_to_its_end(rt, "w.a = flow.my.work {}", "7");
    orr_close(rt);
    orr_runtime *other = open_with(h, &second, NULL, ORR_CLOCK_REAL);
    run_to_its_end(other, "w.a = flow.my.work {}", "7");
    assert_ptr_equal(second.rt, other);
    assert_int_equal(first.started, 1);
    assert_int_equal(second.started, 1);
    orr_close(other);
    /* nobody has it now */
    assert_int_equal(luaL_dostring(h->L, "return pcall(function() return require('orrery').my.work end)"),
                     LUA_OK);
    assert_false(lua_toboolean(h->L, -2));
    lua_settop(h->L, 0);
}

static const char *const under_way[] = {
    "w.a = { run = function(ctx) ctx:sleep(0.001) count_call() return 1 end }",
    "w.a = { run = function(ctx) ctx:wait 'go' count_call() end }",
    "w.a = { retry = { max = 3, delay = 0.001 }, run = function(ctx) if ctx.attempt > 1 then count_call() "
    "end error 'x' end }",
    "w.a = { run = function(ctx) ctx:step('s', ctx.sleep, ctx, 0.001) count_call() end }",
    "w.a = flow.my.work { timeout = 0.001 }\nw.b = { after = 'a', join = 'done', run = count_call }",
    "w.a = flow.exec { 'sleep', '0.01' }\nw.b = { after = 'a', join = 'done', run = count_call }",
    "local c = flow.workflow { name = 'c' } c.x = { run = function(ctx) ctx:sleep(0.001) count_call() end }\n"
    "w.a = { run = function(ctx) ctx:call(c) count_call() end }",
    "w.a = { run = function(ctx) local uv = require 'luv' flow.await(function(resume)\n"
    "  local t = uv.new_timer() t:start(1, 0, function() t:close() count_call() resume() end) "
    "return function() t:close() end end) end }",
};

/* Nothing of a closed runtime goes on when another is stepped, and nobody of it is told. */
static void nothing_goes_on_after_closing(void **state) {
    host *h = *state;
    for (size_t i = 0; i < sizeof under_way / sizeof *under_way; i++) {
        for (int kind = 0; kind < 3; kind++) {
            seen first = {0}, second = {.at_once = true};
            h->handler_calls = 0;
            orr_runtime *rt = open_with(h, &first, kind == 1 ? h->url : NULL,
                                        kind == 2 ? ORR_CLOCK_VIRTUAL : ORR_CLOCK_REAL);
            if (kind == 1) orr_sync(rt);
            orr_run_id run = orr_start(rt, load(rt, under_way[i]), NULL, NULL);
            assert_int_equal(orr_step(rt, 0) < 0, 0);
            assert_false(orr_run_id_is_none(run));
            orr_close(rt);
            int events = first.events, calls = h->handler_calls, cancelled = first.cancelled;
            orr_runtime *other = open_with(h, &second, NULL, ORR_CLOCK_REAL);
            run_to_its_end(other, "w.a = { run = function(ctx) ctx:sleep(0.02) return flow.json.null end }",
                           "null");
            assert_int_equal(first.events, events);
            assert_int_equal(h->handler_calls, calls);
            assert_int_equal(first.cancelled, cancelled);
            orr_close(other);
        }
    }
}

/* An attempt that the first began makes virtual time of the second stand still no longer. */
static void answers_that_will_not_come(void **state) {
    host *h = *state;
    seen first = {0}, second = {0};
    orr_runtime *rt = open_with(h, &first, NULL, ORR_CLOCK_REAL);
    orr_start(rt, load(rt, "w.a = flow.my.work {}"), NULL, NULL);
    steps(rt, 4);
    assert_int_equal(first.started, 1);
    orr_close(rt);
    orr_runtime *other = open_with(h, &second, NULL, ORR_CLOCK_VIRTUAL);
    run_to_its_end(other, "w.a = { run = function(ctx) ctx:sleep '3d' return 3 end }", "3");
    assert_int_equal(orr_complete(other, first.token, "1"), ORR_ESTATE);
    orr_close(other);
}

/* A script of the host's state that names no runtime means the host's. */
static void scripts_use_the_hosts_runtime(void **state) {
    host *h = *state;
    setenv("ORRERY_STORE", "sqlite:/nowhere/at/all/runs.db", 1);
    seen first = {0}, second = {.no_type = true};
    orr_runtime *rt = open_with(h, &first, h->url, ORR_CLOCK_REAL);
    run_to_its_end(rt,
                   "local c = flow.workflow { name = 'c' } c.x = { run = function() return 1 end }\n"
                   "w.a = { run = function(ctx)\n"
                   "  local run = flow.start(c)\n"
                   "  flow.runtime():wait(run)\n"
                   "  return { run.state, flow.runtime():url():match 'runs.db' }\n"
                   "end }",
                   "[\"completed\",\"runs.db\"]");
    assert_int_equal(luaL_dostring(h->L, "local flow = require 'orrery' return flow.runtime():durable()"),
                     LUA_OK);
    assert_true(lua_toboolean(h->L, -1));
    orr_runtime *later = open_with(h, &second, NULL, ORR_CLOCK_REAL);
    assert_int_equal(luaL_dostring(h->L, "local flow = require 'orrery' return flow.runtime():durable()"),
                     LUA_OK);
    assert_false(lua_toboolean(h->L, -1)); /* the one that was opened last */
    /* but a handler means its own */
    run_to_its_end(rt, "w.a = { run = function() return flow.runtime():durable() end }", "true");
    run_to_its_end(later, "w.a = { run = function() return flow.runtime():durable() end }", "false");
    orr_close(later);
    assert_int_equal(luaL_dostring(h->L, "local flow = require 'orrery' return flow.runtime():durable()"),
                     LUA_OK);
    assert_true(lua_toboolean(h->L, -1));
    orr_close(rt);
    unsetenv("ORRERY_STORE");
    assert_int_equal(luaL_dostring(h->L, "local flow = require 'orrery' return flow.runtime():durable()"),
                     LUA_OK);
    assert_false(lua_toboolean(h->L, -1));
    lua_settop(h->L, 0);
}

/* What was used leaves nothing on the loop, and a script can go on without a host's runtime. */
static void leaves_nothing_on_the_loop(void **state) {
    host *h = *state;
    for (int i = 0; i < 3; i++) {
        seen s = {.at_once = true};
        orr_runtime *rt = open_with(h, &s, i == 1 ? h->url : NULL,
                                    i == 2 ? ORR_CLOCK_VIRTUAL : ORR_CLOCK_REAL);
        run_to_its_end(rt,
                       "w.e = flow.exec { 'echo', 'x' } w.a = { after = 'e', run = function(_, i) return "
                       "i.e.stdout end }",
                       "\"x\\n\"");
        run_to_its_end(
            rt, "w.a = flow.file.stat { path = '/', retry = 1 } w.b = { after = 'a', run = function() end }",
            NULL);
        run_to_its_end(rt, "w.a = { run = function(ctx) ctx:sleep(0.01) return 1 end }", "1");
        run_to_its_end(rt, "w.a = { strategy = 'thread', run = function() return 2 end }", "2");
        run_to_its_end(rt,
                       "w.b = flow.http.get { url = 'http://127.0.0.1:1/', on_error = 'ignore' }\n"
                       "w.a = { after = 'b', join = 'done', run = function() return 3 end }",
                       "3");
        orr_start(rt, load(rt, "w.a = flow.exec { 'sleep', '100' }"), NULL, NULL);
        steps(rt, 20);
        orr_close(rt);
        char names[256] = "";
        uv_run(&h->loop, UV_RUN_NOWAIT);
        uv_walk(&h->loop, note_handle, names);
        assert_string_equal(names, "");
    }
    assert_int_equal(luaL_dostring(h->L, "local flow = require 'orrery' flow.sleep(0.01) return 5"), LUA_OK);
    lua_settop(h->L, 0);
    seen s = {0};
    orr_close(open_with(h, &s, NULL, ORR_CLOCK_REAL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(types_go_with_their_runtime), TEST(nothing_goes_on_after_closing),
        TEST(answers_that_will_not_come),  TEST(scripts_use_the_hosts_runtime),
        TEST(leaves_nothing_on_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
