/* chance.c - a seeded stream of random numbers for tests. */
#include "chance.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

chance chance_begin(const char *what) {
    const char *seed = getenv("ORR_SEED");
    chance c = {seed && *seed ? strtoull(seed, NULL, 0) : 20240607};
    printf("%s: ORR_SEED=%" PRIu64 "\n", what, c.state);
    return c;
}

uint64_t chance_next(chance *c) {
    uint64_t z = c->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t chance_below(chance *c, uint32_t n) {
    return (uint32_t)((chance_next(c) >> 32) % n);
}

bool chance_of(chance *c, uint32_t percent) {
    return chance_below(c, 100) < percent;
}
