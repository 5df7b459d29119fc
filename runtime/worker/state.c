/* state.c - the Lua state of a worker: its memory, and the modules that it finds. */
#include "worker/inner.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

/* ---- memory ---------------------------------------------------------------------------------- */

struct memory {
    orr_alloc alloc;
    size_t used, budget;
    bool full;
    orr_heap *heap;
};

/* Where it is refused, Lua collects all garbage and asks once more. A state whose budget is
 * nearly in
 * use would do nothing else, a little garbage at a time: once it was full it gets nothing before an
 * eighth is free. */
static bool may_grow(memory *m, size_t by) {
    if (m->full && m->used <= m->budget - m->budget / 8) m->full = false;
    if (m->full || by > m->budget - m->used) m->full = true;
    return !m->full;
}

/* A lua_Alloc. What Lua has given back counts no more, although the heap keeps it. */
static void *bounded(void *ud, void *ptr, size_t osize, size_t nsize) {
    memory *m = ud;
    size_t had = ptr ? osize : 0; /* of a new block it says what it is for */
    if (nsize > had && !may_grow(m, nsize - had)) return NULL;
    void *to = orr_heap_lua(m->heap, ptr, osize, nsize);
    if (to || nsize == 0) m->used = m->used - had + nsize;
    return to;
}

static void free_memory(memory *m) {
    orr_alloc alloc = m->alloc;
    orr_heap_free(m->heap);
    orr_mem_free(&alloc, m, 1, sizeof *m);
}

lua_State *orr_worker_state_new(const orr_alloc *alloc, size_t budget, memory **made) {
    memory *m = orr_mem_new(alloc, 1, sizeof *m);
    if (!m) return NULL;
    m->alloc = *alloc;
    m->budget = budget;
    m->heap = orr_heap_new(alloc);
    lua_State *L = m->heap ? lua_newstate(bounded, m) : NULL;
    if (!L) {
        free_memory(m);
        return NULL;
    }
    *(void **)lua_getextraspace(L) = NULL; /* Lua leaves the main coroutine's as it was allocated */
    *made = m;
    return L;
}

void orr_worker_state_close(lua_State *L, memory *m) {
    lua_close(L);
    free_memory(m);
}

/* ---- modules --------------------------------------------------------------------------------- */

/* Leaves the text on the stack. */
static const char *push_path(lua_State *L, const char *name) {
    lua_getglobal(L, LUA_LOADLIBNAME);
    return lua_istable(L, -1) && lua_getfield(L, -1, name) == LUA_TSTRING ? lua_tostring(L, -1) : "";
}

static char *copy_text(const orr_alloc *alloc, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = orr_mem_new(alloc, size, 1);
    if (copy) memcpy(copy, text, size);
    return copy;
}

static void free_text(const orr_alloc *alloc, char *text) {
    if (text) orr_mem_free(alloc, text, strlen(text) + 1, 1);
}

/* C functions with upvalues belong to their state. */
static void read_preloaded(lua_State *L, modules *m) {
    enum { MOST = sizeof m->preloaded / sizeof *m->preloaded };
    if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE) != LUA_TTABLE) return;
    lua_pushnil(L);
    for (; lua_next(L, -2); lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        if (!name || strlen(name) >= sizeof m->preloaded[0].name || m->n_preloaded == MOST) continue;
        if (!lua_iscfunction(L, -1)) continue;
        if (lua_getupvalue(L, -1, 1)) {
            lua_pop(L, 1);
            continue;
        }
        memcpy(m->preloaded[m->n_preloaded].name, name, strlen(name) + 1);
        m->preloaded[m->n_preloaded++].open = lua_tocfunction(L, -1);
    }
}

void orr_modules_read(lua_State *L, const orr_alloc *alloc, modules *m) {
    int top = lua_gettop(L);
    luaL_checkstack(L, 12, NULL);
    *m = (modules){.embedded = orr_embedded_is_open(L)};
    read_preloaded(L, m);
    const char *path = push_path(L, "path"), *cpath = push_path(L, "cpath");
    m->path = copy_text(alloc, path);
    m->cpath = copy_text(alloc, cpath);
    if (!m->path || !m->cpath) {
        orr_modules_free(alloc, m);
        luaL_error(L, "not enough memory");
    }
    lua_settop(L, top);
}

void orr_modules_free(const orr_alloc *alloc, modules *m) {
    free_text(alloc, m->path);
    free_text(alloc, m->cpath);
    m->path = m->cpath = NULL;
}

static void set_path(lua_State *L, const char *name, const char *path) {
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_pushstring(L, path);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

void orr_modules_open(lua_State *L, const modules *m) {
    luaL_openlibs(L);
    set_path(L, "path", m->path);
    set_path(L, "cpath", m->cpath);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (unsigned i = 0; i < m->n_preloaded; i++) {
        lua_pushcfunction(L, m->preloaded[i].open);
        lua_setfield(L, -2, m->preloaded[i].name);
    }
    lua_pop(L, 1);
    if (m->embedded) orr_embedded_open(L);
}
