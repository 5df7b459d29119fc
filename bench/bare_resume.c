/* bare_resume.c - what resuming a Lua coroutine from C costs, without any graph: the least that a
 * node in Lua can cost.
 *
 * usage: bare_resume NODES. `yield`: one coroutine that yields at once is resumed NODES times.
 * `call`: NODES functions, each a closure of its own in a table as handlers are, are run one after
 * the other in one coroutine that is reused.
 */
#include "sample.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>

static int yield_at_once(lua_State *L) {
    return lua_yield(L, 0);
}

static void load(lua_State *L, const char *source, lua_Integer n) {
    bool wrong = luaL_loadstring(L, source) != LUA_OK;
    if (!wrong) {
        lua_pushinteger(L, n);
        wrong = lua_pcall(L, 1, 1, 0) != LUA_OK;
    }
    if (wrong) {
        fprintf(stderr, "bench: %s\n", lua_tostring(L, -1));
        exit(1);
    }
}

static double resume_yielding(lua_State *L, lua_Integer n) {
    int results;
    load(L, "local n = ... return function(yield) while true do yield() end end", n);
    lua_State *co = lua_newthread(L);
    lua_insert(L, -2);
    lua_xmove(L, co, 1);
    lua_pushcfunction(co, yield_at_once);
    sample_expect("state of the coroutine", (uint64_t)lua_resume(co, L, 1, &results), LUA_YIELD);
    double start = sample_time();
    for (lua_Integer i = 0; i < n; i++) lua_resume(co, L, 0, &results);
    return sample_time() - start;
}

static double resume_calling(lua_State *L, lua_Integer n) {
    int results;
    lua_Integer returned = 0;
    load(L, "local n = ... local t = {} for i = 1, n do t[i] = function() end end return t", n);
    int handlers = lua_gettop(L);
    lua_State *co = lua_newthread(L);
    lua_gc(L, LUA_GCCOLLECT);
    double start = sample_time();
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, handlers, i);
        lua_xmove(L, co, 1);
        returned += lua_resume(co, L, 0, &results) == LUA_OK;
    }
    double seconds = sample_time() - start;
    sample_expect("handlers that returned", (uint64_t)returned, (uint64_t)n);
    return seconds;
}

int main(int argc, char **argv) {
    lua_Integer n = argc > 1 ? strtoll(argv[1], NULL, 10) : 0;
    lua_State *L = luaL_newstate();
    if (n < 1 || L == NULL) {
        fprintf(stderr, "usage: %s NODES\n", argv[0]);
        return 2;
    }
    luaL_openlibs(L);
    sample_say("nodes", (double)n);
    sample_say("yield", resume_yielding(L, n));
    sample_say("call", resume_calling(L, n));
    lua_close(L);
    return 0;
}
