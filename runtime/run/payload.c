/* payload.c - values as JSON text, as they stand in a journal: a handler may change what it was
 * given, and the sender of a signal may go on changing its table.
 */
#include "run/inner.h"

bool orr_payload_encode(lua_State *L, const orr_runbox *r, int idx, const char *what) {
    bool too_large = false;
    orr_json_writing how = {.root = what, .binary = true, .too_large = &too_large};
    if (r->rt->storage) {
        how.limit = r->rt->output_limit;
        how.spools = r->rt->keeper->rows(r->rt);
    }
    idx = lua_absindex(L, idx);
    orr_mask(L, r->script, idx);
    if (lua_isnil(L, idx)) {
        lua_pushliteral(L, "");
        return true;
    }
    if (orr_json_encode(L, idx, &how)) return true;
    orr_push_error(L, r->script, too_large ? "output_too_large" : "invalid_output", lua_tostring(L, -1));
    lua_remove(L, -2);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "retryable");
    return false;
}

void orr_payload_decode(lua_State *L, const orr_runbox *r, int idx) {
    size_t size = 0;
    orr_json_reading how = {.name = "step", .binary = true, .depth = ORR_JSON_DEPTH_MAX};
    if (r->rt->storage) how.spools = r->rt->keeper->rows(r->rt);
    const char *text = lua_tolstring(L, idx, &size);
    if (size == 0) lua_pushnil(L);
    else if (!orr_json_decode(L, text, size, &how)) lua_error(L);
}
