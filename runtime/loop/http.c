/* http.c - clients: libcurl's sockets and timer on the loop, and the list of transfers. */
#include "loop/http_client.h"

#include <string.h>

/* ms between the end of a response and the next request. */
enum { SILENCE = 2 };

struct orr_http_socket {
    uv_poll_t poll;
    orr_http *http;
    curl_socket_t fd;
    orr_http_socket *next, *prev;
};

/* ---- what libuv holds ------------------------------------------------------------------------ */

static void unhold(orr_http *h) {
    if (--h->handles) return;
    orr_alloc alloc = h->alloc;
    orr_mem_free(&alloc, h, 1, sizeof *h);
}

static void on_timer_closed(uv_handle_t *handle) {
    unhold(handle->data);
}

static void on_socket_closed(uv_handle_t *handle) {
    orr_http_socket *s = handle->data;
    orr_http *h = s->http;
    orr_mem_free(&h->alloc, s, 1, sizeof *s);
    unhold(h);
}

static void drop_socket(orr_http_socket *s) {
    if (s->prev) s->prev->next = s->next;
    else s->http->sockets = s->next;
    if (s->next) s->next->prev = s->prev;
    /* libcurl closes the descriptor as soon as we return: it must be out of epoll's set now, not
     * at libuv's leisure */
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, on_socket_closed);
}

/* ---- libcurl's events ------------------------------------------------------------------------ */

static void forget_growth(orr_transfer *t) {
    orr_transfer **at = &t->http->grown;
    while (t->has_grown && *at != t) at = &(*at)->next_grown;
    if (t->has_grown) *at = t->next_grown;
    t->has_grown = false;
}

/* Takes a transfer from the client and from libcurl's multi handle; what has arrived can still
 * be asked for. */
static void detach(orr_transfer *t) {
    forget_growth(t);
    if (t->easy) t->http->curl->multi_remove_handle(t->http->multi, t->easy);
    if (t->prev) t->prev->next = t->next;
    else t->http->transfers = t->next;
    if (t->next) t->next->prev = t->prev;
    t->next = t->prev = NULL;
}

static void free_transfer(orr_transfer *t) {
    orr_http *h = t->http;
    if (t->easy) h->curl->easy_cleanup(t->easy);
    h->curl->slist_free_all(t->headers);
    orr_mem_free(&h->alloc, t->nets, t->nets_room, sizeof *t->nets);
    orr_decoder_close(t->decoder);
    orr_http_drop_files(t);
    orr_mem_free(&h->alloc, t->body, t->room, 1);
    orr_mem_free(&h->alloc, t->lines.text, t->lines.room, 1);
    orr_mem_free(&h->alloc, t->url, t->url_size, 1);
    orr_mem_free(&h->alloc, t, 1, sizeof *t);
}

/* Sets what is left of the time for the whole of a transfer. */
static CURLcode set_time_left(orr_transfer *t) {
    if (!t->deadline) return CURLE_OK;
    uint64_t now = uv_hrtime();
    long ms = t->deadline > now ? (long)((t->deadline - now) / 1000000) : 0;
    return t->http->curl->easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, ms > 0 ? ms : 1L);
}

static void on_later_closed(uv_handle_t *handle) {
    orr_http *h = handle->data;
    orr_mem_free(&h->alloc, handle, 1, sizeof(uv_timer_t));
    unhold(h);
}

static void drop_later(orr_transfer *t) {
    if (!t->later) return;
    t->later->data = t->http;
    uv_close((uv_handle_t *)t->later, on_later_closed);
    t->later = NULL;
}

static void on_later(uv_timer_t *timer);

/* Lets the loop go on with a transfer. False: no memory. */
static bool later(orr_transfer *t, uint64_t ms) {
    orr_http *h = t->http;
    t->later = orr_mem_new(&h->alloc, 1, sizeof *t->later);
    if (!t->later) return false;
    uv_update_time(h->loop);
    uv_timer_init(h->loop, t->later);
    t->later->data = t;
    h->handles++;
    uv_timer_start(t->later, on_later, ms, 0);
    return true;
}

/* What a server sends beyond a response comes a moment after it, and can be told from the answer to
 * the next request only where that has not been sent yet. */
static bool begin(orr_transfer *t) {
    orr_http *h = t->http;
    if (h->last_end && uv_hrtime() - h->last_end < SILENCE * 1000000) return later(t, SILENCE);
    return h->curl->multi_add_handle(h->multi, t->easy) == CURLM_OK;
}

/* Whether the transfer goes on: at the place that a redirect names, or with a new connection where
 * nothing was sent because the kept one could not be trusted. */
static bool goes_on(orr_transfer *t, CURLcode code) {
    const orr_curl *c = t->http->curl;
    bool stale = t->stale;
    curl_off_t us = 0;
    t->stale = false;
    if (t->failure != ORR_HTTP_NONE || (!stale && (code != CURLE_OK || !orr_http_is_followed(t))))
        return false;
    c->easy_getinfo(t->easy, CURLINFO_TOTAL_TIME_T, &us);
    c->multi_remove_handle(t->http->multi, t->easy);
    if (!stale) t->failure = orr_http_redirect(t);
    else if (c->easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L) != CURLE_OK) t->failure = ORR_HTTP_MEMORY;
    if (t->failure != ORR_HTTP_NONE) return false;
    t->spent += (uint64_t)us;
    t->connections = 0;
    t->size = 0;
    t->began = false;
    orr_http_rewind(t);
    t->detail[0] = '\0';
    orr_http_forget_headers(t);
    if (set_time_left(t) == CURLE_OK && begin(t)) return true;
    t->failure = ORR_HTTP_MEMORY;
    return false;
}

static void finish_transfer(orr_transfer *t, CURLcode code) {
    orr_http_acknowledge(t);
    if (code == CURLE_OK && t->lines.complete) t->http->last_end = uv_hrtime();
    if (t->easy && goes_on(t, code)) return;
    if (!orr_http_flush(t, (int)code)) return;
    detach(t);
    orr_http_report(t, code);
    free_transfer(t);
}

static void on_later(uv_timer_t *timer) {
    orr_transfer *t = timer->data;
    drop_later(t);
    if (t->failure == ORR_HTTP_NONE && set_time_left(t) == CURLE_OK &&
        t->http->curl->multi_add_handle(t->http->multi, t->easy) == CURLM_OK)
        return;
    if (t->failure == ORR_HTTP_NONE) t->failure = ORR_HTTP_MEMORY;
    finish_transfer(t, CURLE_OK);
}

/* Ends the transfers whose sockets could not be watched. The list may change with every
 * callback. */
static void finish_starved(orr_http *h) {
    while (h->starved && !h->closing) {
        orr_transfer *t = h->transfers;
        while (t && !t->starved) t = t->next;
        if (t) finish_transfer(t, CURLE_OK);
        else h->starved = false;
    }
}

static void show_bodies(orr_http *h) {
    for (orr_transfer *t; !h->closing && (t = h->grown);) {
        forget_growth(t);
        t->on_body(t->ud, t->body, t->size);
    }
}

/* Callbacks of the user may start and cancel transfers and even close the client, so nothing is
 * kept over them but the client: `handles` counts this call too. */
static void finish_all(orr_http *h) {
    int left;
    h->handles++;
    show_bodies(h);
    for (CURLMsg *m; !h->closing && (m = h->curl->multi_info_read(h->multi, &left));) {
        char *t = NULL;
        /* read before anything else is called: it is libcurl's own memory */
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE) continue;
        h->curl->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        if (t) finish_transfer((orr_transfer *)(void *)t, code);
    }
    finish_starved(h);
    if (!h->closing && !h->transfers) uv_timer_stop(&h->timer); /* else it would keep the loop alive */
    unhold(h);
}

void orr_http_finish(orr_transfer *t, int code) {
    orr_http *h = t->http;
    h->handles++;
    finish_transfer(t, (CURLcode)code);
    finish_all(h);
    unhold(h);
}

/* What libcurl has kept back meanwhile comes at once, and may be refused. */
void orr_http_resume(orr_transfer *t) {
    orr_http *h = t->http;
    CURLcode code = h->curl->easy_pause(t->easy, CURLPAUSE_CONT);
    if (t->failure != ORR_HTTP_NONE || code != CURLE_OK) orr_http_finish(t, (int)code);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    orr_http_socket *s = poll->data;
    orr_http *h = s->http;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0, running;
    if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
    h->curl->multi_socket_action(h->multi, s->fd, flags, &running);
    finish_all(h);
}

static void on_timeout(uv_timer_t *timer) {
    orr_http *h = timer->data;
    int running;
    h->curl->multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_all(h);
}

/* CURLMOPT_TIMERFUNCTION */
static int set_timer(CURLM *multi, long ms, void *client) {
    (void)multi;
    orr_http *h = client;
    if (h->closing) return 0;
    if (ms < 0) return uv_timer_stop(&h->timer);
    uv_update_time(h->loop); /* the loop's time may be older than the handler that started the transfer */
    return uv_timer_start(&h->timer, on_timeout, (uint64_t)ms, 0);
}

static orr_http_socket *new_socket(orr_http *h, curl_socket_t fd) {
    orr_http_socket *s = orr_mem_new(&h->alloc, 1, sizeof *s);
    if (!s) return NULL;
    if (uv_poll_init_socket(h->loop, &s->poll, fd)) {
        orr_mem_free(&h->alloc, s, 1, sizeof *s);
        return NULL;
    }
    s->poll.data = s;
    s->http = h;
    s->fd = fd;
    s->next = h->sockets;
    if (s->next) s->next->prev = s;
    h->sockets = s;
    h->handles++;
    h->curl->multi_assign(h->multi, fd, s);
    return s;
}

/* A refusal here would make libcurl give up the whole client (its `dead` state), so the one
 * transfer is marked. */
static void starve(orr_http *h, CURL *easy) {
    char *private = NULL;
    h->curl->easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    orr_transfer *t = (orr_transfer *)(void *)private;
    if (!t) return; /* a connection that libcurl closes on its own account */
    t->failure = ORR_HTTP_MEMORY;
    t->starved = h->starved = true;
}

/* CURLMOPT_SOCKETFUNCTION */
static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *client, void *known) {
    orr_http *h = client;
    orr_http_socket *s = known;
    if (what == CURL_POLL_REMOVE) {
        if (s) drop_socket(s);
        h->curl->multi_assign(h->multi, fd, NULL);
        return 0;
    }
    if (h->closing) return 0;
    if (!s) s = new_socket(h, fd);
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (!s || uv_poll_start(&s->poll, events, on_poll)) starve(h, easy);
    return 0;
}

/* ---- clients --------------------------------------------------------------------------------- */

static bool set_up(orr_http *h) {
    const orr_curl *c = h->curl;
    h->multi = c->multi_init();
    return h->multi && c->multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) == CURLM_OK &&
           c->multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h) == CURLM_OK &&
           c->multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
           c->multi_setopt(h->multi, CURLMOPT_TIMERDATA, h) == CURLM_OK &&
           c->multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)ORR_HTTP_CONNECTIONS) == CURLM_OK;
}

orr_http *orr_http_open(uv_loop_t *loop, const orr_alloc *alloc, const char **why) {
    const orr_curl *curl = orr_curl_get(why);
    if (!curl) return NULL;
    orr_http *h = orr_mem_new(alloc, 1, sizeof *h);
    if (h) {
        h->curl = curl;
        h->loop = loop;
        h->alloc = *alloc;
        if (set_up(h)) {
            uv_timer_init(loop, &h->timer);
            h->timer.data = h;
            h->handles = 1;
            return h;
        }
        if (h->multi) curl->multi_cleanup(h->multi);
        orr_mem_free(alloc, h, 1, sizeof *h);
    }
    *why = "not enough memory for an HTTP client";
    return NULL;
}

void orr_transfer_cancel(orr_transfer *t) {
    orr_http *h = t->http;
    drop_later(t);
    detach(t);
    free_transfer(t);
    if (!h->transfers && !h->closing) uv_timer_stop(&h->timer);
}

bool orr_http_is_idle(const orr_http *h) {
    return !h || !h->transfers;
}

void orr_http_close(orr_http *h) {
    h->closing = true;
    while (h->transfers) orr_transfer_cancel(h->transfers);
    /* takes its sockets away through watch_socket, but not for certain */
    h->curl->multi_cleanup(h->multi);
    while (h->sockets) drop_socket(h->sockets);
    orr_http_drop_connections(h);
    if (h->blocking) orr_blocking_close(h->blocking);
    uv_timer_stop(&h->timer);
    uv_close((uv_handle_t *)&h->timer, on_timer_closed);
}

/* ---- transfers ------------------------------------------------------------------------------- */

orr_transfer *orr_http_start(orr_http *h, const orr_http_request *request) {
    orr_transfer *t = orr_mem_new(&h->alloc, 1, sizeof *t);
    if (!t) return NULL;
    t->http = h;
    t->ud = request->ud;
    t->on_body = request->on_body;
    t->on_end = request->on_end;
    t->limit = request->limit;
    t->fd = CURL_SOCKET_BAD;
    t->next = h->transfers;
    if (t->next) t->next->prev = t;
    h->transfers = t;
    t->failure = orr_http_prepare(t, request);
    bool started = t->failure == ORR_HTTP_NONE && begin(t);
    if (t->failure == ORR_HTTP_NONE && !started) t->failure = ORR_HTTP_MEMORY;
    /* on_end never comes before the caller has its handle */
    if (started || later(t, 0)) return t;
    detach(t);
    free_transfer(t);
    return NULL;
}

const char *orr_http_version(const char **why) {
    const orr_curl *curl = orr_curl_get(why);
    return curl ? curl->version() : NULL;
}
