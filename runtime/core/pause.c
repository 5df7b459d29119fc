/* pause.c - pausing a run, and letting it go on. */
#include "core/inner.h"

void orr_run_pause(orr_run *run) {
    if (run->paused || run->ended) return;
    orr_put_run(run, ORR_REC_PAUSED, 0, NULL);
    orr_run_gate(run);
    orr_emit(run, ORR_EV_RUN_PAUSED, ORR_NONE, NULL);
    ORR_CHECKED(run->core);
}

void orr_run_resume(orr_run *run) {
    if (!run->paused || run->ended) return;
    orr_put_run(run, ORR_REC_RESUMED, 0, NULL);
    orr_run_gate(run);
    orr_emit(run, ORR_EV_RUN_RESUMED, ORR_NONE, NULL);
    if (run->undo != NULL && run->undo->due) orr_compensate_call(run);
    ORR_CHECKED(run->core);
}
