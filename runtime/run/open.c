/* open.c - what the room keeps of a state, and the phases of a turn. */
#include "run/inner.h"

/* ---- the turn -------------------------------------------------------------------------------- */

/* A turn in which nothing is to be done is what a frame of a game pays for: whether a phase has
 * anything to do is asked here, before anything is called. */

static bool take_news(orr_rt *base) {
    orr_rtbox *rt = orr_rtbox_of(base);
    return rt->storage && rt->keeper->news(rt);
}

static bool look_for_locks(orr_rt *base) {
    orr_rtbox *rt = orr_rtbox_of(base);
    return rt->ask_locks && orr_locks_look(rt);
}

static bool take_more(orr_rt *base) {
    orr_rtbox *rt = orr_rtbox_of(base);
    return rt->refill != LUA_NOREF && orr_refill(rt);
}

static bool step_core(orr_rt *rt) {
    return orr_engine_step(rt->engine, ORR_BATCH);
}

static bool drop_incomplete(orr_rt *base) {
    orr_rtbox *rt = orr_rtbox_of(base);
    return rt->n_incomplete > 0 && orr_runs_drop_incomplete(rt);
}

static bool look(orr_rt *base) {
    orr_rtbox *rt = orr_rtbox_of(base);
    return rt->look_at != INT64_MAX && rt->keeper->look(rt);
}

/* What follows from what has just been done goes to disk with it: "completed n" and "started n + 1"
 * in one commit. */
static bool submit(orr_rt *base) {
    orr_rtbox *rt = orr_rtbox_of(base);
    bool any = rt->durable && orr_engine_decide(base->engine, ORR_BATCH);
    return (rt->storage && rt->keeper->submit(rt)) || any;
}

static bool notify_listeners(orr_rt *base) {
    orr_rtbox *rt = orr_rtbox_of(base);
    return rt->n_queued > 0 && orr_events_flush(rt);
}

static const orr_turn_phase turn[] = {
    {.each = take_news},
    {.each = look_for_locks},
    {.each = take_more},
    {.each = step_core},
    {.once = orr_phase_timers},
    {.once = orr_phase_fibers},
    {.each = drop_incomplete},
    {.each = look},
    {.each = submit},
    {.each = notify_listeners},
    {NULL, NULL},
};

/* ---- errors that belong to nobody ------------------------------------------------------------ */

typedef struct stray {
    orr_script *s;
    const char *what, *message;
    bool reported;
} stray;

static int log_stray(lua_State *L) {
    stray *t = lua_touserdata(L, 1);
    for (orr_rt *base = orr_rt_first(t->s); base; base = base->next) {
        orr_rtbox *rt = orr_rtbox_of(base);
        if (!rt->n_listeners) continue;
        orr_event_push(L, NULL, "log", NULL, orr_engine_now(base->engine));
        orr_set_text(L, "level", "error");
        lua_pushfstring(L, "%s: %s", t->what, t->message);
        lua_setfield(L, -2, "message");
        orr_event_queue(L, rt);
        t->reported = true;
    }
    return 0;
}

static bool report_stray(orr_script *s, const char *what, const char *message) {
    stray t = {s, what, message, false};
    return orr_protect(s, log_stray, &t) == LUA_OK && t.reported;
}

/* ---- opening --------------------------------------------------------------------------------- */

orr_script *orr_runs_new(lua_State *L, const orr_runs_options *o) {
    orr_fibers_options fibers = {.loop = o->loop,
                                 .watchdog = o->watchdog,
                                 .contain = o->contain,
                                 .stuck = o->stuck,
                                 .trace = o->trace,
                                 .phases = turn,
                                 .make_default = orr_runtime_make_default};
    orr_script *s = orr_fibers_new(L, sizeof(orr_runs), &o->alloc, &fibers);
    orr_runs *runs = orr_runs_of(s);
    s->report = report_stray;
    runs->keeper = o->keeper;
    runs->compiler = runs->orphans = runs->supersede = runs->mask = LUA_NOREF;
    runs->explain = runs->notice = LUA_NOREF;
    return s;
}
