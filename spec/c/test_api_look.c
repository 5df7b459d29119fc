/* test_api_look.c - what a host sees of its runs without JSON: figures, nodes and items with their
 * states, why one waits, events as structs by callback and by asking, log lines, ends, and why a
 * run was cancelled. */
#include <orrery.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

typedef struct end {
    orr_run_id run;
    orr_run_state state;
    void *data;
    char output[64];
} end;

typedef struct host {
    orr_runtime *rt;
    int status;
    char message[256];
    end ends[64];
    int n_ends;
    uint32_t kinds[ORR_EVENT_KIND_COUNT];
    orr_event_info last; /* its texts are copied: */
    char texts[256];
    char log[1024];
    int json;
} host;

static void on_error(void *ud, const orr_error_info *error) {
    host *h = ud;
    h->status = error->status;
    snprintf(h->message, sizeof h->message, "%s", error->message);
}

static void on_end(void *ud, orr_run_id run, orr_run_state state, void *data) {
    host *h = ud;
    end *e = &h->ends[h->n_ends++ % 64];
    *e = (end){.run = run, .state = state, .data = data};
    const char *output = orr_output(h->rt, run);
    if (output != NULL) snprintf(e->output, sizeof e->output, "%s", output);
}

static void on_typed(void *ud, const orr_event_info *event) {
    host *h = ud;
    h->kinds[event->kind]++;
    h->last = *event;
    snprintf(h->texts, sizeof h->texts, "%s %s %s %s", event->name, event->node ? event->node : "-",
             event->code ? event->code : "-", event->message ? event->message : "-");
    orr_value node = orr_value_field(h->rt, event->fields, "node");
    if (event->node != NULL) assert_string_equal(orr_value_text(h->rt, node, NULL), event->node);
}

static void on_log(void *ud, const orr_log_line *line) {
    host *h = ud;
    size_t len = strlen(h->log);
    snprintf(h->log + len, sizeof h->log - len, "[%s %s %lld %s]", line->level, line->message,
             (long long)orr_value_integer(h->rt, orr_value_field(h->rt, line->fields, "n"), -1),
             line->node ? line->node : "-");
}

static orr_runtime *open_host(host *h, void (*set)(orr_config *config)) {
    orr_config config;
    orr_config_init(&config);
    config.clock = ORR_CLOCK_HOST;
    config.ud = h;
    config.on_error = on_error;
    if (set != NULL) set(&config);
    h->rt = orr_open(&config);
    if (h->rt == NULL) fail_msg("%s", h->message);
    return h->rt;
}

static orr_workflow *load(orr_runtime *rt, const char *nodes) {
    char text[2048];
    snprintf(
        text, sizeof text,
        "local flow = require 'orrery'\n"
        "local w = flow.workflow { name = 'w', output = '${nodes.last}', pools = { one = { max = 1 } } }\n"
        "%s\nreturn w\n",
        nodes);
    orr_workflow *w = orr_load_string(rt, text, "w.lua");
    if (w == NULL) fail_msg("%s", orr_last_error(rt));
    return w;
}

static orr_run_id start(orr_runtime *rt, orr_workflow *w, void *data) {
    orr_start_options options;
    orr_start_options_init(&options);
    options.data = data;
    orr_run_id id = orr_start(rt, w, NULL, &options);
    if (orr_run_id_is_none(id)) fail_msg("%s", orr_last_error(rt));
    return id;
}

static void settle(orr_runtime *rt) {
    while (orr_step(rt, SECOND) == 1) {
    }
}

/* ---- figures, nodes, why --------------------------------------------------------------------- */

static const char nodes[] =
    "w.first = { run = function() return 1 end }\n"
    "w.list = { each = { { name = 'oak' }, { name = 'elm' } }, item_name = '${item.name}', each_parallel = "
    "1,\n"
    "  run = function(ctx) if ctx.index == 2 then ctx:sleep(10) end return ctx.index end }\n"
    "w.asks = { run = function(ctx) return ctx:wait 'answer' end }\n"
    "w.holds = { pool = { name = 'one', hold = true }, run = function(ctx) ctx:sleep(60) end }\n"
    "w.waits = { pool = 'one', after = 'first', run = function() end }\n"
    "w.last = { after = { 'list', 'asks', 'waits' }, run = function() return 'end' end }\n";

static orr_explanation why(host *h, orr_run_id run, const char *node, uint32_t item) {
    orr_explanation e = {.size = sizeof e};
    assert_int_equal(orr_explain(h->rt, run, node, item, &e), ORR_OK);
    assert_string_equal(e.word, orr_why_kind_name(e.kind));
    return e;
}

static void shows_runs_nodes_and_items(void **state) {
    host h = {0};
    (void)state;
    orr_runtime *rt = open_host(&h, NULL);
    orr_run_id run = start(rt, load(rt, nodes), &h);
    settle(rt);
    orr_run_info info = {.size = sizeof info};
    assert_int_equal(orr_get_run(rt, run, &info), ORR_OK);
    assert_string_equal(info.workflow, "w");
    assert_int_equal(info.state, orr_state(rt, run));
    assert_ptr_equal(info.data, &h);
    assert_int_equal(info.nodes, 6);
    assert_int_equal(info.by_state[ORR_NODE_COMPLETED], 1);
    assert_int_equal(info.items, 2);
    assert_true(info.attempts >= 4 && info.bytes > 0);
    assert_true(info.created == orr_time(rt) && info.started == info.created && info.ended == 0);
    uint32_t all = 0;
    for (int i = 0; i < 16; i++) all += info.by_state[i];
    assert_int_equal(all, info.nodes);

    orr_node_info node = {.size = sizeof node};
    assert_int_equal(orr_get_node(rt, run, 1, 0, &node), ORR_OK);
    assert_string_equal(node.name, "list");
    assert_null(node.item_name);
    assert_int_equal(node.items, 2);
    assert_int_equal(orr_get_node(rt, run, 1, 1, &node), ORR_OK);
    assert_string_equal(node.item_name, "oak");
    assert_int_equal(node.state, ORR_NODE_COMPLETED);
    assert_int_equal(orr_get_node(rt, run, 1, 2, &node), ORR_OK);
    assert_string_equal(node.item_name, "elm");
    assert_int_equal(node.state, ORR_NODE_WAITING);
    assert_int_equal(orr_get_node(rt, run, 1, 3, &node), ORR_ENOTFOUND);
    assert_int_equal(orr_get_node(rt, run, 6, 0, &node), ORR_ENOTFOUND);
    assert_int_equal(orr_get_node(rt, run, 0, 1, &node), ORR_ENOTFOUND);
    for (uint32_t i = 0; i < info.nodes; i++) {
        assert_int_equal(orr_get_node(rt, run, i, 0, &node), ORR_OK);
        assert_int_equal(node.state, orr_node(rt, run, node.name));
    }

    assert_int_equal(why(&h, run, "first", 0).kind, ORR_WHY_SETTLED);
    orr_explanation e = why(&h, run, "asks", 0);
    assert_int_equal(e.kind, ORR_WHY_SIGNAL);
    assert_string_equal(e.name, "answer");
    e = why(&h, run, "waits", 0);
    assert_int_equal(e.kind, ORR_WHY_POOL);
    assert_string_equal(e.name, "one");
    assert_string_equal(e.by, "holds");
    assert_true(orr_run_id_is_none(e.by_run));
    assert_int_equal(e.limit, 1);
    e = why(&h, run, "list", 2);
    assert_int_equal(e.kind, ORR_WHY_TIMER);
    assert_true(e.due == orr_time(rt) + 10 * SECOND);
    assert_int_equal(why(&h, run, "last", 0).kind, ORR_WHY_DEPENDENCY);
    assert_int_equal(orr_explain(rt, run, "nobody", 0, &e), ORR_ENOTFOUND);

    orr_run_id second = start(rt, load(rt, nodes), NULL);
    settle(rt);
    e = why(&h, second, "holds", 0);
    assert_int_equal(e.kind, ORR_WHY_POOL);
    assert_memory_equal(e.by_run.bytes, run.bytes, sizeof run);
    assert_int_equal(orr_pause(rt, second), ORR_OK);
    assert_int_equal(why(&h, second, "holds", 0).kind, ORR_WHY_PAUSED);

    orr_runtime_info figures = {.size = sizeof figures};
    assert_int_equal(orr_get_runtime(rt, &figures), ORR_OK);
    assert_int_equal(figures.runs, 2);
    assert_int_equal(figures.live_runs, 2);
    assert_int_equal(figures.started, 2);
    assert_true(figures.bytes > 100000);
    orr_close(rt);
}

static void what_is_refused(void **state) {
    host h = {0};
    (void)state;
    orr_runtime *rt = open_host(&h, NULL);
    orr_run_id run = start(rt, load(rt, nodes), NULL);
    const orr_run_id nobody = {{1}};
    orr_run_info info = {.size = sizeof info};
    orr_node_info node = {.size = sizeof node};
    orr_explanation e = {.size = sizeof e};
    orr_runtime_info figures = {.size = sizeof figures};
    orr_event_info event = {.size = sizeof event};
    assert_int_equal(orr_get_run(rt, nobody, &info), ORR_ENOTFOUND);
    assert_int_equal(orr_get_node(rt, nobody, 0, 0, &node), ORR_ENOTFOUND);
    assert_int_equal(orr_explain(rt, nobody, "a", 0, &e), ORR_ENOTFOUND);
    assert_int_equal(orr_cancel_because(rt, nobody, "x"), ORR_ENOTFOUND);
    assert_int_equal(orr_next_event(rt, &event), ORR_ESTATE);
    assert_int_equal(orr_get_run(NULL, run, &info), ORR_EINVAL);
    assert_int_equal(orr_get_node(NULL, run, 0, 0, &node), ORR_EINVAL);
    assert_int_equal(orr_explain(NULL, run, "a", 0, &e), ORR_EINVAL);
    assert_int_equal(orr_get_runtime(NULL, &figures), ORR_EINVAL);
    assert_int_equal(orr_next_event(NULL, &event), ORR_EINVAL);
    assert_int_equal(orr_cancel_because(NULL, run, "x"), ORR_EINVAL);
    assert_int_equal(orr_explain(rt, run, NULL, 0, &e), ORR_EINVAL);
    info.size = node.size = e.size = figures.size = event.size = 0;
    assert_int_equal(orr_get_run(rt, run, &info), ORR_EINVAL);
    assert_int_equal(orr_get_node(rt, run, 0, 0, &node), ORR_EINVAL);
    assert_int_equal(orr_explain(rt, run, "first", 0, &e), ORR_EINVAL);
    assert_int_equal(orr_get_runtime(rt, &figures), ORR_EINVAL);
    assert_int_equal(orr_next_event(rt, &event), ORR_EINVAL);
    assert_int_equal(orr_get_run(rt, run, NULL), ORR_EINVAL);
    assert_int_equal(orr_get_node(rt, run, 0, 0, NULL), ORR_EINVAL);
    assert_int_equal(orr_explain(rt, run, "first", 0, NULL), ORR_EINVAL);
    assert_int_equal(orr_get_runtime(rt, NULL), ORR_EINVAL);
    assert_int_equal(orr_next_event(rt, NULL), ORR_EINVAL);
    assert_string_equal(orr_why_kind_name((orr_why_kind)-1), "?");
    assert_string_equal(orr_why_kind_name(ORR_WHY_COUNT), "?");
    assert_string_equal(orr_event_kind_name((orr_event_kinds)-1), "?");
    assert_string_equal(orr_event_kind_name(ORR_EVENT_KIND_COUNT), "?");
    assert_string_equal(orr_event_kind_name(ORR_EVENT_EMITTED), "emitted");
    orr_close(rt);
}

/* A program compiled against an older header has a shorter struct: nothing is written behind it. */
static void a_shorter_struct_is_filled_as_far_as_it_goes(void **state) {
    host h = {0};
    (void)state;
    orr_runtime *rt = open_host(&h, NULL);
    orr_run_id run = start(rt, load(rt, nodes), NULL);
    orr_run_info info;
    memset(&info, 0x55, sizeof info);
    info.size = offsetof(orr_run_info, attempts);
    assert_int_equal(orr_get_run(rt, run, &info), ORR_OK);
    assert_int_equal(info.nodes, 6);
    assert_true(info.attempts == UINT64_C(0x5555555555555555));
    assert_int_equal(info.size, offsetof(orr_run_info, attempts));
    orr_close(rt);
}

/* ---- events ---------------------------------------------------------------------------------- */

static const char tells[] =
    "w.first = { run = function(ctx)\n"
    "  ctx:emit('found', { n = 3 }) ctx:progress(0.25, 'a quarter') ctx:log('warn', 'low', { n = 7 })\n"
    "  ctx:sleep(2) error(flow.error { code = 'lost', message = 'no way' })\n"
    "end, on_error = 'ignore' }\n"
    "w.last = { after = 'first', run = function() print('hello', nil, 3) return 5 end }\n";

static void set_typed(orr_config *config) {
    config->on_typed_event = on_typed;
    config->events = ORR_EVENT_BIT(ORR_EVENT_NODE_FAILED) | ORR_EVENT_BIT(ORR_EVENT_EMITTED) |
                     ORR_EVENT_BIT(ORR_EVENT_PROGRESS) | ORR_EVENT_BIT(ORR_EVENT_RUN_COMPLETED);
}

static void events_come_as_structs(void **state) {
    host h = {0};
    (void)state;
    orr_runtime *rt = open_host(&h, set_typed);
    orr_run_id run = start(rt, load(rt, tells), &h);
    settle(rt);
    assert_int_equal(h.kinds[ORR_EVENT_EMITTED], 1);
    assert_int_equal(h.kinds[ORR_EVENT_PROGRESS], 1);
    assert_string_equal(h.texts, "progress first - a quarter");
    assert_true(h.last.fraction == 0.25 && h.last.attempt == 1 && h.last.item == 0);
    assert_ptr_equal(h.last.data, &h);
    assert_memory_equal(h.last.run.bytes, run.bytes, sizeof run);
    assert_true(h.last.time == orr_time(rt) / 1000 * 1000);
    orr_advance(rt, SECOND);
    orr_advance(rt, SECOND);
    while (h.kinds[ORR_EVENT_NODE_FAILED] == 0) assert_true(orr_step(rt, 0) >= 0);
    assert_string_equal(h.texts, "node_failed first lost no way");
    assert_true(h.last.took == 2 * SECOND);
    settle(rt);
    assert_int_equal(h.last.kind, ORR_EVENT_RUN_COMPLETED);
    for (int kind = 0; kind < ORR_EVENT_KIND_COUNT; kind++) {
        bool asked = kind == ORR_EVENT_NODE_FAILED || kind == ORR_EVENT_EMITTED ||
                     kind == ORR_EVENT_PROGRESS || kind == ORR_EVENT_RUN_COMPLETED;
        assert_int_equal(h.kinds[kind], asked);
    }
    orr_close(rt);
}

static void set_queue(orr_config *config) {
    config->event_queue = 4;
}

static void events_can_be_asked_for(void **state) {
    host h = {0};
    (void)state;
    orr_runtime *rt = open_host(&h, set_queue);
    orr_event_info event = {.size = sizeof event};
    assert_int_equal(orr_next_event(rt, &event), 0);
    start(rt, load(rt, tells), &h);
    settle(rt);
    orr_advance(rt, 2 * SECOND);
    settle(rt);
    /* only the latest are kept */
    static const char *const expected[] = {"node_started", "layer_completed", "node_completed",
                                           "run_completed"};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(orr_next_event(rt, &event), 1);
        assert_string_equal(event.name, expected[i]);
        assert_string_equal(orr_event_kind_name(event.kind), expected[i]);
        assert_string_equal(event.workflow, "w");
    }
    assert_true(orr_value_integer(rt, orr_value_field(rt, event.fields, "output"), 0) == 5);
    assert_int_equal(orr_next_event(rt, &event), 0);
    orr_runtime_info figures = {.size = sizeof figures};
    assert_int_equal(orr_get_runtime(rt, &figures), ORR_OK);
    assert_true(figures.events_lost > 0);
    orr_close(rt);
}

static void count_json(void *ud, const char *json) {
    ((host *)ud)->json += json[0] == '{';
}

static void set_both(orr_config *config) {
    set_typed(config);
    config->on_event = count_json;
}

/* Who wants all has all, whatever the other wants. */
static void json_and_structs_beside_each_other(void **state) {
    host h = {0};
    (void)state;
    orr_runtime *rt = open_host(&h, set_both);
    start(rt, load(rt, tells), NULL);
    settle(rt);
    orr_advance(rt, 2 * SECOND);
    settle(rt);
    assert_int_equal(h.kinds[ORR_EVENT_NODE_FAILED], 1);
    assert_int_equal(h.kinds[ORR_EVENT_NODE_STARTED], 0);
    assert_true(h.json > 8);
    orr_close(rt);
}

static void set_log(orr_config *config) {
    config->on_log = on_log;
    config->log_print = true;
}

static void logs_and_prints(void **state) {
    host h = {0};
    (void)state;
    orr_runtime *rt = open_host(&h, set_log);
    start(rt, load(rt, tells), NULL);
    settle(rt);
    assert_string_equal(h.log, "[warn low 7 first]");
    orr_advance(rt, 2 * SECOND);
    settle(rt);
    assert_string_equal(h.log, "[warn low 7 first][print hello\tnil\t3 -1 -]");
    orr_close(rt);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void set_end(orr_config *config) {
    config->on_end = on_end;
}

static void every_end_is_told_once(void **state) {
    host h = {0};
    (void)state;
    orr_runtime *rt = open_host(&h, set_end);
    orr_workflow *ok = load(rt, "w.last = { run = function() return 7 end }");
    orr_workflow *bad = load(rt, "w.last = { run = function() error 'no' end }");
    orr_workflow *late = load(rt, "w.last = { run = function(ctx) ctx:sleep(100) end }");
    orr_workflow *starts = load(rt, "local c = flow.workflow { name = 'c', output = 'x' }\n"
                                    "c.a = { run = function() end }\n"
                                    "w.last = { run = function(ctx) return ctx:call(c) end }");
    orr_run_id runs[] = {start(rt, ok, &runs[0]), start(rt, bad, &runs[1]), start(rt, late, &runs[2])};
    assert_int_equal(h.n_ends, 0);
    settle(rt);
    assert_int_equal(h.n_ends, 2);
    for (int i = 0; i < 2; i++) {
        assert_memory_equal(h.ends[i].run.bytes, runs[i].bytes, sizeof runs[i]);
        assert_ptr_equal(h.ends[i].data, &runs[i]);
        assert_int_equal(h.ends[i].state, orr_state(rt, runs[i]));
    }
    assert_int_equal(h.ends[0].state, ORR_RUN_COMPLETED);
    assert_string_equal(h.ends[0].output, "7");
    assert_int_equal(h.ends[1].state, ORR_RUN_FAILED);
    start(rt, starts, &h);
    settle(rt);
    assert_int_equal(h.n_ends, 4); /* with its child */
    assert_null(h.ends[2].data);
    assert_ptr_equal(h.ends[3].data, &h);
    orr_close(rt); /* of what it gives up it says nothing */
    assert_int_equal(h.n_ends, 4);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static void a_run_says_why_it_was_cancelled(void **state) {
    host h = {0};
    (void)state;
    orr_runtime *rt = open_host(&h, set_end);
    orr_workflow *w = load(rt, "w.last = { run = function(ctx) ctx:sleep(100) end }\n"
                               "w.after = { after = 'last', run = function() end }");
    orr_run_id run = start(rt, w, NULL), plain = start(rt, w, NULL), twice = start(rt, w, NULL);
    settle(rt);
    assert_int_equal(orr_cancel_because(rt, run, "the level was left"), ORR_OK);
    assert_int_equal(orr_cancel_because(rt, plain, NULL), ORR_OK);
    assert_int_equal(orr_cancel(rt, twice), ORR_OK);
    assert_int_equal(orr_cancel_because(rt, twice, "too late"), ORR_OK);
    settle(rt);
    assert_int_equal(orr_state(rt, run), ORR_RUN_CANCELLED);
    assert_non_null(strstr(orr_run_error_json(rt, run), "\"code\":\"cancelled\""));
    assert_non_null(strstr(orr_run_error_json(rt, run), "\"message\":\"the level was left\""));
    assert_non_null(strstr(orr_run_error_json(rt, plain), "the run was cancelled"));
    assert_non_null(strstr(orr_run_error_json(rt, twice), "the run was cancelled"));
    assert_int_equal(h.n_ends, 3);
    orr_close(rt);
}

static orr_runtime *open_store(host *h, const char *url) {
    orr_config config;
    orr_config_init(&config);
    config.ud = h;
    config.on_error = on_error;
    config.on_end = on_end;
    config.store = url;
    h->rt = orr_open(&config);
    if (h->rt == NULL) fail_msg("%s", h->message);
    return h->rt;
}

/* The reason is in the journal: it outlives the program, whether it came before the run was
 * suspended or as a message for whoever resumes it. */
static void the_reason_is_kept_in_the_store(void **state) {
    host h = {0};
    char folder[] = "/tmp/orrery-look-XXXXXX", url[64], line[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof url, "sqlite:%s/runs.db", folder);
    orr_runtime *rt = open_store(&h, url);
    orr_workflow *w = load(rt, "w.last = { run = function(ctx) ctx:wait 'never' end }");
    orr_run_id first = start(rt, w, NULL), second = start(rt, w, NULL);
    while (orr_node(rt, second, "last") != ORR_NODE_WAITING) assert_true(orr_step(rt, SECOND) >= 0);
    assert_int_equal(orr_cancel_because(rt, first, "no longer wanted"), ORR_OK);
    assert_int_equal(orr_wait(rt, first), ORR_OK);
    assert_int_equal(h.n_ends, 1);
    assert_int_equal(orr_suspend(rt, second), ORR_OK);
    assert_int_equal(h.n_ends, 2);
    assert_int_equal(h.ends[1].state, ORR_RUN_STATE_COUNT);
    assert_int_equal(orr_cancel_because(rt, second, "by a message"), ORR_OK);
    orr_close(rt);
    rt = open_store(&h, url);
    assert_non_null(strstr(orr_run_error_json(rt, first), "no longer wanted"));
    assert_int_equal(orr_resume(rt, second), ORR_OK);
    assert_int_equal(orr_wait(rt, second), ORR_OK);
    assert_int_equal(orr_state(rt, second), ORR_RUN_CANCELLED);
    assert_non_null(strstr(orr_run_error_json(rt, second), "by a message"));
    orr_close(rt);
    snprintf(line, sizeof line, "rm -rf %s", folder);
    assert_int_equal(system(line), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_runs_nodes_and_items),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(a_shorter_struct_is_filled_as_far_as_it_goes),
        cmocka_unit_test(events_come_as_structs),
        cmocka_unit_test(events_can_be_asked_for),
        cmocka_unit_test(json_and_structs_beside_each_other),
        cmocka_unit_test(logs_and_prints),
        cmocka_unit_test(every_end_is_told_once),
        cmocka_unit_test(a_run_says_why_it_was_cancelled),
        cmocka_unit_test(the_reason_is_kept_in_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
