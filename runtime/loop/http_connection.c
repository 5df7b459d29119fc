/* http_connection.c - the descriptors of libcurl's connections, and which may be used again.
 *
 * A connection that is kept must be silent between two responses: what a server has sent beyond a
 * response, or what anybody else has made it send, would be taken for the answer to the next
 * request. HTTP/2 names the request with each piece, and its servers may speak at any time.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#endif
#include "loop/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct orr_http_connection {
    orr_http_connection *next;
    curl_socket_t fd;
    bool framed; /* HTTP/2 */
};

static orr_http_connection *connection_of(orr_http *h, curl_socket_t fd) {
    orr_http_connection *c = h->connections;
    while (c && c->fd != fd) c = c->next;
    return c;
}

static bool may_connect(const orr_transfer *t, const struct sockaddr *address) {
    return orr_http_may_connect(t->nets, t->n_allowed, t->nets + t->n_allowed, t->n_denied, address);
}

/* Of a connection that somebody else has opened. */
static bool may_use(const orr_transfer *t, const orr_http_connection *c) {
    struct sockaddr_storage there = {0};
    socklen_t n = sizeof there;
    if (!t->n_allowed && !t->n_denied) return true;
    return c && !getpeername(c->fd, (struct sockaddr *)&there, &n) &&
           may_connect(t, (const struct sockaddr *)&there);
}

/* CURLOPT_OPENSOCKETFUNCTION. Closed in every program that is started. */
static curl_socket_t open_socket(void *transfer, curlsocktype purpose, struct curl_sockaddr *address) {
    orr_transfer *t = transfer;
    orr_http *h = t->http;
    (void)purpose;
    if (!may_connect(t, &address->addr)) {
        t->refused = true;
        return CURL_SOCKET_BAD;
    }
    orr_http_connection *c = orr_mem_new(&h->alloc, 1, sizeof *c);
    if (!c) {
        t->failure = ORR_HTTP_MEMORY;
        return CURL_SOCKET_BAD;
    }
    c->fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    bool full = c->fd < 0 && (errno == EMFILE || errno == ENFILE);
    t->reason = full ? "too many files are open; close some, or raise the limit (`ulimit -n`)" : NULL;
    if (c->fd < 0) {
        orr_mem_free(&h->alloc, c, 1, sizeof *c);
        return CURL_SOCKET_BAD;
    }
    c->next = h->connections;
    h->connections = c;
    return c->fd;
}

/* CURLOPT_CLOSESOCKETFUNCTION */
static int close_socket(void *client, curl_socket_t fd) {
    orr_http *h = client;
    for (orr_http_connection **at = &h->connections; *at; at = &(*at)->next)
        if ((*at)->fd == fd) {
            orr_http_connection *c = *at;
            *at = c->next;
            orr_mem_free(&h->alloc, c, 1, sizeof *c);
            break;
        }
    return close(fd);
}

void orr_http_drop_connections(orr_http *h) {
    while (h->connections) {
        orr_http_connection *c = h->connections;
        h->connections = c->next;
        orr_mem_free(&h->alloc, c, 1, sizeof *c);
    }
}

/* Whether the text and the number are those of an address. */
static bool is_address(const struct sockaddr_storage *a, const char *ip, int port) {
    const struct sockaddr_in *v4 = (const void *)a;
    const struct sockaddr_in6 *v6 = (const void *)a;
    char text[INET6_ADDRSTRLEN] = "";
    bool is_v6 = a->ss_family == AF_INET6;
    if (!is_v6 && a->ss_family != AF_INET) return false;
    if (!inet_ntop(a->ss_family, is_v6 ? (const void *)&v6->sin6_addr : &v4->sin_addr, text, sizeof text))
        return false;
    return ntohs(is_v6 ? v6->sin6_port : v4->sin_port) == port && !strcmp(text, ip);
}

/* libcurl names the connection of a transfer under way by its addresses alone. */
static orr_http_connection *connection_between(orr_http *h, const char *remote, int remote_port,
                                               const char *local, int local_port) {
    for (orr_http_connection *c = h->connections; c; c = c->next) {
        struct sockaddr_storage here = {0}, there = {0};
        socklen_t n = sizeof here, m = sizeof there;
        if (!getsockname(c->fd, (struct sockaddr *)&here, &n) &&
            !getpeername(c->fd, (struct sockaddr *)&there, &m) && is_address(&here, local, local_port) &&
            is_address(&there, remote, remote_port))
            return c;
    }
    return NULL;
}

/* A small piece after a response waits at the other end until the response has been acknowledged
 * (Nagle's algorithm): with the next request, where that comes soon, and then it looks like the
 * answer to it. So the system is not left to wait with that. */
void orr_http_acknowledge(orr_transfer *t) {
    int on = 1;
    if (t->fd != CURL_SOCKET_BAD && connection_of(t->http, t->fd))
        setsockopt(t->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

/* CURLOPT_PREREQFUNCTION: the connection is there, nothing of the request has been sent. */
static int before_request(void *transfer, char *remote, char *local, int remote_port, int local_port) {
    orr_transfer *t = transfer;
    orr_http_connection *c = connection_between(t->http, remote, remote_port, local, local_port);
    long made = 0;
    t->http->curl->easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &made);
    bool kept = made == t->connections;
    t->connections = made;
    t->fd = c ? c->fd : CURL_SOCKET_BAD;
    bool may = may_use(t, c);
    if (!kept && !may) {
        t->failure = ORR_HTTP_ADDRESS;
        return CURL_PREREQFUNC_ABORT;
    }
    if (may && (!kept || (c && c->framed))) return CURL_PREREQFUNC_OK;
    char byte;
    /* closed at the other end since, it is as bad */
    if (may && c && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN)
        return CURL_PREREQFUNC_OK;
    t->stale = true;
    return CURL_PREREQFUNC_ABORT;
}

/* CURLOPT_DEBUGFUNCTION. libcurl reads what follows a response in the same packet, drops it and
 * keeps the connection; only its log tells. */
static int note(CURL *easy, curl_infotype type, char *text, size_t size, void *transfer) {
    static const char *const surplus[] = {"Excess found", "Leftovers after chunking"};
    static const char framed[] = "HTTP/2 ";
    orr_transfer *t = transfer;
    (void)easy;
    orr_http_connection *c = NULL;
    if (type == CURLINFO_HEADER_IN && size >= sizeof framed - 1 && !memcmp(text, framed, sizeof framed - 1)) {
        if ((c = connection_of(t->http, t->fd))) c->framed = true;
    } else if (type == CURLINFO_TEXT) {
        for (size_t i = 0; i < sizeof surplus / sizeof *surplus; i++)
            if (size >= strlen(surplus[i]) && !memcmp(text, surplus[i], strlen(surplus[i])) &&
                (c = connection_of(t->http, t->fd)))
                shutdown(c->fd, SHUT_RDWR);
    }
    return 0;
}

CURLcode orr_http_set_connection(orr_transfer *t) {
    __typeof__(t->http->curl->easy_setopt) set = t->http->curl->easy_setopt;
    CURLcode code = CURLE_OK;
    if (code == CURLE_OK) code = set(t->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    if (code == CURLE_OK) code = set(t->easy, CURLOPT_OPENSOCKETDATA, t);
    if (code == CURLE_OK) code = set(t->easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    if (code == CURLE_OK) code = set(t->easy, CURLOPT_CLOSESOCKETDATA, t->http);
    if (code == CURLE_OK) code = set(t->easy, CURLOPT_PREREQFUNCTION, before_request);
    if (code == CURLE_OK) code = set(t->easy, CURLOPT_PREREQDATA, t);
    if (code == CURLE_OK) code = set(t->easy, CURLOPT_DEBUGFUNCTION, note);
    if (code == CURLE_OK) code = set(t->easy, CURLOPT_DEBUGDATA, t);
    return code == CURLE_OK ? set(t->easy, CURLOPT_VERBOSE, 1L) : code;
}
