/* worker.h - the room `worker`: handlers in threads of their own. It stands on `fiber`; the rooms
 * above may use it.
 *
 * workers.c    jobs and the threads that take them   thread.c  one thread: its state, its jobs
 * module.c  the faces for Lua, on both sides
 *
 * A worker is a thread with a Lua state and a loop of its own. A job is a text for a function in
 * that state (orrery.worker.main), and texts that go to and fro until the function returns
 * one. What
 * the texts mean is Lua's business; here they are bytes. Jobs are taken in the order in which they
 * came, by whichever worker has nothing to run; one whose function waits leaves its worker to
 * others. There are as many workers as are of use: from `min` up to `max`, and one that had nothing
 * to do for a while ends.
 */
#ifndef ORR_WORKER_H
#define ORR_WORKER_H

#include <lua.h>

/* What prepares the state of a worker before orrery.core is opened in it, on the worker's
 * thread. May raise. `ud` lives as long as the state that the work comes from. */
typedef struct orr_worker_setup {
    void (*configure)(lua_State *L, const void *ud);
    const void *ud;
} orr_worker_setup;

/* Sets the functions workers and current_fiber of the module table at the top; see module.c. */
void orr_open_workers(lua_State *L, const orr_worker_setup *setup);

#endif
