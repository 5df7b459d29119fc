/* test_http.c - the HTTP client against a small server on the same loop, which answers each path
 * with a text of our choice, right or wrong. Only the loopback address is used. */
#include "web.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_response(void **state) {
    (void)state;
    web_seen s;
    web_get_path(&s, "/hello");
    assert_int_equal(s.r.failure, ORR_HTTP_NONE);
    assert_int_equal(s.r.status, 200);
    assert_string_equal(s.body, "hello");
    assert_string_equal(s.headers, "Content-Length=5;X-One=a;x-two=b;X-One=c;");
    assert_string_equal(s.url, web_at("/hello"));
    assert_true(s.r.seconds >= 0 && s.r.seconds < 5);
    assert_non_null(strstr(web.last_request, "GET /hello HTTP/1.1\r\n"));
    assert_non_null(strstr(web.last_request, "Accept-Encoding: "));
    assert_non_null(strstr(web.last_request, "User-Agent: orrery\r\n"));
}

static void bodies_of_all_kinds(void **state) {
    (void)state;
    web_seen s;
    web_get_path(&s, "/chunked");
    assert_string_equal(s.body, "abcde");
    web_get_path(&s, "/empty");
    assert_int_equal(s.r.status, 204);
    assert_int_equal(s.r.size, 0);
    web_get_path(&s, "/missing"); /* a status is no failure here */
    assert_int_equal(s.r.failure, ORR_HTTP_NONE);
    assert_int_equal(s.r.status, 404);
    assert_string_equal(s.body, "gone");
}

static void connections_are_reused(void **state) {
    (void)state;
    web_seen s;
    for (int i = 0; i < 10; i++) web_get_path(&s, "/hello");
    assert_int_equal(web.requests, 10);
    assert_int_equal(web.accepted, 1);
}

static void a_body_is_sent_as_it_is(void **state) {
    (void)state;
    web_seen s;
    orr_http_request r = web_request(&s, web_at("/hello"));
    r.method = "POST";
    r.body = "{\"a\":1}";
    r.size = 7;
    r.headers = (orr_http_header[]){{"X-Mine", "yes"}, {"X-Empty", ""}};
    r.n_headers = 2;
    r.user_agent = "tester/1";
    web_get(&s, &r);
    assert_non_null(strstr(web.last_request, "POST /hello HTTP/1.1\r\n"));
    assert_non_null(strstr(web.last_request, "X-Mine: yes\r\n"));
    assert_non_null(strstr(web.last_request, "X-Empty:\r\n"));
    assert_non_null(strstr(web.last_request, "User-Agent: tester/1\r\n"));
    assert_non_null(strstr(web.last_request, "\r\n\r\n{\"a\":1}"));
    assert_null(strstr(web.last_request, "Content-Type"));
    assert_null(strstr(web.last_request, "Expect"));
}

/* No header but those that the docs name. */
static void nothing_unasked_is_sent(void **state) {
    (void)state;
    static const char *const names[] = {"GET", "POST", "PUT", "DELETE"};
    for (size_t i = 0; i < 4; i++) {
        web_seen s;
        orr_http_request r = web_request(&s, web_at("/hello"));
        r.method = names[i];
        r.headers = (orr_http_header[]){{"X-Mine", " \t yes \t"}, {"X-Blank", "  "}};
        r.n_headers = 2;
        web_get(&s, &r);
        assert_non_null(strstr(web.last_request, "X-Mine: yes\r\n"));
        assert_non_null(strstr(web.last_request, "X-Blank:\r\n"));
        int lines = 0;
        for (const char *l = web.last_request; (l = strstr(l, "\r\n")); l += 2) lines++;
        /* request, host, agent, encoding, accept, the two, the end; a POST tells its length */
        assert_int_equal(lines, i == 1 ? 9 : 8);
        if (i == 1) assert_non_null(strstr(web.last_request, "Content-Length: 0\r\n"));
    }
}

static void methods(void **state) {
    (void)state;
    static const char *const names[] = {"PUT", "DELETE", "PATCH", "POST", "OPTIONS"};
    for (size_t i = 0; i < 5; i++) {
        web_seen s;
        orr_http_request r = web_request(&s, web_at("/hello"));
        r.method = names[i];
        if (i == 0) r.body = "x", r.size = 1;
        web_get(&s, &r);
        assert_int_equal(s.r.status, 200);
        assert_memory_equal(web.last_request, names[i], strlen(names[i]));
    }
    web_seen s;
    orr_http_request r = web_request(&s, web_at("/empty"));
    r.method = "HEAD";
    web_get(&s, &r);
    assert_int_equal(s.r.status, 204);
    assert_memory_equal(web.last_request, "HEAD ", 5);
}

static void redirects(void **state) {
    (void)state;
    web_seen s;
    web_get_path(&s, "/moved");
    assert_string_equal(s.body, "hello");
    assert_string_equal(s.url, web_at("/hello"));
    assert_int_equal(s.r.redirects, 1);
    assert_null(strstr(s.headers, "X-Old"));
    orr_http_request r = web_request(&s, web_at("/moved"));
    r.redirects = 0;
    web_get(&s, &r);
    assert_int_equal(s.r.status, 302);
    web.requests = 0;
    web_get_path(&s, "/circle");
    web_assert_failure(&s, ORR_HTTP_PROTOCOL, "redirect");
    assert_int_equal(web.requests, 11);
    web_get_path(&s, "/to-file");
    web_assert_failure(&s, ORR_HTTP_PROTOCOL, "file");
}

static void methods_after_a_redirect(void **state) {
    (void)state;
    static const struct {
        const char *path, *method, *then;
        bool body;
    } cases[] = {
        {"/moved", "POST", "GET", false},        {"/moved", "PUT", "PUT", true},
        {"/see-other", "POST", "GET", false},    {"/see-other", "DELETE", "GET", false},
        {"/same-request", "POST", "POST", true}, {"/same-request", "PATCH", "PATCH", true},
        {"/moved", "HEAD", "HEAD", false},       {"/see-other", "HEAD", "HEAD", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        web_seen s;
        orr_http_request r = web_request(&s, web_at(cases[i].path));
        r.method = cases[i].method;
        r.headers = (orr_http_header[]){{"Content-Type", "x/y"}, {"X-Mine", "1"}};
        r.n_headers = 2;
        if (strcmp(r.method, "HEAD")) r.body = "data", r.size = 4;
        web_get(&s, &r);
        assert_memory_equal(web.last_request, cases[i].then, strlen(cases[i].then));
        assert_non_null(strstr(web.last_request, "X-Mine: 1\r\n"));
        if (!strcmp(r.method, "HEAD")) continue;
        assert_string_equal(s.body, "hello"); /* and nothing of the first answer */
        assert_true(!strstr(web.last_request, "\r\n\r\ndata") == !cases[i].body);
        assert_true(!strstr(web.last_request, "Content-Type: x/y") == !cases[i].body);
    }
}

/* The credentials of this origin, on the way to `url` by a redirect to `where`. */
static void send_credentials(web_seen *s, const char *where) {
    static char url[256];
    snprintf(web.made, sizeof web.made, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
             where);
    snprintf(url, sizeof url, "http://user:secret@127.0.0.1:%d/made", web.port);
    orr_http_request r = web_request(s, url);
    r.headers = (orr_http_header[]){{"Authorization", "Bearer one"}, {"cookie", "two"},
                                    {"X-Api-Key", "three"},          {"Private-Token", "four"},
                                    {"Accept-Language", "en"},       {"Host", "five"}};
    r.n_headers = 6;
    web_get(s, &r);
    assert_int_equal(s->r.status, 200);
}

static void credentials_stay_with_their_origin(void **state) {
    (void)state;
    static const char *const secrets[] = {"Bearer one", "two", "three", "four", "five", "Basic"};
    web_seen s;
    char where[64];
    snprintf(where, sizeof where, "http://localhost:%d/hello", web.port);
    send_credentials(&s, where);
    for (size_t i = 0; i < 6; i++) assert_null(strstr(web.last_request, secrets[i]));
    assert_non_null(strstr(web.last_request, "Accept-Language: en\r\n"));
    snprintf(where, sizeof where, "http://evil:pw@localhost:%d/hello",
             web.port); /* nor those that it names */
    send_credentials(&s, where);
    assert_null(strstr(web.last_request, "Authorization"));
    send_credentials(&s, "/hello");
    for (size_t i = 0; i < 5; i++) assert_non_null(strstr(web.last_request, secrets[i]));
    assert_string_equal(s.url, web_at("/hello"));
    orr_http_request r = web_request(&s, "");
    snprintf(web.made, sizeof web.made, "http://user:secret@127.0.0.1:%d/moved", web.port);
    r.url = web.made;
    web_get(&s, &r);
    assert_non_null(strstr(web.last_request, "Authorization: Basic "));
}

static void redirects_to_nowhere(void **state) {
    (void)state;
    web_seen s;
    web_get_path(&s, "/nowhere");
    web_assert_failure(&s, ORR_HTTP_PROTOCOL, "no URL");
    web_get_path(&s, "/no-location");
    assert_int_equal(s.r.failure, ORR_HTTP_NONE);
    assert_int_equal(s.r.status, 302);
}

static void descriptors_are_closed_in_programs(void **state) {
    (void)state;
    web_seen s;
    web_get_path(&s, "/hello");
    int sockets = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in address = {0};
        socklen_t size = sizeof address;
        if (getpeername(fd, (struct sockaddr *)&address, &size) || ntohs(address.sin_port) != web.port)
            continue;
        sockets++;
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
    assert_int_equal(sockets, 1);
}

static void the_limit_holds(void **state) {
    (void)state;
    web_seen s;
    orr_http_request r = web_request(&s, web_at("/long"));
    r.limit = 20;
    web_get(&s, &r);
    assert_int_equal(s.r.size, 20);
    r = web_request(&s, web_at("/long"));
    r.limit = 19;
    web_get(&s, &r);
    web_assert_failure(&s, ORR_HTTP_TOO_LARGE, "19 bytes");
    r = web_request(&s, web_at("/empty"));
    r.limit = 0;
    web_get(&s, &r);
    assert_int_equal(s.r.failure, ORR_HTTP_NONE);
}

static void timeouts(void **state) {
    (void)state;
    web_seen s;
    orr_http_request r = web_request(&s, web_at("/hang"));
    r.timeout = 100;
    uint64_t start = uv_hrtime();
    web_get(&s, &r);
    web_assert_failure(&s, ORR_HTTP_TIMEOUT, "timed out");
    assert_true(orr_http_failure_retryable(s.r.failure));
    uint64_t ms = (uv_hrtime() - start) / 1000000;
    assert_true(ms >= 90 && ms < 60000);
    r = web_request(&s, web_at("/hang"));
    r.idle_timeout = 1; /* in whole seconds: this waits for one */
    web_get(&s, &r);
    web_assert_failure(&s, ORR_HTTP_TIMEOUT, "");
}

static void nobody_there(void **state) {
    (void)state;
    web_seen s;
    orr_http_request r = web_request(&s, "http://127.0.0.1:1/");
    web_get(&s, &r);
    web_assert_failure(&s, ORR_HTTP_CONNECT, "GET http://127.0.0.1:1/: ");
    assert_string_equal(orr_http_failure_code(s.r.failure), "http_connect");
    r = web_request(&s, "http://nobody.invalid/");
    web_get(&s, &r);
    web_assert_failure(&s, ORR_HTTP_RESOLVE, "nobody.invalid");
}

static void bad_requests(void **state) {
    (void)state;
    static const orr_http_header bad_name[] = {{"X Y", "1"}}, bad_value[] = {{"X", "1\r\nHost: other"}},
                                 bad_line[] = {{"X", "1\nHost: other"}}, bad_end[] = {{"X", "1\r"}},
                                 control[] = {{"X", "1\x01"}}, length[] = {{"content-length", "5"}};
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
        {"http://127.0.0.1/", NULL, "line break", bad_line},
        {"http://127.0.0.1/", NULL, "line break", bad_end},
        {"http://127.0.0.1/", NULL, "control character", control},
        {"http://127.0.0.1/", NULL, "Content-Length", length},
        {"http://127.0.0.1/\r\nX: y", NULL, "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        web_seen s;
        orr_http_request r = web_request(&s, cases[i].url);
        r.method = cases[i].method;
        r.headers = cases[i].headers;
        r.n_headers = cases[i].headers ? 1 : 0;
        web_get(&s, &r);
        web_assert_failure(&s, ORR_HTTP_CONFIG, cases[i].part);
    }
    web_seen s;
    orr_http_request r = web_request(&s, "http://127.0.0.1/");
    r.user_agent = "me\r\nX: y";
    web_get(&s, &r);
    web_assert_failure(&s, ORR_HTTP_CONFIG, "user_agent");
    assert_int_equal(web.accepted, 0);
}

static void messages_hide_passwords(void **state) {
    (void)state;
    web_seen s;
    orr_http_request r = web_request(&s, "http://user:secret@127.0.0.1:1/p@th");
    web_get(&s, &r);
    web_assert_failure(&s, ORR_HTTP_CONNECT, "http://127.0.0.1:1/p@th");
    assert_null(strstr(s.message, "secret"));
}

static void stop_loop(uv_timer_t *timer) {
    uv_stop(&web.loop);
    uv_close((uv_handle_t *)timer, NULL);
}

static void run_for(uint64_t ms) {
    uv_timer_t timer;
    uv_timer_init(&web.loop, &timer);
    uv_timer_start(&timer, stop_loop, ms, 0);
    uv_run(&web.loop, UV_RUN_DEFAULT);
    uv_run(&web.loop, UV_RUN_NOWAIT);
}

static void cancelled_transfers_call_nobody(void **state) {
    (void)state;
    web_seen s, t, u;
    orr_http_request r = web_request(&s, web_at("/hang"));
    orr_transfer *hanging = web_begin(&r);
    orr_http_request q = web_request(&t, "http://127.0.0.1/ not a url");
    q.headers = (orr_http_header[]){{"", ""}};
    q.n_headers = 1;
    orr_transfer_cancel(web_begin(&q)); /* one that is about to be rejected */
    orr_http_request v = web_request(&u, "http://slow.invalid/");
    orr_transfer *resolving = web_begin(&v);
    run_for(30);
    assert_int_equal(web.requests, 1);
    orr_transfer_cancel(hanging);
    if (!u.ends) orr_transfer_cancel(resolving);
    uv_run(&web.loop, UV_RUN_DEFAULT);
    assert_int_equal(s.ends, 0);
    assert_int_equal(t.ends, 0);
    web_get_path(&s, "/hello"); /* and the client goes on */
    assert_int_equal(s.r.status, 200);
}

static void closing_drops_everything(void **state) {
    (void)state;
    web_seen s[3];
    for (int i = 0; i < 3; i++) {
        orr_http_request r = web_request(&s[i], web_at("/hang"));
        web_begin(&r);
    }
    run_for(30);
    orr_http_close(web.client);
    web.client = NULL;
    uv_run(&web.loop, UV_RUN_DEFAULT);
    assert_int_equal(s[0].ends + s[1].ends + s[2].ends, 0);
}

static void closing_from_a_callback(void **state) {
    (void)state;
    web_seen s[2];
    for (int i = 0; i < 2; i++) {
        orr_http_request r = web_request(&s[i], web_at("/hello"));
        s[i].reset = true;
        web_begin(&r);
    }
    uv_run(&web.loop, UV_RUN_DEFAULT);
    assert_null(web.client);
    assert_int_equal(s[0].ends + s[1].ends, 1);
}

static void more_transfers_than_connections(void **state) {
    (void)state;
    enum { MANY = 3 * ORR_HTTP_CONNECTIONS };
    static web_seen s[MANY];
    for (int i = 0; i < MANY; i++) {
        orr_http_request r = web_request(&s[i], web_at("/hello"));
        web_begin(&r);
    }
    uv_run(&web.loop, UV_RUN_DEFAULT);
    for (int i = 0; i < MANY; i++) assert_string_equal(s[i].body, "hello");
    assert_int_equal(web.requests, MANY);
    assert_true(web.accepted <= ORR_HTTP_CONNECTIONS);
}

static void no_memory(void **state) {
    (void)state;
    for (long i = 0; i < 16; i++) {
        web_seen s;
        orr_http_request r = web_request(&s, web_at("/hello"));
        r.headers = (orr_http_header[]){{"X", "y"}};
        r.n_headers = 1;
        web.fail_in = i;
        orr_transfer *t = orr_http_start(web.client, &r);
        uv_run(&web.loop, UV_RUN_DEFAULT);
        bool hit = web.fail_in < 0;
        web.fail_in = -1;
        assert_int_equal(s.ends, t ? 1 : 0);
        if (t && hit) web_assert_failure(&s, ORR_HTTP_MEMORY, "not enough memory");
        if (!hit) {
            assert_int_equal(s.r.failure, ORR_HTTP_NONE);
            return;
        }
        /* the next try with a new client, so that it has to make its sockets again */
        orr_http_close(web.client);
        const char *why;
        web.client = orr_http_open(&web.loop, &web_alloc, &why);
        assert_non_null(web.client);
    }
    fail_msg("still failing after 16 allocations");
}

static void version(void **state) {
    (void)state;
    const char *why = NULL;
    assert_non_null(strstr(orr_http_version(&why), "libcurl/"));
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, web_setup, web_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        SERVED(a_response),
        SERVED(bodies_of_all_kinds),
        SERVED(connections_are_reused),
        SERVED(a_body_is_sent_as_it_is),
        SERVED(methods),
        SERVED(nothing_unasked_is_sent),
        SERVED(redirects),
        SERVED(methods_after_a_redirect),
        SERVED(credentials_stay_with_their_origin),
        SERVED(redirects_to_nowhere),
        SERVED(descriptors_are_closed_in_programs),
        SERVED(the_limit_holds),
        SERVED(timeouts),
        SERVED(nobody_there),
        SERVED(bad_requests),
        SERVED(messages_hide_passwords),
        SERVED(cancelled_transfers_call_nobody),
        SERVED(closing_drops_everything),
        SERVED(closing_from_a_callback),
        SERVED(more_transfers_than_connections),
        SERVED(no_memory),
        cmocka_unit_test(version),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
