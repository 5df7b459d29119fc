/* wake.c - what one thread wakes another's loop by.
 *
 * libuv has uv_async_send for that. There the one that wakes up spins until the sender has come
 * back from its call of write; on the sender's own processor, where the kernel likes to put it,
 * that is a thousand pauses, some 25 us, in which the sender cannot come back. Here nobody waits
 * for the sender.
 */
#include "worker/inner.h"

#include <sys/eventfd.h>
#include <unistd.h>

bool orr_wake_make(wake *w) {
    *w = (wake){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    return w->fd >= 0;
}

void orr_wake_drop(wake *w) {
    if (w->fd >= 0) close(w->fd);
    w->fd = -1;
}

void orr_wake_send(wake *w) {
    if (!atomic_exchange(&w->sent, true)) eventfd_write(w->fd, 1);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    wake *w = (wake *)((char *)poll - offsetof(wake, poll));
    eventfd_t n;
    (void)status;
    (void)events;
    eventfd_read(w->fd, &n);
    atomic_store(&w->sent, false); /* before anything is looked at: what comes later wakes it again */
    w->woken(poll->data);
}

bool orr_wake_listen(wake *w, uv_loop_t *loop, void (*woken)(void *ud), void *ud) {
    if (uv_poll_init(loop, &w->poll, w->fd)) return false;
    w->woken = woken;
    w->poll.data = ud;
    return uv_poll_start(&w->poll, UV_READABLE, on_poll) == 0;
}
