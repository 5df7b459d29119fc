/* The HTTP client against a small server on the same loop, which answers each path with a text of our choice, right or
 * wrong. Only the loopback address is used. */
#include "../../runtime/loop/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t live_bytes;
static long fail_in = -1;

static void *counting(void *ud, void *ptr, size_t osize, size_t nsize) {
    (void)ud;
    if (nsize && fail_in >= 0 && fail_in-- == 0) return NULL;
    void *block = orr_alloc_libc(NULL, ptr, osize, nsize);
    if (block || !nsize) live_bytes = live_bytes - (ptr ? osize : 0) + nsize;
    return block;
}

static const orr_alloc alloc = {counting, NULL};

/* ---- the server ------------------------------------------------------------------------------------------ */

typedef struct peer {
    uv_tcp_t tcp;
    char in[65536];
    size_t size;
    struct peer *next;
} peer;

static uv_loop_t loop;
static uv_tcp_t listener;
static peer *peers;
static int port, accepted, requests;
static char last_request[65536];

static const struct {
    const char *path, *answer;
    bool close; /* the connection afterwards */
} answers[] = {
    {"/hello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: a\r\nx-two: b\r\nX-One: c\r\n\r\nhello", false},
    {"/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", false},
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

static void answer(peer *p) {
    requests++;
    memcpy(last_request, p->in, p->size + 1);
    p->size = 0;
    const char *path = strchr(last_request, ' ') + 1;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        size_t n = strlen(answers[i].path);
        if (strncmp(path, answers[i].path, n) || !strchr(" ?", path[n])) continue;
        const char *text = answers[i].answer;
        if (!text) return;
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));
        if (*text) assert_int_equal(uv_try_write((uv_stream_t *)&p->tcp, &buf, 1), strlen(text));
        if (answers[i].close) close_peer(p);
        return;
    }
    fail_msg("no answer for %s", last_request);
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
    accepted++;
    uv_tcp_init(&loop, &p->tcp);
    p->tcp.data = p;
    p->next = peers;
    peers = p;
    assert_int_equal(uv_accept(server, (uv_stream_t *)&p->tcp), 0);
    uv_unref((uv_handle_t *)&p->tcp);
    uv_read_start((uv_stream_t *)&p->tcp, on_room, on_in);
}

/* ---- the client ------------------------------------------------------------------------------------------ */

typedef struct seen {
    int ends;
    orr_http_response r;
    char body[256], url[256], message[512], headers[512];
    bool reset; /* close the client from the callback */
} seen;

static orr_http *http;

static void on_end(void *ud, const orr_http_response *r) {
    seen *s = ud;
    s->ends++;
    s->r = *r;
    size_t n = r->size < 255 ? r->size : 255;
    if (n) memcpy(s->body, r->body, n);
    s->body[n] = '\0';
    snprintf(s->url, sizeof s->url, "%s", r->url);
    snprintf(s->message, sizeof s->message, "%s", r->message);
    s->headers[0] = '\0';
    for (size_t i = 0; i < r->n_headers; i++)
        snprintf(s->headers + strlen(s->headers), sizeof s->headers - strlen(s->headers), "%s=%s;", r->headers[i].name,
                 r->headers[i].value);
    if (s->reset) {
        orr_http_close(http);
        http = NULL;
    }
}

static int setup(void **state) {
    (void)state;
    live_bytes = 0;
    fail_in = -1;
    accepted = requests = 0;
    struct sockaddr_in address;
    int size = sizeof address;
    uv_loop_init(&loop);
    uv_tcp_init(&loop, &listener);
    uv_ip4_addr("127.0.0.1", 0, &address);
    if (uv_tcp_bind(&listener, (struct sockaddr *)&address, 0) ||
        uv_listen((uv_stream_t *)&listener, 128, on_connection) ||
        uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &size))
        return -1;
    port = ntohs(address.sin_port);
    uv_unref((uv_handle_t *)&listener);
    const char *why = "";
    http = orr_http_open(&loop, &alloc, &why);
    if (!http) print_error("%s\n", why);
    return http ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    if (http) orr_http_close(http);
    while (peers) close_peer(peers);
    uv_close((uv_handle_t *)&listener, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    int busy = uv_loop_close(&loop);
    if (busy || live_bytes) print_error("left: %s, %zu bytes\n", uv_strerror(busy), live_bytes);
    return busy || live_bytes ? -1 : 0;
}

static const char *at(const char *path) {
    static char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    return url;
}

static orr_http_request request(seen *s, const char *url) {
    memset(s, 0, sizeof *s);
    return (orr_http_request){
        .url = url, .limit = 1 << 20, .redirects = 10, .timeout = 10000, .ud = s, .on_end = on_end};
}

static orr_transfer *begin(const orr_http_request *r) {
    orr_transfer *t = orr_http_start(http, r);
    assert_non_null(t);
    assert_int_equal(((seen *)r->ud)->ends, 0);
    return t;
}

static void get(seen *s, const orr_http_request *r) {
    begin(r);
    uv_run(&loop, UV_RUN_DEFAULT); /* returns: an idle client does not keep the loop alive */
    assert_int_equal(s->ends, 1);
}

static void get_path(seen *s, const char *path) {
    orr_http_request r = request(s, at(path));
    get(s, &r);
}

static void assert_failure(const seen *s, orr_http_failure failure, const char *part) {
    if (s->r.failure != failure || !strstr(s->message, part)) print_message("message: %s\n", s->message);
    assert_int_equal(s->r.failure, failure);
    assert_non_null(strstr(s->message, part));
}

static void a_response(void **state) {
    (void)state;
    seen s;
    get_path(&s, "/hello");
    assert_int_equal(s.r.failure, ORR_HTTP_NONE);
    assert_int_equal(s.r.status, 200);
    assert_string_equal(s.body, "hello");
    assert_string_equal(s.headers, "Content-Length=5;X-One=a;x-two=b;X-One=c;");
    assert_string_equal(s.url, at("/hello"));
    assert_true(s.r.seconds >= 0 && s.r.seconds < 5);
    assert_non_null(strstr(last_request, "GET /hello HTTP/1.1\r\n"));
    assert_non_null(strstr(last_request, "Accept-Encoding: "));
    assert_non_null(strstr(last_request, "User-Agent: orrery\r\n"));
}

static void bodies_of_all_kinds(void **state) {
    (void)state;
    seen s;
    get_path(&s, "/chunked");
    assert_string_equal(s.body, "abcde");
    get_path(&s, "/empty");
    assert_int_equal(s.r.status, 204);
    assert_int_equal(s.r.size, 0);
    get_path(&s, "/missing"); /* a status is no failure here */
    assert_int_equal(s.r.failure, ORR_HTTP_NONE);
    assert_int_equal(s.r.status, 404);
    assert_string_equal(s.body, "gone");
}

static void connections_are_reused(void **state) {
    (void)state;
    seen s;
    for (int i = 0; i < 10; i++) get_path(&s, "/hello");
    assert_int_equal(requests, 10);
    assert_int_equal(accepted, 1);
}

static void a_body_is_sent_as_it_is(void **state) {
    (void)state;
    seen s;
    orr_http_request r = request(&s, at("/hello"));
    r.method = "POST";
    r.body = "{\"a\":1}";
    r.size = 7;
    r.headers = (orr_http_header[]){{"X-Mine", "yes"}, {"X-Empty", ""}};
    r.n_headers = 2;
    r.user_agent = "tester/1";
    get(&s, &r);
    assert_non_null(strstr(last_request, "POST /hello HTTP/1.1\r\n"));
    assert_non_null(strstr(last_request, "X-Mine: yes\r\n"));
    assert_non_null(strstr(last_request, "X-Empty:\r\n"));
    assert_non_null(strstr(last_request, "User-Agent: tester/1\r\n"));
    assert_non_null(strstr(last_request, "\r\n\r\n{\"a\":1}"));
    assert_null(strstr(last_request, "Content-Type"));
    assert_null(strstr(last_request, "Expect"));
}

static void methods(void **state) {
    (void)state;
    static const char *const names[] = {"PUT", "DELETE", "PATCH", "POST", "OPTIONS"};
    for (size_t i = 0; i < 5; i++) {
        seen s;
        orr_http_request r = request(&s, at("/hello"));
        r.method = names[i];
        if (i == 0) r.body = "x", r.size = 1;
        get(&s, &r);
        assert_int_equal(s.r.status, 200);
        assert_memory_equal(last_request, names[i], strlen(names[i]));
    }
    seen s;
    orr_http_request r = request(&s, at("/empty"));
    r.method = "HEAD";
    get(&s, &r);
    assert_int_equal(s.r.status, 204);
    assert_memory_equal(last_request, "HEAD ", 5);
}

static void redirects(void **state) {
    (void)state;
    seen s;
    get_path(&s, "/moved");
    assert_string_equal(s.body, "hello");
    assert_string_equal(s.url, at("/hello"));
    assert_int_equal(s.r.redirects, 1);
    assert_null(strstr(s.headers, "X-Old"));
    orr_http_request r = request(&s, at("/moved"));
    r.redirects = 0;
    get(&s, &r);
    assert_int_equal(s.r.status, 302);
    requests = 0;
    get_path(&s, "/circle");
    assert_failure(&s, ORR_HTTP_PROTOCOL, "redirect");
    assert_int_equal(requests, 11);
    get_path(&s, "/to-file");
    assert_failure(&s, ORR_HTTP_PROTOCOL, "file");
}

static void what_servers_do_wrong(void **state) {
    (void)state;
    seen s;
    get_path(&s, "/garbage");
    assert_failure(&s, ORR_HTTP_PROTOCOL, "/garbage");
    get_path(&s, "/nothing");
    assert_failure(&s, ORR_HTTP_CONNECT, "/nothing");
    get_path(&s, "/short");
    assert_failure(&s, ORR_HTTP_CONNECT, "/short");
    get_path(&s, "/bad-gzip");
    assert_failure(&s, ORR_HTTP_PROTOCOL, "/bad-gzip");
}

static void the_limit_holds(void **state) {
    (void)state;
    seen s;
    orr_http_request r = request(&s, at("/long"));
    r.limit = 20;
    get(&s, &r);
    assert_int_equal(s.r.size, 20);
    r = request(&s, at("/long"));
    r.limit = 19;
    get(&s, &r);
    assert_failure(&s, ORR_HTTP_TOO_LARGE, "19 bytes");
    r = request(&s, at("/empty"));
    r.limit = 0;
    get(&s, &r);
    assert_int_equal(s.r.failure, ORR_HTTP_NONE);
}

static void timeouts(void **state) {
    (void)state;
    seen s;
    orr_http_request r = request(&s, at("/hang"));
    r.timeout = 100;
    uint64_t start = uv_hrtime();
    get(&s, &r);
    assert_failure(&s, ORR_HTTP_TIMEOUT, "timed out");
    assert_true(orr_http_failure_retryable(s.r.failure));
    uint64_t ms = (uv_hrtime() - start) / 1000000;
    assert_true(ms >= 90 && ms < 2000);
    r = request(&s, at("/hang"));
    r.idle_timeout = 1; /* in whole seconds: this waits for one */
    get(&s, &r);
    assert_failure(&s, ORR_HTTP_TIMEOUT, "");
}

static void nobody_there(void **state) {
    (void)state;
    seen s;
    orr_http_request r = request(&s, "http://127.0.0.1:1/");
    get(&s, &r);
    assert_failure(&s, ORR_HTTP_CONNECT, "GET http://127.0.0.1:1/: ");
    assert_string_equal(orr_http_failure_code(s.r.failure), "http_connect");
    r = request(&s, "http://nobody.invalid/");
    get(&s, &r);
    assert_failure(&s, ORR_HTTP_RESOLVE, "nobody.invalid");
}

static void bad_requests(void **state) {
    (void)state;
    static const orr_http_header bad_name[] = {{"X Y", "1"}}, bad_value[] = {{"X", "1\r\nHost: other"}};
    static const struct {
        const char *url, *method, *part;
        const orr_http_header *headers;
    } cases[] = {
        {"ftp://127.0.0.1/", NULL, "http:// or https://", NULL},
        {"file:///etc/passwd", NULL, "http:// or https://", NULL},
        {"", NULL, "http:// or https://", NULL},
        {"http://", NULL, "http://", NULL},
        {"http://127.0.0.1:99999/", NULL, "", NULL},
        {"http://127.0.0.1/a b", NULL, "", NULL},
        {"http://127.0.0.1/", "G E T", "method", NULL},
        {"http://127.0.0.1/", "GET\r\nX: y", "method", NULL},
        {"http://127.0.0.1/", NULL, "X Y", bad_name},
        {"http://127.0.0.1/", NULL, "line break", bad_value},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        seen s;
        orr_http_request r = request(&s, cases[i].url);
        r.method = cases[i].method;
        r.headers = cases[i].headers;
        r.n_headers = cases[i].headers ? 1 : 0;
        get(&s, &r);
        assert_failure(&s, ORR_HTTP_CONFIG, cases[i].part);
    }
    assert_int_equal(accepted, 0);
}

static void messages_hide_passwords(void **state) {
    (void)state;
    seen s;
    orr_http_request r = request(&s, "http://user:secret@127.0.0.1:1/p@th");
    get(&s, &r);
    assert_failure(&s, ORR_HTTP_CONNECT, "http://127.0.0.1:1/p@th");
    assert_null(strstr(s.message, "secret"));
}

static void stop_loop(uv_timer_t *timer) {
    uv_stop(&loop);
    uv_close((uv_handle_t *)timer, NULL);
}

static void run_for(uint64_t ms) {
    uv_timer_t timer;
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, stop_loop, ms, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void cancelled_transfers_call_nobody(void **state) {
    (void)state;
    seen s, t, u;
    orr_http_request r = request(&s, at("/hang"));
    orr_transfer *hanging = begin(&r);
    orr_http_request q = request(&t, "http://127.0.0.1/ not a url");
    q.headers = (orr_http_header[]){{"", ""}};
    q.n_headers = 1;
    orr_transfer_cancel(begin(&q)); /* one that is about to be rejected */
    orr_http_request v = request(&u, "http://slow.invalid/");
    orr_transfer *resolving = begin(&v);
    run_for(30);
    assert_int_equal(requests, 1);
    orr_transfer_cancel(hanging);
    if (!u.ends) orr_transfer_cancel(resolving);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(s.ends, 0);
    assert_int_equal(t.ends, 0);
    get_path(&s, "/hello"); /* and the client goes on */
    assert_int_equal(s.r.status, 200);
}

static void closing_drops_everything(void **state) {
    (void)state;
    seen s[3];
    for (int i = 0; i < 3; i++) {
        orr_http_request r = request(&s[i], at("/hang"));
        begin(&r);
    }
    run_for(30);
    orr_http_close(http);
    http = NULL;
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(s[0].ends + s[1].ends + s[2].ends, 0);
}

static void closing_from_a_callback(void **state) {
    (void)state;
    seen s[2];
    for (int i = 0; i < 2; i++) {
        orr_http_request r = request(&s[i], at("/hello"));
        s[i].reset = true;
        begin(&r);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_null(http);
    assert_int_equal(s[0].ends + s[1].ends, 1);
}

static void more_transfers_than_connections(void **state) {
    (void)state;
    enum { MANY = 3 * ORR_HTTP_CONNECTIONS };
    static seen s[MANY];
    for (int i = 0; i < MANY; i++) {
        orr_http_request r = request(&s[i], at("/hello"));
        begin(&r);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    for (int i = 0; i < MANY; i++) assert_string_equal(s[i].body, "hello");
    assert_int_equal(requests, MANY);
    assert_true(accepted <= ORR_HTTP_CONNECTIONS);
}

static void no_memory(void **state) {
    (void)state;
    for (long i = 0; i < 8; i++) {
        seen s;
        orr_http_request r = request(&s, at("/hello"));
        r.headers = (orr_http_header[]){{"X", "y"}};
        r.n_headers = 1;
        fail_in = i;
        orr_transfer *t = orr_http_start(http, &r);
        uv_run(&loop, UV_RUN_DEFAULT);
        bool hit = fail_in < 0;
        fail_in = -1;
        assert_int_equal(s.ends, t ? 1 : 0);
        if (t && hit) assert_failure(&s, ORR_HTTP_MEMORY, "not enough memory");
        if (!hit) {
            assert_int_equal(s.r.failure, ORR_HTTP_NONE);
            return;
        }
        orr_http_close(http); /* the next try with a new client, so that it has to make its sockets again */
        const char *why;
        http = orr_http_open(&loop, &alloc, &why);
        assert_non_null(http);
    }
    fail_msg("still failing after eight allocations");
}

static void version(void **state) {
    (void)state;
    const char *why = NULL;
    assert_non_null(strstr(orr_http_version(&why), "libcurl/"));
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        SERVED(a_response), SERVED(bodies_of_all_kinds), SERVED(connections_are_reused),
        SERVED(a_body_is_sent_as_it_is), SERVED(methods), SERVED(redirects), SERVED(what_servers_do_wrong),
        SERVED(the_limit_holds), SERVED(timeouts), SERVED(nobody_there), SERVED(bad_requests),
        SERVED(messages_hide_passwords), SERVED(cancelled_transfers_call_nobody), SERVED(closing_drops_everything),
        SERVED(closing_from_a_callback), SERVED(more_transfers_than_connections), SERVED(no_memory),
        cmocka_unit_test(version),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
