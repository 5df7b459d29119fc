/* alarm.c - times of the calendar, by timerfd(2) on CLOCK_REALTIME. Whoever sets that clock, or
 * wakes the machine, cancels the timer, which is how it is noticed. */
#include "port/port.h"

#include <errno.h>
#include <math.h>
#include <sys/timerfd.h>
#include <unistd.h>

int orr_alarm_open(void) {
    return timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
}

bool orr_alarm_set(int fd, double time) {
    static const double latest =
        1LL << 40; /* the kernel counts nanoseconds, and takes what is later as never */
    time = time > latest ? latest : time < 1 ? 1 : time;
    struct itimerspec at = {.it_value = {(time_t)time, (long)((time - floor(time)) * 1e9)}};
    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL) == 0;
}

bool orr_alarm_take(int fd) {
    uint64_t times;
    return read(fd, &times, sizeof times) < 0 && errno == ECANCELED;
}
