/* test_api.c - the public C API, used as a program would: nothing but orrery.h. */
#include <orrery.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct seen {
    int errors, events, status;
    char code[64], message[1024];
} seen;

static void on_error(void *ud, const orr_error_info *error) {
    seen *s = ud;
    s->errors++;
    s->status = error->status;
    snprintf(s->code, sizeof s->code, "%s", error->code);
    snprintf(s->message, sizeof s->message, "%s", error->message);
}

static void on_event(void *ud, const char *json) {
    seen *s = ud;
    s->events += json[0] == '{';
}

static orr_runtime *open_one(seen *s, int clock) {
    orr_config config;
    orr_config_init(&config);
    config.clock = clock;
    config.ud = s;
    config.on_error = on_error;
    config.on_event = on_event;
    orr_runtime *rt = orr_open(&config);
    if (rt == NULL) fail_msg("orr_open: %s", s->message);
    return rt;
}

static const char hello[] = "local flow = require 'orrery'\n"
                            "local w = flow.workflow { name = 'hello', input = flow.schema { who = 'string' "
                            "}, output = '${nodes.greet}' }\n"
                            "w.greet = function(ctx) end\n";

static const char greet[] =
    "local flow = require 'orrery'\n"
    "local w = flow.workflow { name = 'hello', input = flow.schema { who = 'string' }, output = "
    "'${nodes.greet}' }\n"
    "w.greet = { run = function(ctx) ctx:sleep('3d') return 'Hello, ' .. ctx.input.who end }\n"
    "return w\n";

static void runs_a_script(void **state) {
    seen s = {0};
    orr_runtime *rt = open_one(&s, ORR_CLOCK_VIRTUAL);
    (void)state;
    orr_workflow *w = orr_load_string(rt, greet, "greet.lua");
    assert_non_null(w);
    assert_int_equal(orr_workflow_size(w), 1);
    orr_run_id run = orr_start(rt, w, "{\"who\":\"you\"}", NULL);
    assert_false(orr_run_id_is_none(run));
    assert_null(orr_output(rt, run));
    assert_int_equal(orr_wait(rt, run), ORR_OK);
    assert_int_equal(orr_state(rt, run), ORR_RUN_COMPLETED);
    assert_string_equal(orr_output(rt, run), "\"Hello, you\"");
    assert_string_equal(orr_node_output(rt, run, "greet"), "\"Hello, you\"");
    assert_null(orr_node_output(rt, run, "nobody"));
    assert_int_equal(orr_node(rt, run, "greet"), ORR_NODE_COMPLETED);
    assert_int_equal(orr_node(rt, run, "nobody"), ORR_NODE_STATE_COUNT);
    assert_non_null(strstr(orr_why_json(rt, run, "greet"), "completed"));
    assert_true(s.events >= 4);
    assert_int_equal(orr_forget(rt, run), ORR_OK);
    assert_int_equal(orr_forget(rt, run), ORR_ENOTFOUND);
    assert_int_equal(orr_state(rt, run), ORR_RUN_STATE_COUNT);
    orr_close(rt);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void says(orr_runtime *rt, orr_run_id run, const char *output) {
    assert_int_equal(orr_wait(rt, run), ORR_OK);
    assert_string_equal(orr_output(rt, run), output);
}

/* The new code and its module are what new runs take; a live run, and a mistake, keep the old. */
static void reloads(void **state) {
    static const char old[] = "local flow = require 'orrery'\n"
                              "package.path = '%s/?.lua;' .. package.path\n"
                              "local said = require 'orr_test_said'\n"
                              "local w = flow.workflow { name = 'hot', output = '${nodes.a}' }\n"
                              "w.a = { run = function(ctx) ctx:sleep('1s') return said end }\n"
                              "return w\n";
    char folder[] = "/tmp/orr_reload_XXXXXX", path[64], module[64], text[512];
    seen s = {0};
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/hot.lua", folder);
    snprintf(module, sizeof module, "%s/orr_test_said.lua", folder);
    snprintf(text, sizeof text, old, folder);
    write_file(path, text);
    write_file(module, "return 'old'\n");
    orr_runtime *rt = open_one(&s, ORR_CLOCK_VIRTUAL);
    orr_workflow *w = orr_load_file(rt, path), *from_text = orr_load_string(rt, greet, "greet.lua");
    assert_string_equal(s.message, "");
    assert_non_null(w);
    orr_run_id live = orr_start(rt, w, NULL, NULL);
    orr_step(rt, -1);
    write_file(module, "return 'new'\n");
    assert_int_equal(orr_reload(w, NULL), ORR_OK);
    orr_run_id next = orr_start(rt, w, NULL, NULL);
    says(rt, live, "\"old\"");
    says(rt, next, "\"new\"");
    write_file(module, "return returns\nend\n");
    assert_int_equal(orr_reload(w, NULL), ORR_EDEFINITION);
    assert_non_null(strstr(s.message, "orr_test_said.lua"));
    says(rt, orr_start(rt, w, NULL, NULL), "\"new\"");
    assert_int_equal(orr_reload_string(w, greet, "greet.lua"), ORR_OK);
    assert_string_equal(orr_workflow_node(w, 0), "greet");
    says(rt, orr_start(rt, w, "{\"who\":\"you\"}", NULL), "\"Hello, you\"");
    assert_int_equal(orr_reload(from_text, NULL), ORR_EDEFINITION);
    assert_non_null(strstr(s.message, "orr_reload_string"));
    assert_int_equal(orr_reload_string(w, NULL, NULL), ORR_EINVAL);
    assert_int_equal(orr_reload(NULL, path), ORR_EINVAL);
    orr_close(rt);
    remove(path);
    remove(module);
    rmdir(folder);
}

static const char triggered[] = "local flow = require 'orrery'\n"
                                "local w = flow.workflow { name = 'w', output = '${nodes.t.kind}' }\n"
                                "w.t = flow.trigger {}\n"
                                "return w\n";

static void says_who_started_it(void **state) {
    seen s = {0};
    orr_runtime *rt = open_one(&s, ORR_CLOCK_VIRTUAL);
    (void)state;
    orr_workflow *w = orr_load_string(rt, triggered, "w.lua");
    assert_non_null(w);
    orr_run_id run = orr_start(rt, w, "{\"n\":1}", NULL);
    assert_int_equal(orr_wait(rt, run), ORR_OK);
    assert_string_equal(orr_output(rt, run), "\"c_api\"");
    orr_close(rt);
}

static const char one_at_a_time[] =
    "local flow = require 'orrery'\n"
    "local w = flow.workflow { name = 'one', singleton = true, on_conflict = %s }\n"
    "w.a = { run = function(ctx) ctx:sleep('1d') end }\n"
    "return w\n";

static orr_workflow *load_one(orr_runtime *rt, const char *conflict) {
    char text[512];
    snprintf(text, sizeof text, one_at_a_time, conflict);
    orr_workflow *w = orr_load_string(rt, text, "one.lua");
    assert_non_null(w);
    return w;
}

/* Of a workflow with a lock: the second run waits, is the first, or is refused. */
static void one_run_at_a_time(void **state) {
    static const orr_run_id none;
    seen s = {0};
    orr_runtime *rt = open_one(&s, ORR_CLOCK_VIRTUAL);
    (void)state;
    orr_workflow *w = load_one(rt, "'queue'"), *skip = load_one(rt, "'skip'"), *fail = load_one(rt, "'fail'");
    orr_run_id a = orr_start(rt, w, NULL, NULL), b = orr_start(rt, w, NULL, NULL);
    assert_int_equal(orr_state(rt, b), ORR_RUN_PENDING);
    assert_non_null(strstr(orr_why_json(rt, b, "a"), "\"lock\""));
    assert_memory_equal(orr_start(rt, skip, NULL, NULL).bytes, a.bytes, sizeof a);
    assert_memory_equal(orr_start(rt, fail, NULL, NULL).bytes, none.bytes, sizeof none);
    assert_int_equal(s.status, ORR_ESTATE);
    assert_string_equal(s.code, "conflict");
    assert_int_equal(orr_wait(rt, b), ORR_OK);
    assert_int_equal(orr_state(rt, a), ORR_RUN_COMPLETED);
    assert_int_equal(orr_state(rt, b), ORR_RUN_COMPLETED);
    orr_close(rt);
}

static const char draws[] = "local flow = require 'orrery'\n"
                            "local w = flow.workflow { name = 'draws', output = '${nodes.last}' }\n"
                            "w.each = { each = { 1, 2, 3, 4 }, run = function(ctx)\n"
                            "  return ctx:random(1000000000)\n"
                            "end }\n"
                            "w.last = { after = 'each', run = function(_, inputs) return inputs.each end }\n"
                            "return w\n";

static const char fails_at_its_end[] =
    "local flow = require 'orrery'\n"
    "local w = flow.workflow { name = 'ends', output = '${nodes.a.x + 1}' }\n"
    "w.a = { run = function() return { x = 'no number' } end }\n"
    "return w\n";

static void output_of(orr_runtime *rt, orr_workflow *w, const orr_start_options *o, char *to, size_t size) {
    orr_run_id run = orr_start(rt, w, NULL, o);
    assert_int_equal(orr_wait(rt, run), ORR_OK);
    assert_int_equal(orr_state(rt, run), ORR_RUN_COMPLETED);
    snprintf(to, size, "%s", orr_output(rt, run));
}

/* The same seed gives the same chance, another one another. */
static void takes_a_seed(void **state) {
    seen s = {0};
    orr_start_options o;
    char first[256], again[256], other[256];
    (void)state;
    orr_runtime *rt = open_one(&s, ORR_CLOCK_VIRTUAL);
    orr_workflow *w = orr_load_string(rt, draws, "draws.lua");
    assert_non_null(w);
    orr_start_options_init(&o);
    o.seed = 7;
    output_of(rt, w, &o, first, sizeof first);
    output_of(rt, w, &o, again, sizeof again);
    o.seed = 8;
    output_of(rt, w, &o, other, sizeof other);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    orr_close(rt);
}

/* All nodes did well, but what the run is to output cannot be computed: it has failed. */
static void a_run_whose_output_fails(void **state) {
    seen s = {0};
    (void)state;
    orr_runtime *rt = open_one(&s, ORR_CLOCK_VIRTUAL);
    orr_workflow *w = orr_load_string(rt, fails_at_its_end, "ends.lua");
    assert_non_null(w);
    orr_run_id run = orr_start(rt, w, NULL, NULL);
    assert_int_equal(orr_wait(rt, run), ORR_OK);
    assert_int_equal(orr_node(rt, run, "a"), ORR_NODE_COMPLETED);
    assert_int_equal(orr_state(rt, run), ORR_RUN_FAILED);
    assert_non_null(strstr(orr_run_error_json(rt, run), "config_error"));
    orr_close(rt);
}

/* A definition that is data does what it is allowed, whatever its name. */
static void allows_what_it_is_told(orr_runtime *rt) {
    static const char runs[] =
        "{\"name\":\"x\",\"nodes\":[{\"id\":\"a\",\"type\":\"exec\",\"with\":{\"argv\":[\"true\"]}}]}";
    assert_null(orr_load_json(rt, runs, NULL, NULL));
    assert_non_null(strstr(orr_last_error(rt), "not allowed"));
    assert_null(orr_load_string(rt, runs, "x.json"));
    orr_workflow *w = orr_load_json(rt, runs, NULL, "{\"types\":[\"exec\"],\"commands\":[\"true\"]}");
    assert_non_null(w);
    orr_workflow_free(w);
    assert_null(orr_load_json(rt, runs, NULL, "{\"type\":[\"exec\"]}"));
    assert_null(orr_load_json(rt, runs, NULL, "[1"));
    assert_null(orr_load_json(rt, runs, NULL, "1"));
    assert_null(orr_load_json(rt, NULL, NULL, NULL));
    assert_null(orr_load_json(rt, "return 1", "x.lua", NULL));
    assert_non_null(strstr(orr_last_error(rt), "not valid JSON"));
}

static void says_what_is_wrong(void **state) {
    seen s = {0};
    orr_runtime *rt = open_one(&s, ORR_CLOCK_REAL);
    (void)state;
    assert_null(orr_load_string(rt, hello, "hello.lua"));
    assert_non_null(strstr(orr_last_error(rt), "hello.lua"));
    assert_null(orr_load_string(rt, "return 1 +", "broken.lua"));
    assert_non_null(strstr(orr_last_error(rt), "broken.lua:1"));
    assert_null(orr_load_file(rt, "/nowhere/at/all.lua"));
    assert_non_null(strstr(orr_last_error(rt), "/nowhere/at/all.lua"));
    assert_null(
        orr_load_string(rt, "{\"name\":\"x\",\"nodes\":[{\"id\":\"a\",\"type\":\"dealy\"}]}", "x.json"));
    assert_int_equal(s.status, ORR_EDEFINITION);
    assert_non_null(strstr(orr_last_error(rt), "delay"));
    allows_what_it_is_told(rt);
    assert_null(orr_load_file(rt, NULL));
    orr_workflow *w = orr_load_string(rt, greet, "greet.lua");
    assert_true(orr_run_id_is_none(orr_start(rt, w, "{\"who\":1}", NULL)));
    assert_int_equal(s.status, ORR_EINVAL);
    assert_non_null(strstr(orr_last_error(rt), "input.who"));
    assert_true(orr_run_id_is_none(orr_start(rt, w, "{\"who\":", NULL)));
    assert_non_null(strstr(orr_last_error(rt), "input:1:8"));
    orr_close(rt);
}

/* ---- native types ---------------------------------------------------------------------------- */

typedef struct worker {
    orr_token token;
    int started, cancelled;
    char config[128], inputs[128];
    bool at_once;
} worker;

static void work(void *ud, orr_runtime *rt, const orr_call *call) {
    worker *w = ud;
    w->token = call->token;
    w->started++;
    snprintf(w->config, sizeof w->config, "%s", call->config);
    snprintf(w->inputs, sizeof w->inputs, "%s", call->inputs);
    if (w->at_once) assert_int_equal(orr_complete(rt, call->token, "{\"n\":1.0}"), ORR_OK);
}

static void stop_work(void *ud, orr_runtime *rt, orr_token token) {
    worker *w = ud;
    w->cancelled++;
    orr_fail(rt, token, "stopped", "it was asked to", false);
}

static const char native[] = "local flow = require 'orrery'\n"
                             "local w = flow.workflow { name = 'n', output = '${nodes.b}' }\n"
                             "w.a = flow.test.work { level = 3, retry = 1, timeout = '10s' }\n"
                             "w.b = { after = 'a', run = function(_, inputs) return inputs.a end }\n"
                             "return w\n";

static orr_run_id start_native(orr_runtime *rt, worker *w) {
    orr_type type = {.size = sizeof type, .name = "test.work", .ud = w, .start = work, .cancel = stop_work};
    assert_int_equal(orr_register(rt, &type), ORR_OK);
    assert_int_equal(orr_register(rt, &type), ORR_EINVAL); /* the name is taken */
    orr_workflow *flow = orr_load_string(rt, native, "native.lua");
    if (flow == NULL) fail_msg("%s", orr_last_error(rt));
    return orr_start(rt, flow, NULL, NULL);
}

static void drain(orr_runtime *rt) {
    int more;
    while ((more = orr_step(rt, 1000000)) > 0) {
    }
    assert_int_equal(more, 0);
}

static void native_at_once(void **state) {
    seen s = {0};
    worker w = {.at_once = true};
    orr_runtime *rt = open_one(&s, ORR_CLOCK_REAL);
    (void)state;
    orr_run_id run = start_native(rt, &w);
    drain(rt);
    assert_string_equal(orr_output(rt, run), "{\"n\":1.0}");
    assert_string_equal(w.config, "{\"level\":3}");
    assert_string_equal(w.inputs, "{}");
    assert_int_equal(orr_complete(rt, w.token, "1"), ORR_ESTATE);
    orr_close(rt);
}

static void native_later(void **state) {
    seen s = {0};
    worker w = {0};
    orr_runtime *rt = open_one(&s, ORR_CLOCK_VIRTUAL);
    (void)state;
    orr_run_id run = start_native(rt, &w);
    drain(rt);
    /* a virtual clock stands still while a native node is under way: its timeout does not come */
    assert_int_equal(w.started, 1);
    assert_int_equal(w.cancelled, 0);
    assert_int_equal(orr_progress(rt, w.token, 0.5, "half"), ORR_OK);
    assert_int_equal(orr_fail(rt, w.token, "busy", "try again", true), ORR_OK);
    drain(rt);
    assert_int_equal(w.started, 2);
    assert_int_equal(orr_complete(rt, w.token, "{\"unfinished\":"), ORR_EINVAL);
    drain(rt);
    assert_int_equal(orr_state(rt, run), ORR_RUN_FAILED);
    assert_non_null(strstr(orr_run_error_json(rt, run), "invalid_output"));
    orr_close(rt);
}

static void native_cancelled(void **state) {
    seen s = {0};
    worker w = {0};
    orr_runtime *rt = open_one(&s, ORR_CLOCK_REAL);
    (void)state;
    orr_run_id run = start_native(rt, &w);
    drain(rt);
    assert_int_equal(orr_cancel(rt, run), ORR_OK);
    drain(rt);
    assert_int_equal(w.cancelled, 1);
    assert_int_equal(orr_state(rt, run), ORR_RUN_CANCELLED);
    orr_close(rt);
}

/* Closing with a native attempt under way: nothing is called any more, nothing leaks. */
static void closed_in_the_middle(void **state) {
    seen s = {0};
    worker w = {0};
    orr_runtime *rt = open_one(&s, ORR_CLOCK_REAL);
    (void)state;
    start_native(rt, &w);
    drain(rt);
    orr_close(rt);
}

/* ---- graphs of C functions ------------------------------------------------------------------- */

static int count(void *ud, uint32_t node) {
    uint32_t *order = ud;
    order[order[0]++ + 1] = node;
    return node == 99 ? ORR_EINVAL : ORR_OK;
}

static void built_graph(void **state) {
    seen s = {0};
    uint32_t order[8] = {0};
    orr_runtime *rt = open_one(&s, ORR_CLOCK_REAL);
    (void)state;
    orr_builder *b = orr_build(rt, "diamond", 4, 4);
    for (int i = 0; i < 4; i++) assert_int_equal(orr_build_node(b, NULL, count, order), i);
    orr_build_edge(b, 3, 0);
    orr_build_edge(b, 3, 1);
    orr_build_edge(b, 0, 2);
    orr_build_edge(b, 1, 2);
    orr_workflow *w = orr_build_end(b);
    assert_non_null(w);
    orr_run_id run = orr_start(rt, w, NULL, NULL);
    assert_int_equal(orr_wait(rt, run), ORR_OK);
    assert_int_equal(orr_state(rt, run), ORR_RUN_COMPLETED);
    static const uint32_t expected[] = {4, 3, 0, 1, 2};
    assert_memory_equal(order, expected, sizeof expected);
    orr_close(rt);
}

static void built_wrong(void **state) {
    seen s = {0};
    uint32_t order[8] = {0};
    orr_runtime *rt = open_one(&s, ORR_CLOCK_REAL);
    (void)state;
    orr_builder *b = orr_build(rt, "cycle", 0, 0);
    assert_int_equal(orr_build_node(b, NULL, NULL, NULL), ORR_EINVAL);
    orr_build_node(b, "a", count, order);
    orr_build_node(b, "a", count, order);
    orr_build_edge(b, 0, 1);
    orr_build_edge(b, 1, 0);
    assert_null(orr_build_end(b));
    assert_non_null(strstr(orr_last_error(rt), "node 1 has the same name as node 0"));
    assert_non_null(strstr(orr_last_error(rt), "0 -> 1 -> 0"));
    orr_close(rt);
}

/* ---- memory ---------------------------------------------------------------------------------- */

typedef struct heap {
    size_t bytes;
    uint64_t calls, fail_at;
} heap;

static void *allocate(void *ud, void *ptr, size_t osize, size_t nsize) {
    heap *h = ud;
    if (nsize > osize && h->fail_at > 0 && ++h->calls >= h->fail_at) return NULL;
    if (nsize == 0) {
        free(ptr);
        h->bytes -= ptr != NULL ? osize : 0;
        return NULL;
    }
    void *p = realloc(ptr, nsize);
    if (p != NULL) h->bytes += nsize - (ptr != NULL ? osize : 0);
    return p;
}

static void one_life(heap *h) {
    orr_config config;
    orr_config_init(&config);
    config.alloc = allocate;
    config.alloc_ud = h;
    config.clock = ORR_CLOCK_VIRTUAL;
    orr_runtime *rt = orr_open(&config);
    if (rt == NULL) return;
    orr_workflow *w = orr_load_string(rt, greet, "greet.lua");
    if (w != NULL) {
        orr_run_id run = orr_start(rt, w, "{\"who\":\"you\"}", NULL);
        if (!orr_run_id_is_none(run)) {
            orr_wait(rt, run);
            orr_output(rt, run);
        }
    }
    orr_close(rt);
}

/* From some allocation on there is no memory any more: whatever that hits, everything is given
 * back. Opening takes some 20,000 allocations, most of them the loading of modules, so only some
 * are tried. */
static void no_memory(void **state) {
    heap h = {0};
    (void)state;
    h.fail_at = UINT64_MAX;
    one_life(&h);
    assert_int_equal(h.bytes, 0);
    uint64_t all = h.calls, stride = all / 60 + 1;
    for (uint64_t at = 1; at < all + stride; at += at < 200 ? 7 : stride) {
        h = (heap){0, 0, at};
        one_life(&h);
        if (h.bytes != 0)
            fail_msg("allocation %llu of %llu failed: %zu bytes were not given back", (unsigned long long)at,
                     (unsigned long long)all, h.bytes);
    }
}

static void words(void **state) {
    (void)state;
    assert_string_equal(orr_strerror(ORR_OK), "success");
    assert_string_equal(orr_strerror(-99), "unknown status");
    assert_string_equal(orr_version(), ORR_VERSION);
    char text[37];
    orr_run_id id = {{0x01, 0x93, 0xaf, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x0f}};
    orr_run_id_text(id, text);
    assert_string_equal(text, "0193af00-0000-7000-8000-00000000000f");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(runs_a_script),
        cmocka_unit_test(reloads),
        cmocka_unit_test(says_who_started_it),
        cmocka_unit_test(one_run_at_a_time),
        cmocka_unit_test(takes_a_seed),
        cmocka_unit_test(a_run_whose_output_fails),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(native_at_once),
        cmocka_unit_test(native_later),
        cmocka_unit_test(native_cancelled),
        cmocka_unit_test(closed_in_the_middle),
        cmocka_unit_test(built_graph),
        cmocka_unit_test(built_wrong),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
