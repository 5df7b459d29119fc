/* rank.c - lines in the order of longest remaining paths, for runs of plans whose nodes have
 * estimates.
 *
 * The tasks of a line and a priority form a pairing heap (Fredman, Sedgewick, Sleator and Tarjan
 * 1986): the line's head is the first of them, `next` of a cell the sibling after it, and a link of
 * its own names its first child and what stands before it, a sibling or the parent. Pushing takes
 * constant time, popping and removing logarithmic time, amortised; none needs memory. The order is
 * total, so that what comes out does not depend on what went in when.
 */
#include "core/inner.h"

/* Which of two tasks has the longer path before it; of equal ones that which was made first. */
bool orr_rank_before(const orr_run *run, uint32_t a, uint32_t b) {
    int64_t x = run->plan->rank[orr_node_of(run, a)], y = run->plan->rank[orr_node_of(run, b)];
    return x != y ? x > y : a < b;
}

/* Two roots become one heap. */
static uint32_t meld(orr_run *run, uint32_t a, uint32_t b) {
    orr_rank_link *links = run->links;
    if (orr_rank_before(run, b, a)) {
        uint32_t first = b;
        b = a;
        a = first;
    }
    uint32_t child = links[a].child;
    run->cells[b].next = child;
    if (child != ORR_NONE) links[child].before = b;
    links[b].before = a;
    links[a].child = b;
    return a;
}

static uint32_t take(orr_run *run, uint32_t t) {
    uint32_t next = run->cells[t].next;
    run->cells[t].next = run->links[t].before = ORR_NONE;
    return next;
}

/* Siblings become one heap: two by two from the left, then all from the right. */
static uint32_t meld_all(orr_run *run, uint32_t first) {
    uint32_t pairs = ORR_NONE, root = ORR_NONE;
    while (first != ORR_NONE) {
        uint32_t a = first, b = take(run, a);
        first = b != ORR_NONE ? take(run, b) : ORR_NONE;
        if (b != ORR_NONE) a = meld(run, a, b);
        run->cells[a].next = pairs;
        pairs = a;
    }
    while (pairs != ORR_NONE) {
        uint32_t a = pairs;
        pairs = take(run, a);
        root = root != ORR_NONE ? meld(run, root, a) : a;
    }
    return root;
}

uint32_t orr_rank_push(orr_run *run, uint32_t root, uint32_t t) {
    run->cells[t].next = ORR_NONE;
    run->links[t] = (orr_rank_link){ORR_NONE, ORR_NONE};
    return root != ORR_NONE ? meld(run, root, t) : t;
}

uint32_t orr_rank_remove(orr_run *run, uint32_t root, uint32_t t) {
    orr_rank_link *links = run->links;
    uint32_t before = links[t].before, rest = meld_all(run, links[t].child);
    links[t].child = ORR_NONE;
    if (t == root) return rest;
    uint32_t next = take(run, t);
    if (links[before].child == t) links[before].child = next;
    else run->cells[before].next = next;
    if (next != ORR_NONE) links[next].before = before;
    return rest != ORR_NONE ? meld(run, root, rest) : root;
}

/* The children first, then the siblings; from the last of these back to the parent. */
uint32_t orr_rank_walk(const orr_run *run, uint32_t t) {
    const orr_rank_link *links = run->links;
    if (links[t].child != ORR_NONE) return links[t].child;
    while (run->cells[t].next == ORR_NONE) {
        uint32_t before = links[t].before;
        while (before != ORR_NONE && links[before].child != t) {
            t = before;
            before = links[t].before;
        }
        if (before == ORR_NONE) return ORR_NONE;
        t = before;
    }
    return run->cells[t].next;
}
