/* embedded.c - finds the modules that are compiled in; see embedded.h. */
#include "lua/embedded.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static int by_name(const void *name, const void *module) {
    return strcmp(name, ((const orr_embedded *)module)->name);
}

const orr_embedded *orr_embedded_find(const char *name) {
    return bsearch(name, orr_embedded_modules, orr_embedded_count, sizeof *orr_embedded_modules, by_name);
}

/* The loader of a module, as `require` calls it: runs the chunk in its upvalue, without
 * collecting garbage meanwhile. Loading makes little of it, and the cycles over what is being
 * built would take a third of a cold start. For the same reason the collector then rests until
 * memory has doubled, as it does after a cycle: a step of a negative size puts it into credit. */
static int run_chunk(lua_State *L) {
    bool collecting = lua_gc(L, LUA_GCISRUNNING);
    lua_gc(L, LUA_GCSTOP);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    int status = lua_pcall(L, lua_gettop(L) - 1, 1, 0);
    if (collecting) {
        lua_gc(L, LUA_GCRESTART);
        lua_gc(L, LUA_GCSTEP, -lua_gc(L, LUA_GCCOUNT));
    }
    return status == LUA_OK ? 1 : lua_error(L);
}

/* zlib's memory comes from L's allocator, as all of ours does. It does not say how much it gives
 * back, so that stands before each block. */
typedef union block {
    size_t size;
    max_align_t aligned;
} block;

typedef struct heap {
    lua_Alloc alloc;
    void *ud;
} heap;

static void *take(void *user, unsigned items, unsigned size) {
    heap *h = user;
    size_t all = sizeof(block) + (size_t)items * size;
    block *b = h->alloc(h->ud, NULL, 0, all);
    if (!b) return NULL;
    b->size = all;
    return b + 1;
}

static void give_back(void *user, void *p) {
    heap *h = user;
    block *b = p ? (block *)p - 1 : NULL;
    if (b) h->alloc(h->ud, b, b->size, 0);
}

/* Pushes a buffer with the module's chunk, which came compressed. */
static const char *unpack(lua_State *L, const orr_embedded *m) {
    enum { GZIP = 16 };
    heap h;
    h.alloc = lua_getallocf(L, &h.ud);
    char *chunk = lua_newuserdatauv(L, m->length, 0);
    z_stream z = {.zalloc = take,
                  .zfree = give_back,
                  .opaque = &h,
                  .next_in = (z_const Bytef *)m->code,
                  .avail_in = (uInt)m->size,
                  .next_out = (Bytef *)chunk,
                  .avail_out = (uInt)m->length};
    int status = inflateInit2(&z, GZIP + MAX_WBITS);
    if (status == Z_OK) {
        status = inflate(&z, Z_FINISH);
        inflateEnd(&z);
    }
    if (status == Z_MEM_ERROR) luaL_error(L, "not enough memory"); /* as Lua says it */
    if (status != Z_STREAM_END) luaL_error(L, "embedded module '%s' is not whole", m->name);
    return chunk;
}

/* (name) -> loader, where it is from | a line for `require`'s list of the places it looked in */
static int search(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    const orr_embedded *found = orr_embedded_find(name);
    if (!found) {
        lua_pushfstring(L, "no embedded module '%s'", name);
        return 1;
    }
    bool is_plain = found->length == found->size;
    const char *chunk = is_plain ? (const char *)found->code : unpack(L, found);
    if (luaL_loadbufferx(L, chunk, found->length, name, "b") != LUA_OK)
        return luaL_error(L, "embedded module '%s' does not load: %s", name, lua_tostring(L, -1));
    lua_pushcclosure(L, run_chunk, 1);
    lua_pushfstring(L, "=embedded:%s", name);
    return 2;
}

/* Pushes package.searchers, or what is in its place; false where that is no list. */
static bool push_searchers(lua_State *L) {
    bool is_open = lua_getglobal(L, LUA_LOADLIBNAME) == LUA_TTABLE;
    return is_open && lua_getfield(L, -1, "searchers") == LUA_TTABLE;
}

/* Whether it is in the list at the top. */
static bool is_listed(lua_State *L) {
    lua_Integer n = luaL_len(L, -1);
    bool there = false;
    for (lua_Integer i = 1; i <= n && !there; i++) {
        lua_rawgeti(L, -1, i);
        there = lua_tocfunction(L, -1) == search;
        lua_pop(L, 1);
    }
    return there;
}

bool orr_embedded_is_open(lua_State *L) {
    int top = lua_gettop(L);
    bool there = push_searchers(L) && is_listed(L);
    lua_settop(L, top);
    return there;
}

void orr_embedded_open(lua_State *L) {
    int top = lua_gettop(L);
    if (!push_searchers(L))
        luaL_error(L, "the package library is not open in this Lua state; open it (luaL_openlibs) first");
    if (!is_listed(L)) {
        for (lua_Integer i = luaL_len(L, -1); i >= 2; i--) {
            lua_rawgeti(L, -1, i);
            lua_rawseti(L, -2, i + 1);
        }
        lua_pushcfunction(L, search);
        lua_rawseti(L, -2, 2);
    }
    lua_settop(L, top);
}
