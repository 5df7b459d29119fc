/* call.c - ctx:call: a workflow run as a part of a handler.
 *
 * In a run with a journal the call is a step. The child's id is derived from its place in the
 * parent and recorded before the child is started, so that a handler that runs again finds the
 * child it has started, and never starts a second one; its result is recorded at its end.
 */
#include "run/inner.h"
#include <string.h>

bool orr_run_push_result(lua_State *L, orr_runbox *r) {
    if (!r->dropped && !r->output_failed && r->run && orr_run_get_state(r->run) == ORR_RUN_COMPLETED) {
        orr_run_push(L, r, RUN_OUTPUT);
        return true;
    }
    bool refused = r->lock && (r->lock->refused || r->lock->deadlock);
    if (refused && r->lock->on_conflict == ORR_CONFLICT_SKIP) {
        lua_pushnil(L); /* the call is skipped */
        return true;
    }
    orr_run_push_error(L, r);
    if (refused) return false;
    int cause = lua_gettop(L);
    const char *why = NULL;
    if (lua_istable(L, cause)) {
        lua_getfield(L, cause, "message");
        why = lua_tostring(L, -1);
    }
    lua_pushfstring(L, "workflow %s %s: %s", r->plan->plan->name, orr_run_state_text(r),
                    why ? why : "it did not complete");
    orr_push_error(L, r->script, "child_failed", lua_tostring(L, -1));
    lua_createtable(L, 0, 3);
    lua_pushstring(L, r->id);
    lua_setfield(L, -2, "run");
    lua_pushstring(L, orr_run_state_text(r));
    lua_setfield(L, -2, "state");
    lua_pushvalue(L, cause);
    lua_setfield(L, -2, "error");
    lua_setfield(L, -2, "details");
    return false;
}

static void inherit(lua_State *L, const orr_fiber *f, int opts, const char *key, int value) {
    if (lua_getfield(L, opts, key) == LUA_TNIL) {
        orr_run_push(L, f->run, value);
        lua_setfield(L, opts, key);
    }
    lua_pop(L, 1);
}

/* A child is as durable as its parent, unless its options say otherwise. */
static void inherit_journal(lua_State *L, const orr_fiber *f, int opts) {
    static const char *const durabilities[] = {
        [ORR_DURABLE_STRICT] = "strict",
        [ORR_DURABLE_RELAXED] = "relaxed",
        [ORR_DURABLE_NONE] = "none",
    };
    if (lua_getfield(L, opts, "durability") == LUA_TNIL) {
        lua_pushstring(L, f->run->journal ? durabilities[f->run->durability] : "none");
        lua_setfield(L, opts, "durability");
    }
    if (lua_getfield(L, opts, "journal") == LUA_TNIL && f->run->journal) {
        lua_pushboolean(L, true);
        lua_setfield(L, opts, "journal");
    }
    lua_pop(L, 2);
}

/* What starts a child: the node that calls it. */
static void push_trigger(lua_State *L, const orr_fiber *f) {
    lua_createtable(L, 0, 3);
    lua_pushliteral(L, "child");
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, f->run->id);
    lua_setfield(L, -2, "run");
    orr_push_node_name(L, f->run, f->task.node);
    lua_setfield(L, -2, "node");
}

/* The stack: ctx, workflow, input, options. Leaves the plan at 5 and the options of the child's
 * run at 6. */
static void compile(lua_State *L, const orr_fiber *f) {
    const orr_script *s = f->run->script;
    if (orr_runs_of(s)->compiler == LUA_NOREF)
        luaL_error(L, "ctx:call needs the module orrery; require it first");
    orr_push_anchor(L, orr_runs_of(s)->compiler);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_call(L, 2, 2); /* plan, options */
    orr_check_plan(L, 5);
    lua_newtable(L);
    int opts = lua_gettop(L);
    for (int from = 6; from >= 4; from -= 2) { /* the compiler's, then the caller's */
        if (!lua_istable(L, from)) continue;
        lua_pushnil(L);
        while (lua_next(L, from)) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, opts);
        }
    }
    if (!lua_istable(L, 6)) {
        lua_pushvalue(L, 3);
        lua_setfield(L, opts, "input");
    }
    inherit(L, f, opts, "context", RUN_CONTEXT);
    inherit(L, f, opts, "env", RUN_ENV);
    inherit_journal(L, f, opts);
    lua_pushboolean(L, true);
    lua_setfield(L, opts, "child");
    push_trigger(L, f);
    lua_setfield(L, opts, "trigger");
    lua_replace(L, 6);
    lua_settop(L, 6);
}

/* ---- in a run with a journal ----------------------------------------------------------------- */

enum { AT_PLAN = 5, AT_OPTIONS, AT_NAME, AT_CHILD, AT_TRACE };

/* (child): waits for its result. */
static int await_child(lua_State *L) {
    orr_runbox *child = orr_check_run(L, 1);
    if (child->live) return orr_run_await(L, child, true);
    return orr_run_push_result(L, child) ? 1 : lua_error(L);
}

/* A child that this process no longer has goes on elsewhere: that is no result. */
static int call_done(lua_State *L, int status, lua_KContext k) {
    orr_script *s = (orr_script *)k;
    orr_fiber *f = orr_fiber_current(s);
    orr_step_ref step = {.kind = STEP_CALL, .state = STEP_VALUE, .name = AT_NAME, .due = -1};
    if (status != LUA_OK && status != LUA_YIELD) {
        orr_error error;
        const orr_runbox *child = orr_unbox(L, AT_CHILD);
        bool gone = !child || (child->dropped && !(child->lock && child->lock->refused));
        if (!orr_step_failed(L, f, status) || gone || !f->run->run) return lua_error(L);
        orr_error_table(L, s, -1, "handler_error", &error);
        step.state = STEP_ERROR;
    }
    return orr_step_end(L, s, f, &step);
}

/* Pushes the child's id. The attempt is part of it: one that begins anew starts a child of its
 * own where the last has failed. */
static void push_id(lua_State *L, const orr_script *s, const orr_fiber *f) {
    orr_push_derived_id(L, f, orr_step_chance(s, f, 4 + (uint64_t)f->task.attempt) | 1);
}

/* A child that was begun before a restart goes on with the code it began with, whatever its file
 * holds now. Its id is a field of the options. */
static void use_own_code(lua_State *L, const orr_script *s) {
    int top = lua_gettop(L);
    orr_push_anchor(L, orr_runs_of(s)->compiler);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_getfield(L, AT_OPTIONS, "id");
    lua_call(L, 3, 2);
    if (!lua_isnil(L, top + 1)) {
        orr_check_plan(L, top + 1);
        lua_pushvalue(L, top + 1);
        lua_replace(L, AT_PLAN);
        if (lua_istable(L, top + 2) && lua_getfield(L, top + 2, "env") != LUA_TNIL)
            lua_setfield(L, AT_OPTIONS, "env");
    }
    lua_settop(L, top);
}

/* Where the child is, or is to be: its runtime is at the top. */
static void place_child(lua_State *L) {
    lua_replace(L, AT_CHILD);
    lua_settop(L, AT_CHILD);
}

static void start_child(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step) {
    push_id(L, s, f);
    lua_pushvalue(L, -1);
    lua_setfield(L, AT_OPTIONS, "id");
    step->state = STEP_BEGUN;
    step->due = -1;
    f->run->rt->keeper->record(L, s, f, step);
    lua_pop(L, 1);
    orr_run_push(L, f->run, RUN_RT);
    lua_pushboolean(L, f->run->forced);
    lua_setfield(L, AT_OPTIONS, "force");
    orr_run_start(L, f->run->rt, lua_gettop(L), AT_PLAN, AT_OPTIONS);
    place_child(L);
}

/* The child of this attempt that was begun before a restart; its id is at the top. False where
 * another process runs it. */
static bool restore_child(lua_State *L, const orr_fiber *f) {
    orr_rtbox *rt = f->run->rt;
    orr_run_push(L, f->run, RUN_RT);
    int at = lua_gettop(L);
    lua_pushboolean(L, f->run->forced);
    lua_setfield(L, AT_OPTIONS, "force");
    if (rt->durable) use_own_code(L, f->run->script);
    bool kept = rt->durable || rt->saveable;
    orr_runbox *child = kept ? rt->keeper->restore_child(L, rt, at, AT_PLAN, AT_OPTIONS)
                             : orr_run_start(L, rt, at, AT_PLAN, AT_OPTIONS);
    if (child) place_child(L);
    return child != NULL;
}

static int await_recorded(lua_State *L, orr_script *s) {
    lua_pushcfunction(L, orr_error_trace);
    lua_pushcfunction(L, await_child);
    lua_pushvalue(L, AT_CHILD);
    int status = lua_pcallk(L, 1, 1, AT_TRACE, (lua_KContext)s, call_done);
    return call_done(L, status, (lua_KContext)s);
}

/* (ns) */
static int pause_call(lua_State *L) {
    return orr_wait_sleep(L, orr_script_of(L), lua_tointeger(L, 1));
}

/* Somebody else has resumed the child. It ends there, or its process does: then it goes on here.
 * How long the next pause is stands in the place of the child. */
static int wait_elsewhere(lua_State *L, int status, lua_KContext k) {
    static const lua_Integer LONGEST = 2000000000; /* ns */
    orr_script *s = (orr_script *)k;
    (void)status;
    lua_Integer pause = lua_tointeger(L, AT_CHILD);
    lua_settop(L, AT_CHILD);
    lua_getfield(L, AT_OPTIONS, "id");
    if (restore_child(L, orr_fiber_current(s))) return await_recorded(L, s);
    lua_settop(L, AT_CHILD);
    lua_pushinteger(L, pause * 2 < LONGEST ? pause * 2 : LONGEST);
    lua_replace(L, AT_CHILD);
    lua_pushcfunction(L, pause_call);
    lua_pushinteger(L, pause);
    lua_callk(L, 1, 0, k, wait_elsewhere);
    return wait_elsewhere(L, LUA_OK, k);
}

/* The name of the child's workflow is at the top, at AT_NAME. */
static int call_recorded(lua_State *L, orr_script *s, orr_fiber *f) {
    static const lua_Integer SHORTEST = 50000000; /* ns */
    orr_step_ref step = {.kind = STEP_CALL, .name = AT_NAME};
    lua_pushnil(L); /* AT_CHILD */
    orr_step_state state = f->run->rt->keeper->find(L, s, f, &step);
    if (state == STEP_VALUE) return 1;
    if (state == STEP_ERROR) return lua_error(L);
    bool begun = state == STEP_BEGUN && step.attempt == f->task.attempt;
    orr_wait_begin(L, s, "ctx:call");
    if (begun) {
        lua_setfield(L, AT_OPTIONS, "id");
        lua_pushinteger(L, SHORTEST);
        lua_replace(L, AT_CHILD);
        return wait_elsewhere(L, LUA_OK, (lua_KContext)s);
    }
    if (f->run->rt->records_left == 0) return orr_run_die(L, f->run);
    lua_settop(L, AT_CHILD);
    if (orr_run_lock_skips(L, f->run->rt, AT_PLAN, AT_OPTIONS)) {
        step.state = STEP_VALUE;
        step.due = -1;
        lua_pushnil(L);
        return orr_step_end(L, s, f, &step);
    }
    start_child(L, s, f, &step);
    return await_recorded(L, s);
}

/* Where a workflow is called by its path and the journal knows the call already, its file is not
 * asked, which may hold another by now. Leaves what `compile` does, as far as it is needed, and
 * the name. */
static bool push_known(lua_State *L, orr_script *s, const orr_fiber *f) {
    if (lua_type(L, 2) != LUA_TSTRING || orr_runs_of(s)->compiler == LUA_NOREF) return false;
    orr_step_state state = f->run->rt->keeper->find_call(L, s, f); /* 5: name, 6: id */
    if (state == STEP_NONE) return false;
    lua_newtable(L);
    lua_pushvalue(L, 6);
    lua_setfield(L, -2, "id");
    lua_replace(L, AT_OPTIONS);
    lua_pushnil(L);
    lua_insert(L, AT_PLAN); /* 5: nil, 6: name, 7: options */
    lua_insert(L, AT_OPTIONS);
    if (state != STEP_BEGUN) return true;
    lua_pushvalue(L, 3);
    lua_setfield(L, AT_OPTIONS, "input");
    lua_pushboolean(L, true);
    lua_setfield(L, AT_OPTIONS, "child");
    use_own_code(L, s);
    inherit(L, f, AT_OPTIONS, "context", RUN_CONTEXT);
    inherit(L, f, AT_OPTIONS, "env", RUN_ENV);
    inherit_journal(L, f, AT_OPTIONS);
    if (!lua_isnil(L, AT_PLAN)) return true;
    lua_settop(L, 4);
    return false;
}

/* ctx:call(workflow[, input[, opts]]) -> the child's output. Raises `child_failed` where it does
 * not complete; its details say how: {run, state, error}. The child has the parent's context and
 * environment unless `opts` gives others, is cancelled with it, and the parent keeps no slot
 * while it waits. */
int orr_ctx_call(lua_State *L) {
    orr_fiber *f = orr_step_outer_fiber(L, "ctx:call");
    orr_script *s = f->run->script;
    lua_settop(L, 4);
    orr_step_count(f);
    if (f->run->journal && push_known(L, s, f)) return call_recorded(L, s, f);
    compile(L, f);
    if (f->run->journal) {
        lua_pushstring(L, orr_check_plan(L, AT_PLAN)->plan->name);
        return call_recorded(L, s, f);
    }
    if (orr_run_lock_skips(L, f->run->rt, AT_PLAN, AT_OPTIONS)) {
        lua_pushnil(L);
        return 1;
    }
    orr_run_push(L, f->run, RUN_RT);
    orr_runbox *child = orr_run_start(L, f->run->rt, AT_OPTIONS + 1, AT_PLAN, AT_OPTIONS);
    return orr_run_await(L, child, true);
}
