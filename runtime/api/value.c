/* value.c - values of the runtime for the host, without text: handles to what Lua holds.
 *
 * A handle is a slot and the number that the slot was given when it was taken, so that one that was
 * dropped finds nothing. The slots are a stack: a callback drops what was taken in it, a step what
 * was taken before it, and orr_value_drop what was taken since.
 */
#include "api/api.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

/* ---- slots ----------------------------------------------------------------------------------- */

static bool grow(orr_runtime *rt) {
    orr_values *all = &rt->values;
    uint32_t n = all->room > 0 ? all->room * 2 : 16;
    orr_value_slot *slots = orr_mem_resize(&rt->alloc, all->slots, all->room, n, sizeof *slots);
    if (slots == NULL) return false;
    all->slots = slots;
    all->room = n;
    return true;
}

orr_value orr_api_keep_value(lua_State *L, orr_runtime *rt) {
    orr_values *all = &rt->values;
    if (all->n == all->room && !grow(rt)) luaL_error(L, "not enough memory");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        orr_json_push_null(L);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, all->table);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)all->n + 1);
    lua_pop(L, 1);
    if (++all->number == 0) all->number = 1;
    all->slots[all->n] = (orr_value_slot){.number = all->number};
    return (orr_value){all->n++, all->number};
}

void orr_api_drop_values(orr_runtime *rt, uint32_t n) {
    orr_values *all = &rt->values;
    if (all->n <= n || !lua_checkstack(rt->L, 2)) return;
    lua_rawgeti(rt->L, LUA_REGISTRYINDEX, all->table);
    while (all->n > n) {
        lua_pushboolean(rt->L, false); /* in a place that is there: this needs no memory */
        lua_rawseti(rt->L, -2, (lua_Integer)all->n--);
    }
    lua_pop(rt->L, 1);
}

void orr_api_freeze_values(orr_runtime *rt) {
    for (uint32_t i = 0; i < rt->values.n; i++) rt->values.slots[i].made = false;
}

static bool is_there(const orr_runtime *rt, orr_value v) {
    return rt != NULL && v.number != 0 && v.slot < rt->values.n &&
           rt->values.slots[v.slot].number == v.number;
}

bool orr_api_push_value(lua_State *L, const orr_runtime *rt, orr_value v) {
    if (!is_there(rt, v)) return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->values.table);
    lua_rawgeti(L, -1, (lua_Integer)v.slot + 1);
    lua_remove(L, -2);
    return true;
}

void orr_value_drop(orr_runtime *rt, orr_value v) {
    if (is_there(rt, v)) orr_api_drop_values(rt, v.slot);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Pushes it where there is one, for a function that needs no memory. */
static bool peek(const orr_runtime *rt, orr_value v) {
    return is_there(rt, v) && lua_checkstack(rt->L, LUA_MINSTACK) && orr_api_push_value(rt->L, rt, v);
}

orr_value_kind orr_value_is(orr_runtime *rt, orr_value v) {
    if (!peek(rt, v)) return ORR_VALUE_NONE;
    orr_value_kind kind = ORR_VALUE_NULL; /* also what is no plain data, which the host cannot read */
    switch (lua_type(rt->L, -1)) {
    case LUA_TBOOLEAN: kind = ORR_VALUE_BOOLEAN; break;
    case LUA_TNUMBER: kind = lua_isinteger(rt->L, -1) ? ORR_VALUE_INTEGER : ORR_VALUE_FLOAT; break;
    case LUA_TSTRING: kind = ORR_VALUE_TEXT; break;
    case LUA_TTABLE: kind = orr_json_is_array(rt->L, -1) ? ORR_VALUE_ARRAY : ORR_VALUE_OBJECT; break;
    default: break;
    }
    lua_pop(rt->L, 1);
    return kind;
}

bool orr_value_boolean(orr_runtime *rt, orr_value v, bool otherwise) {
    if (!peek(rt, v)) return otherwise;
    bool is = lua_isboolean(rt->L, -1) ? lua_toboolean(rt->L, -1) != 0 : otherwise;
    lua_pop(rt->L, 1);
    return is;
}

int64_t orr_value_integer(orr_runtime *rt, orr_value v, int64_t otherwise) {
    if (!peek(rt, v)) return otherwise;
    int is_one = 0;
    lua_Integer n = lua_type(rt->L, -1) == LUA_TNUMBER ? lua_tointegerx(rt->L, -1, &is_one) : 0;
    lua_pop(rt->L, 1);
    return is_one ? n : otherwise;
}

double orr_value_number(orr_runtime *rt, orr_value v, double otherwise) {
    if (!peek(rt, v)) return otherwise;
    double n = lua_type(rt->L, -1) == LUA_TNUMBER ? lua_tonumber(rt->L, -1) : otherwise;
    lua_pop(rt->L, 1);
    return n;
}

const char *orr_value_text(orr_runtime *rt, orr_value v, size_t *len) {
    if (len != NULL) *len = 0;
    if (!peek(rt, v)) return NULL;
    const char *text = lua_type(rt->L, -1) == LUA_TSTRING ? lua_tolstring(rt->L, -1, len) : NULL;
    lua_pop(rt->L, 1); /* its slot holds it */
    return text;
}

static size_t count_fields(lua_State *L) {
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) n += lua_type(L, -2) == LUA_TSTRING;
    return n;
}

size_t orr_value_count(orr_runtime *rt, orr_value v) {
    if (!peek(rt, v)) return 0;
    lua_State *L = rt->L;
    size_t n = 0;
    if (lua_istable(L, -1)) n = orr_json_is_array(L, -1) ? orr_list_len(L, -1) : count_fields(L);
    lua_pop(L, 1);
    return n;
}

/* ---- parts ----------------------------------------------------------------------------------- */

typedef struct part {
    orr_runtime *rt;
    orr_value of, found;
    const char *name;
    size_t item;
    orr_value *key, *value;
    bool any;
} part;

static int field(lua_State *L) {
    part *p = lua_touserdata(L, 1);
    if (!orr_api_push_value(L, p->rt, p->of) || !lua_istable(L, -1)) return 0;
    lua_pushstring(L, p->name);
    if (lua_rawget(L, -2) != LUA_TNIL) p->found = orr_api_keep_value(L, p->rt);
    return 0;
}

orr_value orr_value_field(orr_runtime *rt, orr_value v, const char *name) {
    part p = {.rt = rt, .of = v, .name = name};
    if (name != NULL && is_there(rt, v)) orr_api_call(rt, field, &p);
    return p.found;
}

static int item(lua_State *L) {
    part *p = lua_touserdata(L, 1);
    if (!orr_api_push_value(L, p->rt, p->of) || !lua_istable(L, -1)) return 0;
    if (p->item >= orr_list_len(L, -1)) return 0;
    orr_list_get(L, -1, (lua_Integer)p->item + 1);
    p->found = orr_api_keep_value(L, p->rt);
    return 0;
}

orr_value orr_value_item(orr_runtime *rt, orr_value v, size_t i) {
    part p = {.rt = rt, .of = v, .item = i};
    if (is_there(rt, v)) orr_api_call(rt, item, &p);
    return p.found;
}

/* The value at the top, popped, comes into the slot of a handle, or a new one. */
static void put(lua_State *L, orr_runtime *rt, orr_value *v) {
    if (!is_there(rt, *v)) {
        *v = orr_api_keep_value(L, rt);
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->values.table);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)v->slot + 1);
    lua_pop(L, 1);
}

static int next_field(lua_State *L) {
    part *p = lua_touserdata(L, 1);
    if (!orr_api_push_value(L, p->rt, p->of) || !lua_istable(L, -1)) return 0;
    if (!orr_api_push_value(L, p->rt, *p->key)) lua_pushnil(L);
    do {
        if (lua_next(L, 2) == 0) return 0;
        if (lua_type(L, -2) == LUA_TSTRING) break;
        lua_pop(L, 1);
    } while (true);
    lua_pushvalue(L, -2);
    put(L, p->rt, p->key);
    put(L, p->rt, p->value);
    p->any = true;
    return 0;
}

bool orr_value_next(orr_runtime *rt, orr_value object, orr_value *name, orr_value *value) {
    part p = {.rt = rt, .of = object, .key = name, .value = value};
    if (name == NULL || value == NULL || !is_there(rt, object)) return false;
    return orr_api_call(rt, next_field, &p) == ORR_OK && p.any;
}

/* ---- making ---------------------------------------------------------------------------------- */

static orr_value keep_made(lua_State *L, orr_runtime *rt) {
    orr_value v = orr_api_keep_value(L, rt);
    rt->values.slots[v.slot].made = true;
    return v;
}

static int make_array(lua_State *L) {
    part *p = lua_touserdata(L, 1);
    lua_newtable(L);
    orr_json_mark_array(L, -1);
    p->found = keep_made(L, p->rt);
    return 0;
}

static int make_object(lua_State *L) {
    part *p = lua_touserdata(L, 1);
    lua_newtable(L);
    p->found = keep_made(L, p->rt);
    return 0;
}

orr_value orr_value_array(orr_runtime *rt) {
    part p = {.rt = rt};
    orr_api_call(rt, make_array, &p);
    return p.found;
}

orr_value orr_value_object(orr_runtime *rt) {
    part p = {.rt = rt};
    orr_api_call(rt, make_object, &p);
    return p.found;
}

typedef struct setting {
    orr_runtime *rt;
    orr_value into, value;
    const char *name, *text;
    size_t len;
    double number;
    int64_t integer;
    orr_value_kind kind; /* ORR_VALUE_NONE: `value` */
    bool flag;
    const char *problem;
} setting;

static void push_set(lua_State *L, const setting *s) {
    switch (s->kind) {
    case ORR_VALUE_BOOLEAN: lua_pushboolean(L, s->flag); break;
    case ORR_VALUE_INTEGER: lua_pushinteger(L, s->integer); break;
    case ORR_VALUE_FLOAT: lua_pushnumber(L, s->number); break;
    case ORR_VALUE_TEXT: lua_pushlstring(L, s->text, s->len); break;
    default:
        if (s->kind != ORR_VALUE_NONE || !orr_api_push_value(L, s->rt, s->value)) orr_json_push_null(L);
    }
}

static int set_part(lua_State *L) {
    setting *s = lua_touserdata(L, 1);
    orr_api_push_value(L, s->rt, s->into);
    bool array = orr_json_is_array(L, -1);
    if (array == (s->name != NULL)) {
        s->problem = array ? "orr_value_set: an array takes no name: NULL appends"
                           : "orr_value_set: a field of an object has a name";
        return 0;
    }
    if (!array) lua_pushstring(L, s->name);
    push_set(L, s);
    if (array) lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    else lua_rawset(L, -3);
    return 0;
}

static int set(setting *s) {
    const orr_runtime *rt = s->rt;
    if (rt == NULL) return ORR_EINVAL;
    if (!is_there(rt, s->into))
        return orr_api_refuse(s->rt, "orr_value_set: there is no such value any more");
    if (!rt->values.slots[s->into.slot].made)
        return orr_api_fail(s->rt, ORR_ESTATE, "wrong_state",
                            "orr_value_set: only what orr_value_array and orr_value_object have made is "
                            "changed, and only until it is handed over");
    if (s->kind == ORR_VALUE_NONE && !is_there(rt, s->value))
        return orr_api_refuse(s->rt, "orr_value_set: there is no value to be set");
    int status = orr_api_call(s->rt, set_part, s);
    return status == ORR_OK && s->problem != NULL ? orr_api_refuse(s->rt, s->problem) : status;
}

int orr_value_set(orr_runtime *rt, orr_value into, const char *name, orr_value value) {
    return set(&(setting){.rt = rt, .into = into, .name = name, .value = value});
}

int orr_value_set_null(orr_runtime *rt, orr_value into, const char *name) {
    return set(&(setting){.rt = rt, .into = into, .name = name, .kind = ORR_VALUE_NULL});
}

int orr_value_set_boolean(orr_runtime *rt, orr_value into, const char *name, bool flag) {
    return set(&(setting){.rt = rt, .into = into, .name = name, .kind = ORR_VALUE_BOOLEAN, .flag = flag});
}

int orr_value_set_integer(orr_runtime *rt, orr_value into, const char *name, int64_t n) {
    return set(&(setting){.rt = rt, .into = into, .name = name, .kind = ORR_VALUE_INTEGER, .integer = n});
}

int orr_value_set_number(orr_runtime *rt, orr_value into, const char *name, double n) {
    if (rt != NULL && !isfinite(n)) return orr_api_refuse(rt, "orr_value_set_number: no finite number");
    return set(&(setting){.rt = rt, .into = into, .name = name, .kind = ORR_VALUE_FLOAT, .number = n});
}

int orr_value_set_text(orr_runtime *rt, orr_value into, const char *name, const char *text, size_t len) {
    if (rt != NULL && text == NULL) return orr_api_refuse(rt, "orr_value_set_text: the text is NULL");
    return set(
        &(setting){.rt = rt, .into = into, .name = name, .kind = ORR_VALUE_TEXT, .text = text, .len = len});
}

/* ---- to and from text ------------------------------------------------------------------------ */

static int from_json(lua_State *L) {
    part *p = lua_touserdata(L, 1);
    orr_api_push_json(L, p->name, "value");
    p->found = orr_api_keep_value(L, p->rt);
    return 0;
}

orr_value orr_value_from_json(orr_runtime *rt, const char *text) {
    part p = {.rt = rt, .name = text};
    if (text == NULL) orr_api_refuse(rt, "orr_value_from_json: the text is NULL");
    else orr_api_call(rt, from_json, &p);
    return p.found;
}

static int to_json(lua_State *L) {
    orr_request *a = lua_touserdata(L, 1);
    if (orr_api_push_value(L, a->rt, a->value)) orr_api_answer_json(L, a);
    return 0;
}

const char *orr_value_json(orr_runtime *rt, orr_value v) {
    orr_request a = {.rt = rt, .value = v};
    if (is_there(rt, v)) orr_api_call(rt, to_json, &a);
    return a.answer;
}
