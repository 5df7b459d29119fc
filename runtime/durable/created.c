/* created.c - what a run was created with, as its first record says. */
#include "durable/inner.h"
#include "store/record/record.h"

#include <lauxlib.h>
#include <string.h>

/* The first record is copied: a value may have to be read from the store, which a visitor must not
 * use. */
typedef struct first_record {
    const orr_alloc *alloc;
    unsigned char *bytes;
    size_t size;
} first_record;

static bool take_first(void *ud, uint64_t seq, const void *bytes, size_t size) {
    first_record *f = ud;
    (void)seq;
    f->bytes = orr_mem_resize(f->alloc, NULL, 0, size, 1);
    if (f->bytes == NULL) return false;
    memcpy(f->bytes, bytes, size);
    f->size = size;
    return false;
}

static int push_created(lua_State *L) {
    const first_record *f = lua_touserdata(L, 2);
    orr_entry e;
    orr_error error;
    if (orr_entry_decode(f->bytes, f->size, &e, &error) != ORR_OK) return 0;
    orr_push_payload(L, lua_touserdata(L, 1), e.payload, e.payload_size, e.is_blob);
    return 1;
}

/* rt:created(id) -> {workflow=, folder=, durability=, input=, …} or nil. What a run of the store
 * was created with; nil where that cannot be read. */
int orr_rt_created(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    const orr_alloc *alloc = &rt->base.script->alloc;
    first_record f = {.alloc = alloc};
    uint8_t id[16];
    orr_reason reason;
    if (!rt->durable || !orr_uuid_parse(luaL_checkstring(L, 2), id)) return 0;
    orr_store_read(orr_storage_any(rt), id, 0, take_first, &f, &reason);
    if (f.bytes == NULL) return 0;
    lua_pushcfunction(L, push_created);
    lua_pushlightuserdata(L, rt);
    lua_pushlightuserdata(L, &f);
    bool read = lua_pcall(L, 2, 1, 0) == LUA_OK;
    orr_mem_free(alloc, f.bytes, f.size, 1);
    return read && lua_istable(L, -1) ? 1 : 0;
}
