/* inner.h - what the files of the room `fiber` share. No file of another room includes it. */
#ifndef ORR_FIBER_INNER_H
#define ORR_FIBER_INNER_H

#include "fiber/fiber.h"

/* ---- slots.c --------------------------------------------------------------------------------- */

/* Puts a fiber at the end of the queue, and takes it out. */
void orr_ready_push(orr_script *s, orr_fiber *f);
void orr_ready_remove(orr_script *s, orr_fiber *f);
/* Closes what the coroutine left open and drops it. */
void orr_fiber_discard(orr_script *s, orr_fiber *f);

/* ---- fiber.c, strand.c ----------------------------------------------------------------------- */

/* Goes on with one queued fiber; false when there is none. */
bool orr_fiber_next(orr_script *s);
/* Closes the to-be-closed variables of a coroutine that is given up. */
void orr_fiber_close(orr_script *s, orr_fiber *f);
/* Makes a strand of `parent` that runs the function at the top of L (popped) and queues it. NULL
 * when out of memory. */
orr_fiber *orr_strand_spawn(orr_script *s, lua_State *L, orr_fiber *parent);
/* As lua_pcall, stopped by the watchdog at `due`; and when that is: of the callback at index fn
 * (that of who waits for it; 0: nobody does), of what cleans up. */
int orr_call_watched(lua_State *L, orr_script *s, int nargs, int nresults, int handler, int64_t due);
int64_t orr_callback_due(lua_State *L, orr_script *s, int fn);
int64_t orr_close_due(const orr_script *s);
/* What the watchdog stopped, for orr_script.describe. */
bool orr_describe_stopped(lua_State *L, orr_script *s, int idx);

/* ---- wait.c ---------------------------------------------------------------------------------- */

/* Gives the attempt's slot back where no strand of it needs it. */
void orr_wait_rest(orr_script *s, orr_fiber *root);
/* The attempt keeps its slot to its end (it is being stopped): what was held goes on. */
void orr_wait_keep_slot(orr_script *s, orr_fiber *root);
/* The yield of its wait has arrived at the turn. */
void orr_wait_parked(orr_script *s, orr_fiber *f);
/* Pushes the error a fiber sees whose wait was ended by `reason`. */
void orr_push_reason(lua_State *L, const orr_script *s, uint8_t reason);

extern const orr_wait_kind orr_wait_await, orr_wait_gather;
/* A sleep whose time the core keeps. */
extern const orr_wait_kind orr_wait_core_sleep;

/* ---- gather.c -------------------------------------------------------------------------------- */

/* Keeps the value at the top of L as a strand's result, or as the error of the whole. */
void orr_gather_keep(lua_State *L, orr_script *s, orr_fiber *strand, bool failed);
/* A strand has ended; `failed` of the fibers says how. */
void orr_gather_ended(orr_script *s, orr_fiber *strand);
/* Takes a strand that is dropped out of the list of the one that gathers it. */
void orr_gather_drop(orr_script *s, orr_fiber *strand);

/* ---- cancel.c -------------------------------------------------------------------------------- */

/* Fails every fiber that waits for what can no longer come. Returns how many. */
uint32_t orr_fail_stuck(orr_script *s);

/* ---- turn.c, runtimes.c, outside.c, await.c -------------------------------------------------- */

/* One turn of the loop: its phases, for all runtimes. True when anything was done. */
bool orr_turn(orr_script *s);
/* Runtimes leave the list here only, so that none is collected while it is stepped. */
void orr_runtimes_sweep(orr_script *s);
/* Whether the loop has anything to wait for but what was given up. */
bool orr_loop_waits(const orr_script *s);
/* Whether anything but the stores keeps the loop alive. */
bool orr_outside_alive(const orr_script *s);
/* Whether something is under way on the loop that time must not overtake. */
bool orr_outside_busy(const orr_script *s);
/* Replaces walk in luv's module, at the top. */
void orr_luv_open_walk(lua_State *L);
/* Calls the function below its `nargs` arguments; leaves its results, or nothing where it failed:
 * that is reported as orr_script_call does. A status of Lua's. */
int orr_call_safely(orr_script *s, lua_State *L, int nargs, int nresults);
/* The fiber that waits for the function at idx, where that is the `resume` of an await that goes
 * on; else NULL. */
orr_fiber *orr_await_target(lua_State *L, orr_script *s, int idx);

/* ---- held clocks: held.c --------------------------------------------------------------------- */

/* Whether a clock is held and has a way to go. */
bool orr_held_can_move(const orr_rt *rt);
/* Nothing can run: it goes to the next time with something to do, or, at its stop, whoever waits
 * for that is woken. Always true. */
bool orr_held_move(orr_rt *rt);

#endif
