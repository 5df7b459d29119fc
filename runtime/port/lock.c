/* lock.c - locks between processes, as open file description locks (fcntl(2), F_OFD_SETLK): the
 * locks that POSIX has belong to a process as a whole, and go with the first descriptor of the file
 * that it closes. */
#include "port/port.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

static const int64_t SHORTEST = 20000, LONGEST = 1000000; /* pauses while waiting (ns) */

static struct flock lock_of(int64_t byte, short type) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
}

static int set(int fd, int64_t byte, short type) {
    struct flock lock = lock_of(byte, type);
    int rc;
    do rc = fcntl(fd, F_OFD_SETLK, &lock);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno == EACCES ? EAGAIN : errno;
}

int orr_lock_open(const char *path, bool make) {
    return make ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : open(path, O_RDONLY | O_CLOEXEC);
}

int orr_lock_try(int fd, int64_t byte) {
    return set(fd, byte, F_WRLCK);
}

int orr_lock_share(int fd, int64_t byte) {
    return set(fd, byte, F_RDLCK);
}

/* The system has no wait with a bound, so this asks again and again. */
int orr_lock_wait(int fd, int64_t byte, int64_t until) {
    int64_t pause = SHORTEST;
    int error;
    while ((error = set(fd, byte, F_WRLCK)) == EAGAIN) {
        if (orr_port_now() >= until) return ETIMEDOUT;
        struct timespec t = {0, (long)pause};
        nanosleep(&t, NULL);
        pause = pause * 2 < LONGEST ? pause * 2 : LONGEST;
    }
    return error;
}

void orr_lock_release(int fd, int64_t byte) {
    set(fd, byte, F_UNLCK);
}

int64_t orr_lock_find(int fd, int64_t from, int64_t to) {
    struct flock lock = lock_of(from, F_WRLCK);
    lock.l_len = to - from + 1;
    if (fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return -1;
    return lock.l_start > from ? lock.l_start : from;
}

bool orr_lock_is_taken(int fd, int64_t byte) {
    struct flock lock = lock_of(byte, F_WRLCK);
    return fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}
