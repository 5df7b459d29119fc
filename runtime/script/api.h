/* api.h - what the files behind include/orrery.h share; private to runtime/script.
 *
 * api.c          opening, stepping, errors        api_type.c   native node types
 * api_workflow.c loading and building workflows   api_run.c    starting and asking runs
 * api_store.c    runs that are kept in a store
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
    orr_rtbox *box; /* that runtime object's */
    int host;       /* registry: the module `orrery.host` */
    int rt;         /* registry: its runtime object */
    int runs;       /* registry: [id] = run */
    int tokens;     /* registry: [slot] = {resume, ctx} of native attempts */
    int answer;     /* registry: the string that was handed out last */
    uint64_t *generations; /* of the slots of tokens */
    uint32_t n_slots, free_slots;
    orr_workflow *workflows;
    struct orr_asking *awaited; /* by orr_wait, until orr_resume_all has taken that run up; NULL */
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

/* What is asked of a run, and the answer. */
typedef struct orr_asking {
    orr_runtime *rt;
    orr_run_id id;
    const char *name; /* a node, a field or a method */
    const char *data; /* JSON, of a signal */
    const char *answer;
    int number; /* ORR_ENOTFOUND: no run has the id */
    bool looked_at; /* the run that is awaited was taken up, or cannot be */
} orr_asking;

/* Calls fn with the asking, as orr_api_call, and says so where there is no such run. */
int orr_api_ask(orr_runtime *rt, lua_CFunction fn, orr_asking *a);
/* Pushes the run that the runtime holds, or (false) nil. */
bool orr_api_push_run(lua_State *L, const orr_asking *a);
/* A live run of that id, whoever let it go on; NULL. */
orr_runbox *orr_api_live_run(const orr_asking *a);
/* The runtime holds the run at the top, until it is forgotten. */
void orr_api_keep_run(lua_State *L, const orr_runtime *rt, const orr_runbox *r);
/* Pops a value and makes it the answer as JSON; nil is no answer. */
void orr_api_answer_json(lua_State *L, orr_asking *a);

/* ---- api_store.c: for runs that the runtime does not hold ---- */

/* Pushes host[name], the runtime and the run's row in the store; or (false) nothing, where there is no such run. */
bool orr_api_push_stored(lua_State *L, const orr_asking *a, const char *name);
/* These answer what the functions in api_run.c ask. Argument 1 is the asking. */
void orr_api_stored_state(lua_State *L, orr_asking *a);
void orr_api_stored_node(lua_State *L, orr_asking *a);
void orr_api_stored_node_output(lua_State *L, orr_asking *a);
void orr_api_stored_column(lua_State *L, orr_asking *a);
/* Leaves the message `a->name` in the inbox of the run. */
void orr_api_send(lua_State *L, orr_asking *a);

#endif
