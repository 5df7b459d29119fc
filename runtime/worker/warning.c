/* warning.c - warnings of a worker's state: what Lua's `warn` is given, and errors in finalizers.
 * They go to the loop, with the job that ran when they came. */
#include "worker/inner.h"

#include <string.h>

/* NULL where none runs. */
static job *running_job(const worker *w) {
    const orr_fiber *f = w->script ? orr_fiber_current(w->script) : NULL;
    return f ? orr_job_of(orr_fiber_root(w->script, f)) : NULL;
}

static void add(worker *w, const char *text) {
    size_t n = strlen(text), room = sizeof w->warning - w->warned;
    if (n > room) n = room;
    memcpy(w->warning + w->warned, text, n);
    w->warned += n;
}

/* A lua_WarnFunction. A message that comes whole and begins with @ is for us; of those that Lua
 * knows both are obeyed. */
static void on_warning(void *ud, const char *text, int more) {
    worker *w = ud;
    if (!w->in_warning && !more && *text == '@') {
        if (strcmp(text, "@on") == 0) w->warns = true;
        else if (strcmp(text, "@off") == 0) w->warns = false;
        return;
    }
    add(w, text);
    w->in_warning = more != 0;
    if (more) return;
    job *j = w->warns ? running_job(w) : NULL;
    message *l = w->warns ? orr_message_warning(w->all, j, w->warning, w->warned) : NULL;
    if (l) orr_workers_post(w->all, l);
    w->warned = 0;
}

void orr_worker_warns(lua_State *L, worker *w) {
    w->warns = true;
    lua_setwarnf(L, on_warning, w);
}
