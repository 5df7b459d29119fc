/* early.c - attempts that start before their own record is durable.
 *
 * The core says which record a start waits for (core/early.c); here it waits for no other. It runs
 * ahead of the disk by a few records only: so on a disk that is full or slow what was decided waits
 * as before, and little is done again after a crash. What is refused here waits for its own record.
 *
 * Which records of a run are durable is known by samples: the ticket of one record is kept until it
 * is durable, then that of the next one that is made.
 */
#include "durable/inner.h"

enum { MOST_AHEAD = 64 /* records */ };

static void look(orr_runbox *r) {
    if (r->kept.asked_ticket <= r->rt->durable_to) r->kept.sure = r->kept.asked;
}

void orr_early_note(orr_runbox *r, uint64_t seq) {
    look(r);
    if (r->kept.sure != r->kept.asked) return;
    r->kept.asked = seq;
    r->kept.asked_ticket = r->ticket;
}

/* A relaxed run that has to wait for the disk does, whatever its start depends on. */
bool orr_early_may(orr_runbox *r, uint64_t seq) {
    if (!r->rt->durable || r->durability != ORR_DURABLE_STRICT) return false;
    look(r);
    return seq <= r->kept.sure && orr_run_seq(r->run) - r->kept.sure <= MOST_AHEAD &&
           orr_storage_works(r->rt);
}
