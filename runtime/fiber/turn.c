/* turn.c - the turn of the loop: a batch of each runtime's actions, a batch of fibers, and what
 * comes before and after them. The room above lists the phases in a table.
 */
#include "fiber/inner.h"

bool orr_phase_fibers(orr_script *s) {
    const orr_fibers *all = orr_fibers_of(s);
    orr_budget *budget = &orr_fibers_of(s)->budget;
    bool any = false;
    for (int i = 0; i < ORR_BATCH && all->full == 0 && all->ready_head != ORR_NONE; i++) {
        if (orr_budget_spent(budget)) break;
        orr_budget_use(budget);
        any |= orr_fiber_next(s);
    }
    return any;
}

bool orr_turn(orr_script *s) {
    const orr_fibers *all = orr_fibers_of(s);
    bool any = false;
    for (const orr_turn_phase *p = all->phases; p->each || p->once; p++) {
        if (p->once) any |= p->once(s);
        else
            for (orr_rt *rt = all->runtimes; rt; rt = rt->next) any |= p->each(rt);
    }
    orr_runtimes_sweep(s);
    return any;
}
