/* state.c - values that outlive runs, in the runtime's store; without one, in a store in memory.
 *
 * What a handler reads is recorded by ctx:step, which orrery.state does. A write is a step as well.
 * Whether the version that it expects is still there can only be said when it is committed, for
 * until then another process may commit one. So its record goes to the store as two, one for each
 * way it may end (orr_store_append_state); the store keeps one of them, in the transaction that
 * makes the write or does not, and the handler goes on once it knows which. A crash leaves both,
 * the write and what became of it, or neither.
 *
 * A token stands for the write until then. It is kept in the step's entry as well, with the version
 * that is written: a handler that is cancelled meanwhile and tried again finds its write under way,
 * and waits for that.
 */
#include "durable/inner.h"
#include <string.h>

/* ---- decisions ------------------------------------------------------------------------------- */

typedef struct orr_decision {
    struct orr_decision *next;
    int64_t token;
    bool known, made;
} orr_decision;

/* A token for a write that is about to be queued; 0: out of memory. */
static int64_t open_decision(orr_decisions *d, const orr_alloc *alloc) {
    orr_decision *made = orr_mem_new(alloc, 1, sizeof *made);
    if (!made) return 0;
    *made = (orr_decision){.next = d->first, .token = ++d->last};
    d->first = made;
    d->open++;
    return made->token;
}

static orr_decision **link_to(orr_decisions *d, int64_t token) {
    orr_decision **link = &d->first;
    while (*link && (*link)->token != token) link = &(*link)->next;
    return link;
}

void orr_decided(orr_decisions *d, int64_t token, bool made) {
    orr_decision *found = *link_to(d, token);
    if (!found || found->known) return;
    found->known = true;
    found->made = made;
    d->open--;
}

static void close_decision(orr_decisions *d, const orr_alloc *alloc, int64_t token) {
    orr_decision **link = link_to(d, token), *found = *link;
    if (!found) return;
    if (!found->known) d->open--;
    *link = found->next;
    orr_mem_free(alloc, found, 1, sizeof *found);
}

void orr_decisions_free(orr_decisions *d, const orr_alloc *alloc) {
    while (d->first) close_decision(d, alloc, d->first->token);
}

/* ---- reading --------------------------------------------------------------------------------- */

static orr_store *store_of(lua_State *L, orr_rtbox *rt) {
    if (!rt->storage) orr_storage_open(L, rt, NULL, ORR_DURABLE_STRICT);
    return orr_storage_any(rt);
}

static double seconds_now(const orr_rtbox *rt) {
    return (double)orr_engine_now(rt->base.engine) / 1e9;
}

static int raise_problem(lua_State *L, const orr_runbox *r, const char *why) {
    orr_push_error(L, r->script, "store_error", why);
    return lua_error(L);
}

typedef struct reading {
    lua_State *L;
    double now;
    bool there, failed;
} reading;

static int push_row(lua_State *L) {
    const orr_field *row = lua_touserdata(L, 1);
    lua_pushlstring(L, row[ORR_STATE_VALUE].bytes, row[ORR_STATE_VALUE].size);
    lua_pushlstring(L, row[ORR_STATE_VERSION].bytes, row[ORR_STATE_VERSION].size);
    return 2;
}

/* Leaves value and version on the stack. This is a callback of the store: it may not use the store,
 * nor raise an error. */
static bool take(void *ud, const orr_field *row, size_t n) {
    reading *r = ud;
    const orr_field *expires = &row[ORR_STATE_EXPIRES];
    (void)n;
    double end = expires->type == ORR_FIELD_INTEGER ? (double)expires->integer : expires->real;
    r->there = expires->type == ORR_FIELD_NULL || end > r->now;
    if (!r->there) return false;
    lua_pushcfunction(r->L, push_row);
    lua_pushlightuserdata(r->L, (void *)(uintptr_t)row);
    r->failed = lua_pcall(r->L, 1, 2, 0) != LUA_OK;
    return false;
}

/* core.state_get(ctx, workflow, key) -> value, version | nothing, where there is none. Raises
 * `store_error`. */
int orr_core_state_get(lua_State *L) {
    const orr_runbox *r = orr_check_own_ctx(L, 1, "state:get")->run;
    const char *workflow = luaL_checkstring(L, 2), *key = luaL_checkstring(L, 3);
    reading found = {.L = L, .now = seconds_now(r->rt)};
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    orr_reason reason;
    orr_status status = orr_store_state(store_of(L, r->rt), workflow, key, take, &found, &reason);
    if (found.failed) return lua_error(L);
    if (status != ORR_OK && status != ORR_ENOTFOUND) return raise_problem(L, r, reason.text);
    if (!found.there) return 0;
    orr_payload_decode(L, r, -2);
    lua_replace(L, -3);
    return 2;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The arguments of core.state_set, and behind them what it works with. */
enum { A_CTX = 1, A_STEP, A_WORKFLOW, A_KEY, A_WRITE, A_TEXT, A_VERSION, A_EXPECTED, A_NODE, A_TOKEN };

static orr_field text_value(lua_State *L, int idx) {
    size_t size = 0;
    const char *text = lua_tolstring(L, idx, &size);
    return (orr_field){.type = text ? ORR_FIELD_TEXT : ORR_FIELD_NULL, .bytes = text, .size = size};
}

static void raise_unfit(lua_State *L, const orr_runbox *r, bool too_large, size_t limit) {
    const char *key = lua_tostring(L, A_KEY);
    if (too_large)
        lua_pushfstring(L,
                        "the value of \"%s\" has more than %I bytes as JSON: keep it in a file, and the "
                        "file's path here",
                        key, (LUAI_UACINT)limit);
    else lua_pushfstring(L, "the value of \"%s\" cannot be kept: %s", key, lua_tostring(L, -1));
    orr_push_final_error(L, r->script, too_large ? "state_too_large" : "invalid_state");
    lua_error(L);
}

/* The value as JSON, nil for one that is to be removed. */
static void set_text(lua_State *L, const orr_runbox *r) {
    bool too_large = false;
    lua_getfield(L, A_WRITE, "limit");
    size_t limit = (size_t)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    if (lua_getfield(L, A_WRITE, "value") != LUA_TNIL) {
        orr_mask(L, r->script, -1);
        orr_json_writing how = {.root = "value", .binary = true, .limit = limit, .too_large = &too_large};
        if (!orr_json_encode(L, -1, &how)) raise_unfit(L, r, too_large, limit);
        lua_replace(L, A_TEXT);
    }
    lua_settop(L, A_TOKEN);
}

/* A UUIDv7 like no other. */
static void set_version(lua_State *L, const orr_runbox *r) {
    uint64_t chance[2];
    uint8_t id[16];
    char text[ORR_UUID_TEXT];
    int status = uv_random(NULL, NULL, chance, sizeof chance, 0, NULL);
    if (status != 0) luaL_error(L, "the system gives no chance: %s", uv_strerror(status));
    orr_uuid_v7(id, orr_engine_now(r->rt->base.engine), chance);
    orr_uuid_format(text, id);
    lua_pushstring(L, text);
    lua_replace(L, A_VERSION);
}

/* What is to be written, from the arguments; its texts stay on the stack. */
static void read_write(lua_State *L, const orr_fiber *f, orr_field *write) {
    const orr_runbox *r = f->run;
    double now = seconds_now(r->rt);
    set_text(L, r);
    set_version(L, r);
    lua_getfield(L, A_WRITE, "version");
    lua_replace(L, A_EXPECTED);
    orr_push_node_name(L, r, f->task.node);
    lua_replace(L, A_NODE);
    write[ORR_STATE_WORKFLOW] = text_value(L, A_WORKFLOW);
    write[ORR_STATE_KEY] = text_value(L, A_KEY);
    write[ORR_STATE_VALUE] = text_value(L, A_TEXT);
    write[ORR_STATE_VERSION] = text_value(L, A_VERSION);
    write[ORR_STATE_RUN] = (orr_field){.type = ORR_FIELD_BLOB, .bytes = orr_run_id_of(r->run), .size = 16};
    write[ORR_STATE_NODE] = text_value(L, A_NODE);
    write[ORR_STATE_WRITTEN] = orr_field_real(now);
    write[ORR_STATE_EXPIRES] = (orr_field){.type = ORR_FIELD_NULL};
    write[ORR_STATE_EXPECTED] = text_value(L, A_EXPECTED);
    if (lua_getfield(L, A_WRITE, "ttl") == LUA_TNUMBER)
        write[ORR_STATE_EXPIRES] = orr_field_real(now + lua_tonumber(L, -1));
    lua_pop(L, 1);
}

/* Queues the write, as a step where the run keeps any; its token. */
static int64_t queue(lua_State *L, orr_script *s, orr_fiber *f, const orr_step_ref *step) {
    orr_runbox *r = f->run;
    orr_field write[ORR_STATE_COLUMNS];
    read_write(L, f, write);
    int64_t token = open_decision(orr_storage_decisions(r->rt), &s->alloc);
    if (token == 0) luaL_error(L, "not enough memory for a write of state");
    write[ORR_STATE_TOKEN] = orr_field_integer(token);
    if (r->journal) {
        lua_pushvalue(L, A_VERSION);
        orr_steps_write(L, s, f, step, write);
        lua_pop(L, 1);
    } else if (orr_store_put(orr_storage_any(r->rt), ORR_ROW_STATE, write, ORR_STATE_COLUMNS) != ORR_OK) {
        luaL_error(L, "not enough memory for a write of state");
    }
    return token;
}

static int hold(lua_State *L) {
    orr_script *s = orr_script_of(L);
    return orr_hold_all(L, s, orr_fiber_current(s)->run->rt);
}

/* core.flushed(): waits, in a handler, until all that its run has recorded is on disk, whatever its
 * durability; for what must not be said to others before. A run without a journal waits for
 * nothing. */
int orr_core_flushed(lua_State *L) {
    const orr_fiber *f = orr_fiber_current(orr_script_of(L));
    return f && f->run && f->run->journal ? hold(L) : 0;
}

/* What was decided is durable, and known. */
static int settled(lua_State *L, int status, lua_KContext k) {
    (void)status;
    orr_script *s = (orr_script *)k;
    orr_fiber *f = orr_fiber_current(s);
    orr_decisions *d = orr_storage_decisions(f->run->rt);
    int64_t token = lua_tointeger(L, A_TOKEN);
    const orr_decision *decision = *link_to(d, token);
    if (!decision || !decision->known)
        return raise_problem(L, f->run, "the store does not say what became of a write of state");
    if (decision->made) lua_pushvalue(L, A_VERSION);
    else lua_pushboolean(L, false);
    if (f->run->journal) orr_steps_settle(L, s, f, &(orr_step_ref){.kind = STEP_CALLED, .name = A_STEP});
    close_decision(d, &s->alloc, token);
    return 1;
}

/* core.state_set(ctx, step, workflow, key, { value, limit, ttl, version }) -> the new version, or
 * false where another one is there than `version` ("": where there is any). `step` is what it is
 * recorded as; value nil removes what is there; `limit` is in bytes, `ttl` in seconds. Waits until
 * that is durable. Raises `state_too_large`, `invalid_state`. */
int orr_core_state_set(lua_State *L) {
    orr_fiber *f = orr_step_outer_fiber(L, "state:set");
    orr_script *s = f->run->script;
    orr_step_ref step = {.kind = STEP_CALLED, .name = A_STEP, .due = -1};
    for (int i = A_STEP; i <= A_KEY; i++) luaL_checkstring(L, i);
    luaL_checktype(L, A_WRITE, LUA_TTABLE);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_settop(L, A_TOKEN);
    store_of(L, f->run->rt);
    orr_step_count(f);
    orr_step_state found = f->run->journal ? orr_steps_find(L, s, f, &step) : STEP_NONE;
    if (found == STEP_VALUE) return 1;
    if (found == STEP_ERROR) return lua_error(L);
    int64_t token = step.due;
    if (found == STEP_BEGUN) lua_replace(L, A_VERSION);
    else {
        orr_wait_begin(L, s, "state:set"); /* where it could not wait for its record it is not begun */
        token = queue(L, s, f, &step);
    }
    lua_pushinteger(L, token);
    lua_replace(L, A_TOKEN);
    lua_pushcfunction(L, hold);
    lua_callk(L, 0, 0, (lua_KContext)s, settled);
    return settled(L, LUA_OK, (lua_KContext)s);
}
