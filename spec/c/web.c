#include "web.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct web web;

static void *counting(void *ud, void *ptr, size_t osize, size_t nsize) {
    (void)ud;
    if (nsize && web.fail_in >= 0 && web.fail_in-- == 0) return NULL;
    void *block = orr_alloc_libc(NULL, ptr, osize, nsize);
    if (block || !nsize) web.live_bytes = web.live_bytes - (ptr ? osize : 0) + nsize;
    return block;
}

const orr_alloc web_alloc = {counting, NULL};

/* ---- the server ------------------------------------------------------------------------------ */

typedef struct peer {
    uv_tcp_t tcp;
    char in[65536];
    size_t size;
    struct peer *next;
} peer;

static uv_tcp_t listener;
static peer *peers; /* the newest first */

static const struct {
    const char *path, *answer;
    bool close; /* the connection afterwards */
} answers[] = {
    {"/hello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: a\r\nx-two: b\r\nX-One: c\r\n\r\nhello",
     false},
    {"/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
     false},
    {"/empty", "HTTP/1.1 204 No Content\r\n\r\n", false},
    {"/missing", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", false},
    {"/moved", "HTTP/1.1 302 Found\r\nX-Old: 1\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n", false},
    {"/circle", "HTTP/1.1 302 Found\r\nLocation: /circle\r\nContent-Length: 0\r\n\r\n", false},
    {"/to-file", "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", false},
    {"/garbage", "once upon a time\r\n\r\n", true},
    {"/nothing", "", true},
    {"/short", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", true},
    {"/bad-gzip", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", false},
    {"/long", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n12345678901234567890", false},
    {"/hang", NULL, false},
    {"/spaced",
     "HTTP/1.1 200 OK\r\nX-None:\r\nX-Blank:  \r\nX-Some: \t a b \t\r\nX-Long: a\r\n  b\r\nContent-Length: "
     "0\r\n\r\n",
     false},
    {"/nul", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: a", false}, /* goes on: see answer() */
    {"/interim",
     "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 OK\r\nX-Last: 1\r\nContent-Length: "
     "0\r\n\r\n",
     false},
    {"/trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Late: 1\r\n\r\n",
     false},
    {"/short-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", true},
    {"/no-last-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", true},
    {"/short-error", "HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhalf", true},
    {"/surplus-none", "HTTP/1.1 204 No Content\r\n\r\n" WEB_EVIL, false},
    {"/surplus-length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" WEB_EVIL, false},
    {"/surplus-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" WEB_EVIL,
     false},
    {"/surplus-later", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false},
    {"/see-other", "HTTP/1.1 303 See Other\r\nLocation: /hello\r\nContent-Length: 3\r\n\r\nold", false},
    {"/same-request", "HTTP/1.1 307 Temporary Redirect\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n",
     false},
    {"/nowhere", "HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n", false},
    {"/no-location", "HTTP/1.1 302 Found\r\nLocation:\r\nContent-Length: 0\r\n\r\n", false},
};

static void on_peer_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void close_peer(peer *p) {
    if (uv_is_closing((uv_handle_t *)&p->tcp)) return;
    for (peer **at = &peers; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    uv_close((uv_handle_t *)&p->tcp, on_peer_closed);
}

static void on_made(uv_write_t *w, int status) {
    (void)status;
    free(w);
}

static void answer(peer *p) {
    web.requests++;
    memcpy(web.last_request, p->in, p->size + 1);
    p->size = 0;
    const char *path = strchr(web.last_request, ' ') + 1;
    if (!strncmp(path, "/made", 5)) {
        uv_buf_t buf = uv_buf_init(web.made, (unsigned)strlen(web.made));
        uv_write_t *w = calloc(1, sizeof *w);
        assert_non_null(w);
        assert_int_equal(uv_write(w, (uv_stream_t *)&p->tcp, &buf, 1, on_made), 0);
        return;
    }
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        size_t n = strlen(answers[i].path);
        if (strncmp(path, answers[i].path, n) || !strchr(" ?", path[n])) continue;
        const char *text = answers[i].answer;
        if (!text) return;
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));
        if (!strcmp(answers[i].path, "/nul")) buf.len += 1; /* its own end */
        if (*text) assert_int_equal(uv_try_write((uv_stream_t *)&p->tcp, &buf, 1), buf.len);
        buf = uv_buf_init("b\r\n\r\n", 5);
        if (!strcmp(answers[i].path, "/nul")) uv_try_write((uv_stream_t *)&p->tcp, &buf, 1);
        buf = uv_buf_init(WEB_EVIL, sizeof WEB_EVIL - 1); /* a moment later, as the system thinks fit */
        if (!strcmp(answers[i].path, "/surplus-later")) uv_try_write((uv_stream_t *)&p->tcp, &buf, 1);
        if (answers[i].close) close_peer(p);
        return;
    }
    fail_msg("no answer for %s", web.last_request);
}

static void on_in(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    peer *p = stream->data;
    (void)buf;
    if (n < 0) {
        close_peer(p);
        return;
    }
    p->size += (size_t)n;
    p->in[p->size] = '\0';
    const char *end = strstr(p->in, "\r\n\r\n");
    if (!end) return;
    const char *length = strstr(p->in, "Content-Length: ");
    if (p->size >= (size_t)(end + 4 - p->in) + (length ? strtoul(length + 16, NULL, 10) : 0)) answer(p);
}

static void on_room(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
    peer *p = handle->data;
    (void)hint;
    *buf = uv_buf_init(p->in + p->size, (unsigned)(sizeof p->in - 1 - p->size));
}

static void on_connection(uv_stream_t *server, int status) {
    assert_int_equal(status, 0);
    peer *p = calloc(1, sizeof *p);
    assert_non_null(p);
    web.accepted++;
    uv_tcp_init(&web.loop, &p->tcp);
    p->tcp.data = p;
    p->next = peers;
    peers = p;
    assert_int_equal(uv_accept(server, (uv_stream_t *)&p->tcp), 0);
    uv_unref((uv_handle_t *)&p->tcp);
    uv_read_start((uv_stream_t *)&p->tcp, on_room, on_in);
}

int web_push(const char *bytes, size_t size) {
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)size);
    return uv_try_write((uv_stream_t *)&peers->tcp, &buf, 1);
}

/* ---- the client ------------------------------------------------------------------------------ */

static void on_end(void *ud, const orr_http_response *r) {
    web_seen *s = ud;
    s->ends++;
    s->r = *r;
    size_t n = r->size < 255 ? r->size : 255;
    if (n) memcpy(s->body, r->body, n);
    s->body[n] = '\0';
    snprintf(s->url, sizeof s->url, "%s", r->url);
    snprintf(s->message, sizeof s->message, "%s", r->message);
    s->headers[0] = '\0';
    for (size_t i = 0; i < r->n_headers; i++)
        snprintf(s->headers + strlen(s->headers), sizeof s->headers - strlen(s->headers), "%s=%s;",
                 r->headers[i].name, r->headers[i].value);
    if (s->reset) {
        orr_http_close(web.client);
        web.client = NULL;
    }
}

int web_setup(void **state) {
    (void)state;
    web.live_bytes = 0;
    web.fail_in = -1;
    web.accepted = web.requests = 0;
    struct sockaddr_in address;
    int size = sizeof address;
    uv_loop_init(&web.loop);
    uv_tcp_init(&web.loop, &listener);
    uv_ip4_addr("127.0.0.1", 0, &address);
    if (uv_tcp_bind(&listener, (struct sockaddr *)&address, 0) ||
        uv_listen((uv_stream_t *)&listener, 128, on_connection) ||
        uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &size))
        return -1;
    web.port = ntohs(address.sin_port);
    uv_unref((uv_handle_t *)&listener);
    const char *why = "";
    web.client = orr_http_open(&web.loop, &web_alloc, &why);
    if (!web.client) print_error("%s\n", why);
    return web.client ? 0 : -1;
}

/* No handle and no byte may be left. */
int web_teardown(void **state) {
    (void)state;
    if (web.client) orr_http_close(web.client);
    while (peers) close_peer(peers);
    uv_close((uv_handle_t *)&listener, NULL);
    uv_run(&web.loop, UV_RUN_DEFAULT);
    int busy = uv_loop_close(&web.loop);
    if (busy || web.live_bytes) print_error("left: %s, %zu bytes\n", uv_strerror(busy), web.live_bytes);
    return busy || web.live_bytes ? -1 : 0;
}

const char *web_at(const char *path) {
    static char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", web.port, path);
    return url;
}

orr_http_request web_request(web_seen *s, const char *url) {
    memset(s, 0, sizeof *s);
    return (orr_http_request){.url = url,
                              .limit = 1 << 20,
                              .redirects = 10,
                              .timeout = 60000,
                              .ud = s,
                              .on_end = on_end};
}

orr_transfer *web_begin(const orr_http_request *r) {
    orr_transfer *t = orr_http_start(web.client, r);
    assert_non_null(t);
    assert_int_equal(((web_seen *)r->ud)->ends, 0);
    return t;
}

void web_get(web_seen *s, const orr_http_request *r) {
    web_begin(r);
    uv_run(&web.loop, UV_RUN_DEFAULT); /* returns: an idle client does not keep the loop alive */
    assert_int_equal(s->ends, 1);
}

void web_get_path(web_seen *s, const char *path) {
    orr_http_request r = web_request(s, web_at(path));
    web_get(s, &r);
}

void web_assert_failure(const web_seen *s, orr_http_failure failure, const char *part) {
    if (s->r.failure != failure || !strstr(s->message, part)) print_message("message: %s\n", s->message);
    assert_int_equal(s->r.failure, failure);
    assert_non_null(strstr(s->message, part));
}
