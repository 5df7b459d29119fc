/* item_outputs.c - the outputs of the items of a node with `each`, of which large ones have left
 * memory: a list (lua/lazy.h) of those that are there, and of where the others are.
 *
 * In a run in a store an item that left is known by the hash of its text among the large values of
 * the store; in a run in memory it lies in a file that nobody else sees, which is the list's.
 */
#include "run/inner.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Its user values: items in memory, LEFT for one that is not; by item the hash or place of those
 * that can be read back; the runtime; what was read last. */
enum { ITEMS = 1, KEPT, RUNTIME, LAST, USER_VALUES = LAST };

static const char left_mark;
#define LEFT ((void *)(uintptr_t)&left_mark)

typedef struct item_list {
    orr_lazy list;
    orr_rtbox *rt;    /* NULL: of a run in memory */
    lua_Integer last; /* the item that was read last; 0: none */
    int fd;           /* -1: there is no file */
    off_t end;
} item_list;

/* ---- in a file ------------------------------------------------------------------------------- */

/* The text at that place and of that size, which KEPT has for the item. */
static bool read_text(lua_State *L, const item_list *l, int self, lua_Integer i) {
    lua_getiuservalue(L, self, KEPT);
    lua_rawgeti(L, -1, i);
    lua_rawgeti(L, -2, -i);
    off_t at = (off_t)lua_tointeger(L, -2);
    size_t size = (size_t)lua_tointeger(L, -1), got = 0;
    char *text = lua_newuserdatauv(L, size + 1, 0);
    while (got < size) {
        ssize_t n = pread(l->fd, text + got, size - got, at + (off_t)got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return lua_pushfstring(L, "item %I cannot be read back: %s", (LUAI_UACINT)i, strerror(errno)),
                   false;
        got += (size_t)n;
    }
    return orr_json_decode(
        L, text, size, &(orr_json_reading){.name = "output", .binary = true, .depth = ORR_JSON_DEPTH_MAX});
}

/* ---- the list -------------------------------------------------------------------------------- */

static int load_kept(lua_State *L) {
    const item_list *l = lua_touserdata(L, 1);
    if (!l->rt->storage) return luaL_error(L, "its runtime is closed");
    l->rt->keeper->load_kept(L, l->rt, lua_tostring(L, 2));
    return 1;
}

static bool read_back(lua_State *L, const item_list *l, int self, lua_Integer i) {
    if (!l->rt) return read_text(L, l, self, i);
    lua_pushcfunction(L, load_kept);
    lua_pushvalue(L, self);
    lua_getiuservalue(L, self, KEPT);
    lua_rawgeti(L, -1, i);
    lua_remove(L, -2);
    int status = lua_pcall(L, 2, 1, 0);
    if (status == LUA_ERRMEM) lua_error(L);
    return status == LUA_OK;
}

static bool item(lua_State *L, int self, lua_Integer i) {
    item_list *l = lua_touserdata(L, self);
    int top = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_getiuservalue(L, self, ITEMS);
    lua_rawgeti(L, -1, i);
    bool found = lua_touserdata(L, -1) != LEFT;
    if (!found && l->last == i) {
        lua_getiuservalue(L, self, LAST);
        found = true;
    } else if (!found) {
        found = read_back(L, l, self, i);
        if (found) {
            l->last = i;
            lua_pushvalue(L, -1);
            lua_setiuservalue(L, self, LAST);
        }
    }
    lua_rotate(L, top + 1, 1);
    lua_settop(L, top + 1);
    return found;
}

/* {items = those that are not kept elsewhere, kept = {["1"] = {["$blob"] = hash}}} */
static bool place(lua_State *L, int self, const char *folder) {
    const item_list *l = lua_touserdata(L, self);
    const char *own = l->rt && l->rt->storage ? l->rt->keeper->rows(l->rt) : NULL;
    if (!own || strcmp(own, folder) != 0) return false;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    int top = lua_gettop(L);
    lua_createtable(L, 0, 2);
    lua_createtable(L, (int)l->list.n, 0);
    lua_newtable(L);
    lua_getiuservalue(L, self, ITEMS);
    lua_getiuservalue(L, self, KEPT);
    for (lua_Integer i = 1; i <= l->list.n; i++) {
        if (lua_rawgeti(L, top + 5, i) == LUA_TNIL) {
            lua_rawgeti(L, top + 4, i);
            lua_rawseti(L, top + 2, i);
        } else {
            orr_json_push_null(L);
            lua_rawseti(L, top + 2, i);
            lua_pushfstring(L, "%I", (LUAI_UACINT)i);
            lua_createtable(L, 0, 1);
            lua_pushvalue(L, top + 6);
            lua_setfield(L, -2, "$blob");
            lua_rawset(L, top + 3);
        }
        lua_settop(L, top + 5);
    }
    lua_settop(L, top + 3);
    lua_setfield(L, top + 1, "kept");
    orr_json_mark_array(L, -1);
    lua_setfield(L, top + 1, "items");
    return true;
}

static int collect(lua_State *L) {
    item_list *l = lua_touserdata(L, 1);
    if (l->fd >= 0) close(l->fd);
    l->fd = -1;
    return 0;
}

/* The table of items at the top becomes such a list; its userdata is above it. */
static item_list *make(lua_State *L, orr_script *s, orr_rtbox *rt) {
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    int t = lua_gettop(L);
    item_list *l = lua_newuserdatauv(L, sizeof *l, USER_VALUES);
    *l = (item_list){
        .list = {.n = (lua_Integer)lua_rawlen(L, t), .item = item, .place = place, .form = "$list"},
        .rt = rt,
        .fd = -1};
    if (luaL_newmetatable(L, "orrery.items")) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_pushvalue(L, t);
    lua_setiuservalue(L, -2, ITEMS);
    lua_newtable(L);
    lua_setiuservalue(L, -2, KEPT);
    if (rt) {
        orr_push_box(L, s, rt);
        lua_setiuservalue(L, -2, RUNTIME);
    }
    lua_pushvalue(L, -1);
    orr_lazy_push(L);
    lua_replace(L, t);
    return l;
}

/* The list at the top, or NULL where it is another one; its userdata is pushed. */
static item_list *of_top(lua_State *L) {
    orr_lazy *list = orr_lazy_at(L, -1);
    if (!list || list->item != item) return NULL;
    orr_lazy_push_self(L, -1);
    return lua_touserdata(L, -1);
}

/* ---- what a run does with it ----------------------------------------------------------------- */

void orr_item_output_set(lua_State *L, uint32_t i) {
    int value = lua_gettop(L); /* the list is below it */
    lua_pushvalue(L, value - 1);
    item_list *l = of_top(L);
    if (l) {
        lua_getiuservalue(L, -1, KEPT);
        lua_pushnil(L);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
        if (l->last == (lua_Integer)i + 1) l->last = 0;
        lua_getiuservalue(L, value + 2, ITEMS);
    }
    lua_pushvalue(L, value);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
    lua_settop(L, value - 1);
}

/* Pushes the node's list and its userdata. */
static item_list *list_of(lua_State *L, const orr_runbox *r, uint32_t node) {
    orr_run_push_table(L, r, RUN_OUTPUTS, 0);
    if (lua_rawgeti(L, -1, (lua_Integer)node + 1) != LUA_TTABLE) return NULL;
    item_list *l = of_top(L);
    if (l || orr_lazy_at(L, -1)) return l;
    l = make(L, r->script, r->kept.n > 0 ? r->rt : NULL);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -4, (lua_Integer)node + 1);
    return l;
}

static void leave(lua_State *L, int self, lua_Integer i) {
    lua_getiuservalue(L, self, ITEMS);
    lua_pushlightuserdata(L, LEFT);
    lua_rawseti(L, -2, i);
}

void orr_item_output_write(lua_State *L, const orr_runbox *r, const orr_task *task) {
    int top = lua_gettop(L);
    lua_Integer i = (lua_Integer)task->item + 1;
    item_list *l = list_of(L, r, task->node);
    int self = lua_gettop(L);
    size_t size;
    if (l && (l->fd >= 0 || (l->fd = orr_unseen_open()) >= 0)) {
        lua_getiuservalue(L, self, ITEMS);
        lua_rawgeti(L, -1, i);
        if (orr_json_encode(L, -1, &(orr_json_writing){.root = "output", .binary = true})) {
            const char *text = lua_tolstring(L, -1, &size);
            if (orr_unseen_write(l->fd, text, size, l->end)) {
                lua_getiuservalue(L, self, KEPT);
                lua_pushinteger(L, (lua_Integer)l->end);
                lua_rawseti(L, -2, i);
                lua_pushinteger(L, (lua_Integer)size);
                lua_rawseti(L, -2, -i);
                l->end += (off_t)size;
                leave(L, self, i);
            }
        }
    }
    lua_settop(L, top);
}

void orr_item_output_kept(lua_State *L, const orr_runbox *r, const orr_task *task, const char *hash) {
    int top = lua_gettop(L);
    if (list_of(L, r, task->node)) {
        lua_getiuservalue(L, -1, KEPT);
        lua_pushstring(L, hash);
        lua_rawseti(L, -2, (lua_Integer)task->item + 1);
    }
    lua_settop(L, top);
}

void orr_item_output_leave(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item_index) {
    int top = lua_gettop(L);
    orr_run_push_table(L, r, RUN_OUTPUTS, 0);
    lua_rawgeti(L, -1, (lua_Integer)node + 1);
    if (of_top(L)) {
        int self = lua_gettop(L);
        lua_getiuservalue(L, self, KEPT);
        if (lua_rawgeti(L, -1, (lua_Integer)item_index + 1) != LUA_TNIL)
            leave(L, self, (lua_Integer)item_index + 1);
    }
    lua_settop(L, top);
}

bool orr_item_outputs_find(lua_State *L, orr_script *s, orr_rtbox *rt) {
    int t = lua_gettop(L);
    if (lua_getfield(L, t, "kept") != LUA_TTABLE || lua_getfield(L, t, "items") != LUA_TTABLE) {
        lua_settop(L, t);
        return false;
    }
    const item_list *l = make(L, s, rt);
    int self = lua_gettop(L);
    lua_getiuservalue(L, self, KEPT);
    for (lua_pushnil(L); lua_next(L, t + 1); lua_settop(L, self + 2)) {
        lua_Integer i = lua_tointeger(L, self + 2);
        if (i < 1 || i > l->list.n || !lua_istable(L, -1) || lua_getfield(L, -1, "$blob") != LUA_TSTRING)
            continue;
        lua_rawseti(L, self + 1, i);
        leave(L, self, i);
    }
    lua_settop(L, t + 2);
    lua_replace(L, t);
    lua_settop(L, t);
    return true;
}
