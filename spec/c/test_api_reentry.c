/* test_api_reentry.c - every function of the header, called from within every callback: it does its
 * work or is refused, and afterwards the runtime is as usable as before. */
#include <orrery.h>

#include <lauxlib.h>
#include <lua.h>
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
    char folder[64], url[128];
    orr_runtime *rt;
    orr_workflow *w;     /* what runs */
    orr_workflow *spare; /* nobody runs it */
    orr_run_id run, other;
    orr_token token, late;
    int function; /* which is called */
    int place;    /* and from where */
    int calls;
    int status; /* what the call gave */
    bool starting;
} host;

enum {
    IN_START,
    IN_CANCEL,
    IN_EVENT,
    IN_ERROR,
    IN_NODE,
    IN_LOOP,
    IN_HANDLER,
    IN_CONDITION,
    IN_TYPED,
    IN_LOG,
    IN_END,
    PLACES
};
static const char *const places[] = {"start",          "cancel",   "on_event",  "on_error",
                                     "orr_node_fn",    "the loop", "a handler", "a condition",
                                     "on_typed_event", "on_log",   "on_end"};

static const char source[] = "local flow = require 'orrery'\n"
                             "local w = flow.workflow { name = 'w', output = '${nodes.c}' }\n"
                             "w.a = flow.test.work {}\n"
                             "w.b = { after = 'a', run = function(ctx) from_handler() ctx:log('info', 'x') "
                             "ctx:sleep(0.001) return 1 end }\n"
                             "w.c = { after = 'b', run = function(ctx, inputs) return inputs.b end }\n"
                             "return w\n";
static const char idle[] = "local flow = require 'orrery'\n"
                           "local w = flow.workflow { name = 'idle' }\n"
                           "w.a = { run = function(ctx) ctx:wait 'never' end }\n"
                           "return w\n";
static const char held[] = "local flow = require 'orrery'\n"
                           "local w = flow.workflow { name = 'held' }\n"
                           "w.a = flow.test.held {}\n"
                           "return w\n";

static void start_late(void *ud, orr_runtime *rt, const orr_call *call) {
    (void)ud;
    (void)rt;
    (void)call;
}

static int do_nothing(void *ud, uint32_t node) {
    (void)ud;
    (void)node;
    return ORR_OK;
}

/* ---- the functions --------------------------------------------------------------------------- */

#define EMPTY_TEXT(text) ((text) != NULL && (text)[0] == '\0' ? 1 : 0)

static int f_step(host *h) {
    return orr_step(h->rt, 1000);
}
static int f_wait(host *h) {
    return orr_wait(h->rt, h->run);
}
static int f_close(host *h) {
    return orr_close(h->rt);
}
static int f_next_deadline(host *h) {
    return orr_next_deadline(h->rt) < 0 ? -99 : 0;
}
static int f_last_error(host *h) {
    return orr_last_error(h->rt) == NULL ? -99 : 0;
}
static int f_lua(host *h) {
    return orr_lua(h->rt) == NULL || orr_loop(h->rt) == NULL ? -99 : 0;
}
static int f_register(host *h) {
    orr_type type = {.size = sizeof type, .name = "test.late", .start = start_late};
    return orr_register(h->rt, &type);
}
static int f_complete(host *h) {
    return orr_complete(h->rt, h->late, "1");
}
static int f_fail(host *h) {
    return orr_fail(h->rt, h->late, "late", "too late", false);
}
static int f_progress(host *h) {
    return orr_progress(h->rt, h->late, 0.5, "half");
}
static int f_load_file(host *h) {
    return orr_load_file(h->rt, "/nowhere.lua") == NULL ? -1 : 0;
}
static int f_load_string(host *h) {
    return orr_load_string(h->rt, idle, "x.lua") == NULL ? -1 : 0;
}
static int f_load_json(host *h) {
    return orr_load_json(h->rt, "{", NULL, NULL) == NULL ? -1 : 0;
}
static int f_workflow_free(host *h) {
    orr_workflow_free(h->spare);
    h->spare = NULL;
    return 0;
}
static int f_build(host *h) {
    orr_builder *b = orr_build(h->rt, "g", 2, 1);
    orr_build_free(orr_build(h->rt, "given up", 0, 0));
    if (b == NULL || orr_build_node(b, "a", do_nothing, NULL) < 0) return -99;
    return orr_build_end(b) == NULL ? -99 : 0;
}
static int f_start(host *h) {
    return orr_run_id_is_none(orr_start(h->rt, h->spare, NULL, NULL)) ? -99 : 0;
}
static int f_state(host *h) {
    return orr_state(h->rt, h->run) == ORR_RUN_STATE_COUNT ? -99 : 0;
}
static int f_output(host *h) {
    return EMPTY_TEXT(orr_output(h->rt, h->run));
}
static int f_node_output(host *h) {
    return EMPTY_TEXT(orr_node_output(h->rt, h->run, "a"));
}
static int f_node(host *h) {
    return orr_node(h->rt, h->run, "a") == ORR_NODE_STATE_COUNT ? -99 : 0;
}
static int f_error_json(host *h) {
    return EMPTY_TEXT(orr_run_error_json(h->rt, h->run));
}
static int f_why_json(host *h) {
    return orr_why_json(h->rt, h->run, "c") == NULL ? -99 : 0;
}
static int f_run_json(host *h) {
    return EMPTY_TEXT(orr_run_json(h->rt, h->run));
}
static int f_cancel(host *h) {
    return orr_cancel(h->rt, h->other);
}
static int f_cancel_own(host *h) {
    return orr_cancel(h->rt, h->run);
}
static int f_pause(host *h) {
    return orr_pause(h->rt, h->other);
}
static int f_pause_own(host *h) {
    int status = orr_pause(h->rt, h->run);
    return status == ORR_OK ? orr_resume(h->rt, h->run) : status;
}
static int f_resume(host *h) {
    return orr_resume(h->rt, h->other);
}
static int f_signal(host *h) {
    return orr_signal(h->rt, h->other, "x", "[1]");
}
static int f_forget(host *h) {
    return orr_forget(h->rt, h->other);
}
static int f_forget_own(host *h) {
    return orr_forget(h->rt, h->run);
}
static int f_resume_all(host *h) {
    return orr_resume_all(h->rt, 1);
}
static int f_resuming(host *h) {
    return orr_resuming(h->rt) ? 1 : 0;
}
static int f_retry_run(host *h) {
    return orr_retry_run(h->rt, h->other);
}
static int f_retry_items(host *h) {
    return orr_retry_items(h->rt, h->other);
}
static int f_suspend(host *h) {
    return orr_suspend(h->rt, h->other);
}
static int f_suspend_own(host *h) {
    return orr_suspend(h->rt, h->run);
}
static int f_sync(host *h) {
    return orr_sync(h->rt);
}

static int f_backup(host *h) {
    return orr_backup(h->rt, "/nowhere/at/all/copy.db");
}

static int f_unregister(host *h) {
    return orr_unregister(h->rt, "test.late");
}
static int f_runs(host *h) {
    orr_run_id ids[8];
    return orr_list_runs(h->rt, ids, 8) == 0 ? -99 : 0;
}
static int f_workflow_node(host *h) {
    return orr_workflow_node(h->w, 0) == NULL ? -99 : 0;
}
static int f_post(host *h) {
    int status = orr_post_complete(h->rt, h->late, "1");
    if (status == ORR_OK) status = orr_post_fail(h->rt, h->late, "late", "too late", false);
    if (status == ORR_OK) status = orr_post_signal(h->rt, h->other, "x", "[1]");
    return status == ORR_OK ? orr_post_wake(h->rt) : status;
}

static int f_values(host *h) {
    orr_value o = orr_value_object(h->rt), list = orr_value_array(h->rt), name = {0}, value = {0};
    int status = orr_value_set_integer(h->rt, list, NULL, 1);
    if (status == ORR_OK) status = orr_value_set(h->rt, o, "list", list);
    if (orr_value_is(h->rt, o) != ORR_VALUE_OBJECT || orr_value_count(h->rt, o) != 1) return -99;
    if (orr_value_integer(h->rt, orr_value_item(h->rt, orr_value_field(h->rt, o, "list"), 0), 0) != 1)
        return -99;
    if (!orr_value_next(h->rt, o, &name, &value) || orr_value_text(h->rt, name, NULL) == NULL) return -99;
    if (orr_value_json(h->rt, o) == NULL) return -99;
    orr_value_drop(h->rt, o);
    return status;
}
static int f_complete_value(host *h) {
    return orr_complete_value(h->rt, h->late, orr_value_from_json(h->rt, "1"));
}
static int f_signal_value(host *h) {
    return orr_signal_value(h->rt, h->other, "x", orr_value_from_json(h->rt, "[1]"));
}
static int f_output_values(host *h) {
    (void)orr_output_value(h->rt, h->run);
    (void)orr_node_output_value(h->rt, h->run, "a");
    return 0;
}
static int f_run_data(host *h) {
    int status = orr_set_run_data(h->rt, h->other, h);
    return status == ORR_OK && orr_run_data(h->rt, h->other) != h ? -99 : status;
}
static int f_look(host *h) {
    orr_run_info run = {.size = sizeof run};
    orr_node_info node = {.size = sizeof node};
    orr_explanation why = {.size = sizeof why};
    orr_runtime_info runtime = {.size = sizeof runtime};
    int status = orr_get_run(h->rt, h->run, &run);
    if (status == ORR_OK) status = orr_get_node(h->rt, h->run, 0, 0, &node);
    if (status == ORR_OK) status = orr_explain(h->rt, h->run, "c", 0, &why);
    return status == ORR_OK ? orr_get_runtime(h->rt, &runtime) : status;
}
static int f_next_event(host *h) {
    orr_event_info event = {.size = sizeof event};
    return orr_next_event(h->rt, &event) < 0 ? -99 : 0;
}
static int f_cancel_because(host *h) {
    return orr_cancel_because(h->rt, h->other, "it is enough");
}
static int write_nothing(void *ud, const void *bytes, size_t size) {
    (void)ud;
    (void)bytes;
    (void)size;
    return 0;
}
static int64_t read_nothing(void *ud, void *to, size_t room) {
    (void)ud;
    (void)to;
    (void)room;
    return 0;
}
static int f_save(host *h) {
    return orr_save(h->rt, write_nothing, NULL);
}
static int f_load(host *h) {
    return orr_load(h->rt, read_nothing, NULL);
}
static int f_time(host *h) {
    return orr_time(h->rt) > 0 ? 0 : -99;
}

static const struct {
    const char *name;
    int (*fn)(host *h);
    bool refused; /* from everywhere: ORR_ESTATE */
} functions[] = {
    {"orr_step", f_step, true},
    {"orr_wait", f_wait, true},
    {"orr_close", f_close, true},
    {"orr_next_deadline", f_next_deadline, false},
    {"orr_last_error", f_last_error, false},
    {"orr_lua, orr_loop", f_lua, false},
    {"orr_register", f_register, false},
    {"orr_complete", f_complete, false},
    {"orr_fail", f_fail, false},
    {"orr_progress", f_progress, false},
    {"orr_load_file", f_load_file, false},
    {"orr_load_string", f_load_string, false},
    {"orr_load_json", f_load_json, false},
    {"orr_workflow_free", f_workflow_free, false},
    {"orr_build", f_build, false},
    {"orr_start", f_start, false},
    {"orr_state", f_state, false},
    {"orr_output", f_output, false},
    {"orr_node_output", f_node_output, false},
    {"orr_node", f_node, false},
    {"orr_run_error_json", f_error_json, false},
    {"orr_why_json", f_why_json, false},
    {"orr_run_json", f_run_json, false},
    {"orr_cancel", f_cancel, false},
    {"orr_cancel of its own run", f_cancel_own, false},
    {"orr_pause", f_pause, false},
    {"orr_pause and orr_resume of its own run", f_pause_own, false},
    {"orr_resume", f_resume, false},
    {"orr_signal", f_signal, false},
    {"orr_forget", f_forget, false},
    {"orr_forget of its own run", f_forget_own, false},
    {"orr_resume_all", f_resume_all, false},
    {"orr_resuming", f_resuming, false},
    {"orr_retry_run", f_retry_run, false},
    {"orr_retry_items", f_retry_items, false},
    {"orr_suspend", f_suspend, true},
    {"orr_suspend of its own run", f_suspend_own, true},
    {"orr_sync", f_sync, false},
    {"orr_backup", f_backup, false},
    {"orr_unregister", f_unregister, false},
    {"orr_list_runs", f_runs, false},
    {"orr_workflow_node", f_workflow_node, false},
    {"orr_post_complete, ...", f_post, false},
    {"orr_value_*", f_values, false},
    {"orr_complete_value", f_complete_value, false},
    {"orr_signal_value", f_signal_value, false},
    {"orr_output_value, orr_node_output_value", f_output_values, false},
    {"orr_run_data, orr_set_run_data", f_run_data, false},
    {"orr_get_run, orr_get_node, orr_explain, orr_get_runtime", f_look, false},
    {"orr_next_event", f_next_event, false},
    {"orr_cancel_because", f_cancel_because, false},
    {"orr_time", f_time, false},
    {"orr_save", f_save, true},
    {"orr_load", f_load, true},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

/* ---- the callbacks --------------------------------------------------------------------------- */

static void call_from(host *h, int place) {
    if (h->place != place || h->calls > 0) return;
    h->calls++;
    h->status = functions[h->function].fn(h);
}

static void start_work(void *ud, orr_runtime *rt, const orr_call *call) {
    host *h = ud;
    h->token = call->token;
    call_from(h, IN_START);
    orr_complete(rt, call->token, "1");
}

static void start_held(void *ud, orr_runtime *rt, const orr_call *call) {
    (void)rt;
    ((host *)ud)->late = call->token;
}

static void cancel_held(void *ud, orr_runtime *rt, orr_token token) {
    call_from(ud, IN_CANCEL);
    orr_fail(rt, token, "cancelled", "it was asked to stop", false);
}

static void on_event(void *ud, const char *json) {
    host *h = ud;
    if (!h->starting && strstr(json, "node_completed") != NULL) call_from(h, IN_EVENT);
}

static void on_error(void *ud, const orr_error_info *error) {
    (void)error;
    call_from(ud, IN_ERROR);
}

static void on_typed(void *ud, const orr_event_info *event) {
    host *h = ud;
    if (!h->starting && event->kind == ORR_EVENT_NODE_COMPLETED) call_from(h, IN_TYPED);
}

static void on_log(void *ud, const orr_log_line *line) {
    (void)line;
    call_from(ud, IN_LOG);
}

static void on_end(void *ud, orr_run_id run, orr_run_state state, void *data) {
    (void)run;
    (void)state;
    (void)data;
    call_from(ud, IN_END);
}

static int in_node(void *ud, uint32_t node) {
    (void)node;
    call_from(ud, IN_NODE);
    return ORR_OK;
}

static int from_handler(lua_State *L) {
    call_from(lua_touserdata(L, lua_upvalueindex(1)), IN_HANDLER);
    return 0;
}

static int from_condition(lua_State *L) {
    call_from(lua_touserdata(L, lua_upvalueindex(1)), IN_CONDITION);
    lua_pushboolean(L, 1);
    return 1;
}

static void in_timer(uv_timer_t *timer) {
    call_from(timer->data, IN_LOOP);
}

/* ---- the test -------------------------------------------------------------------------------- */

static const char asks[] =
    "local flow = require 'orrery'\n"
    "local w = flow.workflow { name = 'asks' }\n"
    "w.a = { run = function() return 1 end }\n"
    "w.b = { after = 'a', when = function() return from_condition() end, run = function() end }\n"
    "return w\n";

static void set_function(host *h, const char *name, lua_CFunction fn) {
    lua_State *L = orr_lua(h->rt);
    lua_pushlightuserdata(L, h);
    lua_pushcclosure(L, fn, 1);
    lua_setglobal(L, name);
}

static void open_host(host *h, bool store) {
    orr_config config;
    orr_config_init(&config);
    config.ud = h;
    config.on_event = on_event;
    config.on_error = on_error;
    config.on_typed_event = on_typed;
    config.event_queue = 8;
    config.on_log = on_log;
    config.on_end = on_end;
    config.store = store ? h->url : NULL;
    h->rt = orr_open(&config);
    assert_non_null(h->rt);
    orr_type types[] = {
        {.size = sizeof types[0], .name = "test.work", .ud = h, .start = start_work},
        {.size = sizeof types[0], .name = "test.held", .ud = h, .start = start_held, .cancel = cancel_held}};
    for (int i = 0; i < 2; i++) assert_int_equal(orr_register(h->rt, &types[i]), ORR_OK);
    set_function(h, "from_handler", from_handler);
    set_function(h, "from_condition", from_condition);
}

static void steps(const host *h) {
    for (int i = 0; i < 20; i++) assert_true(orr_step(h->rt, 1000000) >= 0);
}

/* Lets the callback come about that is meant. */
static void provoke(host *h, orr_run_id held_run) {
    uv_timer_t timer;
    switch (h->place) {
    case IN_CANCEL: assert_int_equal(orr_cancel(h->rt, held_run), ORR_OK); break;
    case IN_ERROR: assert_null(orr_load_string(h->rt, "x x", "bad.lua")); break;
    case IN_NODE: {
        orr_builder *b = orr_build(h->rt, "graph", 1, 0);
        orr_build_node(b, "n", in_node, h);
        assert_false(orr_run_id_is_none(orr_start(h->rt, orr_build_end(b), NULL, NULL)));
        break;
    }
    case IN_LOOP:
        uv_timer_init(orr_loop(h->rt), &timer);
        timer.data = h;
        uv_timer_start(&timer, in_timer, 0, 0);
        steps(h);
        uv_close((uv_handle_t *)&timer, NULL);
        break;
    case IN_CONDITION: {
        orr_workflow *w = orr_load_string(h->rt, asks, "asks.lua");
        if (w == NULL) fail_msg("%s", orr_last_error(h->rt));
        assert_false(orr_run_id_is_none(orr_start(h->rt, w, NULL, NULL)));
        break;
    }
    default: break;
    }
    steps(h);
}

/* The runtime still does what it is there for. */
static void still_works(const host *h) {
    orr_workflow *w = orr_load_string(h->rt, source, "again.lua");
    assert_non_null(w);
    orr_run_id run = orr_start(h->rt, w, NULL, NULL);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    assert_string_equal(orr_output(h->rt, run), "1");
}

static void try_one(host *h, bool store) {
    open_host(h, store);
    h->calls = 0;
    h->starting = true;
    orr_workflow *held_one = orr_load_string(h->rt, held, "held.lua");
    h->spare = orr_load_string(h->rt, idle, "idle.lua");
    h->w = orr_load_string(h->rt, source, "w.lua");
    if (h->w == NULL || h->spare == NULL || held_one == NULL) fail_msg("%s", orr_last_error(h->rt));
    orr_run_id held_run = orr_start(h->rt, held_one, NULL, NULL);
    h->other = orr_start(h->rt, h->spare, NULL, NULL);
    steps(h);
    h->starting = false;
    h->run = orr_start(h->rt, h->w, NULL, NULL);
    provoke(h, held_run);
    for (int i = 0; i < 30000 && h->calls == 0; i++)
        if (orr_step(h->rt, 1000000) == 0) usleep(1000);
    if (h->calls == 0) fail_msg("%s did not come", places[h->place]);
    if (functions[h->function].refused && h->status != ORR_ESTATE)
        fail_msg("%s from %s: %d", functions[h->function].name, places[h->place], h->status);
    if (h->status < ORR_ESYSTEM)
        fail_msg("%s from %s gave no answer", functions[h->function].name, places[h->place]);
    still_works(h);
    assert_int_equal(orr_close(h->rt), ORR_OK);
}

/* With a store, which takes long, only from one callback of each kind. */
static bool is_left_out(int place, bool store) {
    return store && place != IN_START && place != IN_EVENT && place != IN_NODE && place != IN_END;
}

static void all_of(bool store) {
    host h = {0};
    snprintf(h.folder, sizeof h.folder, "/tmp/orrery-reentry-XXXXXX");
    assert_non_null(mkdtemp(h.folder));
    snprintf(h.url, sizeof h.url, "sqlite:%s/runs.db", h.folder);
    for (h.place = 0; h.place < PLACES; h.place++)
        for (h.function = 0; h.function < FUNCTIONS && !is_left_out(h.place, store); h.function++)
            try_one(&h, store);
    char line[128];
    snprintf(line, sizeof line, "rm -rf %s", h.folder);
    assert_int_equal(system(line), 0);
}

static void in_memory(void **state) {
    (void)state;
    all_of(false);
}

static void in_a_store(void **state) {
    (void)state;
    all_of(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_memory),
        cmocka_unit_test(in_a_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
