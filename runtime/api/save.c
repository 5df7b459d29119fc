/* save.c - orr_save and orr_load: the live runs of a runtime through the host's functions. */
#include "api/api.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

/* Calls host[name](compiled workflow), whose text becomes the workflow's hash. */
static int push_hash(lua_State *L) {
    orr_workflow *w = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->rt->host);
    lua_getfield(L, -1, "definition_hash");
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->compiled);
    lua_call(L, 1, 1);
    snprintf(w->hash, sizeof w->hash, "%s", luaL_checkstring(L, -1));
    return 0;
}

/* Of all workflows that are loaded; each is made once. */
static int make_hashes(orr_runtime *rt) {
    int status = ORR_OK;
    for (orr_workflow *w = rt->workflows; w != NULL && status == ORR_OK; w = w->next)
        if (w->hash[0] == '\0') status = orr_api_call(rt, push_hash, w);
    return status;
}

static int outside(orr_runtime *rt, const char *name) {
    char text[128];
    snprintf(text, sizeof text,
             "%s: the runtime is at work; call it once the call that called this callback has returned",
             name);
    return orr_api_outside(rt, text);
}

static int say(orr_runtime *rt, orr_status status, const orr_reason *reason) {
    static const struct {
        const char *code;
        orr_status status;
    } known[] = {{"out_of_memory", ORR_ENOMEM}, {"invalid_save", ORR_EINVAL},
                 {"wrong_state", ORR_ESTATE},   {"store_error", ORR_EIO},
                 {"not_found", ORR_ENOTFOUND},  {"definition_changed", ORR_EDEFINITION}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].status == status) return orr_api_fail(rt, status, known[i].code, reason->text);
    return status;
}

/* ---- saving ---------------------------------------------------------------------------------- */

typedef struct saving {
    orr_runtime *rt;
    orr_write_fn write;
    void *ud;
} saving;

static int write_some(void *ud, const void *bytes, size_t size) {
    const saving *s = ud;
    return s->write(s->ud, bytes, size);
}

static const char *plan_hash(void *ud, const orr_plan *plan) {
    const saving *s = ud;
    for (orr_workflow *w = s->rt->workflows; w != NULL; w = w->next)
        if (w->plan == plan) return w->hash;
    return NULL;
}

int orr_save(orr_runtime *rt, orr_write_fn write, void *ud) {
    saving s = {rt, write, ud};
    orr_save_io io = {write_some, plan_hash, &s};
    orr_reason reason = {""};
    int status = outside(rt, "orr_save");
    if (status != ORR_OK) return status;
    if (write == NULL) return orr_api_refuse(rt, "orr_save: the function is NULL");
    status = make_hashes(rt);
    if (status != ORR_OK) return status;
    orr_api_take_posts(rt);
    rt->depth++;
    orr_status saved = orr_runs_save(rt->box, &io, &reason);
    rt->depth--;
    return say(rt, saved, &reason);
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct loading {
    orr_runtime *rt;
    unsigned char *bytes;
    size_t size, room;
    orr_saved saved;
    orr_saved_run run; /* that goes on now, or is given up */
} loading;

/* All of it, since nothing is done before it is known to be whole. */
static int read_all(loading *l, orr_read_fn read, void *ud) {
    for (;;) {
        if (l->room - l->size < 4096) {
            size_t room = l->room > 0 ? l->room * 2 : 65536;
            unsigned char *bytes = orr_mem_resize(&l->rt->alloc, l->bytes, l->room, room, 1);
            if (bytes == NULL)
                return orr_api_fail(l->rt, ORR_ENOMEM, "out_of_memory", orr_strerror(ORR_ENOMEM));
            l->bytes = bytes;
            l->room = room;
        }
        int64_t n = read(ud, l->bytes + l->size, l->room - l->size);
        if (n == 0) return ORR_OK;
        if (n < 0 || (uint64_t)n > l->room - l->size)
            return orr_api_fail(l->rt, ORR_EIO, "store_error",
                                "orr_load: the program's function has not read the save");
        l->size += (size_t)n;
    }
}

/* The workflow that was loaded last under that name. */
static orr_workflow *workflow_of(const loading *l, const orr_saved_run *run) {
    orr_workflow *w = l->rt->workflows;
    while (w != NULL && strcmp(w->plan->name, run->workflow) != 0) w = w->next;
    return w;
}

/* That all runs have a workflow, before the first goes on. Children have it of their parents. */
static int check_workflows(loading *l) {
    orr_saved saved = l->saved;
    orr_saved_run run;
    orr_reason reason = {""};
    while (orr_saved_next(&saved, &run)) {
        if (run.child) continue;
        orr_workflow *w = workflow_of(l, &run);
        if (w == NULL) {
            orr_reason_set(&reason, "the save has runs of the workflow %s; load that first", run.workflow);
            return say(l->rt, ORR_ENOTFOUND, &reason);
        }
        if (run.hash[0] != '\0' && strcmp(w->hash, run.hash) != 0) {
            orr_reason_set(&reason, "the workflow %s is another than when its runs were saved", run.workflow);
            return say(l->rt, ORR_EDEFINITION, &reason);
        }
    }
    return ORR_OK;
}

/* ---- going on -------------------------------------------------------------------------------- */

/* (plan, options) -> run; upvalue 1: the loading */
static int go_on(lua_State *L) {
    const loading *l = lua_touserdata(L, lua_upvalueindex(1));
    lua_settop(L, 2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->rt->rt);
    orr_saved_go_on(L, l->rt->box, 3, 1, 2, &l->run);
    return 1;
}

static int load_run(lua_State *L) {
    loading *l = lua_touserdata(L, 1);
    if (l->run.child) {
        orr_saved_put(L, l->rt->box, &l->run);
        return 0;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->rt->host);
    lua_getfield(L, -1, "load");
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->rt->rt);
    lua_rawgeti(L, LUA_REGISTRYINDEX, workflow_of(l, &l->run)->compiled);
    lua_pushlightuserdata(L, l);
    lua_pushcclosure(L, go_on, 1);
    lua_call(L, 3, 1);
    orr_api_keep_run(L, l->rt, orr_check_run(L, -1));
    return 0;
}

/* A run of this load, until which all of them are given up. */
static int give_up_run(lua_State *L) {
    const loading *l = lua_touserdata(L, 1);
    orr_request a = {.rt = l->rt};
    memcpy(a.id.bytes, l->run.id, sizeof a.id.bytes);
    if (orr_api_push_run(L, &a)) {
        orr_runbox *r = orr_check_run(L, -1);
        orr_push_error(L, l->rt->script, "invalid_save", "another run of the save could not be loaded");
        orr_run_drop(L, r);
        lua_rawgeti(L, LUA_REGISTRYINDEX, l->rt->runs);
        lua_pushlstring(L, (const char *)l->run.id, sizeof l->run.id);
        lua_pushnil(L);
        lua_rawset(L, -3);
    }
    return 0;
}

static void give_up_until(loading *l, uint64_t left) {
    orr_saved saved = l->saved;
    while (saved.left > left && orr_saved_next(&saved, &l->run)) {
        orr_api_call(l->rt, give_up_run, l);
        orr_saved_drop(l->rt->box, &l->run);
    }
}

static int load_all(loading *l) {
    orr_saved saved = l->saved;
    int status = ORR_OK;
    while (status == ORR_OK && orr_saved_next(&saved, &l->run)) {
        status = orr_api_call(l->rt, load_run, l);
        /* what hinders one hinders all: a game is loaded whole or not at all */
        if (status != ORR_OK) give_up_until(l, saved.left + 1);
    }
    return status;
}

int orr_load(orr_runtime *rt, orr_read_fn read, void *ud) {
    loading l = {.rt = rt};
    orr_reason reason = {""};
    int status = outside(rt, "orr_load");
    if (status != ORR_OK) return status;
    if (read == NULL) return orr_api_refuse(rt, "orr_load: the function is NULL");
    if (!rt->config.saveable || rt->box->durable)
        return orr_api_fail(rt, ORR_ESTATE, "wrong_state",
                            "orr_load: the runtime is opened with config.saveable and without a store, whose "
                            "runs orr_resume_all lets go on");
    status = read_all(&l, read, ud);
    if (status == ORR_OK) status = say(rt, orr_saved_read(l.bytes, l.size, &l.saved, &reason), &reason);
    if (status == ORR_OK) status = make_hashes(rt);
    if (status == ORR_OK) status = check_workflows(&l);
    if (status == ORR_OK) {
        if (rt->config.clock != ORR_CLOCK_REAL && l.saved.time > orr_time(rt))
            orr_engine_pass(rt->box->base.engine, l.saved.time);
        orr_engine_tick(rt->box->base.engine); /* no run is to take itself for one from the future */
        status = load_all(&l);
    }
    orr_mem_free(&rt->alloc, l.bytes, l.room, 1);
    rt->busy = true;
    return status;
}
