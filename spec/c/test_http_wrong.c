/* test_http_wrong.c - what servers do wrong, by mistake or in malice: answers that are none, that
 * break off, that have no end or more than was asked for.
 */
#include "web.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void what_servers_do_wrong(void **state) {
    (void)state;
    web_seen s;
    web_get_path(&s, "/garbage");
    web_assert_failure(&s, ORR_HTTP_PROTOCOL, "/garbage");
    web_get_path(&s, "/nothing");
    web_assert_failure(&s, ORR_HTTP_CONNECT, "/nothing");
    web_get_path(&s, "/short");
    web_assert_failure(&s, ORR_HTTP_CONNECT, "/short");
    web_get_path(&s, "/bad-gzip");
    web_assert_failure(&s, ORR_HTTP_PROTOCOL, "/bad-gzip");
}

static void header_values_are_trimmed(void **state) {
    (void)state;
    web_seen s;
    web_get_path(&s, "/spaced");
    assert_string_equal(s.headers, "X-None=;X-Blank=;X-Some=a b;X-Long=a b;Content-Length=0;");
    web_get_path(&s, "/interim"); /* what came before and after the headers is not among them */
    assert_string_equal(s.headers, "X-Last=1;Content-Length=0;");
    web_get_path(&s, "/trailer");
    assert_string_equal(s.headers, "Transfer-Encoding=chunked;");
    assert_string_equal(s.body, "a");
    web_get_path(&s, "/nul");
    assert_int_not_equal(s.r.failure, ORR_HTTP_NONE);
}

/* Fills `web.made` with a response that begins with `before`: n headers of so many bytes. */
static void make_headers(size_t n, size_t bytes, const char *before) {
    char *at = web.made + sprintf(web.made, "%s", before);
    for (size_t i = 0; i < n; i++) {
        at += sprintf(at, "X:");
        memset(at, 'y', bytes);
        at += bytes;
        at += sprintf(at, "\r\n");
    }
    sprintf(at, "Content-Length: 0\r\n\r\n");
}

static void headers_are_bounded(void **state) {
    (void)state;
    static const char ok[] = "HTTP/1.1 200 OK\r\n";
    web_seen s;
    make_headers(998, 20, ok);
    web_get_path(&s, "/made");
    assert_int_equal(s.r.failure, ORR_HTTP_NONE);
    assert_int_equal(s.r.n_headers, 999);
    make_headers(74000, 0, ok);
    uint64_t start = uv_hrtime();
    web_get_path(&s, "/made");
    web_assert_failure(&s, ORR_HTTP_TOO_LARGE, "1,000 lines");
    assert_true((uv_hrtime() - start) / 1000000 < 40000);
    assert_int_equal(s.r.status, 0);
    make_headers(30, 10000, ok);
    web_get_path(&s, "/made");
    web_assert_failure(&s, ORR_HTTP_TOO_LARGE, "256 KiB");
    make_headers(2000, 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n");
    web_get_path(&s, "/made"); /* trailers */
    web_assert_failure(&s, ORR_HTTP_TOO_LARGE, "1,000 lines");
    static const char early[] = "HTTP/1.1 102 Processing\r\n\r\n";
    for (size_t i = 0; i < 2000; i++) memcpy(web.made + i * (sizeof early - 1), early, sizeof early);
    web_get_path(&s, "/made");
    assert_int_equal(s.r.failure, ORR_HTTP_TOO_LARGE);
}

static void a_body_cut_short(void **state) {
    (void)state;
    web_seen s;
    web_get_path(&s, "/short-chunk");
    web_assert_failure(&s, ORR_HTTP_CONNECT, "/short-chunk");
    web_get_path(&s, "/no-last-chunk");
    web_assert_failure(&s, ORR_HTTP_CONNECT, "/no-last-chunk");
    web_get_path(&s, "/short-error"); /* its status is known all the same */
    web_assert_failure(&s, ORR_HTTP_CONNECT, "/short-error");
    assert_int_equal(s.r.status, 500);
    assert_string_equal(s.body, "half");
}

static void assert_not_poisoned(void) {
    web_seen s;
    web_get_path(&s, "/hello");
    assert_int_equal(s.r.failure, ORR_HTTP_NONE);
    assert_string_equal(s.body, "hello");
    assert_int_equal(web.accepted, 2);
    web.accepted = 1;
}

static void surplus_ends_a_connection(void **state) {
    (void)state;
    static const char *const paths[] = {"/surplus-none", "/surplus-length", "/surplus-chunk",
                                        "/surplus-later"};
    web_seen s;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        web.accepted = i > 0;
        web_get_path(&s, paths[i]);
        assert_int_equal(s.r.failure, ORR_HTTP_NONE);
        assert_not_poisoned();
    }
    /* what comes when nothing has been asked, and a POST, which may not be sent twice */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(web_push(WEB_EVIL, sizeof WEB_EVIL - 1), sizeof WEB_EVIL - 1);
        if (i == 0) assert_not_poisoned();
    }
    web.requests = 0;
    orr_http_request r = web_request(&s, web_at("/hello"));
    r.method = "POST";
    r.body = "x";
    r.size = 1;
    web_get(&s, &r);
    assert_string_equal(s.body, "hello");
    assert_int_equal(web.requests, 1);
    assert_int_equal(web.accepted, 2);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, web_setup, web_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        SERVED(what_servers_do_wrong), SERVED(header_values_are_trimmed), SERVED(headers_are_bounded),
        SERVED(a_body_cut_short),      SERVED(surplus_ends_a_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
