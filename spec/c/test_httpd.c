/* test_httpd.c - what a head may have in it: the target, and the lines as libmicrohttpd leaves
 * them. What servers do is in spec/http_server_spec.lua. */
#include "loop/httpd.h"
#include "loop/httpd_target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *target, *path, *query; /* path NULL: refused */
} targets[] = {
    {"/", "/", ""},
    {"/a/b?c=d?e", "/a/b", "c=d?e"},
    {"/a%20b", "/a b", ""},
    {"/%e2%82%ac", "/\xe2\x82\xac", ""},
    {"/%252e%252e/x", "/%2e%2e/x", ""},
    {"/a%2fb", "/a/b", ""},
    {"/a?%zz", "/a", "%zz"},
    {"/...", "/...", ""},
    {"/.a/..b/c..", "/.a/..b/c..", ""},
    {"//", "//", ""},
    {"*", "*", ""},
    {"http://host:1/p?q", "/p", "q"},
    {"HTTPS://host", "/", ""},
    {"https://host?q", "/", "q"},
    {"", NULL, NULL},
    {"a", NULL, NULL},
    {"*x", NULL, NULL},
    {"host:80", NULL, NULL},
    {"http://", NULL, NULL},
    {"http:///x", NULL, NULL},
    {"ftp://host/x", NULL, NULL},
    {"/.", NULL, NULL},
    {"/..", NULL, NULL},
    {"/a/../b", NULL, NULL},
    {"/a/./b", NULL, NULL},
    {"/a/%2e%2E/b", NULL, NULL},
    {"/a%2f..%2fb", NULL, NULL},
    {"/a/.%2e", NULL, NULL},
    {"/a\\b", NULL, NULL},
    {"/a%5cb", NULL, NULL},
    {"/%00", NULL, NULL},
    {"/%0a", NULL, NULL},
    {"/%1b[0m", NULL, NULL},
    {"/%7f", NULL, NULL},
    {"/%", NULL, NULL},
    {"/%2", NULL, NULL},
    {"/%g0", NULL, NULL},
    {"/%0g", NULL, NULL},
    {"/a b", NULL, NULL},
    {"/a#b", NULL, NULL},
    {"/a\tb", NULL, NULL},
    {"/\x80", NULL, NULL},
    {"/a?b c", NULL, NULL},
    {"/a?\x01", NULL, NULL},
};

/* In blocks of just the size, so that a sanitizer sees what is read or written beyond. */
static void targets_are_decoded_once_or_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        orr_httpd_target to;
        char *target = strdup(targets[i].target), *buffer = malloc(strlen(target) + 2);
        const char *why = orr_httpd_read_target(target, buffer, &to);
        if (targets[i].path) {
            if (why) fail_msg("%s: %s", target, why);
            assert_string_equal(to.path, targets[i].path);
            assert_int_equal(to.path_size, strlen(targets[i].path));
            assert_string_equal(to.query, targets[i].query);
        } else if (!why) fail_msg("%s was taken, as %s", target, to.path);
        free(target);
        free(buffer);
    }
}

/* Here "|" is a NUL. */
static const struct {
    const char *head;
    bool plain;
} heads[] = {
    {"||", true},
    {"Host| x||||", true},
    {"Host| x||A|||B|c:d||||", true},
    {"X|\ta\tb||||", true},
    {"", false},
    {"|", false},
    {"|||", false},
    {"Host| x", false},
    {"Host| x|", false},
    {"Host| x||", false},
    {"Host| x|||", false},
    {"Host| x|||||", false},
    {"Host| x|A| b||||", false},     /* the line ends with LF alone */
    {"Host| x|||", false},           /* so does the last */
    {"Host | x||||", false},         /* a blank before the colon */
    {"Host| x|| folded||||", false}, /* a folded line */
    {"Host| x||\tfolded||||", false},
    {"Host| x|y||||", false}, /* a NUL in a value */
    {"Ho|st| x||||", false},  /* a NUL in a name */
    {"Host| a\rb||||", false},
    {"|x||||", false},
    {"Ho(st| x||||", false},
};

static void heads_are_plain_or_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        size_t size = strlen(heads[i].head);
        char *head = malloc(size ? size : 1);
        for (size_t k = 0; k < size; k++) head[k] = (char)(heads[i].head[k] == '|' ? 0 : heads[i].head[k]);
        if (orr_httpd_head_is_plain(head, head + size) != heads[i].plain) fail_msg("%s", heads[i].head);
        free(head);
    }
}

static const struct {
    const char *name, *value;
    bool good;
} headers[] = {
    {"X-A", "b", true},
    {"Content-Type", "text/plain; charset=utf-8", true},
    {"X-A", "\xc3\xa9", true},
    {"X-A", "", false},
    {"X-A", "a\r\nB: c", false},
    {"X-A", "a\nb", false},
    {"X-A", "a\tb", false},
    {"X A", "b", false},
    {"X-A:", "b", false},
    {"", "b", false},
    {"content-length", "1", false},
    {"Transfer-Encoding", "chunked", false},
    {"Date", "now", false},
};

static void headers_are_sent_or_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        const char *name = headers[i].name, *value = headers[i].value;
        const char *why = orr_httpd_check_header(name, strlen(name), value, strlen(value));
        if (!why != headers[i].good) fail_msg("%s: %s: %s", name, value, why ? why : "was taken");
    }
    assert_non_null(orr_httpd_check_header("X", 1, "a\0b", 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_decoded_once_or_refused),
        cmocka_unit_test(heads_are_plain_or_refused),
        cmocka_unit_test(headers_are_sent_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
