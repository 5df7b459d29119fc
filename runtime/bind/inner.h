/* inner.h - what the files of the room `bind` share among themselves. */
#ifndef ORR_BIND_INNER_H
#define ORR_BIND_INNER_H

#include "loop/loop.h"
#include "lua/lua.h"

#include <lauxlib.h>

struct orr_blocking;
struct orr_http_request;
struct orr_httpd_options;
struct orr_mail_request;
struct orr_script;

/* Pushes the metatable of that name, made where it is not there yet: `gc` collects the userdata,
 * and they have the `methods`, if any. May raise a memory error. */
void orr_push_kind(lua_State *L, const char *name, lua_CFunction gc, const luaL_Reg *methods);
/* Push the functions `spawn` and `commands` (process.c) and `transfer` (http.c) of orrery.core. May
 * raise a memory error. */
int orr_open_process(lua_State *L);
int orr_open_http(lua_State *L);
/* Reads the options at 1 into a request; they and what is pushed keep its texts alive. Raises what
 * is wrong with them (http_options.c). */
void orr_read_request(lua_State *L, struct orr_http_request *r);
void orr_read_mail(lua_State *L, struct orr_mail_request *r);
/* The parts of orr_bind_let_loop_go. */
void orr_process_let_loop_go(lua_State *L);
void orr_http_let_loop_go(lua_State *L);
void orr_files_let_loop_go(lua_State *L);
/* Calls __gc of the userdata that the registry keeps under the key, if any, and forgets it. */
void orr_let_kind_go(lua_State *L, const void *key);
/* Reads the options at 1 into those of a server; they and what is pushed keep its texts alive.
 * Raises what is wrong with them (http_server_options.c). */
void orr_read_server(lua_State *L, struct orr_httpd_options *o);
/* core.http_server (http_server.c) */
int orr_open_http_server(lua_State *L);
/* core.smtp (mail.c) */
int orr_open_mail(lua_State *L);
/* core.fs (files.c) */
int orr_open_files(lua_State *L);
/* The threads for what blocks, made where there are none yet: where their pool is, NULL once the
 * state is being closed. What was submitted is dropped then. May raise a memory error. */
struct orr_blocking *const *orr_threads_of(lua_State *L);
/* core.archive (archive.c) */
int orr_open_archive(lua_State *L);
/* core.database(path, options) -> database (database.c) */
int orr_core_database(lua_State *L);
/* core.postgres(parameters) -> connection (postgres.c) */
int orr_core_postgres(lua_State *L);
/* core.redis_reader(limit) -> reader (redis.c) */
int orr_core_redis_reader(lua_State *L);
/* core.store(url [, mode]) -> store (store.c) */
int orr_core_store(lua_State *L);
int orr_core_restore(lua_State *L);
int orr_rt_store(lua_State *L);
/* core.alarm(fn) -> alarm (alarm.c) */
int orr_core_alarm(lua_State *L);
/* core.disk() -> disk (disk.c) */
int orr_core_disk(lua_State *L);
/* core.trace(topics), core.traced() -> lines, lost (trace.c) */
int orr_core_trace(lua_State *L);
int orr_core_traced(lua_State *L);

#endif
