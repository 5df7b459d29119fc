/* postgres_wait.h - what a connection to PostgreSQL waits for on the loop. Private to postgres.c
 * and postgres_wait.c. */
#ifndef ORR_BIND_POSTGRES_WAIT_H
#define ORR_BIND_POSTGRES_WAIT_H

#include "bind/postgres_lib.h"

#include <lua.h>
#include <stdbool.h>

/* A socket that is watched, or the end of a rest. *at is NULL where there is none, and becomes so
 * when it has come. */
typedef struct orr_pq_wait orr_pq_wait;

/* Calls the function at the top, which is popped, once the socket is ready for one of the events
 * (UV_READABLE, UV_WRITABLE), or has failed. False where that cannot be. */
bool orr_pq_watch(lua_State *L, orr_pq_wait **at, int fd, int events);

/* Calls fn(ud) after so many seconds; the loop does not stay alive for it. */
bool orr_pq_rest(lua_State *L, orr_pq_wait **at, double seconds, void (*fn)(void *ud), void *ud);

/* Ends it, before the socket is closed: nothing is called any more. */
void orr_pq_unwatch(orr_pq_wait **at);

/* Asks the server on a thread, as that blocks, to end what it does for the connection, and then
 * calls the function at the top, which is popped. False, with nothing to come, where there is no
 * thread. */
bool orr_pq_cancel(lua_State *L, const orr_pq_lib *lib, PGconn *pg);

#endif
