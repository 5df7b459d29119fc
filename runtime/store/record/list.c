/* list.c - lists of records and of groups; see record.h */
#include "store/record/record.h"

#include "store/record/leb128.h"

#include <assert.h>
#include <string.h>

/* ---- records --------------------------------------------------------------------------------- */

size_t orr_records_size(size_t size) {
    size_t n = 1 + size;
    for (uint64_t rest = size; rest >= 0x80; rest >>= 7) n++;
    return n;
}

unsigned char *orr_records_put(unsigned char *to, const void *bytes, size_t size) {
    to = orr_leb_put(to, size);
    if (size > 0) memcpy(to, bytes, size);
    return to + size;
}

bool orr_records_next(const unsigned char **at, const unsigned char *end, const unsigned char **record,
                      size_t *size) {
    return orr_leb_block(at, end, record, size);
}

uint64_t orr_records_count(const unsigned char *bytes, size_t size) {
    const unsigned char *at = bytes, *end = size > 0 ? at + size : at, *record;
    uint64_t n = 0;
    for (size_t length; at < end; n++)
        if (!orr_leb_block(&at, end, &record, &length)) return 0;
    return n;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static_assert(ORR_GROUP_HEAD == 3 * ORR_LEB_LONGEST, "three numbers");

unsigned char *orr_group_put(unsigned char *to, const orr_group *group) {
    to = orr_leb_put(to, (uint64_t)group->run);
    return orr_leb_put(orr_leb_put(to, group->first), group->size);
}

bool orr_group_next(const unsigned char **at, const unsigned char *end, orr_group *group) {
    const unsigned char *next = *at;
    uint64_t run;
    if (!orr_leb_get(&next, end, &run) || !orr_leb_get(&next, end, &group->first) ||
        !orr_leb_block(&next, end, &group->bytes, &group->size))
        return false;
    group->run = (int64_t)run;
    *at = next;
    return true;
}
