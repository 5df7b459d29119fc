/* signal.c - signals: messages from outside to a run, and ctx:wait, which waits for one.
 *
 * For each name a run has one queue, first in, first out: of messages that nobody has taken yet, or
 * of fibers that wait for one. A message is kept as JSON text, so that the sender may go on
 * changing its table.
 *
 *     RUN_SIGNALS[name] = { first =, last =, [place] = text of a message, or number of a wait,
 *     [-place] = when it was sent }
 *
 * In a run with a journal a message is recorded when it comes, and taking it is the record of the
 * wait, made at the same moment: whether it came before the timeout is what the journal says. Of a
 * wait whose time was over while no process had the run it says nothing; there counts when the
 * message was sent. A wait that has ended otherwise leaves its number behind; it is skipped when
 * its turn comes.
 */
#include "run/inner.h"
#include <string.h>

/* ---- queues ---------------------------------------------------------------------------------- */

static lua_Integer field(lua_State *L, int queue, const char *key) {
    lua_pushstring(L, key);
    lua_rawget(L, queue);
    lua_Integer n = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return n;
}

static void set_field(lua_State *L, int queue, const char *key, lua_Integer n) {
    lua_pushstring(L, key);
    lua_pushinteger(L, n);
    lua_rawset(L, queue);
}

/* Pushes the queue of that name, a new one where there is none; its index. */
static int push_queue(lua_State *L, const orr_runbox *r, const char *name) {
    orr_run_push_table(L, r, RUN_SIGNALS, 0);
    lua_pushstring(L, name);
    if (lua_rawget(L, -2) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 1, 2);
        set_field(L, lua_gettop(L), "first", 1);
        set_field(L, lua_gettop(L), "last", 0);
        lua_pushstring(L, name);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    lua_remove(L, -2);
    return lua_gettop(L);
}

/* Appends the value at the top, which is popped. */
static void append(lua_State *L, int queue) {
    lua_Integer last = field(L, queue, "last") + 1;
    lua_rawseti(L, queue, last);
    set_field(L, queue, "last", last);
}

/* The same with the text of a message, sent at that time in seconds. */
static void append_message(lua_State *L, int queue, double sent) {
    lua_pushnumber(L, sent);
    lua_rawseti(L, queue, -(field(L, queue, "last") + 1));
    append(L, queue);
}

static void clear(lua_State *L, int queue, lua_Integer place) {
    lua_pushnil(L);
    lua_rawseti(L, queue, place);
    lua_pushnil(L);
    lua_rawseti(L, queue, -place);
}

/* Takes away the value at the end, which was appended last. */
static void take_back(lua_State *L, int queue) {
    lua_Integer last = field(L, queue, "last");
    clear(L, queue, last);
    set_field(L, queue, "last", last - 1);
}

/* Pushes the first value; nil where the queue is empty. */
static int push_first(lua_State *L, int queue) {
    return lua_rawgeti(L, queue, field(L, queue, "first"));
}

/* Takes away the first value. An empty queue begins again, so that its table does not wander. */
static void drop_first(lua_State *L, int queue) {
    lua_Integer first = field(L, queue, "first"), last = field(L, queue, "last");
    clear(L, queue, first);
    if (first < last) {
        set_field(L, queue, "first", first + 1);
        return;
    }
    set_field(L, queue, "first", 1);
    set_field(L, queue, "last", 0);
}

static const orr_wait_kind wait_signal;

/* ---- waits ----------------------------------------------------------------------------------- */

/* A slot and the number of its wait name a wait for ever, as far as 32 bits reach. */
static lua_Integer wait_number(const orr_fiber *f) {
    return (lua_Integer)((uint64_t)f->seq << 32 | f->index);
}

/* The fiber whose wait that is; NULL where it has ended. */
static orr_fiber *wait_of(const orr_script *s, const orr_runbox *r, lua_Integer number) {
    uint32_t index = (uint32_t)number, seq = (uint32_t)((uint64_t)number >> 32);
    if (index >= orr_fiber_slots(s)) return NULL;
    orr_fiber *f = orr_fiber_at(s, index);
    return f->state == FIBER_PARKED && f->wait == &wait_signal && f->seq == seq && f->run == r ? f : NULL;
}

/* The first fiber that waits in the queue; waits that have ended are dropped from its head. */
static orr_fiber *first_waiting(lua_State *L, const orr_runbox *r, int queue) {
    while (push_first(L, queue) == LUA_TNUMBER) {
        orr_fiber *f = wait_of(r->script, r, lua_tointeger(L, -1));
        lua_pop(L, 1);
        if (f) return f;
        drop_first(L, queue);
    }
    lua_pop(L, 1);
    return NULL;
}

/* The wait of a fiber that is suspended ends with the value (or error) at the top; popped. */
static void end_wait(lua_State *L, orr_fiber *f, bool failed, bool took) {
    orr_script *s = f->run->script;
    if (f->run->journal) {
        orr_fiber_push_value(L, s, f); /* the signal's name */
        lua_insert(L, -2);
        orr_step_ref step = {.kind = STEP_WAIT,
                             .state = failed ? STEP_ERROR : STEP_VALUE,
                             .name = lua_gettop(L) - 1,
                             .took_signal = took,
                             .due = f->due == INT64_MAX ? -1 : f->due};
        f->run->rt->keeper->record(L, s, f, &step);
        lua_remove(L, -2);
    }
    if (f->run->journal) {
        f->run->rt->keeper->hold_parked(L, s, f, failed);
        return;
    }
    if (!lua_checkstack(f->co, LUA_MINSTACK)) luaL_error(L, "not enough memory");
    lua_xmove(L, f->co, 1);
    if (failed) f->flags |= FIBER_RAISE;
    orr_wait_done(s, f, 1);
}

/* Gives messages to the fibers that wait for them, while there are both. Messages stand behind the
 * waits. */
static void match(lua_State *L, const orr_runbox *r, int queue) {
    orr_fiber *f;
    while ((f = first_waiting(L, r, queue))) {
        if (lua_rawgeti(L, queue, field(L, queue, "last")) != LUA_TSTRING) {
            lua_pop(L, 1);
            return;
        }
        orr_payload_decode(L, r, -1);
        end_wait(L, f, false, true);
        lua_pop(L, 1);
        take_back(L, queue);
        drop_first(L, queue);
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

static bool is_over(const orr_runbox *r) {
    return !r->run || !r->live || orr_run_ended(orr_run_get_state(r->run));
}

static void raise_over(lua_State *L, const orr_runbox *r, const char *name) {
    lua_pushfstring(L, "signal \"%s\": run %s is %s; a signal can only be sent to a run that has not ended",
                    name, r->id, orr_run_state_text(r));
    orr_push_error(L, r->script, "run_ended", lua_tostring(L, -1));
    lua_error(L);
}

/* {"n": name, "v": data, "m": message of the inbox, "t": sent}; the text of the data is at
 * `text`. */
static void push_payload(lua_State *L, const char *name, int text, int64_t message, double sent) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "n");
    if (message) {
        lua_pushinteger(L, message);
        lua_setfield(L, -2, "m");
    }
    lua_pushnumber(L, sent);
    lua_setfield(L, -2, "t");
    if (!orr_json_encode(L, -1, &(orr_json_writing){.binary = true})) lua_error(L);
    lua_remove(L, -2);
    if (lua_rawlen(L, text) == 0) return;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    size_t size;
    const char *head = lua_tolstring(L, text + 2, &size); /* it ends with a brace, which comes last */
    luaL_addlstring(&b, head, size - 1);
    luaL_addstring(&b, ",\"v\":");
    lua_pushvalue(L, text);
    luaL_addvalue(&b);
    luaL_addchar(&b, '}');
    luaL_pushresult(&b);
}

/* The message is in its queue before it is recorded: what was recorded is never lost for want of
 * memory. */
void orr_signal_deliver(lua_State *L, orr_runbox *r, const char *name, int64_t message, double sent) {
    int data = lua_gettop(L), text = data + 1;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (is_over(r)) raise_over(L, r, name);
    if (!orr_payload_encode(L, r, data, "signal")) lua_error(L);
    int queue = push_queue(L, r, name);
    lua_pushvalue(L, text);
    append_message(L, queue, sent);
    if (r->journal) {
        push_payload(L, name, text, message, sent);
        if (!r->rt->keeper->signal(L, r)) {
            take_back(L, queue);
            lua_error(L);
        }
    }
    match(L, r, queue);
    lua_settop(L, data - 1);
}

int orr_run_signal(lua_State *L) {
    orr_runbox *r = orr_check_run(L, 1);
    orr_script *s = r->script;
    luaL_checkstring(L, 2);
    orr_mask(L, s, 2); /* as that of the wait */
    const char *name = lua_tostring(L, 2);
    lua_settop(L, 3);
    if (!r->run) return luaL_error(L, "the runtime of this run is closed");
    orr_signal_deliver(L, r, name, 0, (double)orr_engine_now(r->rt->base.engine) / 1e9);
    const orr_fiber *f = orr_fiber_current(s);
    if (!f || f->wait || !lua_isyieldable(L)) return 0;
    lua_pushnil(L);
    return orr_run_hold(L, s, r, false);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void push_timeout(lua_State *L, const orr_script *s, const char *name) {
    lua_pushfstring(L, "no signal \"%s\" came in time", name);
    orr_push_error(L, s, "signal_timeout", lua_tostring(L, -1));
    lua_remove(L, -2);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "retryable");
    lua_createtable(L, 0, 1);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "signal");
    lua_setfield(L, -2, "details");
}

static int end_by_timeout(lua_State *L) {
    orr_fiber *f = lua_touserdata(L, 1);
    orr_fiber_push_value(L, f->run->script, f);
    push_timeout(L, f->run->script, lua_tostring(L, -1));
    end_wait(L, f, true, false);
    return 0;
}

static void time_is_over(orr_script *s, orr_fiber *f) {
    if (orr_protect(s, end_by_timeout, f) != LUA_OK) orr_wake_with_reason(s, f, REASON_MEMORY);
}

/* Another process can send it. */
static bool can_come(const orr_script *s, const orr_fiber *f) {
    (void)s;
    return f->run->rt->durable;
}

static void set_timer(orr_script *s, orr_fiber *f) {
    if (f->timer == ORR_NONE && f->due != INT64_MAX) orr_wait_set_timer(s, f);
}

static const orr_wait_kind wait_signal = {
    .begins = "waits for a signal",
    .timed = true,
    .stuck_reason = REASON_NO_SIGNAL,
    .stuck_order = 2,
    .can_end = can_come,
    .parked = set_timer,
    .forget = orr_wait_unset_timer,
    .timeout = time_is_over,
};

/* ns that the wait may take, at most; -1 for no end. Only `timeout` is an option. */
static int64_t read_timeout(lua_State *L, int opts) {
    int64_t timeout = -1;
    if (lua_isnoneornil(L, opts)) return -1;
    luaL_checktype(L, opts, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, opts)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
        if (strcmp(key, "timeout") != 0)
            luaL_error(L, "ctx:wait has no option \"%s\"; expected timeout", key);
        timeout = orr_check_duration(L, -1, "ctx:wait: timeout");
        lua_pop(L, 1);
    }
    return timeout;
}

/* Whether the queue's first value is a message that was sent by `due`, of a clock that messages
 * are sent by. */
static bool came_in_time(lua_State *L, int queue, int64_t due) {
    bool is_message = push_first(L, queue) == LUA_TSTRING;
    lua_rawgeti(L, queue, -field(L, queue, "first"));
    bool in_time = due == INT64_MAX || lua_tonumber(L, -1) <= (double)due / 1e9;
    lua_pop(L, 2);
    return is_message && in_time;
}

/* The queue's first message becomes the result. */
static int take_message(lua_State *L, orr_script *s, orr_fiber *f, int queue, int64_t due) {
    push_first(L, queue);
    orr_payload_decode(L, f->run, -1);
    lua_remove(L, -2);
    int value = lua_gettop(L);
    if (f->run->journal) {
        orr_step_ref step = {.kind = STEP_WAIT,
                             .state = STEP_VALUE,
                             .name = 2,
                             .took_signal = true,
                             .due = due};
        f->run->rt->keeper->record(L, s, f, &step);
    }
    drop_first(L, queue);
    lua_settop(L, value);
    return f->run->journal ? orr_run_hold(L, s, f->run, false) : 1;
}

/* Its due time; a wait that began before a restart keeps the one it had. */
static int64_t due_of(lua_State *L, orr_script *s, orr_fiber *f, int64_t timeout, bool begun,
                      orr_step_ref *step) {
    if (begun) return step->due;
    step->due = timeout < 0 ? -1 : orr_run_due_in(f->run, timeout);
    if (f->run->journal) {
        lua_pushnil(L);
        step->state = STEP_BEGUN;
        f->run->rt->keeper->record(L, s, f, step);
        lua_pop(L, 1);
    }
    return step->due;
}

/* ctx:wait(signal[, {timeout = duration}]) -> the signal's data. Raises `signal_timeout` where
 * none came in time. The attempt holds no slot meanwhile and its timeout stands still. Waits
 * that have the same signal are served in the order they began. */
int orr_ctx_wait(lua_State *L) {
    orr_fiber *f = orr_step_outer_fiber(L, "ctx:wait");
    orr_script *s = f->run->script;
    orr_step_ref step = {.kind = STEP_WAIT, .name = 2, .due = -1};
    luaL_checktype(L, 2, LUA_TSTRING);
    orr_mask(L, s, 2);
    int64_t timeout = read_timeout(L, 3);
    bool begun = false;
    lua_settop(L, 2);
    orr_step_count(f);
    if (f->run->journal) {
        orr_step_state state = f->run->rt->keeper->find(L, s, f, &step);
        if (state == STEP_VALUE) return 1;
        if (state == STEP_ERROR) return lua_error(L);
        begun = state == STEP_BEGUN;
        lua_settop(L, 2);
    }
    orr_wait_begin(L, s, "ctx:wait");
    int queue = push_queue(L, f->run, lua_tostring(L, 2));
    match(L, f->run, queue);
    bool is_late = begun && step.due >= 0 && step.due <= orr_run_clock_now(f->run);
    int64_t in_time = is_late ? orr_run_comes(f->run->run, step.due) : INT64_MAX;
    if (!first_waiting(L, f->run, queue) && came_in_time(L, queue, in_time))
        return take_message(L, s, f, queue, step.due);
    lua_settop(L, queue);
    if (is_late) {
        push_timeout(L, s, lua_tostring(L, 2)); /* its time was over while no process had the run */
        step.state = STEP_ERROR;
        return orr_step_end(L, s, f, &step);
    }
    int64_t due = due_of(L, s, f, timeout, begun, &step);
    lua_pushvalue(L, 2);
    orr_fiber_set_value(L, s, f);
    lua_pushinteger(L, wait_number(f));
    append(L, queue);
    f->due = due < 0 ? INT64_MAX : due;
    f->timer = ORR_NONE;
    f->wait = &wait_signal;
    return orr_wait_yield(L, s, f);
}

/* ---- what a task waits for ------------------------------------------------------------------- */

static const orr_fiber *waiting_in(const orr_script *s, const orr_fiber *f) {
    if (f->wait == &wait_signal) return f;
    for (uint32_t at = f->strands; at != ORR_NONE; at = orr_fiber_at(s, at)->sibling) {
        const orr_fiber *found = waiting_in(s, orr_fiber_at(s, at));
        if (found) return found;
    }
    return NULL;
}

bool orr_signal_push_name(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item) {
    const orr_fiber *f = orr_fiber_find(r->script, r, node, item);
    if (f) f = waiting_in(r->script, f);
    if (f) orr_fiber_push_value(L, r->script, f);
    return f != NULL;
}

/* ---- restoring ------------------------------------------------------------------------------- */

void orr_signal_take(lua_State *L, const orr_runbox *r, const char *name) {
    int queue = push_queue(L, r, name);
    drop_first(L, queue);
    lua_pop(L, 1);
}

void orr_signal_restore(lua_State *L, const orr_runbox *r, int idx) {
    if (lua_getfield(L, idx, "n") != LUA_TSTRING) luaL_error(L, "a signal's record has no name");
    int queue = push_queue(L, r, lua_tostring(L, -1));
    lua_getfield(L, idx, "v");
    lua_getfield(L, idx, "t");
    double sent = lua_tonumber(L, -1);
    if (!orr_payload_encode(L, r, -2, "signal")) lua_error(L);
    append_message(L, queue, sent);
}
