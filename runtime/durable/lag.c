/* lag.c - how far the disk is behind what a runtime has recorded.
 *
 * A relaxed run does not wait for the disk, but promises that no more is lost than the last 50 ms
 * or 4 MiB. So what is not durable yet is counted, in slices of a few milliseconds. Beyond either
 * bound the runtime lags, and its relaxed runs wait as strict ones do until it does not.
 */
#include "durable/inner.h"

#define MOST_BYTES ((size_t)4 << 20)
#define MOST_TIME 50000000 /* ns */
#define SLICE 5000000      /* ns */

static orr_lag_slice *slice_at(orr_lag *lag, uint32_t i) {
    return &lag->slices[(lag->first + i) % ORR_LAG_SLICES];
}

/* By the clock of the machine: the runtime's may be a virtual one, the disk's never is. */
static bool is_late(orr_lag *lag) {
    return lag->n > 0 && (int64_t)uv_hrtime() - slice_at(lag, 0)->since > MOST_TIME;
}

bool orr_lag_look(orr_lag *lag) {
    return lag->bytes > MOST_BYTES || is_late(lag);
}

/* Where there is no slice left the last one takes what comes: it counts from its oldest record. */
bool orr_lag_note(orr_lag *lag, size_t bytes, uint64_t ticket) {
    int64_t now = (int64_t)uv_hrtime();
    orr_lag_slice *last = lag->n > 0 ? slice_at(lag, lag->n - 1) : NULL;
    if (!last || (now - last->since > SLICE && lag->n < ORR_LAG_SLICES)) {
        last = slice_at(lag, lag->n++);
        *last = (orr_lag_slice){.since = now};
    }
    last->ticket = ticket;
    last->bytes += bytes;
    lag->bytes += bytes;
    return orr_lag_look(lag);
}

bool orr_lag_durable(orr_lag *lag, uint64_t durable) {
    while (lag->n > 0 && slice_at(lag, 0)->ticket <= durable) {
        lag->bytes -= slice_at(lag, 0)->bytes;
        lag->first = (lag->first + 1) % ORR_LAG_SLICES;
        lag->n--;
    }
    return orr_lag_look(lag);
}
