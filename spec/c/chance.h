/* chance.h - chance for tests that can be repeated: every test that uses it prints the seed, and
 * ORR_SEED sets it. */
#ifndef SPEC_CHANCE_H
#define SPEC_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct chance {
    uint64_t state;
} chance;

/* A stream from ORR_SEED, or from a fixed seed when that is not set. Prints `what` and the seed. */
chance chance_begin(const char *what);

/* 64 bits (splitmix64: Steele, Lea, Flood 2014). */
uint64_t chance_next(chance *c);

/* 0 .. n-1; n must not be 0. The bias of the remainder does not matter to a test. */
uint32_t chance_below(chance *c, uint32_t n);

/* True in `percent` of 100 cases. */
bool chance_of(chance *c, uint32_t percent);

#endif
