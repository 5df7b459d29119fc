/* memory.c - config.memory_limit and config.run_memory_limit: what the runtime and Lua allocate is
 * counted, and Lua is refused what goes beyond.
 *
 * Lua answers a refusal with a whole collection and asks once more. So that a runtime at its limit
 * does not collect for each block, the second request is granted only where the collection has made
 * room for some time: a sixteenth of the limit. The first one is refused for a run's sake only
 * where a quarter of all memory was allocated since the last time. So collections cost a bounded
 * share of what is allocated, and whoever does not fit gets an error.  */
#include "api/api.h"

static void *below(orr_memory *m, void *ptr, size_t osize, size_t nsize) {
    void *to = m->alloc.fn(m->alloc.ud, ptr, osize, nsize);
    if (to == NULL && nsize > 0) return NULL;
    m->used += nsize - osize;
    if (nsize > osize) m->since += nsize - osize;
    return to;
}

/* Whether it would be above its limit with `more` bytes, or not far enough below. */
static bool exceeds(size_t used, size_t more, size_t limit, bool collected) {
    size_t bound = collected ? limit - limit / 16 : limit;
    return limit > 0 && (more > bound || used > bound - more);
}

static bool run_exceeds(const orr_memory *m, size_t more) {
    size_t grown = m->in_slice && m->used > m->base ? m->used - m->base : 0;
    return m->in_slice && exceeds(grown, more, m->run_limit, m->refused);
}

static bool refuses(orr_memory *m, size_t more) {
    bool runtime = exceeds(m->used, more, m->limit, m->refused), run = run_exceeds(m, more);
    bool soon = !m->refused && m->since < m->used / 4;
    if (runtime || (run && (!soon || more > m->run_limit))) {
        m->refused = !m->refused;
        m->since = 0;
        return true;
    }
    m->refused = false;
    return false;
}

/* The engine's own memory: it is counted, and has a sixteenth beyond the limit, so that what has
 * happened can still be recorded. */
void *orr_memory_engine(void *ud, void *ptr, size_t osize, size_t nsize) {
    orr_memory *m = ud;
    if (ptr == NULL) osize = 0;
    size_t more = nsize > osize ? nsize - osize : 0;
    if (more > 0 && exceeds(m->used, more, m->limit > 0 ? m->limit + m->limit / 16 : 0, false)) return NULL;
    return below(m, ptr, osize, nsize);
}

/* Lua gives the kind of a new object where others give a size of 0. */
void *orr_memory_lua(void *ud, void *ptr, size_t osize, size_t nsize) {
    orr_memory *m = ud;
    if (ptr == NULL) osize = 0;
    if (nsize > osize && refuses(m, nsize - osize)) return NULL;
    return below(m, ptr, osize, nsize);
}

void orr_memory_slice(void *ud, bool begins) {
    orr_memory *m = ud;
    m->in_slice = begins;
    m->base = m->used;
}
