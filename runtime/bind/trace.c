/* trace.c - lines of a trace kept for Lua: core.trace and core.traced.
 *
 * Threads report lines at any time, and Lua asks when it likes; so they are kept in a ring in
 * between. The oldest are lost where nobody asks. The ring is never freed before the state, since
 * the threads of stores report until those are closed, which finalisers do.
 */
#include "bind/inner.h"
#include "fiber/fiber.h"
#include <lauxlib.h>
#include <stdio.h>

enum { LINES = 512 };

typedef struct kept {
    int64_t time; /* since the epoch (ns) */
    const char *topic;
    char text[501];
} kept;

typedef struct ring {
    uv_mutex_t mutex;
    orr_trace before; /* what was reported to before, and still is */
    unsigned keeps;   /* topics */
    uint64_t kept, asked;
    kept lines[LINES];
} ring;

static const char ring_key;

static void keep(void *ud, const char *topic, const char *text) {
    ring *r = ud;
    unsigned bit = 0;
    if (orr_trace_parse(topic, &bit) != NULL) return;
    if (r->before.topics & bit) r->before.line(r->before.ud, topic, text);
    if (!(r->keeps & bit)) return;
    uv_mutex_lock(&r->mutex);
    kept *line = &r->lines[r->kept++ % LINES];
    line->time = orr_wall_time();
    line->topic = topic;
    snprintf(line->text, sizeof line->text, "%s", text);
    uv_mutex_unlock(&r->mutex);
}

static ring *find(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &ring_key);
    ring *r = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return r;
}

static ring *make(lua_State *L, orr_trace *trace) {
    ring *r = lua_newuserdatauv(L, sizeof *r, 0);
    if (uv_mutex_init(&r->mutex) != 0) luaL_error(L, "there is no lock left for a trace");
    r->before = *trace;
    r->keeps = 0;
    r->kept = r->asked = 0;
    lua_rawsetp(L, LUA_REGISTRYINDEX, &ring_key);
    return r;
}

/* core.trace(topics): lines of these topics, such as "core,store", are kept for core.traced from
 * now on, as well as those that were asked for before; of stores, of those that are opened from
 * now on. An unknown topic is an error. */
int orr_core_trace(lua_State *L) {
    const char *text = luaL_checkstring(L, 1);
    orr_trace *trace = &orr_fibers_of(orr_script_of(L))->trace;
    unsigned topics;
    const char *wrong = orr_trace_parse(text, &topics);
    if (wrong) return luaL_error(L, "no topic of a trace is called %s", wrong);
    ring *r = find(L);
    if (!r) r = make(L, trace);
    r->keeps |= topics;
    *trace = (orr_trace){.topics = r->before.topics | r->keeps, .line = keep, .ud = r};
    return 0;
}

/* Takes out the oldest line. False where there is none. */
static bool take(ring *r, kept *line, uint64_t *lost) {
    uv_mutex_lock(&r->mutex);
    if (r->kept - r->asked > LINES) {
        *lost += r->kept - r->asked - LINES;
        r->asked = r->kept - LINES;
    }
    bool any = r->asked < r->kept;
    if (any) *line = r->lines[r->asked++ % LINES];
    uv_mutex_unlock(&r->mutex);
    return any;
}

/* core.traced() -> a list of { time = seconds since the epoch, topic, text }, what was kept since
 * the last call in the order in which it was reported; and how many lines before them were lost. */
int orr_core_traced(lua_State *L) {
    ring *r = find(L);
    uint64_t lost = 0;
    kept line;
    lua_newtable(L);
    for (lua_Integer n = 1; r && take(r, &line, &lost); n++) {
        lua_createtable(L, 0, 3);
        orr_set_seconds(L, "time", line.time);
        orr_set_text(L, "topic", line.topic);
        orr_set_text(L, "text", line.text);
        lua_rawseti(L, -2, n);
    }
    lua_pushinteger(L, (lua_Integer)lost);
    return 2;
}
