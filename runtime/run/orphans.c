/* orphans.c - child runs whose caller will not ask for them again. Whoever waits for their parent
 * waits for them too.
 */
#include "run/inner.h"

void orr_orphan_join(orr_runbox *r, orr_runbox *parent) {
    if (!r->live || !parent->live || r->parent) return;
    r->parent = parent;
    parent->n_orphans++;
}

bool orr_orphans_left(orr_runbox *r) {
    r->ends_later = r->n_orphans > 0;
    return r->ends_later;
}

void orr_orphan_over(orr_script *s, orr_runbox *r) {
    orr_runbox *parent = r->parent;
    r->parent = NULL;
    for (orr_runbox *child = r->n_orphans > 0 ? r->rt->runs : NULL; child; child = child->next)
        if (child->parent == r) child->parent = NULL;
    r->n_orphans = 0;
    if (parent && --parent->n_orphans == 0 && parent->ends_later) orr_run_over(s, parent);
}
