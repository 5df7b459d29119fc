/* pump.c - the loop: turn after turn, and when there is nothing to do whether a virtual clock jumps
 * or the process sleeps.
 */
#include "fiber/inner.h"

#define POLL_EVERY INT64_C(1000000) /* ns between two looks at the loop while there is work */
/* ns: the loop's own clock stands still while the machine is suspended and ours does not, so no
 * sleep for a timer is longer */
#define LONGEST_SLEEP INT64_C(2000000000)

/* ---- virtual time ---------------------------------------------------------------------------- */

/* Whether its clock has a time to jump to. Timers that keep nothing going do not count, nor any
 * that a run has left behind. */
static bool can_jump(const orr_rt *rt) {
    if (rt->stop != INT64_MAX) return orr_held_can_move(rt);
    if (!rt->jumps || orr_engine_deadline(rt->engine) == INT64_MAX) return false;
    uint32_t idle = rt->n_live ? rt->n_loose : rt->n_timers;
    return orr_engine_n_timers(rt->engine) > idle ||
           orr_core_deadline(orr_engine_core(rt->engine)) != INT64_MAX;
}

/* Whether any clock can jump, and no commit is under way. */
static bool may_jump(const orr_script *s) {
    bool any = false;
    for (orr_rt *rt = orr_rt_first(s); rt; rt = rt->next) any |= can_jump(rt);
    if (!any || orr_fibers_of(s)->n_native) return false;
    for (orr_rt *rt = orr_rt_first(s); rt; rt = rt->next)
        if (rt->class->busy(rt)) return false;
    return true;
}

/* Virtual time goes on when nothing can run and nothing outside is under way. Events that the loop
 * has already are handled first. */
static bool jump(orr_script *s) {
    if (!may_jump(s)) return false;
    if (orr_outside_alive(s)) {
        uv_run(orr_script_loop(s), UV_RUN_NOWAIT);
        if (orr_turn(s)) return true;
        if (!may_jump(s) || (orr_outside_alive(s) && orr_outside_busy(s))) return false;
    }
    bool any = false;
    for (orr_rt *rt = orr_rt_first(s); rt; rt = rt->next)
        if (can_jump(rt))
            any |= rt->stop != INT64_MAX ? orr_held_move(rt)
                                         : orr_engine_jump(rt->engine, rt->class->look_at(rt));
    return any;
}

/* ---- sleeping -------------------------------------------------------------------------------- */

/* ns until the next real timer, INT64_MAX for none. */
static int64_t until_due(const orr_script *s) {
    int64_t least = INT64_MAX;
    for (orr_rt *rt = orr_rt_first(s); rt; rt = rt->next) {
        int64_t due = rt->is_virtual ? INT64_MAX : orr_engine_deadline(rt->engine);
        if (due == INT64_MAX) continue;
        int64_t left = due - orr_engine_now(rt->engine);
        if (left < least) least = left;
    }
    return least < 0 ? 0 : least;
}

/* The same with the times at which runtimes are to be looked at: these keep no loop alive, they
 * only end its sleep earlier. */
static int64_t until_look(const orr_script *s, int64_t least) {
    for (orr_rt *rt = orr_rt_first(s); rt; rt = rt->next) {
        int64_t look_at = rt->is_virtual ? INT64_MAX : rt->class->look_at(rt);
        if (look_at == INT64_MAX) continue;
        int64_t left = look_at - orr_engine_now(rt->engine);
        if (left < least) least = left;
    }
    return least < 0 ? 0 : least;
}

/* libuv calls the callbacks of timers, and those that were put off, before it blocks. What one of
 * them has made ready would be left until the next event: a loop that is stopped does not block. */
void orr_stay_awake(const orr_script *s) {
    const orr_fibers *all = orr_fibers_of(s);
    if (all->sleeping) uv_stop(all->loop);
}

/* Lets the loop wake up in so many ns at the latest. False where there is no memory for that. */
static bool arm(orr_script *s, int64_t left) {
    orr_fibers *all = orr_fibers_of(s);
    if (!all->wakeup) all->wakeup = orr_wakeup_new(&s->alloc, all->loop);
    all->keeps_loop = true;
    if (all->wakeup) orr_wakeup_arm(all->wakeup, left < LONGEST_SLEEP ? left : LONGEST_SLEEP);
    return all->wakeup != NULL;
}

/* Whether the host has a clock to move on, after which something would be due. */
static bool host_goes_on(const orr_script *s) {
    bool any = false;
    for (orr_rt *rt = orr_rt_first(s); rt; rt = rt->next)
        any |= rt->is_virtual && !rt->jumps && orr_engine_deadline(rt->engine) != INT64_MAX;
    return any;
}

/* Whether only that would: nothing is under way, and the loop waits for no more than messages to
 * runs of the store. */
static bool only_host_goes_on(const orr_script *s) {
    if (!host_goes_on(s)) return false;
    for (orr_rt *rt = orr_rt_first(s); rt; rt = rt->next)
        if (rt->class->busy(rt)) return false;
    return !orr_outside_alive(s);
}

/* Sleeps until a timer is due or something happens on the loop. False where neither ever will. */
static bool sleep_on_loop(orr_script *s) {
    orr_fibers *all = orr_fibers_of(s);
    int64_t left = until_due(s);
    if (left == INT64_MAX && (!orr_loop_waits(s) || only_host_goes_on(s))) return false;
    left = until_look(s, left);
    bool sleeps = left == INT64_MAX || arm(s, left);
    int64_t since = orr_traces(&all->trace, ORR_TRACE_TURN) ? orr_monotonic_time() : 0;
    all->sleeping = true;
    uv_run(all->loop, sleeps ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    all->sleeping = false;
    if (all->wakeup) orr_wakeup_disarm(all->wakeup);
    if (since) {
        double ms = (double)(orr_monotonic_time() - since) / 1e6;
        orr_trace_line(&all->trace, ORR_TRACE_TURN, "slept for %.3f ms", ms);
    }
    return true;
}

/* ---- running --------------------------------------------------------------------------------- */

bool orr_pump(orr_script *s, lua_State *L, bool (*done)(void *ud), void *ud) {
    orr_fibers *all = orr_fibers_of(s);
    lua_State *from = all->from;
    int64_t polled = orr_monotonic_time();
    bool ended = true;
    if (!ORR_HOLDS(s, !all->pumping, "the loop was run inside the loop")) return false;
    all->pumping = true;
    all->from = L;
    all->budget = (orr_budget){0};
    while (!done(ud)) {
        if (orr_turn(s)) {
            int64_t now = orr_monotonic_time();
            if (now - polled < POLL_EVERY) continue;
            uv_run(all->loop, UV_RUN_NOWAIT);
            polled = now;
        } else if (!done(ud) && !jump(s) && !sleep_on_loop(s) && (host_goes_on(s) || !orr_fail_stuck(s))) {
            ended = false;
            break;
        }
    }
    all->from = from;
    all->pumping = false;
    return ended;
}

/* ---- for the host ---------------------------------------------------------------------------- */

static bool drained(void *ud) {
    const orr_script *s = ud;
    const orr_fibers *all = orr_fibers_of(s);
    if (all->ready_head != ORR_NONE || orr_loop_waits(s)) return false;
    for (orr_rt *rt = orr_rt_first(s); rt; rt = rt->next)
        if (rt->n_live || rt->class->more_to_come(rt)) return false;
    return true;
}

static int push_text(lua_State *L) {
    lua_pushstring(L, lua_touserdata(L, 1));
    return 1;
}

/* Pushes a message, or Lua's own that memory is out: that one exists from the start. */
static void push_message(lua_State *L, const char *text) {
    lua_pushcfunction(L, push_text);
    lua_pushlightuserdata(L, (void *)(uintptr_t)text);
    lua_pcall(L, 1, 1, 0);
}

int orr_script_drain(orr_script *s, lua_State *L) {
    if (!orr_wait_outside(L, s)) {
        push_message(L, "the loop is already running; a callback or a handler cannot run it again");
        return LUA_ERRERR;
    }
    if (orr_pump(s, L, drained, s)) return LUA_OK;
    push_message(L, "a run is left that can no longer go on");
    return LUA_ERRRUN;
}

bool orr_script_step(orr_script *s, lua_State *L, int64_t budget) {
    if (!orr_wait_outside(L, s)) return false;
    orr_fibers *all = orr_fibers_of(s);
    lua_State *from = all->from;
    all->pumping = true;
    all->from = L;
    all->budget = (orr_budget){.ns = budget};
    if (uv_loop_alive(all->loop)) {
        orr_budget_begin(&all->budget);
        uv_run(all->loop, UV_RUN_NOWAIT);
    }
    bool more;
    do {
        more = orr_turn(s) || jump(s);
        if (more) orr_budget_use(&all->budget);
    } while (more && budget && !orr_budget_spent(&all->budget));
    all->from = from;
    all->pumping = false;
    /* a turn in which the budget ran out may have left everything where it was */
    return more || orr_budget_spent(&all->budget);
}

int64_t orr_script_until_due(const orr_script *s) {
    int64_t least = until_look(s, until_due(s));
    for (orr_rt *rt = orr_rt_first(s); rt; rt = rt->next) {
        if (rt->stop != INT64_MAX) continue;
        int64_t due = rt->is_virtual ? orr_engine_deadline(rt->engine) : INT64_MAX;
        if (due == INT64_MAX) continue;
        int64_t left = rt->jumps ? 0 : due - orr_engine_now(rt->engine);
        if (left < least) least = left;
    }
    return least < 0 ? 0 : least;
}
