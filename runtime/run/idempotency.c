/* idempotency.c - idempotency keys: ids that follow from a place in a run, the same for every
 * attempt. */
#include "run/inner.h"

void orr_push_derived_id(lua_State *L, const orr_fiber *f, uint64_t salt) {
    const orr_task *t = &f->task;
    uint64_t half[2];
    size_t len = 0;
    orr_push_node_name(L, f->run, t->node);
    const char *name = lua_tolstring(L, -1, &len);
    for (uint64_t k = 0; k < 2; k++) {
        uint64_t h = orr_mix(k + UINT64_C(0x9e3779b97f4a7c15));
        for (const char *c = f->run->id; *c; c++) h = orr_mix(h + (uint8_t)*c);
        for (size_t i = 0; i < len; i++) h = orr_mix(h + (uint8_t)name[i]);
        h = orr_mix(h + len);
        h = orr_mix(h + ((uint64_t)t->item << 32 | t->iteration));
        if (f->phase == ORR_PHASE_COMPENSATE) h = orr_mix(~h); /* a refund is not the charge again */
        if (salt) h = orr_mix(h ^ salt);
        half[k] = h;
    }
    lua_pop(L, 1);
    orr_push_uuid(L, half, 8);
}
