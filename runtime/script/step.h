/* step.h - what step.c, call.c and signal.c share: how a recorded step is looked up, and how its end is recorded. */
#ifndef ORR_SCRIPT_STEP_H
#define ORR_SCRIPT_STEP_H

#include "state.h"

/* In journals as `k`, and in tables. */
typedef enum { STEP_CALLED = 1, STEP_SLEEP, STEP_WAIT, STEP_CALL, STEP_NOW } orr_step_kind;

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

/* The running fiber, for a step of its own; argument 1 is the ctx. Raises, naming `what`. */
orr_fiber *orr_step_fiber(lua_State *L, const char *what);
/* The same for what no step may contain. */
orr_fiber *orr_step_outer_fiber(lua_State *L, const char *what);

/* Looks for the record of the step that the fiber has just counted. STEP_VALUE pushes its value, STEP_ERROR its error; STEP_BEGUN
 * pushes what was kept of it (a child run's id, nil). Fills in attempt and due. Raises `nondeterminism` where another step was
 * recorded at its place. */
orr_step_state orr_step_find(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step);

/* What is recorded of a call at the place of the step that the fiber has just counted, as orr_step_find would find it whatever its
 * name: pushes the name, and the id of a child that was begun, or nil. STEP_NONE pushes nothing. */
orr_step_state orr_step_peek_call(lua_State *L, orr_script *s, const orr_fiber *f);

/* Records the step with the value (or error, or id) at the top, which stays; an error takes its place, and the state becomes
 * STEP_ERROR, where it cannot be written as JSON. May raise; then nothing was recorded. */
void orr_step_record(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step);

/* As a Lua function's tail: the step has ended with the value or the error at the top; that is recorded, and returned or raised
 * once it is durable. */
int orr_step_end(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step);

/* Whether the error at the top ends the step or only this attempt's way through it: a cancellation, lack of memory and
 * overdue code are not recorded. */
bool orr_step_failed(lua_State *L, const orr_fiber *f, int status);

/* Writes the value at idx as JSON for a journal and pushes the text, "" for nil; or pushes an error value and gives false. */
bool orr_step_encode(lua_State *L, const orr_runbox *r, int idx, const char *what);
/* Pushes the value of such a text at idx. */
void orr_step_decode(lua_State *L, int idx);

/* Notes a record whose payload is the text at the top, which is popped. False, with an error value pushed, where it cannot. */
bool orr_step_note(lua_State *L, orr_runbox *r, orr_record_kind kind, const orr_task *task, int64_t due);

/* Chance for the step that the fiber has just counted: the same whenever it comes there. */
uint64_t orr_step_chance(const orr_script *s, const orr_fiber *f, uint64_t salt);

/* Pushes a UUIDv8 (RFC 9562, 5.8) that only this (run, node, item, iteration) has, and `salt`; its compensation has another. */
void orr_push_derived_id(lua_State *L, const orr_fiber *f, uint64_t salt);

/* Takes the first buffered message of that name from a run that is rebuilt. */
void orr_signal_take(lua_State *L, const orr_runbox *r, const char *name);
/* A signal's record of a run that is rebuilt; its decoded payload is at idx. */
void orr_signal_restore(lua_State *L, const orr_runbox *r, int idx);

#endif
