/* tree.c - removes folders with all that is in them.
 *
 * Every name is taken relative to the open folder that it stands in, and no link is followed, so
 * that nobody can lead us elsewhere by exchanging a folder for a link meanwhile. A folder that lies
 * deeper than MOST_OPEN is moved up to where we began and removed there: a few descriptors are
 * enough for any depth. */
#include "loop/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_OPEN = 32 };

typedef struct removal {
    const atomic_bool *stop;
    int top; /* the folder that is removed */
    unsigned moved;
} removal;

static int remove_name(removal *r, int folder, const char *name, int depth);

static bool is_dots(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* One pass through a folder: 1 where something was removed, 0 where it is empty, or an error. What
 * is added or moved up meanwhile is found in another. */
static int pass(removal *r, DIR *d, int depth) {
    int removed = 0;
    rewinddir(d);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(d);
        if (!entry) return errno ? -errno : removed;
        if (is_dots(entry->d_name)) continue;
        int error = *r->stop ? -ECANCELED : remove_name(r, dirfd(d), entry->d_name, depth);
        if (error) return error;
        removed = 1;
    }
}

static int empty(removal *r, DIR *d, int depth) {
    int more = pass(r, d, depth);
    if (more == -EACCES && fchmod(dirfd(d), 0700) == 0) more = pass(r, d, depth);
    while (more > 0) more = pass(r, d, depth);
    return more;
}

static int open_folder(int folder, const char *name) {
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int fd = openat(folder, name, flags);
    if (fd >= 0 || errno != EACCES) return fd;
    if (fchmodat(folder, name, 0700, AT_SYMLINK_NOFOLLOW)) {
        errno = EACCES;
        return -1;
    }
    return openat(folder, name, flags);
}

static int move_up(removal *r, int folder, const char *name) {
    char other[48];
    do snprintf(other, sizeof other, ".orrery-removed-%ld-%u", (long)getpid(), r->moved++);
    while (faccessat(r->top, other, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
    return renameat(folder, name, r->top, other) ? -errno : 0;
}

static int remove_folder(removal *r, int folder, const char *name, int depth) {
    if (unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
    if (errno != ENOTEMPTY && errno != EEXIST) return -errno;
    if (depth == MOST_OPEN) return move_up(r, folder, name);
    int fd = open_folder(folder, name);
    if (fd < 0) return -errno;
    if (depth == 0) r->top = fd;
    DIR *d = fdopendir(fd);
    if (!d) {
        int error = -errno;
        close(fd);
        return error;
    }
    int error = empty(r, d, depth + 1);
    closedir(d);
    if (error) return error;
    return unlinkat(folder, name, AT_REMOVEDIR) && errno != ENOENT ? -errno : 0;
}

/* EISDIR is what Linux says of a folder, EPERM what POSIX does. */
static int remove_name(removal *r, int folder, const char *name, int depth) {
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT) return 0;
    int error = -errno;
    struct stat st;
    if (error != -EISDIR && error != -EPERM) return error;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(st.st_mode)) return error;
    return remove_folder(r, folder, name, depth);
}

int orr_remove_tree(const char *path, const atomic_bool *stop) {
    removal r = {.stop = stop, .top = -1};
    struct stat st;
    if (lstat(path, &st)) return -errno;
    return remove_name(&r, AT_FDCWD, path, 0);
}
