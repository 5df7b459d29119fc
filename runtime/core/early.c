/* early.c - which record a start waits for.
 *
 * A record is on disk before anything that depends on it acts. The start of an attempt depends on
 * what made its task ready, and on what was decided since: what attempts do themselves, such as to
 * start and to complete, takes nothing back. It seldom depends on its own record. Where a crash
 * takes that one back, and those of attempts before it, another process makes the same of the run
 * as with it: the attempt is made again, under the same number. spec/c/test_core_early.c compares
 * both, after every record in between.
 *
 * Its own record is waited for where more is at stake:
 *   in a run that was rebuilt    how often an attempt was cut off is counted by its records
 *   what has `compensate`        only what is known to have begun is undone
 *   what drains                  where another fails what has begun goes on, the rest does not
 *   a `deadline`                 may pass meanwhile: what follows is counted on from what began
 *   `when`, a pool by its name   they are asked again after a crash, and may answer otherwise: by
 *                                the output of a node that has ended meanwhile, for instance
 *   places that exclude others   of a pool with one place or with `hold`, of a run that does one
 *                                thing at a time: who had it before is known to have left
 */
#include "core/inner.h"

/* It may be let into a place that only one has at a time. */
static bool excludes(const orr_run *run, const orr_more *more) {
    return run->concurrency == 1 || (more != NULL && more->pool != NULL && more->pool->max <= 1);
}

/* What has begun goes on where something else fails, and what has not does not begin any more. */
static bool drains(const orr_run *run, const orr_policy *policy) {
    return run->plan->on_error == ORR_ON_ERROR_DRAIN ||
           (policy->has_each && policy->each_on_failure == ORR_EACH_DRAIN);
}

void orr_early_lined(orr_run *run, uint32_t t) {
    orr_more *more = orr_more_of(run, t);
    run->lined = run->seq;
    if (more != NULL) more->lined = run->seq;
}

/* A task that got its orr_more in line stood there when the last one joined, at the latest. */
uint64_t orr_early_seq(const orr_run *run, uint32_t t, const orr_policy *policy) {
    const orr_more *more = orr_more_of(run, t);
    bool asks = policy->has_when || policy->pool_is_dynamic;
    bool begun = policy->has_compensate || policy->pool_hold || policy->deadline > 0 || drains(run, policy);
    if (run->rebuilt || asks || begun || excludes(run, more)) return run->seq;
    uint64_t lined = more != NULL && more->lined > 0 ? more->lined : run->lined;
    return lined > run->decided ? lined : run->decided;
}
