/* event.c - what the host is told: events as JSON or as structs, by a callback or when it asks; log
 * lines and what scripts print; the ends of runs.
 *
 * All but the ends are listeners of the runtime, as scripts have them: they are told between two
 * turns, of what is durable.
 */
#include "api/api.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

/* ---- kinds ----------------------------------------------------------------------------------- */

static const char *const kind_names[ORR_EVENT_KIND_COUNT] = {
#define ORR_KIND_NAME(id, name) [ORR_EVENT_##id] = (name),
    ORR_EVENT_KINDS(ORR_KIND_NAME)
#undef ORR_KIND_NAME
};
_Static_assert(ORR_EVENT_KIND_COUNT <= 64, "a mask has a bit for each kind");

const char *orr_event_kind_name(orr_event_kinds kind) {
    return (int)kind >= 0 && kind < ORR_EVENT_KIND_COUNT ? kind_names[kind] : "?";
}

/* One that is none of ours is an event of a handler's (ctx:emit). */
static orr_event_kinds kind_of(const char *name) {
    int kind = 0;
    while (kind < ORR_EVENT_EMITTED && (name == NULL || strcmp(kind_names[kind], name) != 0)) kind++;
    return (orr_event_kinds)kind;
}

/* What the core is asked for so that the host gets what it wants: how long an attempt took is known
 * where its start is. */
static uint32_t core_kinds(const orr_config *config) {
    bool told = config->on_typed_event != NULL || config->event_queue > 0;
    uint64_t wanted = config->events != 0 ? config->events : UINT64_MAX;
    uint32_t kinds = 0;
    for (int kind = 0; told && kind < ORR_EVENT_COUNT; kind++)
        if ((wanted >> kind_of(orr_event_name((orr_event_kind)kind)) & 1) != 0)
            kinds |= ORR_EV_BIT((unsigned)kind);
    return kinds != 0 ? kinds | ORR_EV_BIT(ORR_EV_NODE_STARTED) : 0;
}

/* ---- from the table of an event to a struct -------------------------------------------------- */

static const char *text_of(lua_State *L, int at, const char *key) {
    lua_getfield(L, at, key);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    lua_pop(L, 1); /* the table holds it */
    return text;
}

static uint32_t count_of(lua_State *L, int at, const char *key) {
    lua_getfield(L, at, key);
    lua_Integer n = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
    lua_pop(L, 1);
    return n > 0 && n < UINT32_MAX ? (uint32_t)n : 0;
}

static double number_of(lua_State *L, int at, const char *key) {
    lua_getfield(L, at, key);
    double n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    lua_pop(L, 1);
    return n;
}

/* Seconds in whole microseconds; -1 where there are none. */
static int64_t time_of(lua_State *L, int at, const char *key) {
    double seconds = number_of(L, at, key);
    return seconds < 0 || seconds > 9e9 ? -1 : llround(seconds * 1e6) * 1000;
}

static void read_error(lua_State *L, int at, orr_event_info *e) {
    static const char *const names[] = {"code", "message"};
    const char **texts[] = {&e->code, &e->message};
    lua_getfield(L, at, "error");
    for (int i = 0; i < 2 && lua_istable(L, -1); i++) *texts[i] = text_of(L, lua_gettop(L), names[i]);
    lua_pop(L, 1);
}

/* The table is at `at`, and holds the texts. */
static void read_event(lua_State *L, orr_runtime *rt, int at, orr_event_info *e) {
    const char *run = text_of(L, at, "run");
    *e = (orr_event_info){.size = sizeof *e,
                          .name = text_of(L, at, "event"),
                          .time = time_of(L, at, "time"),
                          .workflow = text_of(L, at, "workflow"),
                          .node = text_of(L, at, "node"),
                          .item = count_of(L, at, "item"),
                          .iteration = count_of(L, at, "iteration"),
                          .attempt = count_of(L, at, "attempt"),
                          .level = text_of(L, at, "level"),
                          .message = text_of(L, at, "message"),
                          .due = time_of(L, at, "due"),
                          .took = time_of(L, at, "seconds"),
                          .fraction = number_of(L, at, "fraction")};
    e->kind = kind_of(e->name);
    if (run != NULL) e->run = orr_run_id_from_text(run);
    const orr_runbox *r = run != NULL ? orr_run_by_id(rt->box, e->run.bytes) : NULL;
    if (r != NULL) e->data = r->data;
    read_error(L, at, e);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void tell_log(lua_State *L, orr_runtime *rt, const orr_event_info *e) {
    uint32_t values = rt->values.n;
    orr_log_line line = {.level = e->level != NULL ? e->level : "info",
                         .message = e->message != NULL ? e->message : "",
                         .time = e->time,
                         .run = e->run,
                         .data = e->data,
                         .node = e->node};
    if (lua_getfield(L, 1, "fields") != LUA_TNIL) line.fields = orr_api_keep_value(L, rt);
    rt->config.on_log(rt->config.ud, &line);
    orr_api_drop_values(rt, values);
}

/* Appends the event, which is at 1, to those that wait to be asked for; the oldest makes room. */
static void put_in_queue(lua_State *L, orr_runtime *rt) {
    orr_event_queue_ends *q = &rt->events;
    lua_rawgeti(L, LUA_REGISTRYINDEX, q->table);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, (lua_Integer)q->end + 1);
    q->end++;
    if (q->end - q->first > rt->config.event_queue) {
        lua_pushnil(L);
        lua_rawseti(L, -2, (lua_Integer)q->first + 1);
        q->first++;
        q->lost++;
    }
    lua_pop(L, 1);
}

static int notify_struct(lua_State *L) {
    orr_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    const orr_config *config = &rt->config;
    orr_event_info e;
    lua_settop(L, 1);
    read_event(L, rt, 1, &e);
    if (e.kind == ORR_EVENT_LOG && config->on_log != NULL) tell_log(L, rt, &e);
    if (config->events != 0 && (config->events >> e.kind & 1) == 0) return 0;
    if (config->event_queue > 0) put_in_queue(L, rt);
    if (config->on_typed_event == NULL) return 0;
    uint32_t values = rt->values.n;
    lua_pushvalue(L, 1);
    e.fields = orr_api_keep_value(L, rt);
    config->on_typed_event(config->ud, &e);
    orr_api_drop_values(rt, values);
    return 0;
}

static int notify_json(lua_State *L) {
    orr_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    lua_settop(L, 1);
    if (orr_json_encode(L, 1, NULL)) rt->config.on_event(rt->config.ud, lua_tostring(L, -1));
    return 0;
}

typedef struct taking {
    orr_runtime *rt;
    orr_event_info e;
    bool any;
} taking;

static int take_event(lua_State *L) {
    taking *t = lua_touserdata(L, 1);
    orr_event_queue_ends *q = &t->rt->events;
    lua_rawgeti(L, LUA_REGISTRYINDEX, q->table);
    lua_rawgeti(L, -1, (lua_Integer)q->first + 1);
    read_event(L, t->rt, lua_gettop(L), &t->e);
    lua_pushvalue(L, -1);
    t->e.fields = orr_api_keep_value(L, t->rt);
    orr_api_answer(L, t->rt); /* it holds the texts */
    lua_pushnil(L);
    lua_rawseti(L, -2, (lua_Integer)q->first + 1);
    if (++q->first == q->end) q->first = q->end = 0;
    t->any = true;
    return 0;
}

int orr_next_event(orr_runtime *rt, orr_event_info *event) {
    taking t = {.rt = rt};
    if (event == NULL || event->size < offsetof(orr_event_info, item))
        return orr_api_refuse(rt, "orr_next_event: the struct is NULL, or its size is not set");
    if (rt == NULL) return ORR_EINVAL;
    if (rt->config.event_queue == 0)
        return orr_api_fail(rt, ORR_ESTATE, "wrong_state",
                            "orr_next_event: no event is kept; config.event_queue says how many are");
    if (rt->events.first == rt->events.end) return 0;
    int status = orr_api_call(rt, take_event, &t);
    if (status != ORR_OK) return status;
    t.e.size = event->size;
    memcpy(event, &t.e, event->size < sizeof t.e ? event->size : sizeof t.e);
    return t.any;
}

/* ---- what scripts print ---------------------------------------------------------------------- */

/* print(...), upvalue 1: the runtime */
static int print_line(lua_State *L) {
    const orr_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    int n = lua_gettop(L);
    if (rt->config.on_log == NULL) return 0; /* it closes */
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    for (int i = 1; i <= n; i++) {
        if (i > 1) luaL_addchar(&text, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&text);
    }
    luaL_pushresult(&text);
    orr_log_line line = {.level = "print",
                         .message = lua_tostring(L, -1),
                         .time = rt->box != NULL ? orr_engine_now(rt->box->base.engine) : 0};
    rt->config.on_log(rt->config.ud, &line);
    return 0;
}

void orr_api_open_print(lua_State *L, orr_runtime *rt) {
    if (!rt->own_lua || !rt->config.log_print || rt->config.on_log == NULL) return;
    lua_pushlightuserdata(L, rt);
    lua_pushcclosure(L, print_line, 1);
    lua_setglobal(L, "print");
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* A step whose budget is spent may leave the end of a run for the next one: until then it has no
 * output, and has not ended for the host. */
orr_run_state orr_api_state_of(const orr_runbox *r) {
    orr_run_state state = orr_run_get_state(r->run);
    if (r->output_failed && state == ORR_RUN_COMPLETED) state = ORR_RUN_FAILED;
    return r->live && orr_run_ended(state) ? ORR_RUN_RUNNING : state;
}

static void run_over(void *ud, const orr_runbox *r, bool ended) {
    orr_runtime *rt = ud;
    orr_run_id id;
    memcpy(id.bytes, orr_run_id_of(r->run), sizeof id.bytes);
    rt->depth++;
    rt->config.on_end(rt->config.ud, id, ended ? orr_api_state_of(r) : ORR_RUN_STATE_COUNT, r->data);
    rt->depth--;
}

void orr_api_close_events(orr_runtime *rt) {
    rt->config.on_log = NULL;
    rt->config.on_typed_event = NULL;
    if (rt->box != NULL) rt->box->over = NULL;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void tell(lua_State *L, orr_runtime *rt, lua_CFunction fn, uint32_t kinds) {
    lua_pushlightuserdata(L, rt);
    lua_pushcclosure(L, fn, 1);
    orr_events_listen(L, rt->box, kinds);
    lua_pop(L, 1);
}

void orr_api_open_events(lua_State *L, orr_runtime *rt) {
    const orr_config *config = &rt->config;
    lua_newtable(L);
    rt->events.table = luaL_ref(L, LUA_REGISTRYINDEX);
    if (config->on_event != NULL) tell(L, rt, notify_json, UINT32_MAX);
    if (config->on_typed_event != NULL || config->event_queue > 0 || config->on_log != NULL)
        tell(L, rt, notify_struct, core_kinds(config));
    if (config->on_end == NULL) return;
    rt->box->over = run_over;
    rt->box->over_ud = rt;
}
