/* checked_core.c - see checked_core.h */
#include "checked_core.h"

#include "core/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SMALL = 256, TASKS_A_CALL = 8 };

void checked_core_now(const orr_core *core) {
    char text[512];
    if (!orr_core_check(core, text, sizeof text)) fail_msg("%s", text);
}

#ifdef ORR_CHECK /* the core has done it itself */
void checked_core(const orr_core *core) {
    (void)core;
}
#else
void checked_core(const orr_core *core) {
    static uint64_t calls;
    uint64_t tasks = 0, every = 1;
    for (const orr_run *run = core->runs; run != NULL; run = run->next) tasks += run->n_cells;
    while (tasks > SMALL && every * TASKS_A_CALL < tasks) every *= 2;
    if ((calls++ & (every - 1)) == 0) checked_core_now(core);
}
#endif
