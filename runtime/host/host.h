/* host.h - what the files of the command share. */
#ifndef ORR_HOST_H
#define ORR_HOST_H

#include <lua.h>
#include <stdbool.h>

#define HOST_NAME "orrery"

/* Calls the function below its `nargs` arguments; waits in it let the loop go on. Pops both; pushes `nresults` results
 * (LUA_MULTRET allowed) and returns LUA_OK, or pushes the message with its traceback and returns the error's status. */
int host_call(lua_State *L, int nargs, int nresults);

/* Writes the error on top of the stack to stderr behind the command's name, and pops it. */
void host_report(lua_State *L);

/* The interpreter: argv[1] is its first option or the script. Returns the exit code. */
int host_interpret(lua_State *L, int argc, char **argv);

/* Reads, evaluates and prints until the input ends. */
void host_prompt(lua_State *L);

/* Runs the loop until no run is live and no handle keeps it. LUA_OK, or a status and pushes the message. */
int host_drain(lua_State *L);

/* lua_CFunction that opens orrery.core and lets Ctrl-C reach its loop. */
int host_open_core(lua_State *L);

/* Until host_interrupt_end, SIGINT makes Lua code of L raise "interrupted!", cancels the runs that the loop is running
 * for, and ends the reading of a line with EINTR; a second one ends the process. A disposition of SIGINT that is not
 * the default one is left alone. */
void host_interrupt_begin(lua_State *L);
void host_interrupt_end(void);

/* Whether SIGINT came since the last call of host_interrupted. */
bool host_interrupt_pending(void);
bool host_interrupted(void);

/* The version and what it runs on, in one line. */
const char *host_version(void);

/* Opens the module `orrery.host`. */
int luaopen_orrery_host(lua_State *L);

#endif
