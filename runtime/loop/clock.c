/* clock.c - the real and the virtual clock; see clock.h */
#include "loop/clock.h"
#include "port/port.h"
#include <time.h>

static int64_t read_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

int64_t orr_wall_time(void) {
    return read_clock(CLOCK_REALTIME);
}

int64_t orr_monotonic_time(void) {
    return read_clock(CLOCK_MONOTONIC);
}

int64_t orr_thread_time(void) {
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void orr_clock_real(orr_clock *clock) {
    clock->is_virtual = false;
    clock->now = 0;
    clock->offset = orr_wall_time() - orr_port_elapsed();
}

void orr_clock_virtual(orr_clock *clock, int64_t now) {
    clock->is_virtual = true;
    clock->now = now;
    clock->offset = 0;
}

int64_t orr_clock_now(const orr_clock *clock) {
    return clock->is_virtual ? clock->now : orr_port_elapsed() + clock->offset;
}

void orr_clock_jump(orr_clock *clock, int64_t now) {
    if (clock->is_virtual && now > clock->now) clock->now = now;
}

int64_t orr_clock_monotonic(const orr_clock *clock, int64_t time) {
    if (time == INT64_MAX) return INT64_MAX;
    return orr_monotonic_time() + (time - orr_clock_now(clock));
}
