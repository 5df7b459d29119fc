/* inbox.c - messages from other processes to a run of this one. What each asks for is done, and the
 * commit with the records of that removes the message from the inbox.
 *
 * While this process has the run, its store reports each message as it comes. Those that came while
 * no process had it are looked up when the run is read back, before anything of it goes on: a
 * signal that came before the end of a wait is there when the wait begins again, and a run to be
 * cancelled does nothing first. The store reports them once more; r->kept.last_message is how they
 * are skipped then.
 */
#include "durable/inner.h"
#include <string.h>

typedef struct inbox_message {
    orr_runbox *r;
    int64_t number;
    const char *name, *text; /* JSON */
} inbox_message;

/* ---- what they ask for ----------------------------------------------------------------------- */

static void push_decoded(lua_State *L, const char *text) {
    if (text && *text) orr_push_payload(L, NULL, text, strlen(text), false);
    else lua_pushnil(L);
}

/* {name=, data=, sent=} */
static void take_signal(lua_State *L, const inbox_message *m) {
    push_decoded(L, m->text);
    lua_getfield(L, -1, "sent");
    double sent = lua_tonumber(L, -1);
    lua_getfield(L, -2, "name");
    lua_getfield(L, -3, "data");
    orr_signal_deliver(L, m->r, lua_tostring(L, -2), m->number, sent);
}

/* {name=, paused=}: a pool gives no more places, or does again. The message is sent to each live
 * run, so it comes often. */
static void take_pool(lua_State *L, const inbox_message *m) {
    push_decoded(L, m->text);
    lua_getfield(L, -1, "name");
    lua_getfield(L, -2, "paused");
    if (lua_tostring(L, -2))
        orr_core_pool_pause(orr_engine_core(m->r->rt->base.engine), lua_tostring(L, -2),
                            lua_toboolean(L, -1));
}

/* Brings the core's clock up to date, since the loop may have slept for long. A signal is taken
 * without this: one that came in time counts before any timer fires. */
static orr_run *now(const inbox_message *m) {
    orr_engine_tick(m->r->rt->base.engine);
    return m->r->run;
}

/* {reason =}, which may be missing. */
static void take_cancel(lua_State *L, const inbox_message *m) {
    orr_json_reading how = {.binary = true};
    const char *reason = NULL;
    if (orr_json_decode(L, m->text, strlen(m->text), &how) && lua_istable(L, -1) &&
        lua_getfield(L, -1, "reason") == LUA_TSTRING)
        reason = lua_tostring(L, -1);
    orr_run_cancel_because(now(m), reason);
}

static void take_pause(lua_State *L, const inbox_message *m) {
    (void)L;
    orr_run_pause(now(m));
}

static void take_resume(lua_State *L, const inbox_message *m) {
    (void)L;
    orr_run_resume(now(m));
}

/* clang-format off */
static const struct {
    const char *name;
    void (*take)(lua_State *L, const inbox_message *m);
} kinds[] = {
    {"signal", take_signal},
    {"pool", take_pool},
    {"cancel", take_cancel},
    {"pause", take_pause},
    {"resume", take_resume},
};
/* clang-format on */

static int handle(lua_State *L) {
    const inbox_message *m = lua_touserdata(L, 1);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(m->name, kinds[i].name) == 0) kinds[i].take(L, m);
    return 0;
}

/* ---- one message ----------------------------------------------------------------------------- */

static bool is_memory_error(lua_State *L, int status) {
    if (status == LUA_ERRMEM) return true;
    if (!lua_istable(L, -1)) return false;
    lua_getfield(L, -1, "code");
    const char *code = lua_tostring(L, -1);
    bool is = code && strcmp(code, "out_of_memory") == 0;
    lua_pop(L, 1);
    return is;
}

/* A message that cannot be understood, or is for a run that has just ended, is removed as well. */
static void handle_once(lua_State *L, inbox_message *m) {
    orr_runbox *r = m->r;
    uint64_t before = orr_run_seq(r->run);
    int top = lua_gettop(L);
    if (m->number <= r->kept.last_message) return;
    lua_pushcfunction(L, handle);
    lua_pushlightuserdata(L, m);
    int status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK && orr_run_seq(r->run) == before && is_memory_error(L, status)) lua_error(L);
    r->kept.last_message = m->number;
    if (status != LUA_OK) orr_log(L, r->rt, r, "warn", luaL_tolstring(L, -1, NULL));
    lua_settop(L, top);
}

void orr_inbox_take(lua_State *L, orr_runbox *r, int64_t number, const char *name, const char *text) {
    inbox_message m = {r, number, name, text};
    orr_field taken = {.type = ORR_FIELD_INTEGER, .integer = number};
    handle_once(L, &m);
    if (orr_store_put(orr_storage_any(r->rt), ORR_ROW_TAKEN, &taken, 1) == ORR_ENOMEM)
        luaL_error(L, "not enough memory");
    r->rt->flush_urgent = true;
}

/* ---- those that were left -------------------------------------------------------------------- */

typedef struct looking {
    lua_State *L;
    const orr_field *values;
    bool failed;
} looking;

enum { COLUMNS = 3 }; /* of the query inbox_left: id, name, text */

/* (looking, list): appends the row. */
static int keep_row(lua_State *L) {
    const looking *l = lua_touserdata(L, 1);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
    lua_pushinteger(L, l->values[0].integer);
    lua_rawseti(L, 2, n + 1);
    for (int i = 1; i < COLUMNS; i++) {
        lua_pushlstring(L, l->values[i].size > 0 ? l->values[i].bytes : "", l->values[i].size);
        lua_rawseti(L, 2, n + 1 + i);
    }
    return 0;
}

/* The list is at the top. This is a callback of the store, which an error must not leave. */
static bool visit(void *ud, const orr_field *values, size_t n) {
    looking *l = ud;
    (void)n;
    l->values = values;
    lua_pushcfunction(l->L, keep_row);
    lua_pushlightuserdata(l->L, l);
    lua_pushvalue(l->L, -3);
    l->failed = lua_pcall(l->L, 2, 0, 0) != LUA_OK;
    if (l->failed) lua_pop(l->L, 1);
    return !l->failed;
}

/* (run): a message that finds no memory here is reported by the store later. */
static int take_left(lua_State *L) {
    orr_runbox *r = lua_touserdata(L, 1);
    orr_reason reason;
    looking l = {.L = L};
    orr_field key = orr_field_text(r->id);
    orr_store_reader reader = {.row = visit, .ud = &l};
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_newtable(L);
    int list = lua_gettop(L);
    orr_store *store = orr_storage_any(r->rt);
    if (orr_store_query(store, ORR_QUERY_INBOX_LEFT, &key, &reader, &reason) != ORR_OK || l.failed) return 0;
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, list); i <= n; i += COLUMNS, lua_settop(L, list)) {
        lua_rawgeti(L, list, i);
        lua_rawgeti(L, list, i + 1);
        lua_rawgeti(L, list, i + 2);
        orr_inbox_take(L, r, lua_tointeger(L, -3), lua_tostring(L, -2), lua_tostring(L, -1));
    }
    return 0;
}

void orr_inbox_take_left(orr_script *s, orr_runbox *r) {
    s->guarded++;
    orr_protect(s, take_left, r);
    s->guarded--;
}
