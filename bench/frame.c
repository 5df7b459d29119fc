/* frame.c - what a game asks of the library: a frame with many characters, its budget, memory, and
 * the worst of the calls between frames. usage: frame LINE [COUNT [FOLDER]]
 *
 * Times are those of the thread's own processor clock, so that what else runs on the machine does
 * not count; only `overshoot` looks at the clock that the budget is measured by.
 */
#include "sample.h"

#include <lauxlib.h>
#include <lua.h>
#include <orrery.h>
#include <stdbool.h>
#include <string.h>

#define MS INT64_C(1000000)
#define FRAME (INT64_C(1000000000) / 60)
#define BUDGET (INT64_C(500000))

static int64_t clock_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int64_t cpu_ns(void) {
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* ---- samples --------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void *need_memory(size_t n, size_t size) {
    void *block = calloc(n, size);
    if (block == NULL) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
    return block;
}

/* Prints the median, 99 % and the worst, in seconds. */
static void say_spread(int64_t *ns, size_t n) {
    qsort(ns, n, sizeof *ns, ascending);
    size_t middle = n / 2, late = n - 1 - n / 100;
    sample_say("p50", (double)ns[middle] / 1e9);
    sample_say("p99", (double)ns[late] / 1e9);
    sample_say("worst", (double)ns[n - 1] / 1e9);
}

/* ---- the runtime ----------------------------------------------------------------------------- */

static void need(orr_runtime *rt, bool good) {
    if (good) return;
    fprintf(stderr, "bench: %s\n", rt != NULL ? orr_last_error(rt) : "the runtime cannot be opened");
    exit(1);
}

static orr_pool *pool;

static orr_runtime *open_as(const char *store, bool saveable) {
    orr_config config;
    orr_config_init(&config);
    config.store = store;
    config.saveable = saveable;
    config.durability = ORR_DURABLE_RELAXED;
    config.clock = ORR_CLOCK_HOST;
    config.gc = ORR_GC_LEFTOVER;
    if (store == NULL) {
        config.alloc = orr_pool_alloc;
        config.alloc_ud = pool = orr_pool_open();
    }
    orr_runtime *rt = orr_open(&config);
    need(rt, rt != NULL);
    return rt;
}

static orr_runtime *open_runtime(const char *store) {
    return open_as(store, false);
}

static orr_workflow *load(orr_runtime *rt, const char *handler) {
    char text[2048];
    snprintf(text, sizeof text,
             "local flow = require 'orrery'\n"
             "local w = flow.workflow { name = 'w' }\n"
             "w.a = %s\n"
             "return w\n",
             handler);
    orr_workflow *w = orr_load_string(rt, text, "w.lua");
    need(rt, w != NULL);
    return w;
}

static orr_run_id *start_many(orr_runtime *rt, orr_workflow *w, size_t n) {
    orr_run_id *ids = need_memory(n, sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        ids[i] = orr_start(rt, w, NULL, NULL);
        need(rt, !orr_run_id_is_none(ids[i]));
    }
    return ids;
}

/* Steps until nothing more can be done at once. */
static void settle(orr_runtime *rt) {
    int more;
    while ((more = orr_step(rt, 100 * MS)) == 1) {
    }
    need(rt, more == 0);
}

/* ---- the lines ------------------------------------------------------------------------------- */

/* A character looks around, moves and decides some times a second, and leaves garbage behind. */
static const char patrol[] = "{ run = function(ctx)\n"
                             "  local x, y, seen = 0, 0, {}\n"
                             "  for round = 1, math.huge do\n"
                             "    local step = { x = x + round % 3 - 1, y = y + round % 5 - 2 }\n"
                             "    x, y = step.x, step.y\n"
                             "    seen[round % 8] = ('post %d: %d, %d'):format(round, x, y)\n"
                             "    ctx:sleep(0.05 + (round * 7 + x * 13 + y) % 20 / 100)\n"
                             "  end\n"
                             "end }";

static void town(size_t n, const char *folder) {
    enum { WARM = 180, FRAMES = 1800 };
    (void)folder;
    orr_runtime *rt = open_runtime(NULL);
    free(start_many(rt, load(rt, patrol), n));
    int64_t *took = need_memory(FRAMES, sizeof *took);
    uint64_t full = 0;
    for (int i = -WARM; i < FRAMES; i++) {
        orr_advance(rt, FRAME);
        int64_t start = cpu_ns();
        int more = orr_step(rt, BUDGET);
        need(rt, more >= 0);
        if (i >= 0) took[i] = cpu_ns() - start;
        if (i >= 0) full += more == 1;
    }
    say_spread(took, FRAMES);
    sample_say("full", (double)full / FRAMES);
    sample_say("heap", lua_gc(orr_lua(rt), LUA_GCCOUNT) * 1024.0);
    orr_close(rt);
}

/* Handlers that compute for SLICE ns each: those that begin after the budget is gone. */
enum { SLICE = 20000 };
static int64_t budget_end;
static uint64_t late, begun;

static int burn(lua_State *L) {
    int64_t start = cpu_ns();
    (void)L;
    begun++;
    late += clock_ns(CLOCK_MONOTONIC) > budget_end;
    while (cpu_ns() - start < SLICE) {
    }
    return 0;
}

static void overshoot(size_t n, const char *folder) {
    (void)folder;
    orr_runtime *rt = open_runtime(NULL);
    lua_register(orr_lua(rt), "burn", burn);
    orr_workflow *w = load(rt, "{ run = function(ctx) for i = 1, 20 do burn() ctx:sleep(0) end end }");
    free(start_many(rt, w, n));
    uint64_t most = 0;
    int more = 1;
    while (more == 1) {
        late = 0;
        budget_end = clock_ns(CLOCK_MONOTONIC) + 100000;
        more = orr_step(rt, 100000);
        need(rt, more >= 0);
        if (late > most) most = late;
    }
    sample_expect("slices", begun, n * 20);
    sample_say("late", (double)most);
    orr_close(rt);
}

static void sleeper(size_t n, const char *folder) {
    (void)folder;
    orr_runtime *rt = open_runtime(NULL);
    orr_workflow *w = load(rt, "{ run = function(ctx) ctx:sleep('1h') end }");
    free(start_many(rt, w, 1));
    settle(rt);
    lua_gc(orr_lua(rt), LUA_GCCOLLECT);
    double before = sample_rss(), lua = lua_gc(orr_lua(rt), LUA_GCCOUNT) * 1024.0;
    for (size_t i = 0; i < n; i++) need(rt, !orr_run_id_is_none(orr_start(rt, w, NULL, NULL)));
    settle(rt);
    lua_gc(orr_lua(rt), LUA_GCCOLLECT);
    sample_say("bytes", (sample_rss() - before) / (double)n);
    sample_say("lua", (lua_gc(orr_lua(rt), LUA_GCCOUNT) * 1024.0 - lua) / (double)n);
    orr_close(rt);
}

static void due(size_t n, const char *folder) {
    enum { ROUNDS = 50 };
    (void)folder;
    orr_runtime *rt = open_runtime(NULL);
    orr_workflow *w = load(rt, "{ run = function(ctx) for i = 1, math.huge do ctx:sleep(0.1) end end }");
    free(start_many(rt, w, n));
    settle(rt);
    int64_t *took = need_memory(ROUNDS, sizeof *took);
    for (int i = 0; i < ROUNDS; i++) {
        orr_advance(rt, 150 * MS);
        int64_t start = cpu_ns();
        settle(rt);
        took[i] = cpu_ns() - start;
    }
    say_spread(took, ROUNDS);
    orr_close(rt);
}

static void idle(size_t n, const char *folder) {
    enum { STEPS = 200000 };
    (void)folder;
    orr_runtime *rt = open_runtime(NULL);
    free(start_many(rt, load(rt, "{ run = function(ctx) ctx:sleep('9h') end }"), n));
    settle(rt);
    while (orr_gc(rt, 100 * MS) == 1) {
    }
    int64_t start = cpu_ns();
    for (int i = 0; i < STEPS; i++) orr_step(rt, BUDGET);
    sample_say("step", (double)(cpu_ns() - start) / 1e9 / STEPS);
    orr_close(rt);
}

static orr_token *tokens;
static size_t n_tokens;

static void keep_token(void *ud, orr_runtime *rt, const orr_call *call) {
    (void)ud;
    (void)rt;
    tokens[n_tokens++] = call->token;
}

/* The same calls are made REPEATS times, each in a runtime of its own, and of each call the
 * shortest counts: what the call itself costs is there every time, what an interrupt or another
 * process costs is not. */
enum { REPEATS = 5 };

static void keep_least(int64_t *least, int64_t took, int repeat) {
    if (repeat == 0 || took < *least) *least = took;
}

static void complete_all(int64_t *least, size_t n, int repeat) {
    orr_runtime *rt = open_runtime(NULL);
    orr_type type = {.size = sizeof type, .name = "game.walk", .start = keep_token};
    need(rt, orr_register(rt, &type) == ORR_OK);
    n_tokens = 0;
    free(start_many(rt, load(rt, "flow.game.walk { to = 7 }"), n));
    settle(rt);
    sample_expect("tokens", n_tokens, n);
    for (size_t i = 0; i < n; i++) {
        int64_t start = cpu_ns();
        int status = orr_complete(rt, tokens[i], "{\"at\":[1,2],\"name\":\"post\"}");
        keep_least(&least[i], cpu_ns() - start, repeat);
        need(rt, status == ORR_OK);
        if (i % 100 == 99) need(rt, orr_step(rt, 100 * MS) >= 0);
    }
    orr_close(rt);
}

static void complete(size_t n, const char *folder) {
    int64_t *least = need_memory(n, sizeof *least);
    (void)folder;
    tokens = need_memory(n, sizeof *tokens);
    for (int repeat = 0; repeat < REPEATS; repeat++) complete_all(least, n, repeat);
    say_spread(least, n);
}

enum { ROUNDS = 10 };

static void signal_all(int64_t *least, size_t n, int repeat) {
    orr_runtime *rt = open_runtime(NULL);
    orr_run_id *ids = start_many(rt, load(rt, "{ run = function(ctx) while ctx:wait('go') do end end }"), n);
    settle(rt);
    for (size_t i = 0; i < n * ROUNDS; i++) {
        int64_t start = cpu_ns();
        int status = orr_signal(rt, ids[i % n], "go", "{\"to\":\"north gate\",\"speed\":3}");
        keep_least(&least[i], cpu_ns() - start, repeat);
        need(rt, status == ORR_OK);
        if (i % 100 == 99) need(rt, orr_step(rt, 100 * MS) >= 0);
    }
    free(ids);
    orr_close(rt);
}

static void signals(size_t n, const char *folder) {
    int64_t *least = need_memory(n * ROUNDS, sizeof *least);
    (void)folder;
    for (int repeat = 0; repeat < REPEATS; repeat++) signal_all(least, n, repeat);
    say_spread(least, n * ROUNDS);
}

/* ids in sequence, as a game would number its characters */
static orr_run_id numbered(size_t i) {
    orr_run_id id = {{0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80}};
    for (int at = 15; at > 9; at--, i >>= 8) id.bytes[at] = (uint8_t)i;
    return id;
}

/* A function of its own, so that a profiler can look at nothing else. */
__attribute__((noinline)) static void resume_all(orr_runtime *rt) {
    need(rt, orr_resume_all(rt, 0) == ORR_OK);
    while (orr_resuming(rt))
        if (orr_step(rt, 100 * MS) == 0) nanosleep(&(struct timespec){.tv_nsec = MS / 10}, NULL);
    settle(rt);
}

static void resume(size_t n, const char *folder) {
    char url[512];
    snprintf(url, sizeof url, "%s/frame.db", folder);
    for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end != NULL; end++) {
        char path[600];
        snprintf(path, sizeof path, "%s%s", url, *end);
        remove(path);
    }
    orr_runtime *rt = open_runtime(url);
    orr_workflow *w = load(rt, "{ run = function(ctx) ctx:wait('go') end }");
    for (size_t i = 0; i < n; i++) {
        orr_start_options options;
        orr_start_options_init(&options);
        options.id = numbered(i);
        need(rt, !orr_run_id_is_none(orr_start(rt, w, NULL, &options)));
        if (i % 100 == 99) need(rt, orr_step(rt, 10 * MS) >= 0);
    }
    settle(rt);
    need(rt, orr_sync(rt) == ORR_OK);
    orr_close(rt);

    rt = open_runtime(url);
    int64_t start = cpu_ns(), all = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    resume_all(rt);
    sample_say("resume", (double)(cpu_ns() - start) / 1e9);
    sample_say("resume_process", (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - all) / 1e9);
    start = cpu_ns();
    for (size_t i = 0; i < n; i++) sample_expect("state", orr_state(rt, numbered(i)), ORR_RUN_WAITING);
    sample_say("state", (double)(cpu_ns() - start) / 1e9 / (double)n);
    orr_close(rt);
}

/* An id that nothing has, beside many runs in memory. */
static void unknown(size_t n, const char *folder) {
    enum { TIMES = 1000 };
    (void)folder;
    orr_runtime *rt = open_runtime(NULL);
    free(start_many(rt, load(rt, "{ run = function(ctx) ctx:sleep('9h') end }"), n));
    settle(rt);
    int64_t start = cpu_ns();
    for (size_t i = 0; i < TIMES; i++)
        sample_expect("state", orr_state(rt, numbered(i)), ORR_RUN_STATE_COUNT);
    sample_say("state", (double)(cpu_ns() - start) / 1e9 / TIMES);
    orr_close(rt);
}

/* ---- saving and loading ---------------------------------------------------------------------- */

typedef struct saved {
    unsigned char *bytes;
    size_t size, room, read;
} saved;

static int keep_bytes(void *ud, const void *bytes, size_t size) {
    saved *s = ud;
    if (size > s->room - s->size) return 1;
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

/* Each character has done 20 steps: ten of its own, and as many sleeps. */
static const char steps[] =
    "{ run = function(ctx)\n"
    "  for i = 1, 10 do\n"
    "    ctx:step('look', function() return { x = i, y = i * 2, name = 'post' } end)\n"
    "    ctx:sleep(0.1)\n"
    "  end\n"
    "  ctx:sleep('9h')\n"
    "end }";

static void save(size_t n, const char *folder) {
    enum { TRIES = 9 };
    int64_t took[3][TRIES];
    saved s = {.room = n * 8192};
    (void)folder;
    s.bytes = need_memory(s.room, 1);
    orr_runtime *rt = open_as(NULL, true);
    int64_t start = cpu_ns();
    free(start_many(rt, load(rt, steps), n));
    for (int i = 0; i < 12; i++, orr_advance(rt, 100 * MS)) settle(rt);
    sample_say("step", (double)(cpu_ns() - start) / 1e9 / (double)n / 21);
    for (int i = 0; i < TRIES; i++) {
        s.size = s.read = 0;
        start = cpu_ns();
        need(rt, orr_save(rt, keep_bytes, &s) == ORR_OK);
        took[0][i] = cpu_ns() - start;
        orr_close(rt);
        rt = open_as(NULL, true);
        load(rt, steps);
        start = cpu_ns();
        need(rt, orr_load(rt, give_bytes, &s) == ORR_OK);
        took[1][i] = cpu_ns() - start;
        start = cpu_ns();
        settle(rt);
        took[2][i] = cpu_ns() - start;
        sample_expect("runs", orr_list_runs(rt, NULL, 0), n);
    }
    const size_t middle = TRIES / 2;
    for (int i = 0; i < 3; i++) qsort(took[i], TRIES, sizeof took[i][0], ascending);
    sample_say("save", (double)took[0][middle] / 1e9);
    sample_say("load", (double)took[1][middle] / 1e9);
    sample_say("replay", (double)took[2][middle] / 1e9);
    sample_say("bytes", (double)s.size / (double)n);
    orr_close(rt);
    free(s.bytes);
}

static const struct {
    const char *name;
    void (*run)(size_t n, const char *folder);
    size_t n;
} lines[] = {
    {"town", town, 2000},      {"overshoot", overshoot, 256}, {"sleeper", sleeper, 20000},
    {"due", due, 1000},        {"idle", idle, 100000},        {"complete", complete, 20000},
    {"signal", signals, 2000}, {"resume", resume, 10000},     {"unknown", unknown, 100000},
    {"save", save, 2000},
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < sizeof lines / sizeof *lines; i++) {
        if (strcmp(argv[1], lines[i].name) != 0) continue;
        size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
        lines[i].run(n > 0 ? n : lines[i].n, argc > 3 ? argv[3] : ".");
        return 0;
    }
    fprintf(stderr, "usage: frame LINE [COUNT [FOLDER]]; lines are");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) fprintf(stderr, " %s", lines[i].name);
    fprintf(stderr, "\n");
    return 2;
}
