/* mix.h - spreads what a word or an id holds over a whole word: for hashes, and for chance that
 * follows from a place. */
#ifndef ORR_CORE_MIX_H
#define ORR_CORE_MIX_H

#include <stdint.h>
#include <string.h>

/* The finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
 * generators", 2014). */
static inline uint64_t orr_mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The hash of a run's id. Ids that a user gave may differ in a few bits only: each of them decides
 * about all bits of the hash. */
static inline uint64_t orr_id_hash(const uint8_t id[16]) {
    uint64_t half[2];
    memcpy(half, id, sizeof half);
    return orr_mix(half[1] ^ orr_mix(half[0] + UINT64_C(0x9e3779b97f4a7c15)));
}

#endif
