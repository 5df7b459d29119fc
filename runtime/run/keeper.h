/* keeper.h - what keeps runs: the methods of a room that the room `run` does not know. Part of
 * run.h.
 *
 * A runtime has a keeper for the runs of it that keep a journal; a run in memory has none, and what
 * it does costs nothing for it. `r->journal` says whether a run is kept. Methods that take a
 * lua_State may raise; the others do not.
 */
#ifndef ORR_RUN_KEEPER_H
#define ORR_RUN_KEEPER_H

#include "fiber/fiber.h"

typedef struct orr_rtbox orr_rtbox;

#define ORR_NEVER UINT64_MAX /* the ticket of what waits for a record that could not be kept: see engine.h */

/* ---- steps ----------------------------------------------------------------------------------- */

/* In journals as `k`, and in tables. */
typedef enum { STEP_CALLED = 1, STEP_SLEEP, STEP_WAIT, STEP_CALL, STEP_NOW, STEP_RESTART } orr_step_kind;

typedef enum {
    STEP_NONE,  /* not recorded, or to be done again */
    STEP_BEGUN, /* a sleep, a wait or a child run that has not ended as far as the journal knows */
    STEP_VALUE,
    STEP_ERROR
} orr_step_state;

/* A step that is asked for, or its record. */
typedef struct orr_step_ref {
    orr_step_kind kind;
    orr_step_state state;
    int name;         /* stack index of its name */
    bool took_signal; /* a wait: a message was taken for it */
    uint32_t attempt; /* found: the attempt that recorded it */
    int64_t due;      /* ns; -1 for none */
} orr_step_ref;

/* ---- what it keeps of a run ------------------------------------------------------------------ */

/* A node whose output leaves memory once everything up to that ticket is durable. */
typedef struct orr_leaving {
    uint64_t ticket;
    uint32_t node, item; /* item: ORR_NONE, or the one of its items alone */
} orr_leaving;

/* The keeper's own; nobody else looks at it. */
typedef struct orr_kept {
    /* outputs: what is kept of them beside the journal */
    uint64_t *seq;  /* by node: the record that holds its output; 0 for none */
    uint32_t *left; /* by node: dependents that have not settled, and the run's output */
    uint32_t n;
    size_t size;          /* of the last value that was recorded, in bytes of JSON */
    bool item_apart;      /* it is an item's output that is a large value of the store */
    bool large_item;      /* the output that is recorded next is an item's, and large */
    orr_leaving *leaving; /* by ticket */
    uint32_t n_leaving, cap_leaving;
    orr_runbox *next, *prev; /* in its runtime's list of runs with outputs that leave */
    int64_t last_record;     /* when its last record was made, by the core's time */
    int64_t reported;        /* that time, when it was reported that the run is blocked */
    uint64_t explained;      /* publish.c: its last record when all that it waits for had been written */
    int64_t last_message;    /* number of the last message from its inbox that was dealt with */
    /* early.c: the highest record that is known to be durable; one that was made later, and its
     * ticket */
    uint64_t sure, asked, asked_ticket;
} orr_kept;

/* ---- locks ----------------------------------------------------------------------------------- */

/* What is in the way of a run that asks for its lock. */
typedef struct orr_lock_found {
    uint8_t other[16]; /* a run */
    bool has_it;       /* it has the lock; otherwise it is before this one in line */
    bool alive;        /* a process runs it */
} orr_lock_found;

typedef enum {
    ORR_LOCK_HELD,   /* the run has its lock */
    ORR_LOCK_TAKEN,  /* another is in its way */
    ORR_LOCK_LATER,  /* it cannot ask before what was queued is durable */
    ORR_LOCK_UNKNOWN /* the store cannot tell now: it asks again when something changes */
} orr_lock_outcome;

/* ---- the methods ----------------------------------------------------------------------------- */

/* The run that is to be begun. */
typedef struct orr_beginning {
    orr_rtbox *rt;
    orr_runbox *run;
    int opts; /* stack index of its options */
    const orr_run_options *o;
    const uint8_t *parent; /* id of the run whose child it is; NULL */
} orr_beginning;

typedef struct orr_keeper {
    /* -- of a runtime -- */
    /* Opens the store of that URL. */
    void (*open)(lua_State *L, orr_rtbox *rt, const char *url, int durability);
    /* Makes durable what is left, and closes it. */
    void (*close)(orr_rtbox *rt);
    /* The beginning of a turn: what waited for what is durable now goes on, messages are delivered.
     * True when anything was done. */
    bool (*news)(orr_rtbox *rt);
    /* The end of a turn: hands what was queued to the store. True where some is durable already:
     * what waits for it goes on in the next turn. */
    bool (*submit)(orr_rtbox *rt);
    /* Looks for what is silent, where it is time for it. True when something was reported. */
    bool (*look)(orr_rtbox *rt);
    /* Whether something was queued that is not durable yet. */
    bool (*busy)(const orr_rtbox *rt);
    /* Whether its handle counts for uv_loop_alive, for a moment in which the loop is not run. */
    void (*count)(const orr_rtbox *rt, bool counted);
    /* Whether another process has taken over the runs of this one: then nothing more is done. */
    bool (*displaced)(orr_rtbox *rt);
    /* Whether an attempt of the run that waits for its record `seq` may start though the last one,
     * its own, is not durable. */
    bool (*early)(orr_runbox *r, uint64_t seq);
    /* Blocks until that ticket is durable. */
    void (*wait)(orr_rtbox *rt, uint64_t ticket);
    /* The folder beside the store in which lists are kept that are too large for it; NULL: there is
     * none, and they stand in the journal. */
    const char *(*rows)(const orr_rtbox *rt);
    /* Pushes the large value with that hash; raises. */
    void (*load_kept)(lua_State *L, orr_rtbox *rt, const char *hash);
    /* How many runs wait for their locks. */
    void (*await)(orr_rtbox *rt, uint32_t n);

    /* -- of a run -- */
    /* The new run will keep a journal from its first record on. */
    void (*begin)(lua_State *L, const orr_beginning *b);
    /* A run that waits asks for its lock in the store. */
    orr_lock_outcome (*lock)(orr_runbox *r, orr_lock_found *found);
    /* It is over, or this process goes on without it: it is owned no longer. */
    void (*over)(orr_runbox *r);
    /* It was given up before its end: its outputs need not leave memory in order. */
    void (*given_up)(orr_runbox *r);
    /* Lua no longer needs it, so nothing has to leave memory. */
    void (*unwatched)(orr_runbox *r);
    /* It is about to be freed. */
    void (*drop)(orr_runbox *r);
    /* Whether the value at the top, which is plain data, can be written in its journal; what
     * hinders it is pushed otherwise. */
    bool (*takes)(lua_State *L, const orr_runbox *r, const char *what);
    /* Writes the value at the top, which stays, as the output of the task, and keeps it for its
     * record. False where it cannot be written; an error value is pushed then. */
    bool (*take_output)(lua_State *L, orr_script *s, orr_runbox *r, const orr_task *task);
    /* The output of a node that has completed may leave memory, once it can be read back. */
    void (*leave_output)(lua_State *L, orr_runbox *r, uint32_t node);
    /* Pushes the output of a node that has left memory; nil where it has none. */
    void (*load_output)(lua_State *L, const orr_runbox *r, uint32_t node);
    /* A sign of life of the fiber's attempt. */
    void (*sign)(orr_fiber *f);
    /* Keeps a line of a handler's log, whose parts stand at these indices. */
    void (*log)(lua_State *L, const orr_fiber *f, int level, int message, int fields);
    /* Keeps what a handler publishes: a name and JSON, at these indices. */
    void (*publish)(lua_State *L, const orr_fiber *f, int name, int value);
    /* Adds to the table at the top what earlier lives of the run have published: JSON by name. */
    void (*published)(lua_State *L, const orr_runbox *r);
    /* Adds to the table at the top what earlier lives of the run have counted. */
    void (*costs)(lua_State *L, const orr_runbox *r);
    /* Rebuilds the child run whose id the options at `opts` name from its journal and lets it go
     * on, or starts it where it has none; as orr_run_start. NULL, and nothing is pushed, while
     * another process runs it. */
    orr_runbox *(*restore_child)(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts);

    /* -- of a step: the fiber has counted it, and runs -- */
    /* Looks for its record. STEP_VALUE pushes its value, STEP_ERROR its error; STEP_BEGUN pushes
     * what was kept of it (a child run's id, nil). Fills in attempt and due. Raises
     * `nondeterminism` where another step was recorded at its place. */
    orr_step_state (*find)(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step);
    /* What is recorded of a call at its place, as `find` would find it whatever its name: pushes
     * the name, and the id of a child that was begun, or nil. STEP_NONE pushes nothing. */
    orr_step_state (*find_call)(lua_State *L, orr_script *s, const orr_fiber *f);
    /* Records it with the value (or error, or id) at the top, which stays; an error takes its
     * place, and the state becomes STEP_ERROR, where it cannot be written as JSON. Where it
     * raises, nothing was recorded. */
    void (*record)(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step);
    /* Records a signal whose payload is the text at the top, which is popped. False, with an error
     * value pushed, where it cannot. */
    bool (*signal)(lua_State *L, orr_runbox *r);
    /* As a Lua function's tail: returns the value at the top, or raises it, once the last record of
     * the run is durable. */
    int (*hold)(lua_State *L, orr_script *s, const orr_runbox *r, bool raise);
    /* The same for a fiber that is suspended: it goes on with the value at the top of L, which is
     * popped. */
    void (*hold_parked)(lua_State *L, orr_script *s, orr_fiber *f, bool raise);
    /* Whether the fiber has come less far than what is recorded of it. */
    bool (*replaying)(lua_State *L, orr_script *s, const orr_fiber *f);
    /* Whether the attempt has left the course that is recorded; the error is pushed. */
    bool (*diverged)(lua_State *L, orr_script *s, const orr_fiber *f);
    /* Nobody will ask for the task's steps again. */
    void (*forget)(lua_State *L, const orr_runbox *r, const orr_task *task);
    /* The handler begins anew with the value at the top, which stays: one record, where the run has
     * a journal, and the task's steps are forgotten. Where it raises, nothing has changed. */
    void (*restart)(lua_State *L, orr_script *s, const orr_fiber *f);
    /* Where the handler that is about to run begins to count its steps. */
    uint32_t (*first)(lua_State *L, const orr_fiber *f);
    /* Pushes the value that the handler began anew with; nil where it did not. */
    void (*restarted)(lua_State *L, const orr_fiber *f);
} orr_keeper;

#endif
