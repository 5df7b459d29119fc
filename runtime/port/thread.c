/* thread.c - threads as POSIX has them. */
#include "port/port.h"

#include <signal.h>
#include <sys/resource.h>
#include <time.h>

void orr_mutex_init(orr_mutex *mutex) {
    pthread_mutex_init(mutex, NULL);
}

void orr_mutex_destroy(orr_mutex *mutex) {
    pthread_mutex_destroy(mutex);
}

void orr_mutex_lock(orr_mutex *mutex) {
    pthread_mutex_lock(mutex);
}

void orr_mutex_unlock(orr_mutex *mutex) {
    pthread_mutex_unlock(mutex);
}

void orr_condition_init(orr_condition *condition) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void orr_condition_destroy(orr_condition *condition) {
    pthread_cond_destroy(condition);
}

void orr_condition_wait(orr_condition *condition, orr_mutex *mutex, int64_t until) {
    if (until == INT64_MAX) {
        pthread_cond_wait(condition, mutex);
        return;
    }
    struct timespec t = {until / 1000000000, until % 1000000000};
    pthread_cond_timedwait(condition, mutex, &t);
}

void orr_condition_wake(orr_condition *condition) {
    pthread_cond_signal(condition);
}

void orr_condition_wake_all(orr_condition *condition) {
    pthread_cond_broadcast(condition);
}

bool orr_thread_start(orr_thread *thread, void *(*run)(void *ud), void *ud) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(thread, NULL, run, ud) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

/* Linux has a priority for each thread, and takes that of the disk from it. A third of the time of
 * others, and no less: whoever closes the store waits for this thread, and on a machine with much
 * to do the lowest priority would get no time for minutes. */
void orr_thread_stand_back(void) {
    enum { A_THIRD = 5 };
    setpriority(PRIO_PROCESS, 0, A_THIRD);
}

void orr_thread_join(orr_thread thread) {
    pthread_join(thread, NULL);
}

void orr_thread_detach(orr_thread thread) {
    pthread_detach(thread);
}
