/* disk.c - core.disk: the disk of a simulation as Lua sees it (store/sim/sim.h).
 *
 * core.disk() -> disk. A runtime is opened on it with `store = disk:url()`, one at a time. Nothing
 * here yields.
 *
 *   disk:url()                what a runtime's `store` has to be
 *   disk:crash_at(records)    the process dies with the commit of that record, 0: it does not
 *   disk:crash()              it dies now
 *   disk:crashed()            whether it has died
 *   disk:fault(commit, kind, turns)
 *                             what is wrong with a commit: "slow", "fails" or "unsure"
 *   disk:records(), disk:commits()
 *                             how many were made
 *   disk:last(run)            the number of the last record of the run with that id, 0: none;
 *                             whether it ends the run
 *   disk:journal(run, plan)   its records that are on the disk, as run:journal gives them; nil
 *                             where there is no such run
 *   disk:send(run, name, text)
 *                             leaves a message for a run -> true, or nil and the reason
 */
#include "bind/inner.h"
#include "durable/durable.h"
#include "store/sim/sim.h"
#include "store/store.h"

#include <stdio.h>

#define DISK "orrery.disk"

static orr_disk *check_disk(lua_State *L) {
    orr_disk *const *disk = luaL_checkudata(L, 1, DISK);
    return *disk;
}

static void check_run(lua_State *L, int at, uint8_t run[16]) {
    luaL_argcheck(L, orr_uuid_parse(luaL_checkstring(L, at), run), at, "the whole id of a run is expected");
}

static int disk_url(lua_State *L) {
    char url[32];
    snprintf(url, sizeof url, "sim:%llu", (unsigned long long)orr_disk_number(check_disk(L)));
    lua_pushstring(L, url);
    return 1;
}

static int disk_crash_at(lua_State *L) {
    lua_Integer records = luaL_checkinteger(L, 2);
    luaL_argcheck(L, records >= 0, 2, "not negative");
    orr_disk_crash_at(check_disk(L), (uint64_t)records);
    return 0;
}

static int disk_crash(lua_State *L) {
    orr_disk_crash(check_disk(L));
    return 0;
}

static int disk_crashed(lua_State *L) {
    lua_pushboolean(L, orr_disk_crashed(check_disk(L)));
    return 1;
}

static int disk_fault(lua_State *L) {
    static const char *const names[] = {"slow", "fails", "unsure", NULL};
    static const orr_disk_fault faults[] = {ORR_DISK_SLOW, ORR_DISK_FAILS, ORR_DISK_UNSURE};
    orr_disk *disk = check_disk(L);
    lua_Integer commit = luaL_checkinteger(L, 2), turns = luaL_checkinteger(L, 4);
    orr_disk_fault fault = faults[luaL_checkoption(L, 3, NULL, names)];
    luaL_argcheck(L, commit >= 1, 2, "commits are counted from 1");
    luaL_argcheck(L, turns >= 0 && turns <= 1000, 4, "from 0 to 1000 turns");
    if (orr_disk_fault_at(disk, (uint64_t)commit, fault, (uint32_t)turns) != ORR_OK)
        return luaL_error(L, "not enough memory");
    return 0;
}

static int disk_records(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)orr_disk_records(check_disk(L)));
    return 1;
}

static int disk_commits(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)orr_disk_commits(check_disk(L)));
    return 1;
}

static int disk_last(lua_State *L) {
    uint8_t run[16];
    const orr_disk *disk = check_disk(L);
    check_run(L, 2, run);
    bool ended;
    lua_pushinteger(L, (lua_Integer)orr_disk_last(disk, run, &ended));
    lua_pushboolean(L, ended);
    return 2;
}

static int disk_journal(lua_State *L) {
    uint8_t run[16];
    orr_reason reason = {""};
    const orr_disk *disk = check_disk(L);
    check_run(L, 2, run);
    orr_check_plan(L, 3);
    lua_settop(L, 3);
    if (orr_journal_push(L, orr_disk_kept(disk), run, 3, &reason) == ORR_ENOTFOUND) lua_pushnil(L);
    return 1;
}

static int disk_send(lua_State *L) {
    uint8_t run[16];
    orr_reason reason = {""};
    orr_disk *disk = check_disk(L);
    check_run(L, 2, run);
    const char *name = luaL_checkstring(L, 3), *text = luaL_checkstring(L, 4);
    if (orr_disk_send(disk, run, name, text, &reason) == ORR_OK) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, reason.text);
    return 2;
}

static int disk_gc(lua_State *L) {
    orr_disk **disk = luaL_checkudata(L, 1, DISK);
    if (*disk) orr_disk_free(*disk);
    *disk = NULL;
    return 0;
}

int orr_core_disk(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"url", disk_url},
        {"crash_at", disk_crash_at},
        {"crash", disk_crash},
        {"crashed", disk_crashed},
        {"fault", disk_fault},
        {"records", disk_records},
        {"commits", disk_commits},
        {"last", disk_last},
        {"send", disk_send},
        {"journal", disk_journal},
        {NULL, NULL},
    };
    orr_alloc alloc = {orr_alloc_libc, NULL};
    orr_disk **disk = lua_newuserdatauv(L, sizeof *disk, 0);
    *disk = NULL;
    orr_push_kind(L, DISK, disk_gc, methods);
    lua_setmetatable(L, -2);
    orr_sim_register();
    *disk = orr_disk_new(&alloc);
    if (!*disk) return luaL_error(L, "not enough memory for a disk");
    return 1;
}
