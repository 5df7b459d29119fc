/* reaper.c - see reaper.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* environ */
#endif
#include "loop/reaper.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ms between two looks at the children: at first and while one of them is a zombie, and at last. */
enum { FIRST_LOOK = 2000, LAST_LOOK = 60000 };

/* How long (ms) a child may be a zombie until it is taken for one that nobody waits for. One of
 * this program's own session may be what popen has started, whose status is asked for at leisure.
 */
enum { PATIENCE = 4000, OWN_PATIENCE = 600000 };

enum { ZOMBIES = 64, SESSIONS = 256, VARIABLE_MOST = 100 };

typedef struct zombie {
    int pid;
    unsigned long long birth;
    uint64_t since; /* loop time, ms */
} zombie;

struct orr_reaper {
    uv_timer_t timer;
    orr_alloc alloc;
    orr_reaper_member *first;
    unsigned long long since; /* birth of the first command since there was none */
    bool was_subreaper;
    bool detached; /* something that was to stay carries no mark either */
    unsigned look; /* ms to the next look */
    unsigned n_zombies;
    zombie zombies[ZOMBIES]; /* what is beyond is seen once these are gone */
    /* of the last commands: an id is not used again while somebody is in its session */
    int sessions[SESSIONS];
    unsigned n_sessions;
};

/* ---- whose a child is ------------------------------------------------------------------------ */

static bool is_command(const orr_reaper *r, int pid) {
    for (const orr_reaper_member *m = r->first; m; m = m->next)
        if (m->pid == pid) return true;
    return false;
}

typedef struct lookup {
    int pid;
    bool found;
} lookup;

static void compare_handle(uv_handle_t *handle, void *ud) {
    lookup *l = ud;
    if (handle->type == UV_PROCESS && uv_process_get_pid((uv_process_t *)handle) == l->pid) l->found = true;
}

/* Whether it is waited for by the loop: a command of ours, or a process of libuv's. */
static bool is_known(const orr_reaper *r, int pid) {
    lookup l = {pid, is_command(r, pid)};
    if (!l.found) uv_walk(r->timer.loop, compare_handle, &l);
    return l.found;
}

static bool has_children(void) {
    siginfo_t info;
    return !waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) || errno != ECHILD;
}

/* ---- waiting for them ------------------------------------------------------------------------ */

static zombie *note_zombie(orr_reaper *r, const orr_kin_child *c) {
    for (unsigned i = 0; i < r->n_zombies; i++)
        if (r->zombies[i].pid == c->pid && r->zombies[i].birth == c->birth) return &r->zombies[i];
    if (r->n_zombies == ZOMBIES) return NULL;
    zombie *z = &r->zombies[r->n_zombies++];
    *z = (zombie){c->pid, c->birth, uv_now(r->timer.loop)};
    return z;
}

typedef struct looking {
    orr_reaper *r;
    int session;
    unsigned n_zombies, n_orphans;
} looking;

static bool is_of_command(const orr_reaper *r, const orr_kin_child *c) {
    /* a session of outside this PID namespace, such as this program's own in one, is told as 0 */
    for (unsigned i = 0; c->session && i < SESSIONS; i++)
        if (r->sessions[i] == c->session) return true;
    return false;
}

static void wait_for(int pid) {
    while (waitpid(pid, NULL, WNOHANG) < 0 && errno == EINTR) {
    }
}

static void look_at(void *ud, const orr_kin_child *c) {
    looking *l = ud;
    bool own = c->session == l->session;
    if (is_known(l->r, c->pid) || (own && !c->is_zombie)) return;
    if (!c->is_zombie) {
        l->n_orphans++;
    } else if (is_of_command(l->r, c)) {
        wait_for(c->pid);
    } else {
        const zombie *z = note_zombie(l->r, c);
        uint64_t age = z ? uv_now(l->r->timer.loop) - z->since : 0;
        if (age < (own ? OWN_PATIENCE : PATIENCE)) l->n_zombies += !own;
        else wait_for(c->pid);
    }
}

static void look_at_last(void *ud, const orr_kin_child *c) {
    const orr_reaper *r = ud;
    if (c->is_zombie && is_of_command(r, c) && !is_known(r, c->pid)) wait_for(c->pid);
}

/* Forgets those that somebody has waited for. */
static void forget_gone(orr_reaper *r) {
    for (unsigned i = 0; i < r->n_zombies;)
        if (orr_kin_is_zombie(r->zombies[i].pid, r->zombies[i].birth)) i++;
        else r->zombies[i] = r->zombies[--r->n_zombies];
}

static void on_timer(uv_timer_t *timer);

static void look_later(orr_reaper *r) {
    uv_timer_start(&r->timer, on_timer, r->look, 0);
}

static void on_timer(uv_timer_t *timer) {
    orr_reaper *r = timer->data;
    looking l = {.r = r, .session = getsid(0)};
    orr_kin_each_child(look_at, &l);
    forget_gone(r);
    if (l.n_zombies) r->look = FIRST_LOOK;
    else if (r->look < LAST_LOOK) r->look *= 2;
    if (l.n_zombies || l.n_orphans || r->n_zombies || r->first) look_later(r);
}

static void look_soon(orr_reaper *r) {
    r->look = FIRST_LOOK;
    if (!uv_is_active((uv_handle_t *)&r->timer) || uv_timer_get_due_in(&r->timer) > FIRST_LOOK) look_later(r);
}

/* ---- opening --------------------------------------------------------------------------------- */

orr_reaper *orr_reaper_open(const orr_alloc *alloc, uv_loop_t *loop) {
    int was = 0;
    if (prctl(PR_GET_CHILD_SUBREAPER, &was, 0, 0, 0) || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
        return NULL;
    orr_reaper *r = orr_mem_new(alloc, 1, sizeof *r);
    if (!r) {
        if (!was) prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
        return NULL;
    }
    r->alloc = *alloc;
    r->was_subreaper = was;
    uv_timer_init(loop, &r->timer);
    uv_unref((uv_handle_t *)&r->timer);
    r->timer.data = r;
    return r;
}

static void on_closed(uv_handle_t *handle) {
    orr_reaper *r = handle->data;
    orr_alloc alloc = r->alloc;
    orr_mem_free(&alloc, r, 1, sizeof *r);
}

void orr_reaper_close(orr_reaper *r) {
    if (!r->was_subreaper) prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    if (has_children()) orr_kin_each_child(look_at_last, r);
    uv_close((uv_handle_t *)&r->timer, on_closed);
}

/* ---- members --------------------------------------------------------------------------------- */

/* Now, as births are told: in ticks since the machine was started. One too early, for births are
 * rounded down. */
static unsigned long long ticks_now(void) {
    struct timespec t;
    long each = sysconf(_SC_CLK_TCK);
    clock_gettime(CLOCK_BOOTTIME, &t);
    unsigned long long ticks = (unsigned long long)t.tv_sec * (unsigned long long)each +
                               (unsigned long long)t.tv_nsec * (unsigned long long)each / 1000000000;
    return ticks ? ticks - 1 : 0;
}

void orr_reaper_join(orr_reaper *r, orr_reaper_member *m, int pid, bool detach) {
    if (!r->first) r->since = ticks_now();
    *m = (orr_reaper_member){.next = r->first, .in = r, .pid = pid};
    if (m->next) m->next->prev = m;
    r->first = m;
    r->sessions[r->n_sessions++ % SESSIONS] = pid;
    r->detached = r->detached || detach;
    look_soon(r);
}

void orr_reaper_waited(orr_reaper_member *m) {
    m->pid = 0;
}

void orr_reaper_leave(orr_reaper_member *m) {
    orr_reaper *r = m->in;
    if (!r) return;
    if (m->prev) m->prev->next = m->next;
    else r->first = m->next;
    if (m->next) m->next->prev = m->prev;
    m->in = NULL;
    if (has_children()) look_soon(r);
}

/* ---- orphans --------------------------------------------------------------------------------- */

typedef struct gathering {
    const orr_reaper *r;
    orr_kin *kin;
    int session;
    char variable[VARIABLE_MOST];
} gathering;

/* What was started here and not by a command has this program's environment. */
static void consider(void *ud, const orr_kin_child *c) {
    const gathering *g = ud;
    if (c->is_zombie || c->session == g->session || c->birth < g->r->since || is_known(g->r, c->pid)) return;
    if (!orr_kin_has_text(c->pid, g->variable)) orr_kin_add(g->kin, c->pid);
}

void orr_reaper_add_orphans(const orr_reaper_member *m, orr_kin *k) {
    const orr_reaper *r = m->in;
    if (!r || r->first != m || m->next || r->detached || !has_children() || !environ || !environ[0]) return;
    gathering g = {.r = r, .kin = k, .session = getsid(0)};
    strncpy(g.variable, environ[0], sizeof g.variable - 1);
    orr_kin_each_child(consider, &g);
}
