#include "clock.h"
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

void orr_clock_real(orr_clock *clock) {
    clock->is_virtual = false;
    clock->now = 0;
    clock->offset = orr_wall_time() - orr_monotonic_time();
}

void orr_clock_virtual(orr_clock *clock, int64_t now) {
    clock->is_virtual = true;
    clock->now = now;
    clock->offset = 0;
}

int64_t orr_clock_now(const orr_clock *clock) {
    return clock->is_virtual ? clock->now : orr_monotonic_time() + clock->offset;
}

void orr_clock_jump(orr_clock *clock, int64_t now) {
    if (clock->is_virtual && now > clock->now) clock->now = now;
}

int64_t orr_clock_monotonic(const orr_clock *clock, int64_t time) {
    if (time == INT64_MAX) return INT64_MAX;
    if (clock->is_virtual) return orr_monotonic_time() + (time - clock->now);
    return time - clock->offset;
}
