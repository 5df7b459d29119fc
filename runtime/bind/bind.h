/* bind.h - the room `bind`: what scripts can use of the outside world (processes, HTTP, stores),
 * and the module orrery.core, which joins all rooms.
 *
 * module.c   the module             process.c  orrery.core.spawn
 * http.c     orrery.core.transfer   store.c    orrery.core.store
 * trace.c    orrery.core.trace      files.c    orrery.core.fs
 * archive.c  orrery.core.archive    mail.c     orrery.core.smtp
 * database.c orrery.core.database   postgres.c orrery.core.postgres
 * disk.c     orrery.core.disk       http_server.c  orrery.core.http_server
 */
#ifndef ORR_BIND_H
#define ORR_BIND_H

#include "lua/lua.h"
#include <uv.h>

/* What orrery.core takes when it is opened. Set it before; without it the C library's heap, luv's
 * own loop and no watchdog are used. The struct is copied. */
typedef struct orr_script_options {
    orr_alloc alloc;
    uv_loop_t *loop; /* NULL: the one luv has or makes */
    bool watchdog;   /* stop handlers that run past their timeout without a wait */
    bool contain;    /* this program may be made the parent of what its commands leave behind */
    bool alone;      /* the process is this program's own: SQLite need not count memory for others */
    bool no_luv;     /* do not load luv; `loop` is required then */
    bool luv_later;  /* not before it is required; `loop` is, and see orr_luv_open_later */
    /* Called in a signal's handler where a handler cannot be stopped, with "file:line" or ""; NULL:
     * it is left alone. */
    void (*stuck)(const char *where);
    orr_trace trace; /* what is traced; zero: nothing */
} orr_script_options;

/* Remembers options for luaopen_orrery_core in this state. May raise a memory error. */
void orr_script_configure(lua_State *L, const orr_script_options *options);

/* Closes what is kept on the loop for commands, transfers and files, and all commands that still
 * run; it is made again where it is needed. What was under way is not called back. For a program
 * that keeps its state and its loop. */
void orr_bind_let_loop_go(lua_State *L);

/* lua_CFunction: pushes the module table of orrery.core. Visible, for `require` of a shared
 * object. */
__attribute__((visibility("default"))) int luaopen_orrery_core(lua_State *L);

#endif
