/* breaker.c - circuit breakers: closed, open, half open (Nygard, "Release It!", 2007).
 *
 * Failures are counted in a window that slides: the times of the last `threshold` failures are
 * kept, and it opens when the oldest of them is younger than the window.
 */
#include "core/inner.h"

#include <string.h>

static const orr_breaker_options defaults = {5, INT64_C(60000000000), INT64_C(30000000000), 1};

orr_breaker *orr_breaker_get(orr_core *core, const char *name) {
    orr_breaker *b = core->breakers;
    while (b != NULL && strcmp(b->name, name) != 0) b = b->next;
    return b;
}

void orr_breaker_destroy(orr_breaker *b) {
    const orr_alloc *a = &b->core->alloc;
    orr_timer_off(b->core, &b->timer);
    orr_mem_free(a, b->failures, b->options.threshold, sizeof *b->failures);
    orr_mem_free(a, b->held, b->cap_held, sizeof *b->held);
    orr_mem_free(a, b->name, strlen(b->name) + 1, 1);
    orr_mem_free(a, b, 1, sizeof *b);
}

static orr_breaker_options filled(const orr_breaker_options *options) {
    orr_breaker_options o = options != NULL ? *options : defaults;
    o.threshold = o.threshold > 0 ? o.threshold : defaults.threshold;
    o.window = o.window > 0 ? o.window : defaults.window;
    o.cooldown = o.cooldown > 0 ? o.cooldown : defaults.cooldown;
    o.probes = o.probes > 0 ? o.probes : defaults.probes;
    return o;
}

/* A breaker that exists keeps its state and what it counted, unless the threshold changes. */
orr_status orr_core_breaker(orr_core *core, const char *name, const orr_breaker_options *options) {
    if (name == NULL || *name == '\0') return ORR_EINVAL;
    orr_breaker_options o = filled(options);
    orr_breaker *b = orr_breaker_get(core, name);
    if (b != NULL && b->options.threshold == o.threshold) {
        b->options = o;
        return ORR_OK;
    }
    int64_t *failures = orr_mem_new(&core->alloc, o.threshold, sizeof *failures);
    if (failures == NULL) return ORR_ENOMEM;
    if (b == NULL) {
        size_t size = strlen(name) + 1;
        b = orr_mem_new(&core->alloc, 1, sizeof *b);
        char *copy = orr_mem_new(&core->alloc, 1, size);
        if (b == NULL || copy == NULL) {
            orr_mem_free(&core->alloc, failures, o.threshold, sizeof *failures);
            orr_mem_free(&core->alloc, b, 1, sizeof *b);
            orr_mem_free(&core->alloc, copy, 1, size);
            return ORR_ENOMEM;
        }
        b->name = memcpy(copy, name, size);
        b->core = core;
        b->timer = ORR_NONE;
        b->next = core->breakers;
        core->breakers = b;
    } else {
        orr_mem_free(&core->alloc, b->failures, b->options.threshold, sizeof *b->failures);
        b->n_failures = b->at_failure = 0;
    }
    b->failures = failures;
    b->options = o;
    return ORR_OK;
}

static void emit(orr_breaker *b, orr_event_kind kind) {
    orr_core *core = b->core;
    if (core->hooks.event == NULL || !orr_listens(core, kind)) return;
    orr_event e = {.kind = kind,
                   .time = core->now,
                   .name = b->name,
                   .due = b->until,
                   .task = {ORR_NONE, ORR_NONE, 0, 0}};
    core->hooks.event(core->hooks.ud, &e);
}

orr_pass orr_breaker_ask(const orr_breaker *b) {
    if (b->state == BREAKER_CLOSED) return PASS_YES;
    return b->state == BREAKER_HALF_OPEN && b->probing < b->options.probes ? PASS_PROBE : PASS_NO;
}

bool orr_breaker_hold(orr_breaker *b, orr_run *run, uint32_t t) {
    if (b->n_held == b->cap_held) {
        uint32_t cap = b->cap_held > 0 ? b->cap_held * 2 : 8;
        orr_held *held = orr_mem_resize(&b->core->alloc, b->held, b->cap_held, cap, sizeof *held);
        if (held == NULL) return false;
        b->held = held;
        b->cap_held = cap;
    }
    b->held[b->n_held++] = (orr_held){run, t};
    return true;
}

void orr_breaker_unhold(orr_breaker *b, const orr_run *run) {
    uint32_t to = 0;
    for (uint32_t i = 0; i < b->n_held; i++)
        if (b->held[i].run != run) b->held[to++] = b->held[i];
    b->n_held = to;
}

/* Whoever waits without an attempt, and not for a time, waits for its breaker. */
static bool is_held(const orr_run *run, uint32_t t) {
    const orr_more *more = orr_more_of(run, t);
    return run->cells[t].state == ORR_NODE_WAITING && (run->cells[t].flags & CELL_LIVE) == 0 &&
           more != NULL && more->due < 0;
}

/* Lets the tasks it held back try again, in the order in which they came. Those that it will not
 * let through are held again when their turn comes; one that has ended or gone on to its
 * fallback meanwhile is passed over. */
static void wake_held(orr_breaker *b) {
    orr_held *held = b->held;
    uint32_t n = b->n_held, cap = b->cap_held;
    b->held = NULL;
    b->n_held = b->cap_held = 0;
    for (uint32_t i = 0; i < n; i++)
        if (is_held(held[i].run, held[i].task)) orr_wake(held[i].run, held[i].task);
    orr_mem_free(&b->core->alloc, held, cap, sizeof *held);
}

static void open(orr_breaker *b) {
    b->state = BREAKER_OPEN;
    b->until = orr_wake_after(b->core->now, b->options.cooldown);
    b->probing = b->passed = 0;
    orr_timer_off(b->core, &b->timer);
    emit(b, ORR_EV_BREAKER_OPENED);
    /* without memory for a timer nothing would ever close it again, so it is half open at once */
    if (!orr_timer_on(b->core, &b->timer, b->until, b, 0, TIMER_BREAKER)) orr_breaker_fired(b);
}

void orr_breaker_fired(orr_breaker *b) {
    b->timer = ORR_NONE;
    b->state = BREAKER_HALF_OPEN;
    b->probing = b->passed = 0;
    b->period++;
    emit(b, ORR_EV_BREAKER_HALF_OPEN);
    wake_held(b);
}

void orr_breaker_enter(orr_run *run, uint32_t t, orr_breaker *b, bool probe) {
    orr_more *more = orr_more_of(run, t);
    more->breaker = b;
    more->probe = probe;
    more->period = b->period;
    if (probe) b->probing++;
}

static void count_failure(orr_breaker *b) {
    int64_t now = b->core->now;
    b->failures[b->at_failure] = now;
    b->at_failure = (b->at_failure + 1) % b->options.threshold;
    if (b->n_failures < b->options.threshold) b->n_failures++;
    if (b->n_failures == b->options.threshold && now - b->failures[b->at_failure] <= b->options.window) {
        b->n_failures = 0;
        open(b);
    }
}

/* Cancels, and errors that say nothing about the other side, do not count; a probe that ends so
 * frees its place. */
static bool counts(orr_end end, const orr_error *error) {
    return end == ORR_END_FAILED && strcmp(error->code, "config_error") != 0 &&
           strcmp(error->code, "validation_error") != 0 && strcmp(error->code, "cancelled") != 0;
}

static const char *const state_names[] = {"closed", "open", "half_open"};

/* Failures that are not older than the window. The ring begins at 0, and is full or has not come
 * round. */
static uint32_t recent(const orr_breaker *b) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n_failures; i++) n += b->core->now - b->failures[i] <= b->options.window;
    return n;
}

static uint32_t still_held(const orr_breaker *b) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n_held; i++) n += is_held(b->held[i].run, b->held[i].task);
    return n;
}

void orr_core_breakers(const orr_core *core, void (*see)(void *ud, const orr_breaker_view *breaker),
                       void *ud) {
    for (const orr_breaker *b = core->breakers; b != NULL; b = b->next) {
        bool is_open = b->state == BREAKER_OPEN;
        see(ud, &(orr_breaker_view){.name = b->name,
                                    .state = state_names[b->state],
                                    .until = is_open ? b->until : 0,
                                    .options = b->options,
                                    .failures = recent(b),
                                    .probing = b->probing,
                                    .waiting = still_held(b)});
    }
}

const char *orr_core_breaker_state(const orr_core *core, const char *name, int64_t *until) {
    const orr_breaker *b = core->breakers;
    while (b != NULL && strcmp(b->name, name) != 0) b = b->next;
    if (b != NULL) *until = b->until;
    return b != NULL ? state_names[b->state] : NULL;
}

/* Probes that are under way belong to a period that is over. */
orr_status orr_core_breaker_reset(orr_core *core, const char *name) {
    orr_breaker *b = orr_breaker_get(core, name);
    if (b == NULL) return ORR_ENOTFOUND;
    bool was_closed = b->state == BREAKER_CLOSED;
    b->state = BREAKER_CLOSED;
    b->n_failures = b->at_failure = 0;
    b->probing = b->passed = 0;
    b->period++;
    orr_timer_off(core, &b->timer);
    if (!was_closed) emit(b, ORR_EV_BREAKER_CLOSED);
    wake_held(b);
    ORR_CHECKED(core);
    return ORR_OK;
}

void orr_breaker_report(orr_run *run, uint32_t t, orr_end end, const orr_error *error) {
    orr_more *more = orr_more_of(run, t);
    orr_breaker *b = more != NULL ? more->breaker : NULL;
    if (b == NULL) return;
    /* one that is left from an earlier half open time has no place and no say in this one */
    bool probe = more->probe && b->state == BREAKER_HALF_OPEN && more->period == b->period;
    more->breaker = NULL;
    more->probe = false;
    if (probe && b->probing > 0) b->probing--;
    if (counts(end, error)) {
        if (probe) open(b);
        else if (b->state == BREAKER_CLOSED) count_failure(b);
    } else if (probe && end == ORR_END_COMPLETED && ++b->passed >= b->options.probes) {
        b->state = BREAKER_CLOSED;
        b->n_failures = b->at_failure = 0;
        emit(b, ORR_EV_BREAKER_CLOSED);
        wake_held(b);
    } else if (probe) {
        wake_held(b);
    }
}
