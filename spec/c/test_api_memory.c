/* test_api_memory.c - every allocation may fail: each in turn, once and from there on, through
 * opening, loading, building, running, stepping, asking, saving and closing. Nothing crashes, hangs
 * or is lost, and a failure says that it was memory.
 *
 * The allocator itself forks: the child sees this allocation fail and lives to its end, the parent
 * goes on to the next one. So nothing is done twice. While it opens, most of which is the loading
 * of modules, one in twelve is tried, each from there on, and one in six where another runtime
 * loads what was saved. MEMORY_STRIDE=1 tries each of all of them, MEMORY_FIRST=n with a large
 * stride the n-th alone.
 */
#include <orrery.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "chance.h"

typedef struct heap {
    size_t bytes;
    uint64_t calls;
    uint64_t next;   /* the call that is tried next; 0: none */
    uint64_t stride; /* the most between two that are tried */
    chance chance;
    bool child, lasting; /* lasting: all later calls fail too */
    uint64_t first;      /* only those from here on; 0: all */
    uint64_t failed;     /* in the child: which call failed; 0: none yet */
    unsigned tried, bad;
} heap;

typedef struct life {
    heap *heap;
    orr_token tokens[16];
    int n_tokens, errors, others; /* others: errors that do not say that memory is out */
    char message[512];
} life;

static void on_error(void *ud, const orr_error_info *error) {
    life *l = ud;
    l->errors++;
    /* it failed before; and the end of a run may not have come to the host yet */
    static const char *const late[] = {"stale_token", "run_ended", "wrong_state",
                                       "not_found"}; /* given up: a record of it was lost */
    if (error->status == ORR_ENOMEM) return;
    /* a run cannot even be given up where there is no memory for good */
    if (error->status == ORR_ESTUCK && l->heap->lasting) return;
    for (size_t i = 0; i < sizeof late / sizeof *late; i++)
        if (strcmp(error->code, late[i]) == 0) return;
    l->others++;
    snprintf(l->message, sizeof l->message, "%d %s: %s", error->status, error->code, error->message);
}

static void on_event(void *ud, const char *json) {
    (void)ud;
    (void)json;
}

static void start_work(void *ud, orr_runtime *rt, const orr_call *call) {
    life *l = ud;
    (void)rt;
    if (l->n_tokens < 16) l->tokens[l->n_tokens++] = call->token;
}

static void on_typed(void *ud, const orr_event_info *event) {
    (void)ud;
    (void)event;
}

static void on_log(void *ud, const orr_log_line *line) {
    (void)ud;
    (void)line;
}

static void on_end(void *ud, orr_run_id run, orr_run_state state, void *data) {
    (void)ud;
    (void)run;
    (void)state;
    (void)data;
}

static int do_nothing(void *ud, uint32_t node) {
    (void)ud;
    (void)node;
    return ORR_OK;
}

static const char source[] =
    "local flow = require 'orrery'\n"
    "local w = flow.workflow { name = 'w', output = '${nodes.b}' }\n"
    "w.a = flow.my.type { x = '${input.n}', retry = 1 }\n"
    "w.b = { after = 'a', run = function(ctx, inputs)\n"
    "  ctx:sleep(0.001) ctx:log('info', 'x')\n"
    "  return { inputs.a, ctx:wait('go') }\n"
    "end, compensate = function() end }\n"
    "w.c = flow.switch { cases = { { big = 'input.n > 3' } }, default = 'small' }\n"
    "w.d = { after = 'c:big', run = function() return 1 end }\n"
    "w.e = { after = 'c:small', each = { 1, 2, 3 }, run = function(ctx) return ctx.item end }\n"
    "w.f = { after = { 'b', 'd', 'e' }, join = 'done', run = function() return 2 end }\n"
    "return w\n";

/* ---- the heap -------------------------------------------------------------------------------- */

static void live(heap *h);

/* In the child: whether the life from here on ends as it should. Does not return. */
static void end_child(const heap *h) {
    if (h->bytes != 0) {
        fprintf(stderr, "allocation %llu failed%s: %zu bytes were not given back\n",
                (unsigned long long)h->failed, h->lasting ? " and all later ones" : "", h->bytes);
        _exit(1);
    }
    _exit(0);
}

static void wait_for(heap *h, pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    h->tried++;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    h->bad++;
    if (WIFSIGNALED(status))
        fprintf(stderr, "allocation %llu failed%s: signal %d\n", (unsigned long long)h->calls,
                h->lasting ? " and all later ones" : "", WTERMSIG(status));
}

/* cmocka would go on with the next test after a crash. */
static void crash_plainly(void) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], SIG_DFL);
}

/* Whether this call fails. The parent lets a child see it fail, once and for good. */
static bool fails(heap *h) {
    h->calls++;
    if (h->child) return h->lasting && h->failed != 0;
    if (h->calls != h->next) return false;
    for (int lasting = 0; lasting < 2; lasting++) {
        h->lasting = lasting != 0;
        pid_t pid = fork();
        if (pid == 0) {
            crash_plainly();
            alarm(60); /* one that hangs is killed */
            h->child = true;
            h->failed = h->calls;
            return true;
        }
        wait_for(h, pid);
    }
    h->next += h->stride > 1 ? 1 + chance_below(&h->chance, (uint32_t)h->stride) : 1;
    return false;
}

static void *allocate(void *ud, void *ptr, size_t osize, size_t nsize) {
    heap *h = ud;
    if (ptr == NULL) osize = 0;
    if (nsize > osize && fails(h)) return NULL;
    if (nsize == 0) {
        free(ptr);
        h->bytes -= osize;
        return NULL;
    }
    void *block = realloc(ptr, nsize);
    if (block != NULL) h->bytes += nsize - osize;
    return block;
}

/* ---- a life ---------------------------------------------------------------------------------- */

static void build(orr_runtime *rt) {
    orr_builder *b = orr_build(rt, "g", 1, 0);
    orr_builder *given_up = orr_build(rt, NULL, 1, 0);
    if (given_up != NULL) orr_build_node(given_up, "a", do_nothing, NULL);
    if (b == NULL) return;
    for (int i = 0; i < 20; i++) orr_build_node(b, NULL, do_nothing, NULL);
    orr_build_edge(b, 0, 1);
    orr_workflow *w = orr_build_end(b);
    if (w == NULL) return;
    orr_start(rt, w, NULL, NULL);
    orr_step(rt, 0);
}

/* Values, figures and events; what could not be made is none, and goes on as that. */
static void look_around(orr_runtime *rt, orr_run_id run) {
    orr_run_info info = {.size = sizeof info};
    orr_node_info node = {.size = sizeof node};
    orr_explanation why = {.size = sizeof why};
    orr_runtime_info runtime = {.size = sizeof runtime};
    orr_event_info event = {.size = sizeof event};
    orr_value name = {0}, value = {0}, parsed = orr_value_from_json(rt, "{\"a\": [1, 2]}");
    while (orr_value_next(rt, parsed, &name, &value)) (void)orr_value_item(rt, value, 1);
    (void)orr_value_json(rt, parsed);
    (void)orr_get_run(rt, run, &info);
    (void)orr_get_node(rt, run, 4, 0, &node);
    (void)orr_explain(rt, run, "b", 0, &why);
    (void)orr_get_runtime(rt, &runtime);
    (void)orr_output_value(rt, run);
    while (orr_next_event(rt, &event) == 1) {
    }
}

/* {"y": [1, 2]}; none where it could not be made */
static orr_value made(orr_runtime *rt) {
    const orr_value none = {0};
    orr_value o = orr_value_object(rt), list = orr_value_array(rt);
    bool whole = o.number != 0 && list.number != 0 && orr_value_set_integer(rt, list, NULL, 1) == ORR_OK &&
                 orr_value_set_integer(rt, list, NULL, 2) == ORR_OK &&
                 orr_value_set(rt, o, "y", list) == ORR_OK;
    return whole ? o : none;
}

static void answer(orr_runtime *rt, orr_token token) {
    orr_value output = made(rt);
    if (output.number != 0) orr_complete_value(rt, token, output);
    else orr_complete(rt, token, "{\"y\": [1, 2]}");
}

typedef struct saved {
    unsigned char bytes[65536];
    size_t size, read;
} saved;

static int keep_bytes(void *ud, const void *bytes, size_t size) {
    saved *s = ud;
    if (size > sizeof s->bytes - s->size) return 1;
    memcpy(s->bytes + s->size, bytes, size);
    s->size += size;
    return 0;
}

static int64_t give_bytes(void *ud, void *to, size_t room) {
    saved *s = ud;
    size_t n = s->size - s->read < room ? s->size - s->read : room;
    memcpy(to, s->bytes + s->read, n);
    s->read += n;
    return (int64_t)n;
}

static saved game;

static void save_game(orr_runtime *rt) {
    game.size = game.read = 0;
    if (orr_save(rt, keep_bytes, &game) != ORR_OK) game.size = 0;
}

static void go_through(life *l, orr_runtime *rt, orr_run_id run) {
    for (int i = 0; i < 40 && !orr_run_ended(orr_state(rt, run)); i++) {
        orr_step(rt, 1000000);
        for (int k = 0; k < l->n_tokens; k++) answer(rt, l->tokens[k]);
        l->n_tokens = 0;
        if (i == 3) save_game(rt);
        if (i % 5 == 4 && !orr_run_ended(orr_state(rt, run))) orr_signal(rt, run, "go", "{\"z\": 1}");
    }
    (void)orr_why_json(rt, run, "b");
    (void)orr_node_output(rt, run, "a");
    (void)orr_output(rt, run);
    (void)orr_run_error_json(rt, run);
    look_around(rt, run);
    orr_cancel_because(rt, run, "enough");
    orr_wait(rt, run);
    orr_forget(rt, run);
}

static orr_config config_of(heap *h, life *l) {
    orr_config config;
    orr_config_init(&config);
    config.alloc = allocate;
    config.alloc_ud = h;
    config.ud = l;
    config.on_error = on_error;
    config.on_event = on_event;
    config.on_typed_event = on_typed;
    config.on_log = on_log;
    config.on_end = on_end;
    config.event_queue = 4;
    config.clock = ORR_CLOCK_VIRTUAL;
    config.saveable = true;
    return config;
}

static orr_workflow *load_source(orr_runtime *rt, life *l) {
    orr_type type = {.size = sizeof type, .name = "my.type", .ud = l, .start = start_work};
    return orr_register(rt, &type) == ORR_OK ? orr_load_string(rt, source, "w.lua") : NULL;
}

/* What was saved is loaded in another runtime, whose opening and loading of modules is not tried
 * again. */
static void live_on(heap *h, life *l) {
    orr_config config = config_of(h, l);
    orr_run_id id;
    if (h->child || game.size == 0) return;
    h->next = 0;
    orr_runtime *rt = orr_open(&config);
    orr_workflow *w = rt != NULL ? load_source(rt, l) : NULL;
    if (h->first == 0) {
        h->next = h->calls + 1;
        if (h->stride < 12) h->stride = 12; /* one in six */
    }
    if (w != NULL && orr_load(rt, give_bytes, &game) == ORR_OK && orr_list_runs(rt, &id, 1) > 0) {
        for (int i = 0; i < 5; i++) orr_step(rt, 1000000);
        save_game(rt);
        orr_cancel(rt, id);
        orr_wait(rt, id);
    }
    orr_close(rt);
}

static void live(heap *h) {
    life l = {.heap = h};
    orr_config config = config_of(h, &l);
    orr_runtime *rt = orr_open(&config);
    if (!h->child && h->first == 0) { /* from here on each one */
        h->stride = 1;
        h->next = h->calls + 1;
    }
    if (rt != NULL) {
        orr_workflow *w = load_source(rt, &l);
        build(rt);
        orr_start_options options;
        orr_start_options_init(&options);
        options.context_json = "{\"c\":1}";
        orr_run_id run = {{0}};
        if (w != NULL && orr_reload_string(w, source, "w.lua") != ORR_OK) /* it is what it was */
            assert_true(orr_workflow_size(w) > 0);
        if (w != NULL) run = orr_start(rt, w, "{\"n\": 2}", &options);
        if (!orr_run_id_is_none(run)) go_through(&l, rt, run);
        orr_close(rt);
    }
    live_on(h, &l);
    if (h->child && l.others > 0) {
        fprintf(stderr, "allocation %llu failed: %s\n", (unsigned long long)h->failed, l.message);
        _exit(2);
    }
    if (h->child) end_child(h);
}

static void each_allocation(void **state) {
    (void)state;
    const char *stride = getenv("MEMORY_STRIDE"), *first = getenv("MEMORY_FIRST");
    heap h = {.chance = chance_begin("which allocations fail")};
    h.stride = stride != NULL ? strtoull(stride, NULL, 0) : 24;
    h.first = first != NULL ? strtoull(first, NULL, 0) : 0;
    h.next = h.first != 0 ? h.first : 1;
    live(&h);
    printf("%u of %llu allocations failed, each once and for good\n", h.tried / 2,
           (unsigned long long)h.calls);
    assert_int_equal(h.bad, 0);
    assert_int_equal(h.bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
