/* run.c - ids of runs; asking about runs, steering them, waiting for them. */
#include "api/api.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

/* ---- ids ------------------------------------------------------------------------------------- */

bool orr_run_id_is_none(orr_run_id id) {
    static const orr_run_id none;
    return memcmp(&id, &none, sizeof id) == 0;
}

void orr_run_id_text(orr_run_id id, char text[37]) {
    if (text != NULL) orr_uuid_format(text, id.bytes);
}

orr_run_id orr_run_id_from_text(const char *text) {
    static const orr_run_id none;
    orr_run_id id;
    return text != NULL && orr_uuid_parse(text, id.bytes) ? id : none;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* A run that orr_resume_all resumed is held while it is live; any other is kept until it is
 * forgotten. */
orr_runbox *orr_api_live_run(const orr_request *a) {
    return orr_run_by_id(a->rt->box, a->id.bytes);
}

static bool push_kept(lua_State *L, const orr_request *a) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, a->rt->runs);
    lua_pushlstring(L, (const char *)a->id.bytes, sizeof a->id.bytes);
    return lua_rawget(L, -2) != LUA_TNIL;
}

bool orr_api_push_run(lua_State *L, const orr_request *a) {
    if (push_kept(L, a) && orr_check_run(L, lua_gettop(L))->run != NULL) return true;
    lua_pop(L, 1); /* it was suspended */
    const orr_runbox *r = orr_api_live_run(a);
    if (r != NULL) orr_push_box(L, a->rt->script, r);
    else lua_pushnil(L);
    return r != NULL;
}

void orr_api_keep_run(lua_State *L, const orr_runtime *rt, const orr_runbox *r) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->runs);
    lua_pushlstring(L, (const char *)orr_run_id_of(r->run), sizeof(orr_run_id));
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

int orr_api_ask(orr_runtime *rt, lua_CFunction fn, orr_request *a) {
    a->rt = rt;
    a->number = ORR_ENOTFOUND;
    int status = orr_api_call(rt, fn, a);
    if (status == ORR_OK && a->no_node) {
        char text[128];
        snprintf(text, sizeof text, "no node is called %.80s", a->name);
        return orr_api_fail(rt, ORR_ENOTFOUND, "not_found", text);
    }
    if (status == ORR_OK && a->number == ORR_ENOTFOUND) {
        char text[64] = "no run has the id ";
        orr_run_id_text(a->id, text + strlen(text));
        return orr_api_fail(rt, ORR_ENOTFOUND, "not_found", text);
    }
    return status;
}

static int run_state(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (!orr_api_push_run(L, a)) {
        orr_api_stored_state(L, a);
        return 0;
    }
    a->number = (int)orr_api_state_of(orr_check_run(L, lua_gettop(L)));
    return 0;
}

orr_run_state orr_state(orr_runtime *rt, orr_run_id run) {
    orr_request a = {.id = run};
    return orr_api_ask(rt, run_state, &a) == ORR_OK ? (orr_run_state)a.number : ORR_RUN_STATE_COUNT;
}

static bool lacks_name(orr_runtime *rt, const char *function, const char *name) {
    char text[64];
    if (name != NULL) return false;
    snprintf(text, sizeof text, "%s: the name of the node is NULL", function);
    orr_api_refuse(rt, text);
    return true;
}

static uint32_t node_of(lua_State *L, const orr_request *a, const orr_runbox *r) {
    lua_pushstring(L, a->name);
    return orr_node_by_name(L, r, lua_gettop(L));
}

static int node_state(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (!orr_api_push_run(L, a)) {
        orr_api_stored_node(L, a);
        return 0;
    }
    const orr_runbox *r = orr_check_run(L, lua_gettop(L));
    uint32_t node = node_of(L, a, r);
    a->number = node == ORR_NONE ? ORR_NODE_STATE_COUNT : (int)orr_run_node_state(r->run, node, ORR_NONE);
    return 0;
}

orr_node_state orr_node(orr_runtime *rt, orr_run_id run, const char *node) {
    orr_request a = {.id = run, .name = node};
    if (lacks_name(rt, "orr_node", node)) return ORR_NODE_STATE_COUNT;
    return orr_api_ask(rt, node_state, &a) == ORR_OK ? (orr_node_state)a.number : ORR_NODE_STATE_COUNT;
}

void orr_api_answer_json(lua_State *L, orr_request *a) {
    if (lua_isnil(L, -1)) return;
    if (a->as_value) {
        a->value = orr_api_keep_value(L, a->rt);
        return;
    }
    if (!orr_json_encode(L, lua_gettop(L), NULL)) lua_error(L);
    a->answer = orr_api_answer(L, a->rt);
}

/* A suspended run says why itself, where the store does not know it. */
static int run_field(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (!orr_api_push_run(L, a)) {
        orr_api_stored_column(L, a);
        if (a->number != ORR_ENOTFOUND || !push_kept(L, a)) return 0;
    }
    a->number = ORR_OK;
    lua_getfield(L, -1, a->name);
    orr_api_answer_json(L, a);
    return 0;
}

const char *orr_output(orr_runtime *rt, orr_run_id run) {
    orr_request a = {.id = run, .name = "output"};
    orr_api_ask(rt, run_field, &a);
    return a.answer;
}

orr_value orr_output_value(orr_runtime *rt, orr_run_id run) {
    orr_request a = {.id = run, .name = "output", .as_value = true};
    orr_api_ask(rt, run_field, &a);
    return a.value;
}

const char *orr_run_error_json(orr_runtime *rt, orr_run_id run) {
    orr_request a = {.id = run, .name = "error"};
    orr_api_ask(rt, run_field, &a);
    return a.answer;
}

static int node_output(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (!orr_api_push_run(L, a)) {
        orr_api_stored_node_output(L, a);
        return 0;
    }
    a->number = ORR_OK;
    const orr_runbox *r = orr_check_run(L, lua_gettop(L));
    uint32_t node = node_of(L, a, r);
    if (node != ORR_NONE) {
        orr_run_push_output(L, r, node, ORR_NONE);
        orr_api_answer_json(L, a);
    }
    return 0;
}

const char *orr_node_output(orr_runtime *rt, orr_run_id run, const char *node) {
    orr_request a = {.id = run, .name = node};
    if (lacks_name(rt, "orr_node_output", node)) return NULL;
    orr_api_ask(rt, node_output, &a);
    return a.answer;
}

orr_value orr_node_output_value(orr_runtime *rt, orr_run_id run, const char *node) {
    orr_request a = {.id = run, .name = node, .as_value = true};
    if (!lacks_name(rt, "orr_node_output_value", node)) orr_api_ask(rt, node_output, &a);
    return a.value;
}

static int node_why(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (!orr_api_push_run(L, a)) return 0;
    int run = lua_gettop(L);
    a->number = ORR_OK;
    a->no_node = node_of(L, a, orr_check_run(L, run)) == ORR_NONE;
    if (a->no_node) return 0;
    lua_getfield(L, run, "why");
    lua_pushvalue(L, run);
    lua_pushstring(L, a->name);
    lua_call(L, 2, 1);
    orr_api_answer_json(L, a);
    return 0;
}

const char *orr_why_json(orr_runtime *rt, orr_run_id run, const char *node) {
    orr_request a = {.id = run, .name = node};
    if (lacks_name(rt, "orr_why_json", node)) return NULL;
    orr_api_ask(rt, node_why, &a);
    return a.answer;
}

/* ---- steering -------------------------------------------------------------------------------- */

static int call_method(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (!orr_api_push_run(L, a)) {
        orr_api_send(L, a);
        return 0;
    }
    a->number = ORR_OK;
    lua_getfield(L, -1, a->name);
    lua_insert(L, -2);
    lua_pushstring(L, a->data); /* nil for NULL */
    lua_call(L, 2, 0);
    return 0;
}

static int steer(orr_runtime *rt, orr_run_id run, const char *method) {
    orr_request a = {.id = run, .name = method};
    return orr_api_request(rt, call_method, &a, "the run has ended");
}

int orr_cancel(orr_runtime *rt, orr_run_id run) {
    return steer(rt, run, "cancel");
}

int orr_cancel_because(orr_runtime *rt, orr_run_id run, const char *reason) {
    orr_request a = {.id = run, .name = "cancel", .data = reason};
    return orr_api_request(rt, call_method, &a, "the run has ended");
}

int orr_pause(orr_runtime *rt, orr_run_id run) {
    return steer(rt, run, "pause");
}

static int forget(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (!push_kept(L, a)) return 0;
    a->number = ORR_OK;
    lua_rawgeti(L, LUA_REGISTRYINDEX, a->rt->runs);
    lua_pushlstring(L, (const char *)a->id.bytes, sizeof a->id.bytes);
    lua_pushnil(L);
    lua_rawset(L, -3);
    return 0;
}

int orr_forget(orr_runtime *rt, orr_run_id run) {
    orr_request a = {.id = run};
    return orr_api_ask(rt, forget, &a);
}

/* ---- the host's pointer ---------------------------------------------------------------------- */

typedef struct run_data {
    orr_request a;
    void *data;
    bool set;
} run_data;

static int exchange_data(lua_State *L) {
    run_data *d = lua_touserdata(L, 1);
    if (!orr_api_push_run(L, &d->a)) return 0;
    orr_runbox *r = orr_check_run(L, lua_gettop(L));
    d->a.number = ORR_OK;
    if (d->set) r->data = d->data;
    d->data = r->data;
    return 0;
}

void *orr_run_data(orr_runtime *rt, orr_run_id run) {
    run_data d = {.a = {.id = run}};
    return orr_api_ask(rt, exchange_data, &d.a) == ORR_OK ? d.data : NULL;
}

int orr_set_run_data(orr_runtime *rt, orr_run_id run, void *data) {
    run_data d = {.a = {.id = run}, .data = data, .set = true};
    return orr_api_ask(rt, exchange_data, &d.a);
}

/* ---- listing --------------------------------------------------------------------------------- */

typedef struct listing {
    orr_runtime *rt;
    orr_run_id *ids;
    size_t room, n;
} listing;

static void list_one(listing *l, const uint8_t *id) {
    if (l->n < l->room && l->ids != NULL) memcpy(&l->ids[l->n], id, sizeof *l->ids);
    l->n++;
}

/* Those that are kept, and those that are under way and kept by nobody. */
static int list_runs(lua_State *L) {
    listing *l = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->rt->runs);
    int kept = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, kept) != 0) {
        if (orr_check_run(L, -1)->run != NULL) list_one(l, (const uint8_t *)lua_tostring(L, -2));
        lua_pop(L, 1);
    }
    for (const orr_runbox *r = l->rt->box->runs; r != NULL; r = r->next) {
        if (!r->live || r->run == NULL) continue;
        lua_pushlstring(L, (const char *)orr_run_id_of(r->run), sizeof(orr_run_id));
        if (lua_rawget(L, kept) == LUA_TNIL) list_one(l, orr_run_id_of(r->run));
        lua_pop(L, 1);
    }
    return 0;
}

size_t orr_list_runs(orr_runtime *rt, orr_run_id *ids, size_t room) {
    listing l = {rt, ids, room, 0};
    return orr_api_call(rt, list_runs, &l) == ORR_OK ? l.n : 0;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static bool is_over(void *ud) {
    return !((const orr_runbox *)ud)->live;
}

/* Of a run that this runtime does not run: it has ended, or cannot be waited for. */
static void not_here(lua_State *L, orr_request *a) {
    orr_api_stored_state(L, a);
    if (a->number >= 0) a->number = orr_run_ended((orr_run_state)a->number) ? ORR_OK : ORR_ESTATE;
}

/* Whether waiting can end: the run was resumed, or never will be. A child run is resumed by the run
 * that called it, without a callback, so it is looked up. */
static bool need_not_wait(void *ud) {
    const orr_request *a = ud;
    return a->decided || !orr_resuming(a->rt) || orr_api_live_run(a) != NULL;
}

/* Waits until orr_resume_all has come to the run. False where it never will, since other runs are
 * stuck. */
static bool wait_until_resumed(lua_State *L, orr_request *a) {
    orr_api_stored_state(L, a);
    if (a->number < 0 || orr_run_ended((orr_run_state)a->number)) return true;
    a->rt->awaited = a;
    bool came = orr_pump(a->rt->script, L, need_not_wait, a);
    a->rt->awaited = NULL;
    return came;
}

static int wait_for(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (a->rt->own_lua) orr_gc_repay(a->rt);
    orr_api_take_posts(a->rt);
    bool here = orr_api_push_run(L, a);
    if (!here && orr_resuming(a->rt)) {
        if (!wait_until_resumed(L, a)) {
            a->number = ORR_ESTUCK;
            return 0;
        }
        here = orr_api_push_run(L, a);
    }
    if (!here) {
        not_here(L, a);
        return 0;
    }
    orr_runbox *r = orr_check_run(L, lua_gettop(L));
    a->number = orr_pump(a->rt->script, L, is_over, r) ? ORR_OK : ORR_ESTUCK;
    if (a->number == ORR_OK && r->run == NULL) not_here(L, a);
    return 0;
}

int orr_wait(orr_runtime *rt, orr_run_id run) {
    orr_request a = {.id = run};
    int status = orr_api_outside(rt, "orr_wait: the runtime is at work already; wait once the call that "
                                     "called this callback has returned");
    if (status == ORR_OK) {
        orr_api_drop_values(rt, 0);
        status = orr_api_ask(rt, wait_for, &a);
    }
    if (status != ORR_OK || a.number == ORR_OK) return status;
    if (a.number == ORR_ESTATE)
        return orr_api_fail(
            rt, ORR_ESTATE, "not_here",
            "this runtime does not run it: another process has it, or nobody and orr_resume lets it go on");
    return orr_api_fail(rt, ORR_ESTUCK, "stuck",
                        "the run cannot go on: nothing is left that could end what it waits for");
}
