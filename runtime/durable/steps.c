/* steps.c - what is known of a run's steps: the table of those that were recorded, and their
 * records in the journal.
 *
 * A step belongs to its node, not to an attempt. Its key is (node, item, iteration, path, ordinal):
 * the path names the coroutine, "" being the handler's own and "/2.1" the first strand of the
 * gather that was its second step, so that the order in which strands run means nothing; ordinals
 * count the steps of one coroutine. The name is compared, not looked up.
 *
 *     RUN_STEPS[task handle] = { iteration, divergence, [path] = { [0] = greatest ordinal,
 *     [ordinal] = entry } }
 *
 * A handler that begins anew (ctx:restart) has no steps any more; the table then holds the value it
 * began with, and the ordinal from which it counts on. Ordinals do not begin again, for the ids of
 * child runs and what ctx:random gives are derived from them.
 *
 * Values are kept as JSON text: a handler may change what it was given, and the next attempt must
 * see what was recorded.
 *
 * A new attempt keeps what succeeded and does again what failed. From there on it may take other
 * steps than the attempt before it. So a record that does not fit is dropped where it is of an
 * earlier attempt than a step before it (fiber.newest); any other that does not fit means that the
 * handler has diverged (`nondeterminism`). That ends its attempt (ATTEMPT_DIVERGED): a handler that
 * catches the error and goes on gets it again at each step. A handler that ends before a step that
 * the same attempt had taken has diverged, too.
 */
#include "durable/inner.h"
#include <stdlib.h>
#include <string.h>

/* Of a task, beside the paths. */
enum { T_ITERATION = 1, T_DIVERGED, T_ORDINAL, T_RESTARTED };

/* An entry. */
enum { E_KIND = 1, E_NAME, E_ATTEMPT, E_STATE, E_DUE, E_TEXT };

static const char *const kind_names[] = {
    [STEP_CALLED] = "step", [STEP_SLEEP] = "sleep", [STEP_WAIT] = "wait",
    [STEP_CALL] = "call",   [STEP_NOW] = "now",     [STEP_RESTART] = "restart",
};
#define KINDS (sizeof kind_names / sizeof *kind_names)

/* ---- paths ----------------------------------------------------------------------------------- */

/* A fallback and a compensation are other functions than `run`, so they have paths of their own. */
static const char *const phase_paths[] = {
    [ORR_PHASE_RUN] = "",
    [ORR_PHASE_FALLBACK] = "fallback",
    [ORR_PHASE_COMPENSATE] = "compensate",
};

static void push_path(lua_State *L, const orr_script *s, const orr_fiber *f) {
    if (f->kind != FIBER_STRAND) {
        lua_pushstring(L, phase_paths[f->phase]);
        return;
    }
    luaL_checkstack(L, LUA_MINSTACK, "too many nested gathers");
    const orr_fiber *parent = orr_fiber_at(s, f->parent); /* it gathers, so its ordinal does not change */
    push_path(L, s, parent);
    lua_pushfstring(L, "%s/%d.%d", lua_tostring(L, -1), (int)parent->ordinal, (int)f->place);
    lua_remove(L, -2);
}

/* ---- the table ------------------------------------------------------------------------------- */

static lua_Integer integer_at(lua_State *L, int idx, lua_Integer place) {
    lua_rawgeti(L, idx, place);
    lua_Integer n = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return n;
}

/* Of the steps of a path. */
static lua_Integer last_of(lua_State *L, int idx) {
    return integer_at(L, idx, 0);
}

static void set_last(lua_State *L, int idx, lua_Integer n) {
    idx = lua_absindex(L, idx);
    lua_pushinteger(L, n);
    lua_rawseti(L, idx, 0);
}

/* Pushes the steps of the task's iteration; where there are none, nil or (make) a new table. */
static bool push_task(lua_State *L, const orr_runbox *r, const orr_task *task, bool make) {
    lua_Integer handle = (lua_Integer)orr_task_handle(task->node, task->item);
    if (!r->stepped && !make) {
        lua_pushnil(L);
        return false;
    }
    orr_run_push_table(L, r, RUN_STEPS, 0);
    if (lua_rawgeti(L, -1, handle) == LUA_TTABLE &&
        integer_at(L, lua_gettop(L), T_ITERATION) == (lua_Integer)task->iteration) {
        lua_remove(L, -2);
        return true;
    }
    lua_pop(L, 1);
    if (make) {
        lua_createtable(L, 1, 1);
        lua_pushinteger(L, task->iteration);
        lua_rawseti(L, -2, T_ITERATION);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, handle);
    } else {
        lua_pushnil(L);
    }
    lua_remove(L, -2);
    return make;
}

/* Pushes the steps of a path out of those of the task at `task`; where there are none, nil or
 * (make) a new table. */
static bool push_path_steps(lua_State *L, int task, int path, bool make) {
    lua_pushvalue(L, path);
    if (lua_rawget(L, task) == LUA_TNIL && make) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, path);
        lua_pushvalue(L, -2);
        lua_rawset(L, task);
    }
    return lua_istable(L, -1);
}

/* Pushes the steps of the path at the top, which is popped; nil where there are none. */
static bool push_steps(lua_State *L, const orr_runbox *r, const orr_task *task) {
    int path = lua_gettop(L);
    bool there = push_task(L, r, task, false) && push_path_steps(L, path + 1, path, false);
    lua_replace(L, path);
    lua_settop(L, path);
    return there;
}

/* Whether `path` is that of a strand which a step of `of`, from that ordinal on, began. */
static bool begun_after(const char *path, const char *of, lua_Integer ordinal) {
    size_t len = strlen(of);
    return strncmp(path, of, len) == 0 && path[len] == '/' && strtoll(path + len + 1, NULL, 10) >= ordinal;
}

/* Drops what the path at `path` has from that ordinal on, and the strands begun there. The steps
 * of the task are at `task`. */
static void drop_from(lua_State *L, int task, int path, lua_Integer ordinal) {
    int top = lua_gettop(L);
    lua_pushvalue(L, path);
    if (lua_rawget(L, task) == LUA_TTABLE) {
        for (lua_Integer i = last_of(L, -1); i >= ordinal; i--) {
            lua_pushnil(L);
            lua_rawseti(L, -2, i);
        }
        if (last_of(L, -1) >= ordinal) set_last(L, -1, ordinal - 1);
    }
    lua_settop(L, top);
    lua_pushnil(L);
    while (lua_next(L, task)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING ||
            !begun_after(lua_tostring(L, -1), lua_tostring(L, path), ordinal))
            continue;
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, task); /* an entry that exists may be emptied while the table is walked */
    }
}

static bool same_step(lua_State *L, int entry, lua_Integer kind, int name) {
    lua_rawgeti(L, entry, E_NAME);
    bool same = lua_rawequal(L, -1, name) && integer_at(L, entry, E_KIND) == kind;
    lua_pop(L, 1);
    return same;
}

/* Puts the entry at the top (popped) in its place. Where another step's entry was there, the
 * handler takes other steps now: what came after it is dropped too. */
static void keep(lua_State *L, orr_runbox *r, const orr_task *task, int path, lua_Integer ordinal) {
    int entry = lua_gettop(L);
    push_task(L, r, task, true);
    push_path_steps(L, entry + 1, path, true);
    int steps = entry + 2;
    if (lua_rawgeti(L, steps, ordinal) == LUA_TTABLE) {
        lua_rawgeti(L, entry, E_NAME);
        if (!same_step(L, steps + 1, integer_at(L, entry, E_KIND), steps + 2))
            drop_from(L, entry + 1, path, ordinal);
    }
    if (last_of(L, steps) < ordinal) set_last(L, steps, ordinal);
    lua_pushvalue(L, entry);
    lua_rawseti(L, steps, ordinal);
    r->stepped = true;
    lua_settop(L, entry - 1);
}

/* The entry could be kept, but its record could not be made. */
static void unkeep(lua_State *L, const orr_runbox *r, const orr_task *task, int path, lua_Integer ordinal) {
    lua_pushvalue(L, path);
    if (push_steps(L, r, task)) {
        lua_pushnil(L);
        lua_rawseti(L, -2, ordinal);
    }
    lua_pop(L, 1);
}

void orr_steps_forget(lua_State *L, const orr_runbox *r, const orr_task *task) {
    if (!r->stepped) return;
    int top = lua_gettop(L);
    lua_Integer handle = (lua_Integer)orr_task_handle(task->node, task->item);
    orr_run_push(L, r, RUN_STEPS);
    if (lua_istable(L, -1) && lua_rawgeti(L, -1, handle) != LUA_TNIL) {
        lua_pushnil(L);
        lua_rawseti(L, top + 1, handle);
    }
    lua_settop(L, top);
}

/* ---- looking up ------------------------------------------------------------------------------ */

static void push_step_text(lua_State *L, lua_Integer kind, int name) {
    name = lua_absindex(L, name);
    if (kind <= 0 || kind >= (lua_Integer)KINDS) lua_pushliteral(L, "a step of a newer version");
    else if (kind == STEP_SLEEP || kind == STEP_NOW || kind == STEP_RESTART)
        lua_pushfstring(L, "ctx:%s", kind_names[kind]);
    else lua_pushfstring(L, "ctx:%s(\"%s\")", kind_names[kind], lua_tostring(L, name));
}

static void set_step(lua_State *L, const char *key, lua_Integer kind, int name) {
    name = lua_absindex(L, name);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, kind > 0 && kind < (lua_Integer)KINDS ? kind_names[kind] : "?");
    lua_setfield(L, -2, "kind");
    lua_pushvalue(L, name);
    lua_setfield(L, -2, "name");
    lua_setfield(L, -2, key);
}

/* Pushes the error: the step in the entry was recorded at that ordinal, and now there is
 * another, or (NULL) the handler has ended. */
static void push_divergence(lua_State *L, orr_script *s, const orr_fiber *f, lua_Integer ordinal,
                            const orr_step_ref *step, int entry) {
    lua_Integer kind = integer_at(L, entry, E_KIND);
    orr_push_node_name(L, f->run, f->task.node);
    const char *node = lua_tostring(L, -1);
    push_path(L, s, f);
    const char *path = lua_tostring(L, -1);
    lua_rawgeti(L, entry, E_NAME);
    int recorded = lua_gettop(L);
    push_step_text(L, kind, recorded);
    if (step) push_step_text(L, step->kind, step->name);
    else lua_pushliteral(L, "not taken");
    lua_pushfstring(L,
                    "step %d%s%s of node %s was %s when it was recorded and is %s now; a handler calls the "
                    "same steps in the "
                    "same order each time it runs: what it decides by comes from recorded steps, its input "
                    "and ctx:random",
                    (int)ordinal, f->kind == FIBER_STRAND ? " of strand " : "",
                    f->kind == FIBER_STRAND ? path : "", node ? node : "?", lua_tostring(L, -2),
                    lua_tostring(L, -1));
    orr_push_error(L, s, "nondeterminism", lua_tostring(L, -1));
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "retryable");
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, ordinal);
    lua_setfield(L, -2, "step");
    lua_pushstring(L, path);
    lua_setfield(L, -2, "path");
    set_step(L, "recorded", kind, recorded);
    if (step) set_step(L, "asked", step->kind, step->name);
    lua_setfield(L, -2, "details");
}

/* Raises that the step asked for is not the one in the entry, and keeps the error for the end of
 * the attempt. */
static void raise_other(lua_State *L, orr_script *s, const orr_fiber *f, const orr_step_ref *step,
                        int entry) {
    push_divergence(L, s, f, f->ordinal, step, entry);
    int error = lua_gettop(L);
    push_task(L, f->run, &f->task, true);
    lua_pushvalue(L, error);
    lua_rawseti(L, -2, T_DIVERGED);
    lua_settop(L, error);
    orr_fiber_at(s, f->root)->flags |= ATTEMPT_DIVERGED;
    lua_error(L);
}

/* Pushes the error of an attempt that has diverged. */
static bool push_kept_divergence(lua_State *L, const orr_script *s, const orr_fiber *f) {
    if (!(orr_fiber_at(s, f->root)->flags & ATTEMPT_DIVERGED)) return false;
    push_task(L, f->run, &f->task, true);
    lua_rawgeti(L, -1, T_DIVERGED);
    lua_remove(L, -2);
    return true;
}

/* Whether the attempt had taken the step in the entry. A wait that had not ended has no result, so
 * skipping it changes nothing. */
static bool was_taken(lua_State *L, const orr_fiber *f, int entry) {
    bool ended = integer_at(L, entry, E_STATE) != STEP_BEGUN || integer_at(L, entry, E_KIND) == STEP_CALL;
    return ended && integer_at(L, entry, E_ATTEMPT) == (lua_Integer)f->task.attempt;
}

/* Whether the handler ended before a step that it had taken; pushes the error then. Steps of its
 * strands do not count: another strand may end them early. */
static bool ended_early(lua_State *L, orr_script *s, const orr_fiber *f) {
    int top = lua_gettop(L);
    lua_Integer next = (lua_Integer)f->ordinal + 1;
    push_path(L, s, f);
    if (push_steps(L, f->run, &f->task) && lua_rawgeti(L, -1, next) == LUA_TTABLE &&
        was_taken(L, f, top + 2)) {
        push_divergence(L, s, f, next, NULL, top + 2);
        return true;
    }
    lua_settop(L, top);
    return false;
}

bool orr_steps_diverged(lua_State *L, orr_script *s, const orr_fiber *f) {
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    /* only a run that was read back can have recorded more steps than this attempt has taken */
    return push_kept_divergence(L, s, f) || (f->run->read_back && ended_early(L, s, f));
}

/* Pushes what the entry holds, and removes it. */
static void push_held(lua_State *L, const orr_runbox *r, int entry, orr_step_state state) {
    lua_rawgeti(L, entry, E_TEXT);
    if (state != STEP_BEGUN) {
        orr_payload_decode(L, r, -1);
        lua_remove(L, -2);
    }
    if (state == STEP_ERROR && lua_istable(L, -1)) {
        orr_push_anchor(L, r->script->error_mt);
        lua_setmetatable(L, -2);
    }
    lua_replace(L, entry);
    lua_settop(L, entry);
}

orr_step_state orr_steps_find(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step) {
    int top = lua_gettop(L), entry = top + 1;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (push_kept_divergence(L, s, f)) lua_error(L);
    if (orr_fiber_at(s, f->root)->flags & ATTEMPT_RESTARTS) {
        orr_push_restarting(L, s);
        lua_error(L);
    }
    step->due = -1;
    push_path(L, s, f);
    if (push_steps(L, f->run, &f->task)) lua_rawgeti(L, -1, f->ordinal);
    if (!lua_istable(L, -1) || lua_gettop(L) == top + 1) {
        lua_settop(L, top);
        f->newest = f->task.attempt;
        return STEP_NONE;
    }
    lua_replace(L, entry);
    step->attempt = (uint32_t)integer_at(L, entry, E_ATTEMPT);
    if (!same_step(L, entry, (lua_Integer)step->kind, step->name)) {
        if (step->attempt >= f->newest) raise_other(L, s, f, step, entry);
        push_task(L, f->run, &f->task, true);
        push_path(L, s, f);
        drop_from(L, entry + 1, entry + 2, f->ordinal);
        lua_settop(L, top);
        f->newest = f->task.attempt;
        return STEP_NONE;
    }
    orr_step_state state = (orr_step_state)integer_at(L, entry, E_STATE);
    if (state == STEP_ERROR && step->attempt != f->task.attempt) {
        lua_settop(L, top);
        f->newest = f->task.attempt;
        return STEP_NONE;
    }
    if (step->attempt > f->newest) f->newest = step->attempt;
    step->due = integer_at(L, entry, E_DUE);
    push_held(L, f->run, entry, state);
    return state;
}

orr_step_state orr_steps_find_call(lua_State *L, orr_script *s, const orr_fiber *f) {
    int top = lua_gettop(L), entry = top + 2;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    push_path(L, s, f);
    bool there = push_steps(L, f->run, &f->task) && lua_rawgeti(L, -1, f->ordinal) == LUA_TTABLE;
    orr_step_state state = there ? (orr_step_state)integer_at(L, entry, E_STATE) : STEP_NONE;
    bool own = there && integer_at(L, entry, E_ATTEMPT) == (lua_Integer)f->task.attempt;
    if (!there || integer_at(L, entry, E_KIND) != STEP_CALL || (!own && state != STEP_VALUE)) {
        lua_settop(L, top);
        return STEP_NONE;
    }
    lua_rawgeti(L, entry, E_NAME);
    if (state == STEP_BEGUN) lua_rawgeti(L, entry, E_TEXT);
    else lua_pushnil(L);
    lua_replace(L, entry);
    lua_replace(L, top + 1);
    lua_settop(L, entry);
    return state;
}

/* Whether the path at the top (popped) has a step after that ordinal. */
static bool has_later(lua_State *L, const orr_fiber *f) {
    bool later = push_steps(L, f->run, &f->task) && last_of(L, -1) > (lua_Integer)f->ordinal;
    lua_pop(L, 1);
    return later;
}

bool orr_steps_replaying(lua_State *L, orr_script *s, const orr_fiber *f) {
    if (!f->run->stepped || f->flags & ATTEMPT_IN_STEP) return false;
    for (;; f = orr_fiber_at(s, f->parent)) { /* a strand whose gather has returned has ended before */
        push_path(L, s, f);
        if (has_later(L, f)) return true;
        if (f->kind != FIBER_STRAND) return false;
    }
}

/* ---- orphans --------------------------------------------------------------------------------- */

typedef struct calls {
    const orr_runbox *r;
    orr_task task;
    int list;
} calls;

/* Calls fn for each table in the table at the top, with its key and itself at the top; the outer
 * table is popped. */
static void for_each(lua_State *L, calls *c, void (*fn)(lua_State *L, calls *c)) {
    int table = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (lua_istable(L, -1)) fn(L, c);
        lua_settop(L, table + 1);
    }
    lua_settop(L, table - 1);
}

static void look_at_step(lua_State *L, calls *c) {
    int entry = lua_gettop(L);
    c->task.attempt = (uint32_t)integer_at(L, entry, E_ATTEMPT);
    if (integer_at(L, entry, E_KIND) != STEP_CALL || integer_at(L, entry, E_STATE) != STEP_BEGUN ||
        orr_run_again(c->r->run, &c->task))
        return;
    lua_rawgeti(L, entry, E_TEXT);
    lua_rawseti(L, c->list, (lua_Integer)lua_rawlen(L, c->list) + 1);
}

static void look_at_path(lua_State *L, calls *c) {
    if (lua_type(L, -2) != LUA_TSTRING) return; /* T_DIVERGED */
    lua_pushvalue(L, -1);
    for_each(L, c, look_at_step);
}

static void look_at_task(lua_State *L, calls *c) {
    uint64_t handle = (uint64_t)lua_tointeger(L, -2);
    c->task = (orr_task){(uint32_t)handle - 1, (uint32_t)(handle >> 32) - 1, 0, 0};
    c->task.iteration = (uint32_t)integer_at(L, lua_gettop(L), T_ITERATION);
    lua_pushvalue(L, -1);
    for_each(L, c, look_at_path);
}

void orr_steps_push_orphans(lua_State *L, const orr_runbox *r) {
    calls c = {.r = r};
    lua_newtable(L);
    c.list = lua_gettop(L);
    orr_run_push_table(L, r, RUN_STEPS, 0);
    for_each(L, &c, look_at_task);
}

/* ---- recording ------------------------------------------------------------------------------- */

/* Notes a record. False, with an error value pushed, where it cannot. */
static bool note_as(lua_State *L, orr_runbox *r, orr_record_kind kind, const orr_task *task, int64_t due,
                    const orr_noted *noted) {
    const orr_script *s = r->script;
    *orr_storage_noted(r->rt) = *noted;
    orr_status status = orr_run_note(r->run, kind, task, due, 1, NULL);
    *orr_storage_noted(r->rt) = (orr_noted){0};
    if (status == ORR_OK) return true;
    if (status == ORR_ENOMEM)
        orr_push_error(L, s, "out_of_memory", "not enough memory for the record of a step");
    else orr_push_error(L, s, "cancelled", "what it belongs to has ended");
    return false;
}

static orr_payload text_at(lua_State *L, int idx) {
    orr_payload payload;
    payload.text = lua_tolstring(L, idx, &payload.size);
    return payload;
}

/* The same with the text at the top, which is popped, as its payload. */
static bool note(lua_State *L, orr_runbox *r, orr_record_kind kind, const orr_task *task, int64_t due) {
    const orr_noted noted = {.payload = text_at(L, -1)};
    bool ok = note_as(L, r, kind, task, due, &noted);
    lua_remove(L, ok ? -1 : -2);
    return ok;
}

bool orr_steps_signal(lua_State *L, orr_runbox *r) {
    return note(L, r, ORR_REC_SIGNAL, NULL, -1);
}

/* Adds the text at idx after some of our own. */
static void add_text(lua_State *L, luaL_Buffer *b, const char *key, int idx) {
    luaL_addstring(b, key);
    lua_pushvalue(L, idx);
    luaL_addvalue(b);
}

/* Pushes the JSON text of a value that always can be written. */
static int push_json(lua_State *L, int idx) {
    if (!orr_json_encode(L, idx, &(orr_json_writing){.binary = true})) lua_error(L);
    return lua_gettop(L);
}

/* {"k": kind, "n": name, "o": ordinal, "p": path, "d": due, "c": child run, "s": signal taken,
 * "v": value or "e": error} */
static void push_payload(lua_State *L, const orr_fiber *f, const orr_step_ref *step, int path, int text) {
    static const char *const keys[] =
        {[STEP_BEGUN] = ",\"c\":", [STEP_VALUE] = ",\"v\":", [STEP_ERROR] = ",\"e\":"};
    luaL_Buffer b;
    int name = push_json(L, step->name), due = 0, held = text;
    if (step->due >= 0) {
        lua_pushnumber(L, (lua_Number)orr_run_recorded(f->run->run, step->due) / 1e9);
        due = push_json(L, -1);
    }
    if (step->state == STEP_BEGUN && lua_rawlen(L, text) > 0) held = push_json(L, text);
    luaL_buffinit(L, &b);
    lua_pushfstring(L, "{\"k\":\"%s\",\"o\":%d,\"n\":", kind_names[step->kind], (int)f->ordinal);
    luaL_addvalue(&b);
    add_text(L, &b, "", name);
    if (lua_rawlen(L, path) > 0) {
        add_text(L, &b, ",\"p\":\"", path); /* it has no character that JSON would escape */
        luaL_addchar(&b, '"');
    }
    if (due) add_text(L, &b, ",\"d\":", due);
    if (step->took_signal) add_text(L, &b, ",\"s\":", name);
    if (lua_rawlen(L, text) > 0) add_text(L, &b, keys[step->state], held);
    luaL_addchar(&b, '}');
    luaL_pushresult(&b);
}

static void push_entry(lua_State *L, const orr_step_ref *step, const orr_task *task, int text) {
    lua_createtable(L, E_TEXT, 0);
    const lua_Integer numbers[] = {[E_KIND] = (lua_Integer)step->kind,
                                   [E_ATTEMPT] = task->attempt,
                                   [E_STATE] = (lua_Integer)step->state,
                                   [E_DUE] = step->due};
    for (int i = E_KIND; i <= E_DUE; i++) {
        if (i == E_NAME) lua_pushvalue(L, step->name);
        else lua_pushinteger(L, numbers[i]);
        lua_rawseti(L, -2, i);
    }
    lua_pushvalue(L, text);
    lua_rawseti(L, -2, E_TEXT);
}

/* Pushes the text of what the step ended with: JSON, or for a step that has begun the id it keeps.
 * A value that cannot be kept makes the step fail: trying again would not help. An error that is
 * too large loses its details. */
static int push_kept(lua_State *L, const orr_runbox *r, orr_step_ref *step, int value) {
    if (step->state == STEP_BEGUN) {
        if (lua_isnil(L, value)) lua_pushliteral(L, "");
        else lua_pushvalue(L, value);
        return lua_gettop(L);
    }
    if (step->state == STEP_VALUE) {
        if (orr_payload_encode(L, r, value, "step")) return lua_gettop(L);
        lua_replace(L, value);
        step->state = STEP_ERROR;
    }
    if (!orr_payload_encode(L, r, value, "error")) {
        lua_pop(L, 1);
        lua_pushnil(L);
        lua_setfield(L, value, "details");
        if (!orr_payload_encode(L, r, value, "error")) lua_error(L);
    }
    return lua_gettop(L);
}

void orr_steps_record(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step) {
    int value = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    int text = push_kept(L, f->run, step, value);
    push_path(L, s, f);
    int path = lua_gettop(L);
    push_payload(L, f, step, path, text);
    push_entry(L, step, &f->task, text);
    keep(L, f->run, &f->task, path, f->ordinal);
    orr_silence_sign(f);
    if (!note(L, f->run, ORR_REC_STEP, &f->task, step->due)) {
        unkeep(L, f->run, &f->task, path, f->ordinal);
        lua_error(L);
    }
    lua_settop(L, value);
}

void orr_steps_write(lua_State *L, orr_script *s, orr_fiber *f, const orr_step_ref *step,
                     const orr_field *write) {
    int value = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    orr_step_ref ended = *step, begun = *step;
    ended.state = STEP_VALUE;
    ended.due = -1;
    int made = push_kept(L, f->run, &ended, value);
    lua_pushliteral(L, "false");
    push_path(L, s, f);
    int refused = made + 1, path = made + 2;
    push_payload(L, f, &ended, path, made);
    orr_payload as_made = text_at(L, -1);
    push_payload(L, f, &ended, path, refused);
    const orr_noted noted = {as_made, text_at(L, -1), write};
    begun.state = STEP_BEGUN;
    begun.due = write[ORR_STATE_TOKEN].integer;
    push_entry(L, &begun, &f->task, value);
    keep(L, f->run, &f->task, path, f->ordinal);
    orr_silence_sign(f);
    if (!note_as(L, f->run, ORR_REC_STEP, &f->task, -1, &noted)) {
        unkeep(L, f->run, &f->task, path, f->ordinal);
        lua_error(L);
    }
    lua_settop(L, value);
}

void orr_steps_settle(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step) {
    int value = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    step->state = STEP_VALUE;
    step->due = -1;
    int text = push_kept(L, f->run, step, value);
    push_path(L, s, f);
    push_entry(L, step, &f->task, text);
    keep(L, f->run, &f->task, text + 1, f->ordinal);
    lua_settop(L, value);
}

/* ---- beginning anew -------------------------------------------------------------------------- */

/* Pushes what takes the place of a task's steps: the text that the handler begins anew with is at
 * `text`. */
static void push_begun_anew(lua_State *L, const orr_task *task, lua_Integer ordinal, int text) {
    lua_createtable(L, T_RESTARTED, 0);
    lua_pushinteger(L, (lua_Integer)task->iteration);
    lua_rawseti(L, -2, T_ITERATION);
    lua_pushinteger(L, ordinal);
    lua_rawseti(L, -2, T_ORDINAL);
    lua_pushvalue(L, text);
    lua_rawseti(L, -2, T_RESTARTED);
}

/* Puts the table at the top, which is popped, in the place of the task's steps. It does not raise
 * where the task has such a table. */
static void replace_task(lua_State *L, orr_runbox *r, const orr_task *task) {
    orr_run_push_table(L, r, RUN_STEPS, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)orr_task_handle(task->node, task->item));
    lua_pop(L, 1);
    r->stepped = true;
}

void orr_steps_restart(lua_State *L, orr_script *s, const orr_fiber *f) {
    int value = lua_gettop(L), name = value + 1;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_pushliteral(L, "restart");
    orr_step_ref step = {.kind = STEP_RESTART, .state = STEP_VALUE, .name = name, .due = -1};
    lua_pushvalue(L, value);
    int text = push_kept(L, f->run, &step, name + 1);
    if (step.state == STEP_ERROR) {
        lua_settop(L, name + 1);
        lua_error(L);
    }
    push_task(L, f->run, &f->task, true);
    push_begun_anew(L, &f->task, (lua_Integer)f->ordinal, text);
    int anew = lua_gettop(L);
    if (f->run->journal) {
        push_path(L, s, f);
        push_payload(L, f, &step, anew + 1, text);
        if (!note(L, f->run, ORR_REC_STEP, &f->task, -1)) lua_error(L);
    }
    lua_settop(L, anew);
    replace_task(L, f->run, &f->task);
    lua_settop(L, value);
}

uint32_t orr_steps_first(lua_State *L, const orr_fiber *f) {
    int top = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_Integer first = push_task(L, f->run, &f->task, false) ? integer_at(L, top + 1, T_ORDINAL) : 0;
    lua_settop(L, top);
    return (uint32_t)first;
}

void orr_steps_restarted(lua_State *L, const orr_fiber *f) {
    int top = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (push_task(L, f->run, &f->task, false) && lua_rawgeti(L, top + 1, T_RESTARTED) == LUA_TSTRING)
        orr_payload_decode(L, f->run, -1);
    else lua_pushnil(L);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}

/* ---- reading back ---------------------------------------------------------------------------- */

static lua_Integer kind_of(const char *name, size_t size) {
    for (lua_Integer i = 1; i < (lua_Integer)KINDS; i++)
        if (strncmp(name, kind_names[i], size) == 0 && kind_names[i][size] == '\0') return i;
    return 0;
}

/* The state of the step in the payload at idx; its text is pushed. */
static orr_step_state push_restored(lua_State *L, const orr_runbox *r, int idx, lua_Integer kind) {
    if (lua_getfield(L, idx, "e") != LUA_TNIL) {
        if (!orr_payload_encode(L, r, -1, "error")) lua_error(L);
        return STEP_ERROR;
    }
    bool child = lua_getfield(L, idx, "c") != LUA_TNIL;
    if (child) return STEP_BEGUN;
    bool taken = lua_getfield(L, idx, "s") != LUA_TNIL;
    if (kind == STEP_SLEEP || (kind == STEP_WAIT && !taken)) {
        lua_pushliteral(L, "");
        return STEP_BEGUN;
    }
    lua_getfield(L, idx, "v");
    if (!orr_payload_encode(L, r, -1, "step")) lua_error(L);
    return STEP_VALUE;
}

/* The text that the step holds is at the top. */
static void keep_restored(lua_State *L, orr_runbox *r, const orr_record *rec, orr_step_ref *step, int path,
                          lua_Integer ordinal) {
    if (step->kind == STEP_RESTART) {
        push_begun_anew(L, &rec->task, ordinal, lua_gettop(L));
        replace_task(L, r, &rec->task);
        return;
    }
    step->due = orr_run_read(r->run, rec->due);
    push_entry(L, step, &rec->task, lua_gettop(L));
    keep(L, r, &rec->task, path, ordinal);
}

static void restore_step(lua_State *L, orr_runbox *r, const orr_record *rec, int idx) {
    size_t size = 0;
    lua_getfield(L, idx, "k");
    const char *kind_name = lua_tolstring(L, -1, &size);
    lua_Integer kind = kind_name ? kind_of(kind_name, size) : 0;
    lua_getfield(L, idx, "o");
    lua_Integer ordinal = lua_tointeger(L, -1);
    if (lua_getfield(L, idx, "p") == LUA_TNIL) lua_pushliteral(L, "");
    int path = lua_gettop(L);
    lua_getfield(L, idx, "n");
    int name = path + 1;
    if (lua_getfield(L, idx, "s") == LUA_TSTRING) orr_signal_take(L, r, lua_tostring(L, -1));
    orr_step_state state = push_restored(L, r, idx, kind);
    orr_step_ref step = {.kind = (orr_step_kind)kind, .name = name, .state = state};
    keep_restored(L, r, rec, &step, path, ordinal);
}

bool orr_steps_restore_text(lua_State *L, orr_runbox *r, const orr_record *rec, const char *text,
                            size_t size) {
    orr_step_text found;
    int top = lua_gettop(L), path = top + 1, name = top + 2;
    if (!orr_step_text_read(text, size, &found)) return false;
    lua_Integer kind = kind_of(found.kind.text, found.kind.size);
    if (found.state == STEP_VALUE && (kind == STEP_SLEEP || kind == STEP_WAIT)) {
        found.state = STEP_BEGUN; /* it may have to go on */
        found.held.size = 0;
    }
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_pushlstring(L, found.path.text, found.path.size);
    lua_pushlstring(L, found.name.text, found.name.size);
    lua_pushlstring(L, found.held.text, found.held.size);
    orr_step_ref step = {.kind = (orr_step_kind)kind, .name = name, .state = found.state};
    keep_restored(L, r, rec, &step, path, found.ordinal);
    lua_settop(L, top);
    return true;
}

void orr_steps_restore(lua_State *L, orr_runbox *r, const orr_record *rec) {
    int payload = lua_gettop(L);
    luaL_checkstack(L, 2 * LUA_MINSTACK, NULL);
    if (!lua_istable(L, payload))
        luaL_error(L, "record %I (%s) is empty", (LUAI_UACINT)rec->seq, orr_record_name(rec->kind));
    if (rec->kind == ORR_REC_STEP) restore_step(L, r, rec, payload);
    else orr_signal_restore(L, r, payload);
    lua_settop(L, payload - 1);
}
