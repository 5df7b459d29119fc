/* locks.c - locks of runs that are kept in a store: asking for one, and coming into line once
 * more. */
#include "durable/inner.h"
#include <string.h>

void orr_locks_await(orr_rtbox *rt, uint32_t n) {
    orr_store *store = orr_storage_any(rt);
    if (store) orr_store_await(store, n);
}

/* What cannot be read now is said once, and asked again when something changes, or a second
 * later. */
static int log_problem(lua_State *L) {
    const void **args = lua_touserdata(L, 1);
    const orr_runbox *r = args[0];
    const orr_reason *reason = args[1];
    orr_log(L, r->rt, r, "error", reason->text);
    return 0;
}

orr_lock_outcome orr_locks_ask(orr_runbox *r, orr_lock_found *found) {
    orr_lock_answer answer;
    orr_reason reason;
    if (r->ticket > r->rt->durable_to) return r->ticket == ORR_NEVER ? ORR_LOCK_UNKNOWN : ORR_LOCK_LATER;
    orr_status status = orr_store_lock(r->journal, r->plan->plan->name, r->lock->value, &answer, &reason);
    if (status == ORR_OK && answer.held) return ORR_LOCK_HELD;
    if (status == ORR_OK) {
        found->has_it = answer.has_it;
        found->alive = answer.owner != ORR_OWNER_GONE;
        memcpy(found->other, answer.run, sizeof found->other);
        return ORR_LOCK_TAKEN;
    }
    const void *args[] = {r, &reason};
    if (!r->lock->behind) orr_protect(r->script, log_problem, args);
    r->lock->behind = true; /* said; who it is, is not known */
    return ORR_LOCK_UNKNOWN;
}

/* ---- once more ------------------------------------------------------------------------------- */

/* Who has the lock; one that only waits keeps nobody from being tried again. */
typedef struct holder {
    char id[40];
} holder;

static bool take_id(void *ud, const orr_field *values, size_t n) {
    holder *h = ud;
    (void)n;
    if (values[1].integer == 1 && values[0].type == ORR_FIELD_TEXT && values[0].size < sizeof h->id)
        memcpy(h->id, values[0].bytes, values[0].size);
    return false;
}

void orr_locks_check(lua_State *L, const orr_runbox *r) {
    holder h = {""};
    orr_reason reason;
    orr_field key[] = {orr_field_text(r->plan->plan->name), orr_field_text(r->lock->value)};
    orr_store_reader reader = {.row = take_id, .ud = &h};
    if (!orr_run_lock_refuses(r)) return;
    if (orr_store_query(orr_storage_any(r->rt), ORR_QUERY_LOCK_HOLDER, key, &reader, &reason) != ORR_OK)
        luaL_error(L, "%s", reason.text);
    if (*h.id == '\0' || strcmp(h.id, r->id) == 0) return;
    orr_run_lock_push_conflict(L, r, h.id);
    lua_error(L);
}

static void put(const orr_runbox *r, orr_row_kind kind, size_t n) {
    orr_field row[] = {{.type = ORR_FIELD_BLOB, .bytes = orr_run_id_of(r->run), .size = 16},
                       orr_field_text(r->plan->plan->name),
                       orr_field_text(r->lock->value)};
    orr_store_put(orr_storage_any(r->rt), kind, row, n);
}

/* Without memory it comes into line when it asks. */
void orr_locks_enter(orr_runbox *r) {
    put(r, ORR_ROW_LOCK, 3);
}

/* Without memory the row stays until who asks for the lock finds that its run has ended. */
void orr_locks_leave(const orr_runbox *r) {
    if (r->lock && r->rt->durable) put(r, ORR_ROW_UNLOCK, 1);
}
