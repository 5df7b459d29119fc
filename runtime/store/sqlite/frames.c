/* frames.c - reading the write-ahead log as SQLite recovers it: from its header on, up to the first
 * frame whose salt or checksum is wrong. The format is that of
 * https://www.sqlite.org/fileformat2.html, 4. */
#include "store/sqlite/inner.h"

#include <stdlib.h>
#include <string.h>

uint32_t orr_big_endian(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t little_endian(const unsigned char *p) {
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* The checksum of a log goes on over n bytes, a multiple of 8; its words are read in the order that
 * the log says. */
static void checksum(uint32_t sum[2], const unsigned char *bytes, size_t n, bool big) {
    for (size_t i = 0; i < n; i += 8) {
        sum[0] += (big ? orr_big_endian(bytes + i) : little_endian(bytes + i)) + sum[1];
        sum[1] += (big ? orr_big_endian(bytes + i + 4) : little_endian(bytes + i + 4)) + sum[0];
    }
}

static int read_log(const orr_frames *f, void *to, size_t n, int64_t at) {
    int rc = f->read(f->ud, to, n, at);
    return rc == SQLITE_IOERR_SHORT_READ ? SQLITE_CORRUPT : rc;
}

int orr_frames_begin(orr_frames *f) {
    enum { MAGIC = 0x377f0682, LARGEST = 65536 };
    unsigned char header[ORR_LOG_HEADER];
    f->frame = NULL;
    f->n = 0;
    int rc = read_log(f, header, sizeof header, 0);
    if (rc != SQLITE_OK) return rc;
    f->page = orr_big_endian(header + 8);
    f->big = (header[3] & 1) != 0;
    memcpy(f->salt, header + 16, sizeof f->salt);
    f->sum[0] = f->sum[1] = 0;
    checksum(f->sum, header, 24, f->big);
    if ((orr_big_endian(header) & ~1u) != MAGIC || f->page < 512 || f->page > LARGEST ||
        orr_big_endian(header + 24) != f->sum[0] || orr_big_endian(header + 28) != f->sum[1])
        return SQLITE_CORRUPT;
    f->frame = malloc(ORR_FRAME_HEADER + f->page);
    return f->frame != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

/* Each frame has the log's salt and the checksum of all before it. */
int orr_frames_next(orr_frames *f) {
    const unsigned char *frame = f->frame;
    int64_t size = (int64_t)(ORR_FRAME_HEADER + f->page);
    int rc = read_log(f, f->frame, (size_t)size, ORR_LOG_HEADER + (int64_t)f->n * size);
    if (rc != SQLITE_OK) return rc;
    checksum(f->sum, frame, 8, f->big);
    checksum(f->sum, frame + ORR_FRAME_HEADER, f->page, f->big);
    bool right = memcmp(frame + 8, f->salt, sizeof f->salt) == 0 && orr_big_endian(frame + 16) == f->sum[0] &&
                 orr_big_endian(frame + 20) == f->sum[1];
    if (right) f->n++;
    return right ? SQLITE_OK : SQLITE_CORRUPT;
}

void orr_frames_end(orr_frames *f) {
    free(f->frame);
    f->frame = NULL;
}
