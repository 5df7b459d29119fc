/* item_names.c - what the items of a node with `each` are called, where it has an `item_name`.
 *
 * Names are made with the list, once, and stand in the record of the expansion beside it. They are
 * for people: an item's identity, in journals and keys, is its number.
 */
#include "run/inner.h"

#define LONGEST 128 /* bytes */

/* Whether the character there, of so many bytes, can be printed: no control character, and
 * UTF-8. */
static bool is_printable(const char *at, int bytes) {
    unsigned char c = (unsigned char)at[0];
    bool c1 = bytes == 2 && c == 0xc2 && (unsigned char)at[1] < 0xa0;
    return bytes > 0 && c >= 0x20 && c != 0x7f && !c1;
}

/* What is wrong with a name, or NULL. */
static const char *mistake_of(const char *name, size_t size) {
    const char *end = name + size;
    bool digits = true;
    if (size == 0) return "is empty";
    if (size > LONGEST) return "is longer than 128 bytes";
    for (int bytes; name < end; name += bytes) {
        bytes = orr_utf8_sequence(name, end);
        if (!is_printable(name, bytes)) return "has a character that cannot be printed";
        digits = digits && *name >= '0' && *name <= '9';
    }
    return digits ? "is a number, which would be taken for the item's place in the list" : NULL;
}

static void refuse(lua_State *L, orr_script *s, lua_Integer item) {
    lua_pushfstring(L, "of item %I %s", (LUAI_UACINT)item, lua_tostring(L, -1));
    orr_push_error(L, s, "config_error", lua_tostring(L, -1));
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "retryable");
    lua_error(L);
}

/* The name at the top becomes a string that may stand for the item. `taken` is the index of a table
 * of the names before it. */
static void check_name(lua_State *L, orr_script *s, lua_Integer item, int taken) {
    size_t size;
    const char *name = lua_tolstring(L, -1, &size), *mistake;
    if (!name) {
        lua_pushfstring(L, "is %s, and a text is expected",
                        lua_isnil(L, -1) ? "nothing" : luaL_typename(L, -1));
        refuse(L, s, item);
        return;
    }
    if ((mistake = mistake_of(name, size)) != NULL) {
        lua_pushfstring(L, "%s: a name has 1 to 128 printable bytes, not only digits", mistake);
        refuse(L, s, item);
    }
    lua_pushvalue(L, -1);
    if (lua_rawget(L, taken) == LUA_TNUMBER) {
        lua_pushfstring(L, "is '%s', as that of item %I is: no two items of a node have the same", name,
                        (LUAI_UACINT)lua_tointeger(L, -1));
        refuse(L, s, item);
    }
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushinteger(L, item);
    lua_rawset(L, taken);
}

bool orr_item_names_make(lua_State *L, orr_runbox *r, orr_fiber *view, uint32_t n) {
    uint32_t node = view->task.node;
    orr_run_push_plan(L, r, PLAN_ITEM_NAMES);
    if (!lua_istable(L, -1) || lua_rawgeti(L, -1, (lua_Integer)node + 1) != LUA_TFUNCTION) return false;
    int fn = lua_gettop(L);
    lua_createtable(L, (int)n, 0);
    lua_createtable(L, 0, (int)n);
    for (uint32_t i = 0; i < n; i++) {
        view->task.item = i;
        lua_pushvalue(L, fn);
        orr_push_ctx(L, r->script, view);
        lua_call(L, 1, 1);
        orr_mask(L, r->script, -1);
        check_name(L, r->script, (lua_Integer)i + 1, fn + 2);
        lua_rawseti(L, fn + 1, (lua_Integer)i + 1);
    }
    view->task.item = ORR_NONE;
    lua_settop(L, fn + 1);
    orr_item_names_keep(L, r, node);
    return true;
}

void orr_item_names_keep(lua_State *L, const orr_runbox *r, uint32_t node) {
    orr_json_mark_array(L, -1);
    orr_run_push_table(L, r, RUN_ITEM_NAMES, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)node + 1);
    lua_pop(L, 1);
}

bool orr_item_names_push(lua_State *L, const orr_runbox *r, uint32_t node) {
    orr_run_push(L, r, RUN_ITEM_NAMES);
    if (lua_istable(L, -1)) {
        lua_rawgeti(L, -1, (lua_Integer)node + 1);
        lua_remove(L, -2);
    }
    if (lua_istable(L, -1)) return true;
    lua_pop(L, 1);
    return false;
}

bool orr_item_name_push(lua_State *L, const orr_runbox *r, const orr_task *task) {
    if (task->item == ORR_NONE || !orr_item_names_push(L, r, task->node)) return false;
    lua_rawgeti(L, -1, (lua_Integer)task->item + 1);
    lua_remove(L, -2);
    if (lua_isstring(L, -1)) return true;
    lua_pop(L, 1);
    return false;
}

uint32_t orr_item_by_name(lua_State *L, const orr_runbox *r, uint32_t node, int name_idx) {
    uint32_t found = ORR_NONE;
    name_idx = lua_absindex(L, name_idx);
    if (!orr_item_names_push(L, r, node)) return ORR_NONE;
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= n && found == ORR_NONE; i++) {
        lua_rawgeti(L, -1, i);
        if (lua_rawequal(L, -1, name_idx)) found = (uint32_t)i - 1;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return found;
}
