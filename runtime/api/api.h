/* api.h - what the files behind include/orrery.h share; private to the room `api`.
 *
 * runtime.c   opening, stepping, errors        type.c   native node types
 * workflow.c  loading and building workflows   start.c  starting runs
 * stored.c    runs that are kept in a store    run.c    asking about runs, steering them, waiting
 * collect.c   when Lua's collector works        memory.c  the limits of memory
 * pool.c      a heap for hosts                  post.c    answers from any thread
 *
 * The C API is written on top of what scripts use: a call from C enters Lua in protected mode, does
 * there what a script would do, and returns the answer as a status. So the two interfaces cannot
 * differ. The one exception is a graph built in C (orr_build), whose nodes run without Lua.
 */
#ifndef ORR_API_H
#define ORR_API_H

#include "orrery.h"
#include "bind/bind.h"
#include "durable/durable.h"

/* What was allocated of a runtime, and what may be; in bytes. */
typedef struct orr_memory {
    orr_alloc alloc;         /* the host's */
    size_t limit, run_limit; /* 0: none */
    size_t used;
    size_t since; /* allocated since a request was refused */
    size_t base;  /* what was used when the present slice began */
    bool in_slice;
    bool refused; /* the last request of Lua's: the next is the same one, after a collection */
} orr_memory;

/* What is known of Lua's collector, where the state is the runtime's own. Memory is in KB. */
typedef struct orr_collector {
    int lent, lent_at; /* what it may allocate beside what Lua allows itself, and what it had then */
    int live;          /* after the last collection */
    bool under_way;
    bool overdue; /* there is far more than after the last one: steps collect at Lua's pace */
    /* pieces of the present collection; the longest of them, its length in ns, and which it was;
     * the same of the last one, if that was long: the one that cannot be divided */
    uint32_t pieces, longest_at, expected_at;
    uint32_t waits; /* steps that the long piece was put off */
    int64_t longest, expected;
} orr_collector;
typedef struct orr_native_type orr_native_type;

/* Events that wait for orr_next_event. */
typedef struct orr_event_queue_ends {
    uint64_t first, end; /* places: of the next one, and behind the last */
    uint64_t lost;
    int table; /* registry: [place + 1] = event */
} orr_event_queue_ends;

/* The handles of the host's: see value.c. */
typedef struct orr_value_slot {
    uint32_t number; /* of the handle to it */
    bool made;       /* by orr_value_array or orr_value_object, and not handed over yet */
} orr_value_slot;

typedef struct orr_values {
    orr_value_slot *slots;
    uint32_t n, room;
    uint32_t number; /* the last that was given */
    int table;       /* registry: [slot + 1] = value */
} orr_values;

struct orr_runtime {
    orr_alloc alloc; /* through `memory` */
    orr_memory memory;
    orr_config config;
    lua_State *L;
    orr_script *script;
    bool own_lua, own_loop;
    bool busy;      /* there was more to do when the last step ended, or something was started since */
    bool reporting; /* config.on_error is being called */
    uint32_t depth; /* calls of this API that are under way: a callback is called inside one */
    uv_loop_t *loop;
    orr_collector gc;
    int flow;       /* registry: the module `orrery` */
    orr_rtbox *box; /* that runtime object's */
    int host;       /* registry: the module `orrery.host` */
    int rt;         /* registry: its runtime object */
    int natives;    /* registry: list of the node types that were registered, as long as it is open */
    orr_native_type *native; /* the same as a chain */
    int runs;                /* registry: [id] = run */
    int tokens;              /* registry: [slot] = {resume, ctx} of native attempts */
    int answer;              /* registry: the string that was returned last */
    orr_values values;
    orr_event_queue_ends events;
    uint64_t *generations; /* of the slots of tokens */
    uint32_t n_slots, free_slots;
    orr_workflow *workflows;
    orr_builder *builders; /* those that are not ended */
    /* what orr_wait waits for, until orr_resume_all has resumed that run; else NULL */
    struct orr_request *awaited;
    struct orr_posts *posts;
    char *error; /* the message of the last failure */
    size_t error_size;
};

struct orr_workflow {
    orr_runtime *rt;
    orr_workflow *next;
    int compiled;         /* registry: what flow.compile gave, or {plan=} for a graph built in C */
    char hash[65];        /* of its definition; "" until it is asked for */
    const orr_plan *plan; /* lives as long as that */
};

/* Calls fn(args) in protected mode on the runtime's Lua thread; `args` is its argument 1, a
 * light userdata. An error becomes the runtime's last error and the status. ORR_EINVAL for a
 * runtime that is NULL. */
int orr_api_call(orr_runtime *rt, lua_CFunction fn, void *args);
/* The same for what may collect garbage: orr_step and orr_wait. */
int orr_api_work(orr_runtime *rt, lua_CFunction fn, void *args);

/* ---- memory.c -------------------------------------------------------------------------------- */

/* Allocators of the engine and of Lua; `ud` is an orr_memory. */
void *orr_memory_engine(void *ud, void *ptr, size_t osize, size_t nsize);
void *orr_memory_lua(void *ud, void *ptr, size_t osize, size_t nsize);
/* A slice begins or has ended. */
void orr_memory_slice(void *ud, bool begins);

/* ---- collect.c ------------------------------------------------------------------------------- */

/* The state is ready. */
void orr_gc_open(orr_runtime *rt);
/* What is called next does not collect; from here on Lua collects at its own pace. */
void orr_gc_lend(orr_runtime *rt);
void orr_gc_repay(orr_runtime *rt);
/* The same before a step, where Lua's pace is that of steps. */
void orr_gc_step(orr_runtime *rt);
/* What the work of a step is to leave of its budget; and what is done with that. */
int64_t orr_gc_reserve(const orr_runtime *rt, int64_t budget);
void orr_gc_leftover(orr_runtime *rt, int64_t reserve, int64_t budget);

/* Keeps an error as the runtime's last one and reports it to the host. Returns status. The runtime
 * may be NULL: then nobody is told. */
int orr_api_fail(orr_runtime *rt, int status, const char *code, const char *message);
/* The same for an argument that is wrong: ORR_EINVAL. */
int orr_api_refuse(orr_runtime *rt, const char *message);
/* ORR_OK, or ORR_ESTATE and fails where the runtime is inside one of its callbacks: `message` says
 * what cannot be called there. ORR_EINVAL for NULL. */
int orr_api_outside(orr_runtime *rt, const char *message);
/* Raises the text at the top, or one that is made, as an argument that is wrong. */
int orr_api_raise(lua_State *L);
int orr_api_raise_text(lua_State *L, const char *format, ...);
/* Pushes the value of a JSON text of the host's, that messages call `name`; NULL is nil. */
void orr_api_push_json(lua_State *L, const char *text, const char *name);

/* Keeps the string at the top (popped) until the next answer and returns it. May raise. */
const char *orr_api_answer(lua_State *L, orr_runtime *rt);

/* Pushes flow[name] . */
void orr_api_flow(lua_State *L, const orr_runtime *rt, const char *name);

/* A question about a run, or a request to it, and the answer. */
typedef struct orr_request {
    orr_runtime *rt;
    orr_run_id id;
    const char *name; /* a node, a field or a method */
    bool no_node;     /* there is none of that name */
    const char *data; /* JSON, of a signal; why a run is cancelled */
    const char *answer;
    bool as_value;   /* the answer is to be a value, and not JSON: */
    orr_value value; /* that one. A signal's data, where it is one */
    int number;      /* ORR_ENOTFOUND: no run has the id */
    bool decided;    /* the run that is awaited was resumed, or cannot be */
} orr_request;

/* Calls fn with the request, as orr_api_call does, and fails where there is no such run. */
int orr_api_ask(orr_runtime *rt, lua_CFunction fn, orr_request *a);
/* The same; a->number ORR_ESTATE fails with that message. There is more to do then. */
int orr_api_request(orr_runtime *rt, lua_CFunction fn, orr_request *a, const char *message);
/* Pushes the run that the runtime holds, or (false) nil. */
bool orr_api_push_run(lua_State *L, const orr_request *a);
/* The live run with that id, whoever started or resumed it; NULL where there is none. */
orr_runbox *orr_api_live_run(const orr_request *a);
/* The runtime keeps the run at the top until orr_forget. */
void orr_api_keep_run(lua_State *L, const orr_runtime *rt, const orr_runbox *r);
/* Pops a value and makes it the answer, as JSON or as it is; nil is no answer. */
void orr_api_answer_json(lua_State *L, orr_request *a);

/* ---- value.c --------------------------------------------------------------------------------- */

/* The value at the top, popped, gets a handle, whose slot is beyond the `n` that there are. Raises
 * when out of memory. */
orr_value orr_api_keep_value(lua_State *L, orr_runtime *rt);
/* Pushes the value of a handle; false, and pushes nothing, where there is none. */
bool orr_api_push_value(lua_State *L, const orr_runtime *rt, orr_value v);
/* Drops all handles but the first n. */
void orr_api_drop_values(orr_runtime *rt, uint32_t n);
/* A value was handed over: what the host has made is changed no more. */
void orr_api_freeze_values(orr_runtime *rt);

/* ---- event.c --------------------------------------------------------------------------------- */

/* What the configuration asks to be told of is told; what scripts print goes to its log. */
void orr_api_open_events(lua_State *L, orr_runtime *rt);
void orr_api_open_print(lua_State *L, orr_runtime *rt);
void orr_api_close_events(orr_runtime *rt);
/* The state of a run for the host. */
orr_run_state orr_api_state_of(const orr_runbox *r);

/* post.c: what other threads post, and the handle that wakes the loop for it. It is taken at the
 * beginning of a step or a wait, and when the loop is woken. */
int orr_api_open_posts(orr_runtime *rt);
void orr_api_close_posts(orr_runtime *rt);
void orr_api_take_posts(orr_runtime *rt);
bool orr_api_has_posts(const orr_runtime *rt);

/* type.c: the runtime is about to be closed: its node types are declared no more, and neither start
 * nor cancel anything. */
void orr_api_close_types(orr_runtime *rt);
/* workflow.c: frees workflows, and builders that were not ended. */
void orr_api_free_workflows(orr_runtime *rt);

/* ---- stored.c: for runs that the runtime does not hold --------------------------------------- */

/* Pushes host[name], the runtime and the run's row in the store; or (false) nothing, where there
 * is no such run. */
bool orr_api_push_stored(lua_State *L, const orr_request *a, const char *name);
/* These answer what the functions in run.c ask. Argument 1 is the request. */
void orr_api_stored_state(lua_State *L, orr_request *a);
void orr_api_stored_node(lua_State *L, orr_request *a);
void orr_api_stored_node_output(lua_State *L, orr_request *a);
void orr_api_stored_column(lua_State *L, orr_request *a);
/* Leaves the message `a->name` in the inbox of the run. */
void orr_api_send(lua_State *L, orr_request *a);

#endif
