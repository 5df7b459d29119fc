/* leb128.h - numbers as bytes, seven bits in each, the lowest first (LEB128: DWARF 5, 7.6). */
#ifndef ORR_STORE_LEB128_H
#define ORR_STORE_LEB128_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ORR_LEB_LONGEST = 10 }; /* bytes of a number */

/* Writes a number; where its bytes end. */
static inline unsigned char *orr_leb_put(unsigned char *to, uint64_t n) {
    for (; n >= 0x80; n >>= 7) *to++ = (unsigned char)(n | 0x80);
    *to++ = (unsigned char)n;
    return to;
}

/* Reads a number below 2^63 and moves *at behind it. False where the bytes end before it does,
 * and for a larger one. */
static inline bool orr_leb_get(const unsigned char **at, const unsigned char *end, uint64_t *n) {
    *n = 0;
    for (unsigned shift = 0; shift < 63 && *at < end; shift += 7) {
        unsigned char byte = *(*at)++;
        *n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

/* Reads a size and as many bytes: *bytes, and *at behind them. False where there are not as
 * many. */
static inline bool orr_leb_block(const unsigned char **at, const unsigned char *end,
                                 const unsigned char **bytes, size_t *size) {
    uint64_t n;
    if (!orr_leb_get(at, end, &n) || n > (uint64_t)(end - *at)) return false;
    *bytes = *at;
    *size = (size_t)n;
    *at += n;
    return true;
}

#endif
