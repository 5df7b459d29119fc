/* httpd_client.c - connections: their phases and deadlines, who is let in, and what is refused. */
#include "loop/httpd_inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ms that what a refused client still sends is read, so that the system does not take the refusal
 * back with a reset; and how many are waited for. */
enum { LINGER = 2000, LINGERING = 64 };

/* ---- phases ---------------------------------------------------------------------------------- */

static bool waits_for_client(uint8_t phase) {
    return phase == PHASE_HEAD || phase == PHASE_BODY || phase == PHASE_SEND;
}

static void leave(orr_httpd_client *c) {
    orr_httpd_list *list = &c->server->lists[c->phase];
    if (c->prev) c->prev->next = c->next;
    else list->first = c->next;
    if (c->next) c->next->prev = c->prev;
    else list->last = c->prev;
    c->next = c->prev = NULL;
}

static void append(orr_httpd_client *c, uint8_t phase) {
    orr_httpd_list *list = &c->server->lists[phase];
    c->phase = phase;
    c->prev = list->last;
    if (list->last) list->last->next = c;
    else list->first = c;
    list->last = c;
}

static uint64_t time_for(const orr_httpd *h, uint8_t phase) {
    switch (phase) {
    case PHASE_HEAD: return h->options.limits.head_ms;
    case PHASE_BODY: return h->options.limits.body_ms;
    case PHASE_IDLE: return h->options.limits.idle_ms;
    default: return LINGER;
    }
}

static void tell_busy(const orr_httpd *h, uint8_t before, uint8_t after) {
    int by = (int)waits_for_client(after) - (int)waits_for_client(before);
    if (by && !h->closing) h->options.on_busy(h->options.ud, by);
}

/* ---- clients that leave ---------------------------------------------------------------------- */

typedef struct watch {
    uv_poll_t poll;
    orr_httpd *server;
    orr_httpd_client *client;
} watch;

/* The library does not poll a suspended connection, and is not told again of an end that has come
 * together with the last bytes. Whoever ends its side behind a request still gets the answer. */
static void on_left(uv_poll_t *poll, int status, int events) {
    orr_httpd_client *c = ((watch *)poll->data)->client;
    char byte;
    (void)status, (void)events;
    if (c->phase == PHASE_HEAD || c->phase == PHASE_BODY || c->phase == PHASE_IDLE) {
        if (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) return; /* the library has not read it yet */
        uv_poll_stop(poll);
        orr_httpd_hang_up(c);
        return;
    }
    uv_poll_stop(poll);
    if (c->phase == PHASE_STREAM) orr_httpd_stream_abort(c->request);
    else c->left = true;
}

static void on_unwatched(uv_handle_t *handle) {
    watch *w = handle->data;
    orr_httpd *h = w->server;
    free(w);
    orr_httpd_unhold(h);
}

/* Before its descriptor is closed: libuv takes the number, which may soon be another's, out of its
 * epoll. */
static void unwatch(orr_httpd_client *c) {
    if (c->watch) uv_close((uv_handle_t *)&c->watch->poll, on_unwatched);
    c->watch = NULL;
}

static bool begin_watch(orr_httpd_client *c) {
    watch *w = calloc(1, sizeof *w);
    if (!w || uv_poll_init(c->server->options.loop, &w->poll, c->fd)) {
        free(w);
        return false;
    }
    c->watch = w;
    w->poll.data = w;
    w->server = c->server;
    w->client = c;
    c->server->handles++;
    uv_unref((uv_handle_t *)&w->poll);
    return !uv_poll_start(&w->poll, UV_DISCONNECT, on_left);
}

/* ---- phases ---------------------------------------------------------------------------------- */

void orr_httpd_enter(orr_httpd_client *c, orr_httpd_phase next) {
    orr_httpd *h = c->server;
    uint8_t phase = (uint8_t)next;
    if (c->phase == phase || c->phase == PHASE_CLOSING) return;
    tell_busy(h, c->phase, phase);
    leave(c);
    append(c, phase);
    if (c->left && c->watch && (phase == PHASE_IDLE || phase == PHASE_STREAM))
        uv_poll_start(&c->watch->poll, UV_DISCONNECT, on_left);
    if (phase >= PHASE_TIMED) return;
    c->due = uv_now(h->options.loop) + time_for(h, phase);
    orr_httpd_arm(h, c->due);
}

void orr_httpd_drop(orr_httpd_client *c) {
    orr_httpd *h = c->server;
    tell_busy(h, c->phase, PHASE_CLOSING);
    unwatch(c);
    leave(c);
    h->n_clients--;
    if (!h->n_clients && !h->deaf_until && !h->closing && !h->stopped) uv_timer_stop(&h->tick);
    free(c);
}

/* ---- what is sent past the library ----------------------------------------------------------- */

void orr_httpd_send_problem(orr_httpd_client *c, unsigned status) {
    const orr_mhd *lib = c->server->lib;
    char text[1024], body[512];
    size_t size = orr_httpd_write_own_problem(body, sizeof body, status);
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %u Refused\r\nContent-Type: application/problem+json\r\n"
                     "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                     status, size, body);
    c->server->stats.refused++;
    if (c->engine != &c->server->engines[ENGINE_TLS]) {
        send(c->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
        return;
    }
    const union MHD_ConnectionInfo *info = c->mhd ? lib->get_connection_info(
                                                        c->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION)
                                                  : NULL;
    if (info && lib->record_send) lib->record_send(info->tls_session, text, (size_t)n);
}

void orr_httpd_hang_up(orr_httpd_client *c) {
    orr_httpd_enter(c, PHASE_CLOSING);
    shutdown(c->fd, SHUT_RDWR);
}

/* ---- lingering ------------------------------------------------------------------------------- */

typedef struct lingering {
    uv_poll_t poll;
    orr_httpd *server;
    orr_httpd_client *client;
    int fd;
} lingering;

static void on_linger_closed(uv_handle_t *handle) {
    lingering *l = handle->data;
    orr_httpd *h = l->server;
    free(l);
    orr_httpd_unhold(h);
}

void orr_httpd_end_lingering(orr_httpd_client *c) {
    lingering *l = c->rest;
    uv_close((uv_handle_t *)&l->poll, on_linger_closed);
    close(l->fd);
    c->server->n_lingering--;
    orr_httpd_drop(c);
}

static void on_rest(uv_poll_t *poll, int status, int events) {
    lingering *l = poll->data;
    char dropped[16384];
    (void)events;
    ssize_t n = status < 0 ? 0 : recv(l->fd, dropped, sizeof dropped, MSG_DONTWAIT);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) return;
    orr_httpd_end_lingering(l->client);
}

/* Keeps a socket that is about to be closed for a moment. */
static bool linger(orr_httpd_client *c) {
    orr_httpd *h = c->server;
    if (h->closing || h->stopping || h->n_lingering == LINGERING) return false;
    lingering *l = calloc(1, sizeof *l);
    int fd = l ? fcntl(c->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0 || uv_poll_init(h->options.loop, &l->poll, fd)) {
        if (fd >= 0) close(fd);
        free(l);
        return false;
    }
    *l = (lingering){.poll = l->poll, .server = h, .client = c, .fd = fd};
    l->poll.data = l;
    h->handles++;
    h->n_lingering++;
    c->rest = l;
    tell_busy(h, c->phase, PHASE_LINGER);
    leave(c);
    append(c, PHASE_LINGER);
    c->due = uv_now(h->options.loop) + LINGER;
    orr_httpd_arm(h, c->due);
    uv_poll_start(&l->poll, UV_READABLE, on_rest);
    return true;
}

/* ---- from the library ------------------------------------------------------------------------ */

void orr_httpd_on_connection(void *ud, struct MHD_Connection *connection, void **context,
                             enum MHD_ConnectionNotificationCode what) {
    orr_httpd *h = ud;
    orr_httpd_client *c = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = c = h->arriving;
        h->arriving = NULL;
        c->mhd = connection;
        return;
    }
    if (!c) return;
    c->mhd = NULL;
    unwatch(c);
    if (!c->lingers || !linger(c)) orr_httpd_drop(c);
}

/* ---- letting in ------------------------------------------------------------------------------ */

/* An IPv4 address that came by IPv6 is one. */
static void read_address(orr_httpd_client *c, const struct sockaddr_storage *from) {
    const struct sockaddr_in *v4 = (const void *)from;
    const struct sockaddr_in6 *v6 = (const void *)from;
    char text[INET6_ADDRSTRLEN] = "";
    c->family = AF_UNIX;
    memcpy(c->peer, "unix", 5);
    if (from->ss_family == AF_INET) {
        c->family = AF_INET;
        memcpy(c->address, &v4->sin_addr, 4);
    } else if (from->ss_family == AF_INET6) {
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        c->family = mapped ? AF_INET : AF_INET6;
        memcpy(c->address, (const char *)&v6->sin6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
    }
    if (c->family == AF_UNIX) return;
    int port = ntohs(from->ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
    inet_ntop(c->family, c->address, text, sizeof text);
    snprintf(c->peer, sizeof c->peer, c->family == AF_INET ? "%s:%d" : "[%s]:%d", text, port);
}

static uint32_t count_from(const orr_httpd_client *who) {
    uint32_t n = 0;
    for (int phase = 0; phase < PHASES; phase++)
        for (const orr_httpd_client *c = who->server->lists[phase].first; c; c = c->next)
            n += c != who && c->family == who->family && !memcmp(c->address, who->address, sizeof c->address);
    return n;
}

static bool has_room(const orr_httpd_client *c) {
    const orr_httpd_limits *limits = &c->server->options.limits;
    if (c->server->n_clients - c->server->n_lingering > limits->connections) return false;
    return !limits->per_address || c->family == AF_UNIX || count_from(c) < limits->per_address;
}

void orr_httpd_admit(orr_httpd_listener *l, int fd, const struct sockaddr_storage *from) {
    orr_httpd *h = l->server;
    orr_httpd_client *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return;
    }
    *c = (orr_httpd_client){.server = h, .engine = l->engine, .fd = fd};
    read_address(c, from);
    h->n_clients++;
    append(c, PHASE_CLOSING);
    if (!has_room(c) || !begin_watch(c)) {
        orr_httpd_send_problem(c, 503);
        shutdown(fd, SHUT_WR);
        if (!linger(c)) orr_httpd_drop(c);
        close(fd);
        return;
    }
    leave(c);
    append(c, PHASE_HEAD);
    tell_busy(h, PHASE_CLOSING, PHASE_HEAD);
    c->due = uv_now(h->options.loop) + h->options.limits.head_ms;
    orr_httpd_arm(h, c->due);
    h->arriving = c;
    /* the socket is the library's, whatever comes of it */
    socklen_t size = from->ss_family == AF_INET    ? sizeof(struct sockaddr_in)
                     : from->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                   : sizeof(sa_family_t);
    h->lib->add_connection(l->engine->daemon, fd, (const struct sockaddr *)from, size);
    if (h->arriving) orr_httpd_drop(h->arriving);
    h->arriving = NULL;
}

/* ---- deadlines ------------------------------------------------------------------------------- */

void orr_httpd_arm(orr_httpd *h, uint64_t due) {
    if (h->closing || h->stopped || (uv_is_active((uv_handle_t *)&h->tick) && h->tick_due <= due)) return;
    uint64_t now = uv_now(h->options.loop);
    h->tick_due = due;
    uv_timer_start(&h->tick, orr_httpd_on_tick, due > now ? due - now : 0, 0);
}

static void expire(orr_httpd_client *c) {
    switch (c->phase) {
    case PHASE_LINGER: orr_httpd_end_lingering(c); return;
    case PHASE_HEAD:
    case PHASE_BODY: orr_httpd_send_problem(c, 408); break;
    default: break;
    }
    orr_httpd_hang_up(c);
}

void orr_httpd_on_tick(uv_timer_t *timer) {
    orr_httpd *h = timer->data;
    uint64_t now = uv_now(h->options.loop), next = UINT64_MAX;
    for (int phase = 0; phase < PHASE_TIMED; phase++) {
        orr_httpd_client *c = h->lists[phase].first, *after;
        for (; c && c->due <= now; c = after) {
            after = c->next;
            expire(c);
        }
        if (c && c->due < next) next = c->due;
    }
    if (h->deaf_until && h->deaf_until <= now) orr_httpd_hear(h);
    if (h->deaf_until && h->deaf_until < next) next = h->deaf_until;
    if (next != UINT64_MAX) orr_httpd_arm(h, next);
}
