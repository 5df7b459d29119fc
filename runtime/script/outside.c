/* outside.c - what is under way outside, for which virtual time stands still.
 *
 * What the engine does itself it counts (orr_script_pending, n_native, orr_storage_busy). The rest is luv's or the embedding program's and
 * is read off the loop: timers never count; operations that end by themselves always do; a handle that may stay open for good, like a
 * socket that listens, does while somebody awaits something.
 */
#include "state.h"

/* The store's handle keeps the loop alive for messages to runs that wait. No message is on its way for that. */
static void count_stores(const orr_script *s, bool counted) {
    for (orr_rtbox *rt = s->runtimes; rt; rt = rt->next) orr_storage_count(rt, counted);
}

bool orr_outside_alive(const orr_script *s) {
    count_stores(s, false);
    bool alive = uv_loop_alive(s->loop);
    count_stores(s, true);
    return alive;
}

/* A child process, or a connection that is read from. */
static bool is_operation(const uv_handle_t *handle) {
    switch (handle->type) {
    case UV_PROCESS:
        return true;
    case UV_TCP:
    case UV_NAMED_PIPE:
        return uv_is_readable((const uv_stream_t *)handle);
    default:
        return false;
    }
}

typedef struct survey {
    bool awaited, busy;
} survey;

static void look(uv_handle_t *handle, void *ud) {
    survey *found = ud;
    if (uv_is_closing(handle)) found->busy |= found->awaited; /* for its callback */
    else if (handle->type != UV_TIMER && uv_is_active(handle) && uv_has_ref(handle))
        found->busy |= found->awaited || is_operation(handle);
}

bool orr_outside_busy(const orr_script *s) {
    if (s->pending) return uv_loop_alive(s->loop);
    survey found = {.awaited = s->awaits > 0, .busy = s->loop->active_reqs.count > 0};
    count_stores(s, false);
    uv_walk(s->loop, look, &found);
    count_stores(s, true);
    return found.busy;
}
