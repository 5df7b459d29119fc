/* bell.c - bells, by inotify(7): to ring a file sets its times, which is seen as a change of its
 * attributes by who watches it, on the same machine in any container. What is written to the file,
 * or locked in it, rings nothing. */
#include "port/port.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

bool orr_bell_open(orr_bell *bell, const char *path) {
    bell->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    bell->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (bell->watch >= 0 && bell->wake >= 0 && inotify_add_watch(bell->watch, path, IN_ATTRIB) >= 0)
        return true;
    orr_bell_close(bell);
    return false;
}

void orr_bell_close(orr_bell *bell) {
    if (bell->watch >= 0) close(bell->watch);
    if (bell->wake >= 0) close(bell->wake);
    *bell = ORR_NO_BELL;
}

void orr_bell_ring(int fd) {
    futimens(fd, NULL); /* where that fails, who waits looks by himself, later */
}

void orr_bell_wake(const orr_bell *bell) {
    eventfd_write(bell->wake, 1);
}

static struct timespec time_to(int64_t until) {
    int64_t left = until - orr_port_now();
    if (left < 0) left = 0;
    return (struct timespec){left / 1000000000, left % 1000000000};
}

bool orr_bell_wait(const orr_bell *bell, int64_t until) {
    struct pollfd ends[] = {{bell->watch, POLLIN, 0}, {bell->wake, POLLIN, 0}};
    struct timespec time = time_to(until);
    char events[4096];
    eventfd_t woken;
    if (ppoll(ends, 2, until != INT64_MAX ? &time : NULL, NULL) <= 0) return false;
    if (ends[1].revents != 0) eventfd_read(bell->wake, &woken);
    bool rung = false;
    while (ends[0].revents != 0 && read(bell->watch, events, sizeof events) > 0) rung = true;
    return rung;
}
