/* hash.c - the hash that names what a store keeps by its content: bundles, blobs, cache keys. */
#include "lua/lua.h"
#include <lauxlib.h>
#include <sha256.h>

int orr_core_sha256(lua_State *L) {
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    SHA256_CTX context;
    char hex[SHA256_DIGEST_STRING_LENGTH];
    SHA256Init(&context);
    SHA256Update(&context, (const uint8_t *)text, size);
    SHA256End(&context, hex);
    lua_pushlstring(L, hex, SHA256_DIGEST_STRING_LENGTH - 1);
    return 1;
}
