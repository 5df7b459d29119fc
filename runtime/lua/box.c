/* box.c - what is behind a userdata of ours. */
#include "lua/lua.h"
#include <lauxlib.h>

void orr_push_box(lua_State *L, const orr_script *s, const void *box) {
    orr_push_anchor(L, s->boxes);
    lua_rawgetp(L, -1, box);
    lua_remove(L, -2);
}

void *orr_new_box(lua_State *L, orr_script *s, const orr_box_kind *kind) {
    orr_owned **ud = lua_newuserdatauv(L, sizeof *ud, kind->values), *box;
    *ud = NULL;
    orr_push_anchor(L, kind->metatable);
    lua_setmetatable(L, -2);
    orr_push_anchor(L, s->boxes);
    lua_pushvalue(L, -2);
    box = orr_mem_new(&s->alloc, 1, kind->size);
    if (!box) {
        luaL_error(L, "not enough memory");
        return NULL;
    }
    box->collect = kind->collect;
    box->close = kind->close;
    box->prev = NULL;
    box->next = s->owned;
    if (s->owned) s->owned->prev = box;
    s->owned = box;
    *ud = box;
    lua_rawsetp(L, -2, box);
    lua_pop(L, 1);
    return box;
}

static int box_gc(lua_State *L) {
    orr_owned **ud = lua_touserdata(L, 1), *box = *ud;
    *ud = NULL;
    orr_script *s = orr_script_find(L);
    if (box && s && !s->closed) box->collect(s, box);
    return 0;
}

void orr_box_metatable(lua_State *L) {
    lua_pushcfunction(L, box_gc);
    lua_setfield(L, -2, "__gc");
}

void *orr_check_box(lua_State *L, int idx, int metatable, const char *what) {
    bool ok = lua_type(L, idx) == LUA_TUSERDATA && lua_getmetatable(L, idx);
    if (ok) {
        orr_push_anchor(L, metatable);
        ok = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    luaL_argexpected(L, ok, idx, what);
    void *box = orr_unbox(L, idx);
    if (!box) luaL_error(L, "this %s is closed", what);
    return box;
}

void orr_free_box(orr_script *s, orr_owned *owned, size_t size) {
    if (owned->prev) owned->prev->next = owned->next;
    else s->owned = owned->next;
    if (owned->next) owned->next->prev = owned->prev;
    orr_mem_free(&s->alloc, owned, 1, size);
}
