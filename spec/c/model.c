/* model.c - see model.h */
#include "model.h"

#include <string.h>

typedef enum { GOES, DRAINS, STOPS, SKIPS } course; /* of the run: what may still start */

typedef struct play {
    model *m;
    int64_t now;
    course course;
    bool cancelled, failed;
    uint32_t cancels;
    int64_t ends[MODEL_NODES]; /* when a running node will end, and how */
    char how[MODEL_NODES];
    int port[MODEL_NODES];        /* that it took or will take */
    bool acted_upon[MODEL_NODES]; /* its failure has been acted upon */
    bool cared[MODEL_NODES];      /* its failure was handled */
    bool started[MODEL_NODES];
    int64_t skipped_at[MODEL_NODES], began_at[MODEL_NODES];
} play;

/* ---- one node by itself ---------------------------------------------------------------------- */

typedef struct ending {
    int64_t after;
    char how;
    int port;
} ending;

static ending mended(const model_node *n, const model_work *w, int64_t after) {
    if (!n->has_fallback) return (ending){after, 'F', -1};
    return (ending){after + w->fallback.takes, w->fallback.end,
                    w->fallback.end == 'C' ? w->fallback.port : -1};
}

static ending alone(const model_node *n, const model_work *w) {
    int64_t after = 0;
    uint32_t at = 0;
    for (uint32_t iteration = 1;; iteration++) {
        for (uint32_t attempt = 0;; attempt++) {
            const model_try *t = &w->tries[at++ % MODEL_TRIES];
            after += t->takes;
            if (t->end == 'X') return (ending){after, 'X', -1};
            if (t->end == 'F' && attempt == n->retries) return mended(n, w, after);
            if (t->end == 'F') {
                after += n->delay;
                continue;
            }
            if (n->iterations == 0 || iteration == n->iterations) return (ending){after, 'C', t->port};
            break;
        }
        if (!n->counts && n->loop_max > 0 && iteration == n->loop_max) return mended(n, w, after);
        after += n->loop_delay;
    }
}

/* Items run side by side, as many as may. At one failure too many the node ends, or no item begins
 * any more, or nothing changes; from `closes` on none begins either, and at `until` all are
 * cancelled. */
static ending of_node(const model_node *n, int64_t closes, int64_t until) {
    ending items[MODEL_ITEMS], last = {0, 'C', -1};
    uint32_t failed = 0, begun = 0, ended = 0, most = n->parallel > 0 ? n->parallel : MODEL_ITEMS;
    if (!n->has_each) return alone(n, &n->work[0]);
    for (;;) {
        uint32_t next = begun;
        for (; begun < n->items && begun - ended < most && last.after < closes; begun++) {
            items[begun] = alone(n, &n->work[begun]);
            items[begun].after += last.after;
        }
        for (uint32_t i = 0; i < begun; i++)
            if (items[i].how != 0 &&
                (next == begun || items[next].how == 0 || items[i].after < items[next].after))
                next = i;
        if (ended == begun) break;
        if (items[next].after > until) return (ending){until, failed > n->allowed ? 'F' : 'X', -1};
        last.after = items[next].after;
        if (items[next].how == 'X') last.how = 'X';
        failed += items[next].how == 'F';
        items[next].how = 0;
        ended++;
        if (failed <= n->allowed || n->each_on_failure == ORR_EACH_CONTINUE) continue;
        if (n->each_on_failure == ORR_EACH_STOP) break;
        closes = 0;
    }
    if (begun < n->items) last.how = 'X';
    if (failed > n->allowed) last.how = 'F';
    return last;
}

/* ---- dependencies ---------------------------------------------------------------------------- */

static char counts_as(const play *p, uint32_t node) {
    switch (p->m->state[node]) {
    case ORR_NODE_COMPLETED: return 'C';
    case ORR_NODE_FAILED: return p->m->nodes[node].ignore ? 'C' : 'F';
    case ORR_NODE_SKIPPED: return p->m->upstream[node] ? 'U' : 'S';
    case ORR_NODE_CANCELLED: return 'X';
    default: return 0;
    }
}

typedef struct tally {
    uint32_t c, f, x, open, all; /* f: failed, or skipped because of a failure */
    bool gate_shut;
} tally;

static bool is_early(const model_node *n) {
    return n->join == ORR_JOIN_ANY || n->join == ORR_JOIN_NEED;
}

/* All edges between two nodes are one dependency. Of a switch that completed, one counts as
 * skipped where none of its outcomes was taken; and that is a gate, unless the join is `any` or
 * `need`. */
static void add_dependency(const play *p, uint32_t from, uint32_t to, tally *t) {
    const model *m = p->m;
    char as = counts_as(p, from);
    bool found = false, gate = false, taken = false, off = false;
    for (uint32_t e = 0; e < m->n_edges; e++) {
        const model_edge *edge = &m->edges[e];
        if (edge->from != from || edge->to != to) continue;
        found = true;
        bool shut = edge->has_when && !edge->when;
        if (edge->port >= 0) {
            gate = true;
            taken |= as == 'C' && p->port[from] == edge->port && !shut;
        } else {
            off = shut;
        }
    }
    if (!found) return;
    t->all++;
    if (as == 0) {
        t->open++;
        return;
    }
    if (gate) {
        t->gate_shut |= !taken && !is_early(&m->nodes[to]);
        if (as == 'C' && !taken) as = 'S';
    } else if (off) {
        as = 'S';
    }
    t->c += as == 'C';
    t->f += as == 'F' || as == 'U';
    t->x += as == 'X';
}

static tally look(const play *p, uint32_t node) {
    tally t = {0};
    for (uint32_t from = 0; from < p->m->n; from++) add_dependency(p, from, node, &t);
    return t;
}

/* The join table. */
static bool satisfied(const model_node *n, const tally *t) {
    bool settled = t->open == 0;
    if (t->all == 0) return true;
    switch (n->join) {
    case ORR_JOIN_ALL: return settled && t->f == 0 && t->c > 0;
    case ORR_JOIN_ALL_COMPLETED: return settled && t->c == t->all;
    case ORR_JOIN_ANY: return t->c > 0;
    case ORR_JOIN_DONE: return settled;
    case ORR_JOIN_FAILED: return settled && t->f + t->x > 0;
    default: return t->c >= n->need;
    }
}

/* Whether the failure reaches it directly, and it is of the kind that handles failures. */
static bool may_handle(const play *p, uint32_t node, uint32_t failed) {
    const model *m = p->m;
    const model_node *n = &m->nodes[node];
    bool direct = false;
    if (n->watches || (n->join != ORR_JOIN_FAILED && !is_early(n))) return false;
    for (uint32_t e = 0; e < m->n_edges; e++) {
        const model_edge *edge = &m->edges[e];
        if (edge->from != failed || edge->to != node) continue;
        direct |= edge->port >= 0 ? is_early(n) : !edge->has_when || edge->when;
    }
    return direct;
}

/* Whether it is a candidate: it handles the failure, or still may. */
static bool handles(const play *p, uint32_t node, uint32_t failed) {
    const model *m = p->m;
    const model_node *n = &m->nodes[node];
    tally t = look(p, node);
    if (!may_handle(p, node, failed)) return false;
    switch (m->state[node]) {
    case ORR_NODE_PENDING:
        return n->join == ORR_JOIN_FAILED ? !t.gate_shut
                                          : t.c + t.open >= (n->join == ORR_JOIN_NEED ? n->need : 1);
    case ORR_NODE_SKIPPED: return false;
    case ORR_NODE_FAILED:
    case ORR_NODE_CANCELLED: return p->started[node];
    default: return true;
    }
}

/* ---- the run --------------------------------------------------------------------------------- */

static bool is_cleanup(const play *p, uint32_t node) {
    return p->m->nodes[node].join == ORR_JOIN_DONE || p->m->nodes[node].watches;
}

/* How a running node ends that is cancelled: a list of which too many items have failed failed. */
static orr_node_state cut_short(const play *p, uint32_t node) {
    const model_node *n = &p->m->nodes[node];
    if (!n->has_each) return ORR_NODE_CANCELLED;
    return of_node(n, INT64_MAX, p->now - p->began_at[node]).how == 'F' ? ORR_NODE_FAILED
                                                                        : ORR_NODE_CANCELLED;
}

static void end_running(play *p, bool cleanup_too) {
    for (uint32_t i = 0; i < p->m->n; i++)
        if (p->m->state[i] == ORR_NODE_RUNNING && (cleanup_too || !is_cleanup(p, i)))
            p->m->state[i] = cut_short(p, i);
}

/* While the run drains no item begins any more. */
static void close_running(play *p) {
    for (uint32_t i = 0; i < p->m->n; i++) {
        if (p->m->state[i] != ORR_NODE_RUNNING || is_cleanup(p, i) || !p->m->nodes[i].has_each) continue;
        ending e = of_node(&p->m->nodes[i], p->now - p->began_at[i], INT64_MAX);
        p->ends[i] = p->began_at[i] + e.after;
        p->how[i] = e.how;
    }
}

static void cancel(play *p) {
    p->cancels++;
    if (p->course == GOES || p->course == DRAINS) {
        p->course = STOPS;
        p->cancelled = true;
        end_running(p, false);
    } else if (p->cancels > 1 && p->course == STOPS) {
        p->course = SKIPS;
        end_running(p, true);
    }
}

/* Whether some node is decided at this moment, too, apart from those that might have handled the
 * failure: which comes first is not for the model to say. */
static bool something_follows(const play *p, uint32_t failed) {
    for (uint32_t i = 0; i < p->m->n; i++) {
        tally t = look(p, i);
        if (p->m->state[i] == ORR_NODE_SKIPPED && p->skipped_at[i] == p->now && !p->m->upstream[i] &&
            !may_handle(p, i, failed))
            return true;
        if (p->m->state[i] == ORR_NODE_PENDING && (t.open == 0 || satisfied(&p->m->nodes[i], &t)))
            return true;
    }
    return false;
}

static bool act_on_failures(play *p) {
    model *m = p->m;
    for (uint32_t i = 0; i < m->n; i++) {
        bool handled = false;
        if (m->state[i] != ORR_NODE_FAILED || m->nodes[i].ignore || p->acted_upon[i]) continue;
        for (uint32_t d = 0; d < m->n; d++) handled |= handles(p, d, i);
        p->cared[i] = handled || p->cared[i];
        if (handled) continue;
        p->acted_upon[i] = p->failed = true;
        if ((m->on_error == ORR_ON_ERROR_CONTINUE && !m->nodes[i].stops) || p->course != GOES) continue;
        m->racy |= p->cared[i] && something_follows(p, i); /* it was taken care of until just now */
        p->course = m->on_error == ORR_ON_ERROR_DRAIN ? DRAINS : STOPS;
        for (uint32_t k = 0; k < m->n; k++) /* what became ready at this moment has not begun */
            if (m->state[k] == ORR_NODE_RUNNING && p->began_at[k] == p->now && !is_cleanup(p, k)) {
                m->state[k] = ORR_NODE_CANCELLED;
                p->started[k] = false;
                /* by the time the rest has answered, it may have begun */
                m->racy |= m->nodes[k].cancel_rest;
            }
        if (p->course == STOPS) end_running(p, false);
        else close_running(p);
        return true;
    }
    return false;
}

static void begin(play *p, uint32_t i) {
    model *m = p->m;
    const model_node *n = &m->nodes[i];
    if (p->course == SKIPS || (p->course != GOES && !is_cleanup(p, i))) {
        m->state[i] = ORR_NODE_CANCELLED;
        return;
    }
    if (n->has_when && !n->when) {
        m->state[i] = ORR_NODE_SKIPPED;
        p->skipped_at[i] = p->now;
        return;
    }
    ending e = of_node(n, INT64_MAX, INT64_MAX);
    m->state[i] = ORR_NODE_RUNNING;
    p->started[i] = true;
    p->began_at[i] = p->now;
    p->ends[i] = p->now + e.after;
    p->how[i] = e.how;
    p->port[i] = e.port;
    if (n->has_each && n->items == 0) m->state[i] = ORR_NODE_COMPLETED;
    for (uint32_t from = 0; from < m->n && n->cancel_rest; from++) {
        tally t = {0};
        add_dependency(p, from, i, &t);
        m->racy |= t.all > 0 && ((p->skipped_at[from] == p->now && m->state[from] == ORR_NODE_SKIPPED) ||
                                 (p->began_at[from] == p->now && m->state[from] == ORR_NODE_COMPLETED));
        if (t.open == 0) continue;
        m->racy |= m->state[from] == ORR_NODE_PENDING || p->began_at[from] == p->now;
        m->state[from] = m->state[from] == ORR_NODE_RUNNING ? cut_short(p, from) : ORR_NODE_CANCELLED;
    }
}

/* One node that can be decided; false when there is none. */
static bool decide(play *p) {
    for (uint32_t i = 0; i < p->m->n; i++) {
        if (p->m->state[i] != ORR_NODE_PENDING) continue;
        tally t = look(p, i);
        if (!t.gate_shut && satisfied(&p->m->nodes[i], &t)) {
            begin(p, i);
            return true;
        }
        if (t.open == 0) {
            p->m->state[i] = ORR_NODE_SKIPPED;
            p->m->upstream[i] = t.f > 0;
            p->skipped_at[i] = p->now;
            return true;
        }
    }
    return false;
}

static void follow(play *p) {
    while (act_on_failures(p) || decide(p))
        ;
}

/* The next thing that happens: a node ends, or somebody cancels. */
static bool advance(play *p) {
    model *m = p->m;
    uint32_t next = m->n;
    int64_t call = p->cancels < 2 ? m->cancel_at[p->cancels] : 0;
    for (uint32_t i = 0; i < m->n; i++)
        if (m->state[i] == ORR_NODE_RUNNING && (next == m->n || p->ends[i] < p->ends[next])) next = i;
    if (next == m->n) return false;
    if (call > 0 && call < p->ends[next]) {
        p->now = call;
        cancel(p);
        return true;
    }
    p->now = p->ends[next];
    m->state[next] = p->how[next] == 'C'   ? ORR_NODE_COMPLETED
                     : p->how[next] == 'F' ? ORR_NODE_FAILED
                                           : ORR_NODE_CANCELLED;
    return true;
}

void model_play(model *m) {
    play p = {.m = m};
    m->racy = false;
    for (uint32_t i = 0; i < m->n; i++) {
        m->state[i] = ORR_NODE_PENDING;
        m->upstream[i] = false;
        p.port[i] = -1;
    }
    do follow(&p);
    while (advance(&p));
    m->run = p.cancelled ? ORR_RUN_CANCELLED : p.failed ? ORR_RUN_FAILED : ORR_RUN_COMPLETED;
}
