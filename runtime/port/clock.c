/* clock.c - see port.h */
#include "port/port.h"

#include <time.h>

static int64_t read_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t orr_port_now(void) {
    return read_clock(CLOCK_MONOTONIC);
}

int64_t orr_port_elapsed(void) {
    return read_clock(CLOCK_BOOTTIME);
}

double orr_port_wall(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
