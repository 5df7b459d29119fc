/* retry_delay.c - whether another attempt is wanted, how long it waits, and the chance in it. */
#include "core/inner.h"
#include "core/mix.h"

#include <string.h>

static uint64_t mix(uint64_t x) {
    return orr_mix(x + UINT64_C(0x9e3779b97f4a7c15));
}

uint64_t orr_chance(uint64_t seed, const orr_task *task, uint64_t salt) {
    uint64_t h = mix(seed);
    h = mix(h ^ ((uint64_t)task->node << 32 | task->item));
    h = mix(h ^ ((uint64_t)task->iteration << 32 | task->attempt));
    return mix(h ^ salt);
}

/* base * factor^(n - 1), never more than `cap`; by doubling steps in floating point, which
 * cannot overflow to a negative duration. */
static double grown(const orr_retry *retry, uint32_t n, double cap) {
    double delay = (double)retry->delay;
    double factor = retry->factor > 0 ? retry->factor : 2;
    switch (retry->strategy) {
    case ORR_BACKOFF_LINEAR: delay *= n; break;
    case ORR_BACKOFF_EXPONENTIAL:
        for (uint32_t i = 1; i < n && delay < cap && factor != 1; i++) delay *= factor;
        break;
    default: break;
    }
    return delay < cap ? delay : cap;
}

int64_t orr_retry_delay(const orr_retry *retry, uint64_t seed, const orr_task *task) {
    return orr_retry_wait(retry, seed, task, task->attempt);
}

/* Chance is drawn for the attempt. Growth follows `tries`, which starts anew where the run was set
 * back. */
int64_t orr_retry_wait(const orr_retry *retry, uint64_t seed, const orr_task *task, uint32_t tries) {
    static const double ceiling = 4e18; /* about 126 years, below INT64_MAX */
    double cap = retry->max_delay > 0 && (double)retry->max_delay < ceiling ? (double)retry->max_delay
                                                                            : ceiling;
    double delay = grown(retry, tries > 0 ? tries : 1, cap);
    /* 53 bits: every value of u is exact */
    double u = (double)(orr_chance(seed, task, 1) >> 11) / 9007199254740992.0;
    if (retry->strategy == ORR_BACKOFF_RANDOM) {
        /* anything from the delay to its cap (three times the delay where none is given) */
        double high = retry->max_delay > 0 ? cap : delay * 3;
        delay += u * (high > delay ? high - delay : 0);
    }
    if (retry->jitter == ORR_JITTER_FULL) delay *= u;
    else if (retry->jitter == ORR_JITTER_EQUAL) delay = delay / 2 + u * delay / 2;
    return (int64_t)delay;
}

static bool listed(const char *const *codes, uint32_t n, const char *code) {
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(codes[i], code) == 0) return true;
    return false;
}

/* Errors of the definition and of its data would be the same at the next try. */
static bool hopeless(const char *code) {
    static const char *const codes[] = {"config_error", "validation_error", "loop_exhausted",
                                        "out_of_memory"};
    return listed(codes, sizeof codes / sizeof codes[0], code);
}

/* A cell counts the attempts of a task and then those of its compensation, so each has half of the
 * numbers. */
static const uint32_t most_attempts = UINT16_MAX / 2;

uint32_t orr_tries(const orr_run *run, uint32_t t) {
    uint32_t attempt = run->cells[t].attempt;
    const orr_more *more = orr_more_of(run, t);
    if (attempt >= most_attempts) return attempt;
    return attempt - orr_base_of(run, t) - (more != NULL && more->interrupted);
}

static bool fits(const orr_retry *r, const orr_error *error) {
    if (r->n_on > 0 && !listed(r->on, r->n_on, error->code)) return false;
    return !listed(r->unless, r->n_unless, error->code);
}

static bool wants(const orr_retry *r, uint32_t attempt, const orr_error *error) {
    if (attempt > r->max || attempt >= most_attempts || error->not_retryable || hopeless(error->code))
        return false;
    return fits(r, error);
}

int64_t orr_retry_after(const orr_retry *retry, const orr_error *error) {
    static const int64_t hour = INT64_C(3600000000000);
    int64_t most = retry->after_max > 0 ? retry->after_max : hour;
    return error->retry_after < most ? error->retry_after : most;
}

/* One policy, or the first of a list. */
typedef struct policies {
    const orr_retry *first, *rest;
    uint32_t n_rest;
} policies;

/* Of several policies the first that fits the error decides, also where it is used up. Each has a
 * count of its own, in `more`; an attempt that a crash cut off is in none. */
static orr_retry_choice choose(const policies *p, const orr_more *more, uint32_t tries,
                               const orr_error *error) {
    uint32_t at = 0;
    orr_retry_choice none = {NULL, 0, 0}, choice = {p->first, tries > 0 ? tries : 1u, 0};
    if (p->n_rest > 0) {
        while (at <= p->n_rest && !fits(at == 0 ? p->first : &p->rest[at - 1], error)) at++;
        if (at > p->n_rest || tries >= most_attempts) return none;
        choice.retry = at == 0 ? p->first : &p->rest[at - 1];
        choice.tries = 1u + (more != NULL ? more->tries[at] : 0u);
        choice.number = at + 1;
    }
    return wants(choice.retry, choice.tries, error) ? choice : none;
}

orr_retry_choice orr_retry_choose(const orr_run *run, uint32_t t, const orr_error *error) {
    const orr_policy *policy = orr_policy_of(run, orr_node_of(run, t));
    const policies p = {&policy->retry, policy->retries, policy->n_retries};
    return choose(&p, orr_more_of(run, t), orr_tries(run, t), error);
}

orr_retry_choice orr_retry_choose_undo(const orr_run *run, uint32_t t, const orr_error *error) {
    const orr_policy *policy = orr_policy_of(run, orr_node_of(run, t));
    const orr_more *more = orr_more_of(run, t);
    const policies p = {&policy->compensate_retry, policy->compensate_retries, policy->n_compensate_retries};
    return choose(&p, more, (uint32_t)run->cells[t].attempt - more->undo_base, error);
}
