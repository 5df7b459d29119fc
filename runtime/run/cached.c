/* cached.c - what was found in the cache, for run:why and for events: RUN_CACHED[task handle] =
 * true for a hit, or the reason of a miss. */
#include "run/inner.h"

/* Sets what is known of the task to the value at the top, which is popped. */
static void remember(lua_State *L, const orr_runbox *r, const orr_task *task) {
    orr_run_push_table(L, r, RUN_CACHED, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)orr_task_handle(task->node, task->item));
    lua_pop(L, 1);
}

void orr_cache_note(lua_State *L, const orr_runbox *r, const orr_task *task, const char *reason) {
    if (reason) lua_pushstring(L, reason);
    else lua_pushboolean(L, true);
    remember(L, r, task);
}

void orr_cache_push_noted(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item) {
    orr_run_push(L, r, RUN_CACHED);
    if (!lua_istable(L, -1)) return;
    lua_rawgeti(L, -1, (lua_Integer)orr_task_handle(node, item));
    lua_remove(L, -2);
}

bool orr_cache_hit(lua_State *L, const orr_runbox *r, const orr_task *task) {
    orr_cache_push_noted(L, r, task->node, task->item);
    bool hit = lua_isboolean(L, -1);
    lua_pop(L, 1);
    return hit;
}

void orr_cache_explain(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item) {
    orr_cache_push_noted(L, r, node, item);
    if (!lua_isnil(L, -1)) {
        bool hit = lua_isboolean(L, -1);
        lua_pushstring(L, hit ? "hit" : "miss");
        lua_setfield(L, -3, "cache");
        if (!hit) {
            lua_setfield(L, -2, "cache_reason");
            return;
        }
    }
    lua_pop(L, 1);
}
