/* host.h - the room `host`: the command. Only its own files include this. main.c: the state and
 * what to do with it; interpreter.c: scripts; prompt.c, lines.c: the prompt; call.c: calls and
 * Ctrl-C; signals.c: other signals; module.c: `orrery.host`; trace.c: ORRERY_TRACE. */
#ifndef ORR_HOST_H
#define ORR_HOST_H

#include "core/core.h"
#include "lua/lua.h"
#include <stdbool.h>

#define HOST_NAME "orrery"

/* Calls the function below its `nargs` arguments; waits in it let the loop go on. Pops both;
 * pushes `nresults` results (LUA_MULTRET allowed) and returns LUA_OK, or pushes the message with
 * its traceback and returns the error's status. */
int host_call(lua_State *L, int nargs, int nresults);

/* Writes text to stderr; what a terminal would obey, or not show, as "?". */
void host_say(const char *text);

/* Writes the error on top of the stack to stderr behind the command's name, and pops it. */
void host_report(lua_State *L);

/* The interpreter: argv[1] is its first option or the script. Returns the exit code. */
int host_interpret(lua_State *L, int argc, char **argv);

/* Reads, evaluates and prints until the input ends. */
void host_prompt(lua_State *L);

/* Runs the loop until no run is live and no handle keeps it. LUA_OK, or a status and pushes the
 * message. */
int host_drain(lua_State *L);

/* Makes the command's loop, where there is none yet. May raise. */
void host_make_loop(lua_State *L);

/* Has the loop look for signals, and stops the Lua code that keeps it from that. May be called in a
 * signal's handler. */
void host_wake(void);

/* host.later(fn): calls fn before the loop next waits. It does not keep the loop. */
int host_later(lua_State *L);

/* host.catch(fn) -> release (signals.c), and on the loop: calls fn for the signals that came. */
int host_catch(lua_State *L);
void host_tell_signals(orr_script *s);

/* Nobody has been told of the signal that came, again: where it is not the first one, it ends the
 * process in the end. May be called in a signal's handler. */
void host_unheard(void);

/* lua_CFunction that opens orrery.core and lets Ctrl-C reach its loop. */
int host_open_core(lua_State *L);

/* What libuv's threads are still at when the process ends is left: nothing can cancel it, and it
 * may never end. host_is_left says whether there is any; host_leave_at_exit arranges that no exit
 * waits for it; host_forget_loop is called before the loop goes. */
bool host_is_left(void);
void host_leave_at_exit(void);
void host_forget_loop(void);

/* Until host_interrupt_end, SIGINT makes Lua code of L raise "interrupted!", cancels the runs
 * that the loop is running for, and ends the reading of a line with EINTR; a second one ends the
 * process. A disposition of SIGINT that is not the default one is left alone. */
void host_interrupt_begin(lua_State *L);
void host_interrupt_end(void);

/* At the prompt a Ctrl-C ends what waits there as well, and never the process. */
void host_prompting(bool on);

/* Whether the error on top of the stack is that of a Ctrl-C. */
bool host_is_interruption(lua_State *L);

/* Whether SIGINT came since the last call of host_interrupted. */
bool host_interrupt_pending(void);
bool host_interrupted(void);

/* Sets up the topics that ORRERY_TRACE names; their lines go to the standard error. False, with a
 * message printed, where it names an unknown topic. */
bool host_trace(orr_trace *trace);

/* A handler at `where` (file:line or "") has not come back long after its time, and nothing can
 * stop it: says so and ends the process. May be called in a signal's handler. */
void host_stuck(const char *where);

/* The version and what it runs on, in one line. */
const char *host_version(void);

/* Opens the module `orrery.host`. */
int luaopen_orrery_host(lua_State *L);

#endif
