/* archive_place.c - see archive_place.h. */
#include "loop/archive_place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The length of the part at the beginning. */
static size_t part_of(const char *text) {
    return strcspn(text, "/");
}

static bool is_part(const char *text, size_t n, const char *word) {
    return n == strlen(word) && memcmp(text, word, n) == 0;
}

const char *orr_archive_read_name(const char *name, int strip, orr_archive_name *into) {
    char *to = into->text;
    into->parts = 0;
    if (!*name) return "is empty";
    if (*name == '/') return "is absolute";
    if (strlen(name) >= sizeof into->text) return "is too long";
    for (const char *at = name; *at; at += *at == '/') {
        size_t n = part_of(at);
        if (is_part(at, n, "..")) return "leaves the folder";
        if (n > 0 && !is_part(at, n, ".") && strip-- <= 0) {
            memcpy(to, at, n);
            to[n] = '\0';
            to += n + 1;
            into->parts++;
        }
        at += n;
    }
    return NULL;
}

const char *orr_archive_last(const orr_archive_name *name) {
    const char *part = name->text;
    for (unsigned i = 1; i < name->parts; i++) part += strlen(part) + 1;
    return part;
}

static int open_folder(int from, const char *part, bool make) {
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(from, part, flags);
    if (fd >= 0 || errno != ENOENT || !make) return fd;
    if (mkdirat(from, part, 0755) && errno != EEXIST) return -1;
    return openat(from, part, flags);
}

int orr_archive_open_parent(int root, const orr_archive_name *name, bool make) {
    const char *part = name->text;
    int fd = fcntl(root, F_DUPFD_CLOEXEC, 0);
    for (unsigned i = 1; i < name->parts && fd >= 0; i++) {
        int next = open_folder(fd, part, make), error = errno;
        close(fd);
        errno = error;
        fd = next;
        part += strlen(part) + 1;
    }
    return fd;
}

bool orr_archive_link_stays(const char *target, unsigned depth) {
    bool down = false;
    if (!*target || *target == '/') return false;
    for (const char *at = target; *at; at += *at == '/') {
        size_t n = part_of(at);
        if (is_part(at, n, "..")) {
            if (down || depth == 0) return false;
            depth--;
        } else if (n > 0 && !is_part(at, n, ".")) {
            down = true;
        }
        at += n;
    }
    return true;
}
