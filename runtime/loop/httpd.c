/* httpd.c - servers: opening, running the library on the loop, stopping. */
#include "loop/httpd_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- running the library --------------------------------------------------------------------- */

static void finish(orr_httpd *h);

static void on_timer(uv_timer_t *timer);
static void on_soon(uv_idle_t *idle);

/* It wants to be run at once where a request was just handed on, and where more has come than fits.
 * With TLS it does so as well, and for nothing, while a handshake waits for its client. */
static void run_again(orr_httpd_engine *e, uint64_t ms) {
    enum { LONGEST = 6 };
    bool in_vain = e == &e->server->engines[ENGINE_TLS] && e->spins++ > 0;
    if (!ms && in_vain) ms = UINT64_C(1) << (e->spins < LONGEST ? e->spins : LONGEST);
    if (ms) uv_timer_start(&e->timer, on_timer, ms, 0);
    else uv_idle_start(&e->soon, on_soon);
}

static void run(orr_httpd_engine *e) {
    orr_httpd *h = e->server;
    MHD_UNSIGNED_LONG_LONG ms;
    h->lib->run(e->daemon);
    uv_timer_stop(&e->timer);
    if (h->lib->get_timeout(e->daemon, &ms) == MHD_YES) run_again(e, ms);
    if (h->stopping && h->n_clients == 0) finish(h);
}

static void on_timer(uv_timer_t *timer) {
    run(timer->data);
}

static void on_soon(uv_idle_t *idle) {
    uv_idle_stop(idle);
    run(idle->data);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    orr_httpd_engine *e = poll->data;
    (void)status, (void)events;
    e->spins = 0;
    run(e);
}

void orr_httpd_wake(orr_httpd_engine *e) {
    e->spins = 0;
    uv_idle_start(&e->soon, on_soon);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* MHD_LogCallback: why it does not start, which it says in no other way. */
__attribute__((format(printf, 2, 0))) static void note(void *ud, const char *format, va_list args) {
    orr_httpd *h = ud;
    vsnprintf(h->log, sizeof h->log, format, args);
    h->log[strcspn(h->log, "\n")] = '\0';
}

/* MHD_OPTION_UNESCAPE_CALLBACK: what is decoded is decoded by us. */
static size_t leave_escaped(void *ud, struct MHD_Connection *connection, char *text) {
    (void)ud, (void)connection;
    return strlen(text);
}

static unsigned longest_seconds(const orr_httpd_limits *l) {
    uint64_t ms = l->head_ms > l->body_ms ? l->head_ms : l->body_ms;
    return (unsigned)((l->idle_ms > ms ? l->idle_ms : ms) / 1000 + 2);
}

/* A head is read into half of the pool; the other half is for its fields, and for what is sent. */
static struct MHD_Daemon *start(orr_httpd *h, bool tls) {
    const orr_httpd_limits *limits = &h->options.limits;
    struct MHD_OptionItem secured[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)h->options.cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)h->options.key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t) "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem *more = tls ? secured : &secured[3];
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (tls ? MHD_USE_TLS : 0);
    return h->lib->start_daemon(
        flags, 0, NULL, NULL, orr_httpd_on_call, h, MHD_OPTION_EXTERNAL_LOGGER, note, h,
        MHD_OPTION_CONNECTION_LIMIT, limits->connections + 1, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)(2 * limits->head_bytes + 4096), MHD_OPTION_CONNECTION_TIMEOUT, longest_seconds(limits),
        MHD_OPTION_NOTIFY_CONNECTION, orr_httpd_on_connection, h, MHD_OPTION_NOTIFY_COMPLETED,
        orr_httpd_on_completed, h, MHD_OPTION_URI_LOG_CALLBACK, orr_httpd_on_line, h,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, h, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

static bool fail(orr_httpd_failure *why, const char *code, const char *message, const char *detail) {
    why->code = code;
    snprintf(why->message, sizeof why->message, "%s%s%s", message, detail[0] ? ": " : "", detail);
    return false;
}

static bool open_engine(orr_httpd *h, bool tls, orr_httpd_failure *why) {
    orr_httpd_engine *e = &h->engines[tls];
    if (tls && h->lib->is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
        return fail(why, "http_tls",
                    "this libmicrohttpd was built without TLS; install Debian's, or put a proxy before it",
                    "");
    e->daemon = start(h, tls);
    if (!e->daemon && tls)
        return fail(why, "http_tls",
                    "the certificate and its key cannot be used; they have to be PEM texts of a pair",
                    h->log);
    if (!e->daemon) return fail(why, "listen_error", "libmicrohttpd does not start", h->log);
    const union MHD_DaemonInfo *info = h->lib->get_daemon_info(e->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info || uv_poll_init(h->options.loop, &e->poll, info->epoll_fd))
        return fail(why, "listen_error", "libmicrohttpd has no epoll", "");
    uv_timer_init(h->options.loop, &e->timer);
    uv_idle_init(h->options.loop, &e->soon);
    e->poll.data = e->timer.data = e->soon.data = e;
    h->handles += 3;
    uv_poll_start(&e->poll, UV_READABLE, on_poll);
    /* what keeps the loop alive is what listens, and the connections */
    uv_unref((uv_handle_t *)&e->timer);
    uv_unref((uv_handle_t *)&e->soon);
    return true;
}

static bool wants(const orr_httpd *h, bool tls) {
    if (tls) return h->options.cert != NULL;
    if (!h->options.cert) return true;
    for (size_t i = 0; i < h->options.n_listen; i++)
        if (h->options.listen[i].path || h->options.listen[i].fd >= 0) return true;
    return false;
}

static void own_timers(orr_httpd *h) {
    uv_timer_t *timers[] = {&h->tick, &h->beat, &h->last};
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) {
        uv_timer_init(h->options.loop, timers[i]);
        timers[i]->data = h;
        h->handles++;
    }
}

orr_httpd *orr_httpd_open(const orr_httpd_options *options, orr_httpd_failure *why) {
    const char *reason;
    const orr_mhd *lib = orr_mhd_get(&reason);
    *why = (orr_httpd_failure){0};
    orr_httpd *h = lib ? calloc(1, sizeof *h) : NULL;
    if (!h) {
        fail(why, "listen_error", lib ? "not enough memory for a server" : reason, "");
        return NULL;
    }
    h->lib = lib;
    h->options = *options;
    own_timers(h);
    bool good = true;
    for (int tls = 0; tls < ENGINES && good; tls++) {
        h->engines[tls].server = h;
        if (wants(h, tls)) good = open_engine(h, tls, why);
    }
    good = good && orr_httpd_listen_all(h, why);
    h->options.listen = NULL;
    h->options.cert = h->options.key = NULL;
    if (good) return h;
    orr_httpd_close(h);
    return NULL;
}

/* ---- closing --------------------------------------------------------------------------------- */

void orr_httpd_unhold(orr_httpd *h) {
    if (--h->handles) return;
    free(h->listeners);
    free(h);
}

static void on_closed(uv_handle_t *handle) {
    orr_httpd *h = handle->data;
    orr_httpd_unhold(h);
}

static void close_handle(orr_httpd *h, uv_handle_t *handle) {
    handle->data = h;
    uv_close(handle, on_closed);
}

/* The library may be stopped only where no connection is suspended. */
static void resume_all(orr_httpd *h) {
    for (int phase = 0; phase < PHASES; phase++)
        for (orr_httpd_client *c = h->lists[phase].first; c; c = c->next) {
            orr_httpd_request *r = c->request;
            if (!r || !r->suspended) continue;
            r->suspended = false;
            h->lib->resume_connection(c->mhd);
        }
}

static void close_all(orr_httpd *h) {
    orr_httpd_close_listeners(h);
    while (h->lists[PHASE_LINGER].first) orr_httpd_end_lingering(h->lists[PHASE_LINGER].first);
    resume_all(h);
    for (int i = 0; i < ENGINES; i++) {
        orr_httpd_engine *e = &h->engines[i];
        if (!e->daemon) continue;
        if (e->poll.data) {
            close_handle(h, (uv_handle_t *)&e->poll);
            close_handle(h, (uv_handle_t *)&e->timer);
            close_handle(h, (uv_handle_t *)&e->soon);
        }
        h->lib->stop_daemon(e->daemon);
        e->daemon = NULL;
    }
    close_handle(h, (uv_handle_t *)&h->tick);
    close_handle(h, (uv_handle_t *)&h->beat);
    close_handle(h, (uv_handle_t *)&h->last);
}

void orr_httpd_close(orr_httpd *h) {
    h->closing = true;
    close_all(h);
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void finish(orr_httpd *h) {
    if (h->stopped) return;
    h->stopped = true;
    void (*on_stopped)(void *ud) = h->options.on_stopped;
    void *ud = h->options.ud;
    close_all(h);
    on_stopped(ud);
}

/* The grace is over. What is not answered is answered now; a moment later, or where nothing was
 * left to answer, all connections are closed. */
static void on_last(uv_timer_t *timer) {
    orr_httpd *h = timer->data;
    bool any = false;
    for (orr_httpd_client *c = h->lists[PHASE_WORK].first, *next; c; c = next) {
        next = c->next;
        any |= orr_httpd_respond_problem(c->request, 503, "server_busy", "the server is being stopped");
    }
    if (any) uv_timer_start(&h->last, on_last, 100, 0);
    else finish(h);
}

static void stop_client(orr_httpd_client *c) {
    switch (c->phase) {
    case PHASE_HEAD:
    case PHASE_IDLE: orr_httpd_hang_up(c); break;
    case PHASE_LINGER: orr_httpd_end_lingering(c); break;
    case PHASE_STREAM: orr_httpd_end(c->request); break;
    default: break;
    }
}

void orr_httpd_stop(orr_httpd *h, uint64_t grace) {
    bool first = !h->stopping;
    h->stopping = true;
    if (first) {
        orr_httpd_close_listeners(h);
        for (int phase = 0; phase < PHASES; phase++)
            for (orr_httpd_client *c = h->lists[phase].first, *next; c; c = next) {
                next = c->next;
                stop_client(c);
            }
    }
    if (h->n_clients == 0) grace = 0;
    if (first || uv_timer_get_due_in(&h->last) > grace) uv_timer_start(&h->last, on_last, grace, 0);
}

/* ---- what is known --------------------------------------------------------------------------- */

void orr_httpd_read_stats(const orr_httpd *h, orr_httpd_stats *stats) {
    *stats = h->stats;
    stats->connections = h->n_clients - h->n_lingering;
}

const char *orr_httpd_address(const orr_httpd *h, size_t i) {
    return i < h->n_listeners ? h->listeners[i].address : NULL;
}
