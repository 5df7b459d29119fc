/* clock.h - the time that is given to the core: nanoseconds since the Unix epoch, never going back.
 *
 * The real clock takes the wall time once and goes on with the time that has elapsed since, that in
 * which the machine was suspended included. So a change of the system's date moves no timer, and a
 * suspended machine delays none. The virtual clock stands still until it is made to jump.
 */
#ifndef ORR_LOOP_CLOCK_H
#define ORR_LOOP_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Where a virtual clock starts unless another time is given: 2001-09-09T01:46:40Z. */
#define ORR_CLOCK_VIRTUAL_START INT64_C(1000000000000000000)

typedef struct orr_clock {
    bool is_virtual;
    int64_t now;    /* of a virtual clock */
    int64_t offset; /* of a real one: wall time less orr_port_elapsed at the start */
} orr_clock;

void orr_clock_real(orr_clock *clock);
void orr_clock_virtual(orr_clock *clock, int64_t now);

/* The present time. */
int64_t orr_clock_now(const orr_clock *clock);

/* Moves a virtual clock on; an earlier time and a real clock are left alone. */
void orr_clock_jump(orr_clock *clock, int64_t now);

/* A time of this clock on the monotonic one, as far from now there as here; INT64_MAX stays. */
int64_t orr_clock_monotonic(const orr_clock *clock, int64_t time);

/* The system's clocks, in ns: CLOCK_REALTIME and CLOCK_MONOTONIC. */
int64_t orr_wall_time(void);
int64_t orr_monotonic_time(void);
/* Processor time of the calling thread, in ns: what else runs on the machine does not count. */
int64_t orr_thread_time(void);

#endif
