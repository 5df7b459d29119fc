/* script.h - what the files of runtime/script share with the rest: the state that hangs on one lua_State.
 *
 * All of it runs on the loop's thread. Callbacks of libuv and libcurl never resume a coroutine: they queue, and
 * the scheduler in fiber.c, the only caller of lua_resume for handlers, goes on with the fiber at the next step.
 *
 * Functions that take a lua_State and are not said to raise do not raise; nothing here yields unless it says so.
 */
#ifndef ORR_SCRIPT_H
#define ORR_SCRIPT_H

#include "../core/core.h"
#include "../loop/engine.h"
#include <lua.h>
#include <uv.h>

typedef struct orr_script orr_script;

/* The script state of L (any of its coroutines); raises a Lua error where orrery.core was not opened in it. */
orr_script *orr_script_of(lua_State *L);

/* The loop that callbacks run on, and the allocator. */
uv_loop_t *orr_script_loop(orr_script *s);
const orr_alloc *orr_script_alloc(orr_script *s);

/* The main thread of the Lua state: the one on which callbacks call Lua functions. Its stack is checked. */
lua_State *orr_script_main(orr_script *s);

/* Counts what is under way outside (a child process, a transfer): virtual time stands still meanwhile, and a
 * run that waits for nothing else is not stalled. `by` is +1 or -1. */
void orr_script_pending(orr_script *s, int by);

/* Calls the function below its `nargs` arguments on the main thread's stack and pops both. An error in it is reported
 * as the failure of the fiber it belongs to, or logged; it never leaves this call. */
void orr_script_call(orr_script *s, int nargs);

/* ---- for the host and for embedders ----------------------------------------------------------------------------- */

/* What orrery.core takes when it is opened. Set it before; without it the C library's heap, luv's own loop and no
 * watchdog are used. The struct is copied. */
typedef struct orr_script_options {
    orr_alloc alloc;
    uv_loop_t *loop; /* NULL: the one luv has or makes */
    bool watchdog;   /* stop handlers that run past their timeout without a wait */
    bool no_luv;     /* do not load luv; `loop` is required then */
} orr_script_options;

/* Remembers options for luaopen_orrery_core in this state. May raise a memory error. */
void orr_script_configure(lua_State *L, const orr_script_options *options);

/* lua_CFunction: pushes the module table of orrery.core. Visible, for `require` of a shared object. */
__attribute__((visibility("default"))) int luaopen_orrery_core(lua_State *L);

/* Calls the function below its `nargs` arguments on L as a fiber without a node, so that waits work in it, and runs
 * the loop until it has returned. Like lua_pcall: pops both; LUA_OK and pushes all results (*nresults), or a
 * status and pushes two values: the error and its traceback (a string or nil). LUA_ERRERR with a message where no
 * fiber may be run: inside a handler or a callback. Not to be called inside a fiber. */
int orr_script_run(orr_script *s, lua_State *L, int nargs, int *nresults);

/* Runs the loop until no run is live and nothing keeps it alive. LUA_OK, or a status and pushes a message. */
int orr_script_drain(orr_script *s, lua_State *L);

/* Goes on with what can run now, for at most about `budget` ns, without blocking. True while there is more to do now. */
bool orr_script_step(orr_script *s, lua_State *L, int64_t budget);

/* The clock's time (ns since the epoch) at which the next timer of a live runtime is due, INT64_MAX for none. */
int64_t orr_script_deadline(orr_script *s);

/* Cancels every live run, as Ctrl-C does; a second time skips the cleanup nodes too. Returns how many there were. Not
 * async-signal-safe: call it from a uv_signal_t's callback. */
uint32_t orr_script_cancel_all(orr_script *s);

/* ---- given by other files of this folder ------------------------------------------------------------------------- */

/* Push the functions `spawn` (lprocess.c) and `transfer` (lhttp.c) of orrery.core. May raise a memory error. */
int orr_open_process(lua_State *L);
int orr_open_http(lua_State *L);

#endif
