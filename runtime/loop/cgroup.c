/* cgroup.c - see cgroup.h. The kernel's files: cgroups(7). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "loop/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, LEFT = 16, DEEPEST = 8, ROUNDS = 200, PAUSE = 5000000 };

struct orr_cgroup {
    orr_alloc alloc;
    int fd;
    unsigned n;
    unsigned n_left, left[LEFT]; /* those that could not be removed yet */
    char path[PATH_MAX];
};

/* ---- files ----------------------------------------------------------------------------------- */

static ssize_t read_file(int dir, const char *name, char *text, size_t size) {
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    if (n >= 0) text[n] = '\0';
    return n;
}

static void write_file(int dir, const char *name, const char *text) {
    int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (write(fd, text, strlen(text)) < 0) errno = 0; /* there is nothing else to be done */
    close(fd);
}

/* A descriptor above 2, or -1. */
static int open_folder(int dir, const char *name) {
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fd > 2) return fd;
    int lifted = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return lifted;
}

typedef struct entry {
    uint64_t inode;
    int64_t next;
    unsigned short length;
    unsigned char type;
    char name[];
} entry;

enum { FOLDER = 4 }; /* DT_DIR */

/* Removes the groups below it that nothing lives in. */
static void remove_below(int dir, int depth) {
    _Alignas(entry) char block[BLOCK];
    if (depth == DEEPEST || lseek(dir, 0, SEEK_SET) < 0) return;
    for (long n; (n = syscall(SYS_getdents64, dir, block, sizeof block)) > 0;)
        for (long at = 0; at < n;) {
            const entry *e = (const entry *)(const void *)(block + at);
            at += e->length;
            if (e->type != FOLDER || e->name[0] == '.') continue;
            if (!unlinkat(dir, e->name, AT_REMOVEDIR)) continue;
            int below = open_folder(dir, e->name);
            if (below < 0) continue;
            remove_below(below, depth + 1);
            close(below);
            unlinkat(dir, e->name, AT_REMOVEDIR);
        }
}

/* ---- whether there may be one ---------------------------------------------------------------- */

/* The path of this program's group, as the kernel names it: "0::/path". */
static bool find_own(char *path, size_t size) {
    char line[PATH_MAX + 8];
    FILE *file = fopen("/proc/self/cgroup", "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        size_t length = strlen(line);
        if (strncmp(line, "0::/", 4) || length - 3 >= size) continue;
        memcpy(path, line + 3, length - 2);
        found = true;
    }
    if (file) fclose(file);
    return found && strncmp(path, "/..", 3) != 0; /* outside of the namespace */
}

/* Where the group hierarchy is mounted, and which of its groups is. A line of mountinfo:
 * "36 35 0:30 /root /mount/point rw,... - cgroup2 ...". */
static bool find_mount(char root[PATH_MAX], char point[PATH_MAX]) {
    static const char format[] = "%*d %*d %*s %4095s %4095s";
    char line[2 * PATH_MAX];
    FILE *file = fopen("/proc/self/mountinfo", "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        const char *type = strstr(line, " - ");
        found = type && !strncmp(type, " - cgroup2 ", 11) && sscanf(line, format, root, point) == 2;
    }
    if (file) fclose(file);
    return found;
}

static bool has_attribute(const char *path, const char *name) {
    char value[4] = "";
    return getxattr(path, name, value, sizeof value) == 1 && value[0] == '1';
}

/* systemd says so by an attribute; whoever made a container gave it all below its root. The real
 * root is nobody's to divide, and has no events. */
static bool is_delegated(const char *path, bool is_root) {
    char events[PATH_MAX + 32];
    if (has_attribute(path, "user.delegate") || has_attribute(path, "trusted.delegate")) return true;
    snprintf(events, sizeof events, "%s/cgroup.events", path);
    return is_root && !access(events, F_OK);
}

static bool find_delegated(char path[PATH_MAX]) {
    char own[PATH_MAX], root[PATH_MAX], point[PATH_MAX];
    if (!find_own(own, sizeof own) || !find_mount(root, point)) return false;
    size_t n = strcmp(root, "/") ? strlen(root) : 0; /* of `own`, what is above the mount */
    if (strncmp(own, root, n) || (n && own[n] && own[n] != '/')) return false;
    const char *rest = strcmp(own + n, "/") ? own + n : "";
    int length = snprintf(path, PATH_MAX, "%s%s", point, rest);
    return length > 0 && length < PATH_MAX && is_delegated(path, !*rest);
}

/* ---- a program's ----------------------------------------------------------------------------- */

static bool make(orr_cgroup *g) {
    char own[PATH_MAX];
    struct timespec now;
    if (!find_delegated(own)) return false;
    clock_gettime(CLOCK_BOOTTIME, &now);
    int n = snprintf(g->path, sizeof g->path, "%s/orrery-%d-%llx", own, (int)getpid(),
                     (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec);
    if (n < 0 || (size_t)n >= sizeof g->path || mkdir(g->path, 0755)) return false;
    g->fd = open_folder(AT_FDCWD, g->path);
    if (g->fd < 0) rmdir(g->path);
    return g->fd >= 0;
}

orr_cgroup *orr_cgroup_open(const orr_alloc *alloc) {
    orr_cgroup *g = orr_mem_new(alloc, 1, sizeof *g);
    if (!g) return NULL;
    g->alloc = *alloc;
    if (make(g)) return g;
    orr_mem_free(alloc, g, 1, sizeof *g);
    return NULL;
}

void orr_cgroup_close(orr_cgroup *g) {
    orr_alloc alloc = g->alloc;
    remove_below(g->fd, 0);
    rmdir(g->path);
    close(g->fd);
    orr_mem_free(&alloc, g, 1, sizeof *g);
}

const char *orr_cgroup_path(const orr_cgroup *g) {
    return g->path;
}

void orr_cgroup_end(const char *path) {
    const struct timespec pause = {.tv_nsec = PAUSE};
    int fd = open_folder(AT_FDCWD, path);
    for (int round = 0; fd >= 0 && round < ROUNDS; round++) {
        orr_cgroup_kill(fd);
        remove_below(fd, 0);
        if (!rmdir(path) || errno == ENOENT) break;
        nanosleep(&pause, NULL);
    }
    if (fd >= 0) close(fd);
}

/* ---- a command's ----------------------------------------------------------------------------- */

static bool remove_number(const orr_cgroup *g, unsigned number) {
    char name[16];
    snprintf(name, sizeof name, "%u", number);
    if (!unlinkat(g->fd, name, AT_REMOVEDIR)) return true;
    int fd = open_folder(g->fd, name); /* groups below it may be left */
    if (fd < 0) return true;
    remove_below(fd, 0);
    close(fd);
    return !unlinkat(g->fd, name, AT_REMOVEDIR);
}

static void remove_left(orr_cgroup *g) {
    for (unsigned i = 0; i < g->n_left;)
        if (remove_number(g, g->left[i])) g->left[i] = g->left[--g->n_left];
        else i++;
}

int orr_cgroup_add(orr_cgroup *g, unsigned *number) {
    char name[16];
    remove_left(g);
    *number = ++g->n;
    snprintf(name, sizeof name, "%u", *number);
    if (mkdirat(g->fd, name, 0755)) return 0;
    int fd = open_folder(g->fd, name);
    if (fd < 0) {
        unlinkat(g->fd, name, AT_REMOVEDIR);
        return 0;
    }
    fsetxattr(fd, "user.delegate", "1", 1, 0); /* an Orrery in it may do as this one */
    return fd;
}

void orr_cgroup_remove(orr_cgroup *g, int fd, unsigned number) {
    close(fd);
    if (!remove_number(g, number) && g->n_left < LEFT) g->left[g->n_left++] = number;
}

bool orr_cgroup_lives(int fd) {
    char text[256];
    return read_file(fd, "cgroup.events", text, sizeof text) > 0 && strstr(text, "populated 1");
}

void orr_cgroup_find(int fd, orr_kin *k) {
    char text[BLOCK];
    if (read_file(fd, "cgroup.procs", text, sizeof text) <= 0) return;
    for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
        *end = '\0';
        orr_kin_add(k, atoi(at));
    }
}

void orr_cgroup_kill(int fd) {
    write_file(fd, "cgroup.kill", "1");
}
