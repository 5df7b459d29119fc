/* api.h - what the files behind include/orrery.h share; private to runtime/script.
 *
 * api.c          opening, stepping, errors        api_type.c   native node types
 * api_workflow.c loading and building workflows   api_run.c    starting and asking runs
 *
 * The C API is written on top of what scripts use: a call from C enters Lua in protected mode, does there what a script
 * would do, and brings the answer back as a status. So the two faces cannot come to differ. The one exception is a graph
 * built in C (orr_build), whose nodes are run without Lua.
 */
#ifndef ORR_SCRIPT_API_H
#define ORR_SCRIPT_API_H

#include "../include/orrery.h"
#include "state.h"

struct orr_runtime {
    orr_alloc alloc;
    orr_config config;
    lua_State *L;
    orr_script *script;
    bool own_lua, own_loop;
    bool busy;      /* there was more to do when the last step ended, or something was started since */
    uv_loop_t *loop;
    int flow;       /* registry: the module `orrery` */
    int rt;         /* registry: its runtime object */
    int runs;       /* registry: [id] = run */
    int tokens;     /* registry: [slot] = {resume, ctx} of native attempts */
    int answer;     /* registry: the string that was handed out last */
    uint64_t *generations; /* of the slots of tokens */
    uint32_t n_slots, free_slots;
    orr_workflow *workflows;
    char *error; /* the message of the last failure */
    size_t error_size;
};

struct orr_workflow {
    orr_runtime *rt;
    orr_workflow *next;
    int compiled; /* registry: what flow.compile gave, or {plan=} for a graph built in C */
    uint32_t size;
};

/* Calls fn(args) in protected mode on the runtime's Lua thread; `args` is its argument 1, a light userdata. An error
 * becomes the runtime's last error and the status. */
int orr_api_call(orr_runtime *rt, lua_CFunction fn, void *args);

/* Notes an error and tells the host. Returns status. */
int orr_api_fail(orr_runtime *rt, int status, const char *code, const char *message);

/* Keeps the string at the top (popped) until the next answer and returns it. May raise. */
const char *orr_api_answer(lua_State *L, orr_runtime *rt);

/* Pushes flow[name] . */
void orr_api_flow(lua_State *L, const orr_runtime *rt, const char *name);

#endif
