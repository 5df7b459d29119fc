/* httpd_listen.c - the sockets that a server listens on. */
#include "loop/httpd_inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 511, AT_ONCE = 64, DEAF = 1000 /* ms */ };

/* ---- accepting ------------------------------------------------------------------------------- */

static void on_arrival(uv_poll_t *poll, int status, int events);

void orr_httpd_hear(orr_httpd *h) {
    h->deaf_until = 0;
    for (size_t i = 0; i < h->n_listeners; i++)
        if (h->listeners[i].fd >= 0) uv_poll_start(&h->listeners[i].poll, UV_READABLE, on_arrival);
}

/* Too many files are open: the connections wait, and the loop must not be woken for them again and
 * again. */
static void rest(orr_httpd *h) {
    for (size_t i = 0; i < h->n_listeners; i++)
        if (h->listeners[i].fd >= 0) uv_poll_stop(&h->listeners[i].poll);
    h->deaf_until = uv_now(h->options.loop) + DEAF;
    orr_httpd_arm(h, h->deaf_until);
}

static void on_arrival(uv_poll_t *poll, int status, int events) {
    orr_httpd_listener *l = poll->data;
    (void)status, (void)events;
    for (int i = 0; i < AT_ONCE; i++) {
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof from;
        int fd = accept4(l->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) orr_httpd_admit(l, fd, &from);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest(l->server);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) return;
    }
}

/* ---- opening --------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static bool refuse(orr_httpd_failure *why, int error,
                                                         const char *format, ...) {
    char said[384];
    va_list args;
    va_start(args, format);
    vsnprintf(said, sizeof said, format, args);
    va_end(args);
    why->code = "listen_error";
    snprintf(why->message, sizeof why->message, "cannot listen on %s%s%s", said, error ? ": " : "",
             error ? strerror(error) : "");
    return false;
}

static int bind_tcp(const struct addrinfo *at) {
    int on = 1, off = 0;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (!bind(fd, at->ai_addr, at->ai_addrlen) && !listen(fd, BACKLOG)) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool open_tcp(orr_httpd_listener *l, const orr_httpd_listen *where, orr_httpd_failure *why) {
    const char *host = where->host ? where->host : "127.0.0.1";
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    char port[16];
    snprintf(port, sizeof port, "%d", where->port);
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed) return refuse(why, 0, "%.200s: %s", host, gai_strerror(failed));
    errno = 0;
    for (const struct addrinfo *at = found; at && l->fd < 0; at = at->ai_next) l->fd = bind_tcp(at);
    int error = errno;
    freeaddrinfo(found);
    return l->fd >= 0 || refuse(why, error, strchr(host, ':') ? "[%.200s]:%s" : "%.200s:%s", host, port);
}

/* Whether somebody listens there. */
static bool is_live(const struct sockaddr_un *at) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool live = fd < 0 || !connect(fd, (const struct sockaddr *)at, sizeof *at) || errno != ECONNREFUSED;
    if (fd >= 0) close(fd);
    return live;
}

/* Removes a socket that a server has left behind; nothing else. */
static bool clear_way(const struct sockaddr_un *at, orr_httpd_failure *why) {
    struct stat st;
    if (lstat(at->sun_path, &st)) return true;
    if (!S_ISSOCK(st.st_mode)) return refuse(why, 0, "%s: it is there, and is no socket", at->sun_path);
    if (is_live(at)) return refuse(why, 0, "%s: another server listens there", at->sun_path);
    return !unlink(at->sun_path) || refuse(why, errno, "%s", at->sun_path);
}

/* Nobody but this user may ever connect: Linux gives the file the mode that the socket has. */
static bool open_unix(orr_httpd_listener *l, const char *path, orr_httpd_failure *why) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(path) >= sizeof at.sun_path)
        return refuse(why, 0, "%.200s: the path of a socket has %zu bytes at most", path,
                      sizeof at.sun_path - 1);
    memcpy(at.sun_path, path, strlen(path) + 1);
    if (!clear_way(&at, why)) return false;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0 || fchmod(l->fd, 0600) || bind(l->fd, (const struct sockaddr *)&at, sizeof at) ||
        listen(l->fd, BACKLOG))
        return refuse(why, errno, "%s", path);
    l->path = strdup(path);
    if (l->path && !lstat(path, &st)) {
        l->device = st.st_dev;
        l->inode = st.st_ino;
    }
    return true;
}

static bool open_given(orr_httpd_listener *l, int fd, orr_httpd_failure *why) {
    int listens = 0, type = 0;
    socklen_t size = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size))
        return refuse(why, errno, "descriptor %d", fd);
    size = sizeof type;
    if (!listens || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_STREAM)
        return refuse(why, 0, "descriptor %d: it is no stream socket that listens", fd);
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
        return refuse(why, errno, "descriptor %d", fd);
    l->fd = fd;
    return true;
}

/* ---- addresses ------------------------------------------------------------------------------- */

static void read_address(orr_httpd_listener *l, bool tls) {
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    char text[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *v4 = (const void *)&at;
    const struct sockaddr_in6 *v6 = (const void *)&at;
    const struct sockaddr_un *un = (const void *)&at;
    orr_httpd *h = l->server;
    memset(&at, 0, sizeof at);
    getsockname(l->fd, (struct sockaddr *)&at, &size);
    tls = tls && at.ss_family != AF_UNIX;
    l->engine = &h->engines[tls ? ENGINE_TLS : ENGINE_PLAIN];
    const char *scheme = tls ? "https" : "http";
    if (at.ss_family == AF_UNIX) {
        snprintf(l->address, sizeof l->address, "unix:%s", un->sun_path);
        return;
    }
    bool is_v4 = at.ss_family == AF_INET;
    inet_ntop(at.ss_family, is_v4 ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr, text,
              sizeof text);
    snprintf(l->address, sizeof l->address, is_v4 ? "%s://%s:%d" : "%s://[%s]:%d", scheme, text,
             ntohs(is_v4 ? v4->sin_port : v6->sin6_port));
}

static bool open_listener(orr_httpd_listener *l, const orr_httpd_listen *where, orr_httpd_failure *why) {
    bool good = where->path      ? open_unix(l, where->path, why)
                : where->fd >= 0 ? open_given(l, where->fd, why)
                                 : open_tcp(l, where, why);
    if (!good) return false;
    read_address(l, l->server->options.cert != NULL);
    return !uv_poll_init(l->server->options.loop, &l->poll, l->fd) ||
           refuse(why, 0, "%s: the loop cannot watch it", l->address);
}

/* A descriptor that was given stays with its owner where another listener fails. */
static void give_back(orr_httpd *h) {
    for (size_t i = 0; i < h->n_listeners; i++)
        if (h->options.listen[i].fd >= 0 && !h->options.listen[i].path)
            h->listeners[i].fd = fcntl(h->listeners[i].fd, F_DUPFD_CLOEXEC, 0);
}

bool orr_httpd_listen_all(orr_httpd *h, orr_httpd_failure *why) {
    h->listeners = calloc(h->options.n_listen ? h->options.n_listen : 1, sizeof *h->listeners);
    if (!h->listeners) return refuse(why, ENOMEM, "its sockets");
    for (size_t i = 0; i < h->options.n_listen; i++) {
        orr_httpd_listener *l = &h->listeners[i];
        *l = (orr_httpd_listener){.server = h, .fd = -1};
        if (!open_listener(l, &h->options.listen[i], why)) {
            bool given = h->options.listen[i].fd >= 0 && !h->options.listen[i].path;
            if (l->fd >= 0 && !given) close(l->fd);
            if (l->path) unlink(l->path);
            free(l->path);
            give_back(h);
            return false;
        }
        l->poll.data = l;
        h->handles++;
        h->n_listeners++;
    }
    orr_httpd_hear(h);
    return true;
}

/* ---- closing --------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle) {
    orr_httpd_unhold(handle->data);
}

/* The file of a socket is removed where it is still ours. */
static void remove_path(orr_httpd_listener *l) {
    struct stat st;
    if (l->path && !lstat(l->path, &st) && st.st_dev == l->device && st.st_ino == l->inode) unlink(l->path);
    free(l->path);
    l->path = NULL;
}

void orr_httpd_close_listeners(orr_httpd *h) {
    h->deaf_until = 0;
    for (size_t i = 0; i < h->n_listeners; i++) {
        orr_httpd_listener *l = &h->listeners[i];
        if (l->fd < 0) continue;
        l->poll.data = h;
        uv_close((uv_handle_t *)&l->poll, on_closed);
        remove_path(l);
        close(l->fd);
        l->fd = -1;
    }
}
