/* http_request.c - turns a request into a handle of libcurl. */
#include "http_client.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Characters of a token: RFC 9110, section 5.6.2. */
static bool is_token(const char *s) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    if (!*s) return false;
    for (; *s; s++) {
        bool alnum = (*s >= '0' && *s <= '9') || (*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z');
        if (!alnum && !strchr(others, *s)) return false;
    }
    return true;
}

/* A line break in a value would begin a header of its own. */
static bool is_header_value(const char *s) {
    return !strpbrk(s, "\r\n");
}

static orr_http_failure reject(orr_transfer *t, const char *format, const char *what) {
    snprintf(t->reason, sizeof t->reason, format, what);
    return ORR_HTTP_CONFIG;
}

/* "GET http://host/path": the URL without "user:password@", for messages. */
static void show(orr_transfer *t, const char *method, const char *url) {
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t authority = strcspn(host, "/?#");
    const char *at = host;
    for (size_t i = 0; i < authority; i++)
        if (host[i] == '@') at = host + i + 1;
    snprintf(t->shown, sizeof t->shown, "%s %.*s%s", method, (int)(host - url), url, at);
}

static bool append(orr_transfer *t, const char *line) {
    struct curl_slist *list = t->http->curl->slist_append(t->headers, line);
    if (!list) return false;
    t->headers = list;
    return true;
}

/* libcurl's notation: "Name: value", "Name;" for an empty value, "Name:" for none where it would add one. */
static bool append_header(orr_transfer *t, const orr_http_header *h) {
    size_t size = strlen(h->name) + strlen(h->value) + 3;
    char *line = orr_mem_new(&t->http->alloc, size, 1);
    if (!line) return false;
    snprintf(line, size, *h->value ? "%s: %s" : "%s;", h->name, h->value);
    bool ok = append(t, line);
    orr_mem_free(&t->http->alloc, line, size, 1);
    return ok;
}

static bool has_header(const orr_http_request *r, const char *name) {
    for (size_t i = 0; i < r->n_headers; i++)
        if (!strcasecmp(r->headers[i].name, name)) return true;
    return false;
}

static orr_http_failure add_headers(orr_transfer *t, const orr_http_request *r) {
    for (size_t i = 0; i < r->n_headers; i++) {
        if (!is_token(r->headers[i].name)) return reject(t, "'%s' is no name of a header", r->headers[i].name);
        if (!is_header_value(r->headers[i].value))
            return reject(t, "the value of header %s has a line break", r->headers[i].name);
        if (!append_header(t, &r->headers[i])) return ORR_HTTP_MEMORY;
    }
    /* Without these libcurl would call a body a form, and wait a second for "100 Continue" before a long one. */
    if (r->body && !has_header(r, "Content-Type") && !append(t, "Content-Type:")) return ORR_HTTP_MEMORY;
    if (r->body && !has_header(r, "Expect") && !append(t, "Expect:")) return ORR_HTTP_MEMORY;
    return ORR_HTTP_NONE;
}

static orr_http_failure check(orr_transfer *t, const orr_http_request *r, const char *method) {
    if (strncasecmp(r->url, "http://", 7) && strncasecmp(r->url, "https://", 8))
        return reject(t, "url: expected it to begin with http:// or https://, got '%s'", strchr(t->shown, ' ') + 1);
    if (!is_token(method)) return reject(t, "method: '%s' is none", method);
    return ORR_HTTP_NONE;
}

/* Remembers the first option that libcurl did not take: going on without it could mean without a limit or a check. */
#define SET(option, value) \
    do { \
        if (code == CURLE_OK) code = set(t->easy, (option), (value)); \
    } while (0)

/* GET, HEAD and POST are libcurl's own, so that it follows redirects by the rules (RFC 9110, section 15.4); any other
 * method it would repeat as it is. */
static CURLcode set_method(orr_transfer *t, const orr_http_request *r, const char *method) {
    __typeof__(t->http->curl->easy_setopt) set = t->http->curl->easy_setopt;
    CURLcode code = CURLE_OK;
    if (r->body || !strcmp(method, "POST")) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(r->body ? r->size : 0));
        SET(CURLOPT_COPYPOSTFIELDS, r->body ? r->body : "");
        if (strcmp(method, "POST")) SET(CURLOPT_CUSTOMREQUEST, method);
    } else if (!strcmp(method, "HEAD")) {
        SET(CURLOPT_NOBODY, 1L);
    } else if (!strcmp(method, "GET")) {
        SET(CURLOPT_HTTPGET, 1L);
    } else {
        SET(CURLOPT_CUSTOMREQUEST, method);
    }
    return code;
}

static CURLcode set_limits(orr_transfer *t, const orr_http_request *r) {
    __typeof__(t->http->curl->easy_setopt) set = t->http->curl->easy_setopt;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_FOLLOWLOCATION, r->redirects ? 1L : 0L);
    SET(CURLOPT_MAXREDIRS, (long)r->redirects);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_TIMEOUT_MS, (long)r->timeout);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)r->connect_timeout);
    if (r->idle_timeout) {
        SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
        SET(CURLOPT_LOW_SPEED_TIME, (long)((r->idle_timeout + 999) / 1000));
    }
    SET(CURLOPT_SSL_VERIFYPEER, r->insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, r->insecure ? 0L : 2L);
    if (r->ca) SET(CURLOPT_CAINFO, r->ca);
    return code;
}

static CURLcode set_rest(orr_transfer *t, const orr_http_request *r) {
    __typeof__(t->http->curl->easy_setopt) set = t->http->curl->easy_setopt;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_URL, r->url);
    SET(CURLOPT_HTTPHEADER, t->headers);
    SET(CURLOPT_USERAGENT, r->user_agent ? r->user_agent : "orrery");
    SET(CURLOPT_ACCEPT_ENCODING, ""); /* whatever this libcurl can decode */
    SET(CURLOPT_WRITEFUNCTION, orr_http_receive);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_ERRORBUFFER, t->detail);
    SET(CURLOPT_NOSIGNAL, 1L); /* no SIGALRM, and SIGPIPE stays the program's own */
    /* A transfer that is cancelled during its look-up must not wait for getaddrinfo, which may take many seconds; the
     * thread runs out by itself. */
    SET(CURLOPT_QUICK_EXIT, 1L);
    return code;
}

orr_http_failure orr_http_prepare(orr_transfer *t, const orr_http_request *r) {
    const char *method = r->method ? r->method : "GET";
    show(t, method, r->url);
    orr_http_failure failure = check(t, r, method);
    if (failure == ORR_HTTP_NONE) failure = add_headers(t, r);
    if (failure != ORR_HTTP_NONE) return failure;
    t->easy = t->http->curl->easy_init();
    if (!t->easy) return ORR_HTTP_MEMORY;
    CURLcode code = set_method(t, r, method);
    if (code == CURLE_OK) code = set_limits(t, r);
    if (code == CURLE_OK) code = set_rest(t, r);
    if (code == CURLE_OUT_OF_MEMORY) return ORR_HTTP_MEMORY;
    return code == CURLE_OK ? ORR_HTTP_NONE
                            : reject(t, "libcurl refused an option: %s", t->http->curl->easy_strerror(code));
}
