/* outside.c - what is under way outside, for which virtual time stands still.
 *
 * What the engine does itself it counts (orr_script_pending, n_native, orr_rt_class.busy). The rest
 * is luv's or the embedding program's and is read off the loop: timers never count; operations that
 * end by themselves always do; a handle that may stay open for good, like a socket that listens,
 * does while somebody awaits something.
 */
#include "fiber/inner.h"

/* The store's handle keeps the loop alive for messages to runs that wait. No message is on its
 * way for that. */
static void count_stores(const orr_script *s, bool counted) {
    for (orr_rt *rt = orr_rt_first(s); rt; rt = rt->next) rt->class->count(rt, counted);
}

bool orr_loop_waits(const orr_script *s) {
    const orr_fibers *all = orr_fibers_of(s);
    const uv_loop_t *loop = all->loop;
    if (all->n_left == 0 || loop->active_handles > 0 || loop->closing_handles) return uv_loop_alive(loop);
    return loop->active_reqs.count > all->n_left;
}

bool orr_outside_alive(const orr_script *s) {
    count_stores(s, false);
    bool alive = orr_loop_waits(s);
    count_stores(s, true);
    return alive;
}

/* A child process, or a connection that is being read. */
static bool is_operation(const uv_handle_t *handle) {
    switch (handle->type) {
    case UV_PROCESS: return true;
    case UV_TCP:
    case UV_NAMED_PIPE: return uv_is_readable((const uv_stream_t *)handle);
    default: return false;
    }
}

typedef struct survey {
    uv_async_cb posted;
    bool awaited, busy;
} survey;

static void look(uv_handle_t *handle, void *ud) {
    survey *found = ud;
    /* other threads may post at any time: nothing is under way for that */
    if (handle->type == UV_ASYNC && ((uv_async_t *)handle)->async_cb == found->posted) return;
    if (uv_is_closing(handle)) found->busy |= found->awaited; /* for its callback */
    else if (handle->type != UV_TIMER && uv_is_active(handle) && uv_has_ref(handle))
        found->busy |= found->awaited || is_operation(handle);
}

bool orr_outside_busy(const orr_script *s) {
    const orr_fibers *all = orr_fibers_of(s);
    if (all->pending) return uv_loop_alive(all->loop);
    survey found = {.posted = all->posted,
                    .awaited = all->awaits > 0,
                    .busy = all->loop->active_reqs.count > all->n_left};
    count_stores(s, false);
    uv_walk(all->loop, look, &found);
    count_stores(s, true);
    return found.busy;
}
