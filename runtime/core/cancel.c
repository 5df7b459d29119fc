/* cancel.c - cancelling a run; stop.c does what follows. */
#include "core/inner.h"

void orr_run_cancel_because(orr_run *run, const char *reason) {
    orr_error error = {.code = "cancelled", .message = reason, .retry_after = -1};
    const orr_error *why = reason != NULL ? &error : NULL;
    if (run->ended || run->rebuilding) return;
    if (run->state == ORR_RUN_PENDING) orr_run_begin(run);
    if (run->cancels < UINT8_MAX) run->cancels++;
    if (run->waits) orr_refuse(run, why);
    else if (run->mode < MODE_STOP) orr_stop(run, ORR_STOP_CANCEL, why);
    else if (run->cancels > 1) orr_skip_cleanup(run, ORR_CANCEL_RUN);
    ORR_CHECKED(run->core);
}

void orr_run_cancel(orr_run *run) {
    orr_run_cancel_because(run, NULL);
}

void orr_run_cancel_once(orr_run *run) {
    if (run->cancels == 0) orr_run_cancel(run);
}
