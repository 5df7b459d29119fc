/* embedded.h - the Lua modules that are compiled into the command and the libraries.
 *
 * The table is made at build time by runtime/host/embed.lua from lua/, stdlib/ and the few Lua
 * files of others that we need; it is sorted by name. What a cold start of `orrery run` loads is in
 * it as it is (runtime/host/start_modules.lua); the rest is compressed, and costs a few
 * microseconds a kilobyte when it is required.
 */
#ifndef ORR_LUA_EMBEDDED_H
#define ORR_LUA_EMBEDDED_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct orr_embedded {
    const char *name;          /* as `require` takes it */
    const unsigned char *code; /* a dumped chunk of this version of Lua, maybe compressed by gzip */
    size_t size;
    size_t length; /* of the chunk; equal to `size` where it is not compressed */
} orr_embedded;

extern const orr_embedded orr_embedded_modules[]; /* ends with a NULL name */
extern const size_t orr_embedded_count;

/* The module of that name or NULL. */
const orr_embedded *orr_embedded_find(const char *name);

/* Puts a searcher for the embedded modules right behind package.preload in L's
 * package.searchers, once. What a program preloads still wins; a file on package.path with the
 * name of an embedded module does not. Raises a Lua error where L has no package library. Leaves
 * the stack as it was. */
void orr_embedded_open(lua_State *L);

/* Whether it is there. Never raises but for lack of memory. */
bool orr_embedded_is_open(lua_State *L);

#endif
