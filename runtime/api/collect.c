/* collect.c - when Lua's collector works: see orr_gc_kind of orrery.h.
 *
 * Lua collects when its debt, what was allocated beyond what it allowed itself, is above 0. The
 * calls that are not to collect lend it memory (a step of a negative size only lowers the debt),
 * and orr_step gives that back, so that the pace is Lua's own. Where the host paces it, the loan is
 * kept up: then Lua collects by itself only in a slice that allocates more than the loan, which is
 * what keeps a runaway handler from taking all memory there is. Where the host's way of collecting
 * does not keep up for long, steps collect at Lua's pace until it has.
 */
#include "api/api.h"

enum {
    LOAN = 4096,        /* KB */
    PACED_LOAN = 32768, /* KB, where the host paces the collector */
    WORTH = 256,        /* KB of garbage at least, before a collection is begun */
    PIECE = 5,          /* the logarithm of a piece's size in bytes: some µs of work */
    LONG_PIECE = 40000, /* ns; a piece of this length is the one that cannot be divided */
    MOST_WAITS = 4      /* steps that the long piece is put off */
};

static int count(const orr_runtime *rt) {
    return lua_gc(rt->L, LUA_GCCOUNT);
}

static bool is_paced(const orr_runtime *rt) {
    return rt->config.gc == ORR_GC_LEFTOVER || rt->config.gc == ORR_GC_HOST;
}

/* A finaliser of a script's that Lua calls there is within a callback: it must not close what
 * collects. */
static bool collect(orr_runtime *rt, int kb) {
    rt->depth++;
    bool ended = lua_gc(rt->L, LUA_GCSTEP, kb) == 1;
    rt->depth--;
    return ended;
}

void orr_gc_open(orr_runtime *rt) {
    if (!rt->own_lua || !is_paced(rt)) return;
    lua_gc(rt->L, LUA_GCCOLLECT);
    lua_gc(rt->L, LUA_GCINC, 0, 0, PIECE);
    rt->gc.live = count(rt);
    orr_gc_lend(rt);
}

void orr_gc_lend(orr_runtime *rt) {
    orr_collector *c = &rt->gc;
    int loan = is_paced(rt) ? PACED_LOAN : LOAN, now;
    if (!rt->own_lua || rt->L == NULL) return;
    now = count(rt);
    if (c->lent > 0 && now - c->lent_at < loan / 2) return;
    collect(rt, -loan);
    c->lent += loan;
    c->lent_at = now;
}

void orr_gc_step(orr_runtime *rt) {
    if (rt->own_lua && (!is_paced(rt) || rt->gc.overdue)) orr_gc_repay(rt);
}

void orr_gc_repay(orr_runtime *rt) {
    int lent = rt->gc.lent;
    if (lent == 0) return;
    rt->gc.lent = 0;
    collect(rt, lent);
}

/* One piece. True when a collection has come to its end. */
static bool piece(orr_runtime *rt) {
    orr_collector *c = &rt->gc;
    int64_t start = orr_thread_time();
    bool ended = collect(rt, 0);
    int64_t took = orr_thread_time() - start;
    c->lent = 0; /* it has set the debt anew */
    c->under_way = !ended;
    c->pieces++;
    if (took > c->longest) {
        c->longest = took;
        c->longest_at = c->pieces;
    }
    if (!ended) return false;
    c->live = count(rt);
    c->expected = c->longest > LONG_PIECE ? c->longest : 0;
    c->expected_at = c->longest_at;
    c->longest = 0;
    c->pieces = c->longest_at = c->waits = 0;
    c->overdue = false;
    return true;
}

static bool is_worth(const orr_collector *c, int now) {
    return now > c->live + c->live / 4 + WORTH;
}

static bool is_due(const orr_runtime *rt) {
    return rt->gc.under_way || is_worth(&rt->gc, count(rt));
}

/* ns that the long piece will need, where the next one may be that: in it Lua looks again at all
 * coroutines at once. It comes after about as many pieces as in the collection before. 0: none. */
static int64_t long_piece(const orr_collector *c) {
    bool near = c->under_way && c->longest < c->expected / 2 && c->waits < MOST_WAITS &&
                c->pieces + c->expected_at / 64 + 2 >= c->expected_at;
    return near ? c->expected : 0;
}

int64_t orr_gc_reserve(const orr_runtime *rt, int64_t budget) {
    const orr_collector *c = &rt->gc;
    if (!rt->own_lua || rt->config.gc != ORR_GC_LEFTOVER) return 0;
    int now = count(rt);
    if (!c->under_way && !is_worth(c, now)) return 0;
    double grown = (double)now / (c->live + WORTH);
    double share = grown > 1.5 ? (grown - 1.5) / 3 : 0;
    int64_t reserve = (int64_t)((double)budget * (share < 0.5 ? share : 0.5));
    int64_t wanted = long_piece(c) + long_piece(c) / 4, most = budget / 8 * 5;
    if (wanted > most) wanted = most;
    return wanted > reserve ? wanted : reserve;
}

/* Collects until `end`. The long piece waits for a step that has left room for it; false when the
 * collection has come to its end. */
static bool collect_until(orr_runtime *rt, int64_t end, int64_t budget) {
    orr_collector *c = &rt->gc;
    for (int64_t now; (now = orr_monotonic_time()) < end;) {
        int64_t wanted = long_piece(c);
        if (wanted > budget / 2) wanted = budget / 2;
        if (end - now < wanted) {
            c->waits++;
            break;
        }
        if (piece(rt)) return false;
    }
    return true;
}

/* After a step. */
static void note_overdue(orr_runtime *rt) {
    orr_collector *c = &rt->gc;
    c->overdue = is_paced(rt) && count(rt) / 4 > c->live + WORTH + PACED_LOAN / 4;
}

void orr_gc_leftover(orr_runtime *rt, int64_t reserve, int64_t budget) {
    int64_t worked_to = orr_fibers_of(rt->script)->budget.end; /* 0: there was nothing to do */
    if (!rt->own_lua || !is_paced(rt)) return;
    if (worked_to || budget <= 0) note_overdue(rt);
    if (rt->config.gc != ORR_GC_LEFTOVER || budget <= 0) return;
    if (!worked_to && !rt->gc.under_way) return;
    if (!is_due(rt)) {
        orr_gc_lend(rt);
        return;
    }
    collect_until(rt, worked_to ? worked_to + reserve : orr_budget_end(budget), budget);
    orr_gc_lend(rt);
}

int orr_gc(orr_runtime *rt, int64_t budget) {
    if (rt == NULL) return ORR_EINVAL;
    if (!rt->own_lua)
        return orr_api_fail(rt, ORR_ESTATE, "wrong_state",
                            "orr_gc: the lua_State is the host's, and so is its collector: lua_gc");
    if (!is_due(rt)) return 0;
    bool more = budget > 0 ? collect_until(rt, orr_budget_end(budget), 0) : !piece(rt);
    orr_gc_lend(rt);
    return more;
}
