/* spool.c - a file without a name: it is gone with the process, whatever ends that. */
#include "lua/lua.h"
#include "port/port.h"
#include "rows/inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER (256 * 1024)

void orr_spool_init(orr_spool *s, orr_alloc alloc) {
    *s = (orr_spool){.buffer = {.alloc = alloc}, .fd = -1};
}

void orr_spool_close(orr_spool *s) {
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
    s->error = EBADF;
    orr_bytes_free(&s->buffer);
}

uint64_t orr_spool_size(const orr_spool *s) {
    return s->written + s->buffer.size;
}

static bool failed(orr_spool *s, int error) {
    if (!s->error) s->error = error;
    return false;
}

static bool flush(orr_spool *s, const char *folder) {
    if (s->fd < 0) s->fd = orr_unnamed_file(folder);
    if (s->fd < 0) return failed(s, errno);
    for (size_t at = 0; at < s->buffer.size;) {
        ssize_t n = pwrite(s->fd, s->buffer.data + at, s->buffer.size - at, (off_t)(s->written + at));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed(s, errno);
        at += (size_t)n;
    }
    s->written += s->buffer.size;
    s->buffer.size = 0;
    return true;
}

bool orr_spool_append(orr_spool *s, const char *folder, const char *data, size_t size) {
    if (s->error) return false;
    if (s->buffer.size >= BUFFER && !flush(s, folder)) return false;
    return orr_bytes_add(&s->buffer, data, size) || failed(s, ENOMEM);
}

bool orr_spool_read(orr_spool *s, uint64_t at, char *data, size_t size) {
    if (s->error) return false;
    while (size > 0 && at < s->written) {
        size_t part = s->written - at < size ? (size_t)(s->written - at) : size;
        ssize_t n = pread(s->fd, data, part, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return failed(s, n < 0 ? errno : EIO);
        at += (uint64_t)n;
        data += n;
        size -= (size_t)n;
    }
    if (size > 0) memcpy(data, s->buffer.data + (at - s->written), size);
    return true;
}

int orr_spool_raise(lua_State *L, const orr_spool *s, const char *folder) {
    const char *text = lua_pushfstring(L, "cannot keep rows in a file in %s: %s; TMPDIR names another folder",
                                       folder, strerror(s->error));
    orr_push_error(L, orr_script_of(L), "spool_error", text);
    return lua_error(L);
}
