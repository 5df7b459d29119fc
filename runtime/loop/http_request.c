/* http_request.c - turns a request into a handle of libcurl. */
#include "loop/http_client.h"

#include <inttypes.h>
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

/* A line break in a value would begin a header of its own, and other control characters mean
 * different things to different servers (RFC 9110, section 5.5). */
static bool is_header_value(const char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < ' ' ? *s != '\t' : *s == 0x7F) return false;
    return true;
}

static orr_http_failure reject(orr_transfer *t, const char *format, const char *what) {
    snprintf(t->reason_text, sizeof t->reason_text, format, what);
    t->reason = t->reason_text;
    return ORR_HTTP_CONFIG;
}

void orr_http_show(char *out, size_t size, const char *method, const char *url) {
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t authority = strcspn(host, "/?#");
    const char *at = host;
    for (size_t i = 0; i < authority; i++)
        if (host[i] == '@') at = host + i + 1;
    snprintf(out, size, "%s%s%.*s%s", method, *method ? " " : "", (int)(host - url), url, at);
}

bool orr_http_append(orr_transfer *t, const char *line) {
    struct curl_slist *list = t->http->curl->slist_append(t->headers, line);
    if (!list) return false;
    t->headers = list;
    return true;
}

/* libcurl's notation: "Name: value", "Name;" for an empty value, "Name:" for none where it would
 * add one. */
static bool append_header(orr_transfer *t, const orr_http_header *h) {
    const char *value = h->value + strspn(h->value, " \t");
    size_t length = strlen(value), size = strlen(h->name) + length + 3;
    while (length && strchr(" \t", value[length - 1])) length--;
    char *line = orr_mem_new(&t->http->alloc, size, 1);
    if (!line) return false;
    snprintf(line, size, length ? "%s: %.*s" : "%s;", h->name, (int)length, value);
    bool ok = orr_http_append(t, line);
    orr_mem_free(&t->http->alloc, line, size, 1);
    return ok;
}

static bool has_header(const orr_http_request *r, const char *name) {
    for (size_t i = 0; i < r->n_headers; i++)
        if (!strcasecmp(r->headers[i].name, name)) return true;
    return false;
}

static uint64_t size_of_body(const orr_http_request *r) {
    uint64_t size = r->body ? r->size : 0;
    for (size_t i = 0; i < r->n_pieces; i++) size += r->pieces[i].size;
    return size;
}

/* Another length than the body's would make a part of it the next request. */
static bool is_length_of(const orr_http_request *r, const char *value) {
    char length[24];
    snprintf(length, sizeof length, "%" PRIu64, size_of_body(r));
    return !strcmp(value, length);
}

static orr_http_failure add_headers(orr_transfer *t, const orr_http_request *r) {
    for (size_t i = 0; i < r->n_headers; i++) {
        if (!is_token(r->headers[i].name))
            return reject(t, "'%s' is no name of a header", r->headers[i].name);
        if (!is_header_value(r->headers[i].value))
            return reject(t, "the value of header %s has a line break or another control character",
                          r->headers[i].name);
        if (!strcasecmp(r->headers[i].name, "Content-Length") && !is_length_of(r, r->headers[i].value))
            return reject(t, "%s is not the length of the body; leave it out, for it is added",
                          "Content-Length");
        if (!append_header(t, &r->headers[i])) return ORR_HTTP_MEMORY;
    }
    if (r->sigv4) return ORR_HTTP_NONE; /* it would sign the lines below, and servers miss some of them */
    /* What libcurl would add without being asked: it would call any body a form, also none, and
     * wait a second for "100 Continue" before a long one. */
    static const char *const unasked[] = {"Content-Type", "Expect"};
    for (size_t i = 0; i < sizeof unasked / sizeof *unasked; i++) {
        char line[32];
        snprintf(line, sizeof line, "%s:", unasked[i]);
        if (!has_header(r, unasked[i]) && !orr_http_append(t, line)) return ORR_HTTP_MEMORY;
    }
    t->decodes_itself = has_header(r, "Accept-Encoding");
    bool ask = !t->decodes_itself && orr_decode_available();
    return !ask || orr_http_append(t, "Accept-Encoding: gzip, deflate") ? ORR_HTTP_NONE : ORR_HTTP_MEMORY;
}

/* "": none. libcurl would show others whole in its message, with their password. */
static bool is_proxy(const char *url) {
    static const char *const schemes[] = {"http://",    "https://",  "socks4://",
                                          "socks4a://", "socks5://", "socks5h://"};
    if (!is_header_value(url)) return false;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (!strncasecmp(url, schemes[i], strlen(schemes[i]))) return true;
    return !*url;
}

static orr_http_failure check(orr_transfer *t, const orr_http_request *r, const char *method) {
    if (strncasecmp(r->url, "http://", 7) && strncasecmp(r->url, "https://", 8))
        return reject(t, "url: expected it to begin with http:// or https://, got '%s'",
                      strchr(t->shown, ' ') + 1);
    if (!is_token(method)) return reject(t, "method: '%s' is none", method);
    if (r->proxy && !is_proxy(r->proxy))
        return reject(t, "%s: expected a URL that begins with http://, https://, socks5h:// or the like",
                      "proxy");
    if (r->user_agent && !is_header_value(r->user_agent))
        return reject(t, "%s: it has a line break or another control character", "user_agent");
    return ORR_HTTP_NONE;
}

/* "10.0.0.0/8" and so on, as nets of the transfer. */
static orr_http_failure read_nets(orr_transfer *t, const char *const *texts, size_t n, size_t *count) {
    size_t before = t->n_allowed + t->n_denied;
    size_t at = before;
    for (size_t i = 0; i < n; i++) {
        at = orr_http_add_nets(t->nets, at, t->nets_room, texts[i]);
        if (!at)
            return reject(t, "'%s' is no address, no network such as 10.0.0.0/8, and not the word private",
                          texts[i]);
    }
    *count = at - before;
    return ORR_HTTP_NONE;
}

static orr_http_failure take_nets(orr_transfer *t, const orr_http_request *r) {
    size_t n = r->n_allow + r->n_deny;
    if (!n) return ORR_HTTP_NONE;
    t->nets = orr_mem_new(&t->http->alloc, n * ORR_HTTP_NETS_OF_A_TEXT, sizeof *t->nets);
    if (!t->nets) return ORR_HTTP_MEMORY;
    t->nets_room = n * ORR_HTTP_NETS_OF_A_TEXT;
    orr_http_failure failure = read_nets(t, r->allow, r->n_allow, &t->n_allowed);
    return failure == ORR_HTTP_NONE ? read_nets(t, r->deny, r->n_deny, &t->n_denied) : failure;
}

/* Remembers the first option that libcurl did not take: going on without it could mean without a
 * limit or a check. */
#define SET(option, value)                                                                                   \
    do {                                                                                                     \
        if (code == CURLE_OK) code = set(t->easy, (option), (value));                                        \
    } while (0)

/* The id and the key that sign a request. */
static CURLcode set_user(orr_transfer *t, const orr_http_request *r) {
    __typeof__(t->http->curl->easy_setopt) set = t->http->curl->easy_setopt;
    CURLcode code = CURLE_OK;
    if (r->sigv4) SET(CURLOPT_AWS_SIGV4, r->sigv4);
    if (r->user) SET(CURLOPT_USERNAME, r->user);
    if (r->password) SET(CURLOPT_PASSWORD, r->password);
    return code;
}

static CURLcode set_proxy(orr_transfer *t, const orr_http_request *r) {
    __typeof__(t->http->curl->easy_setopt) set = t->http->curl->easy_setopt;
    CURLcode code = CURLE_OK;
    if (r->proxy || r->n_allow || r->n_deny) {
        SET(CURLOPT_PROXY, r->proxy ? r->proxy : "");
        SET(CURLOPT_NOPROXY, "");
    }
    return code;
}

static CURLcode set_method(orr_transfer *t, const orr_http_request *r, const char *method) {
    __typeof__(t->http->curl->easy_setopt) set = t->http->curl->easy_setopt;
    CURLcode code = CURLE_OK;
    if (r->n_pieces) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->upload.total);
        SET(CURLOPT_READFUNCTION, orr_http_send);
        SET(CURLOPT_READDATA, t);
        SET(CURLOPT_SEEKFUNCTION, orr_http_seek);
        SET(CURLOPT_SEEKDATA, t);
        if (strcmp(method, "POST")) SET(CURLOPT_CUSTOMREQUEST, method);
    } else if (r->body || !strcmp(method, "POST")) {
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
    SET(CURLOPT_FOLLOWLOCATION, 0L); /* http_redirect.c does */
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
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
    SET(CURLOPT_HTTP_CONTENT_DECODING, 0L); /* http_decode.c does */
    SET(CURLOPT_WRITEFUNCTION, orr_http_receive);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HEADERFUNCTION, orr_http_header_line);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_ERRORBUFFER, t->detail);
    SET(CURLOPT_NOSIGNAL, 1L); /* no SIGALRM, and SIGPIPE stays the program's own */
    /* A transfer that is cancelled during its look-up must not wait for getaddrinfo, which may
     * take many seconds; the thread runs out by itself. */
    SET(CURLOPT_QUICK_EXIT, 1L);
    return code;
}

orr_http_failure orr_http_prepare(orr_transfer *t, const orr_http_request *r) {
    const char *method = r->method ? r->method : "GET";
    orr_http_show(t->shown, sizeof t->shown, method, r->url);
    t->may_follow = r->redirects > 0 && !r->sigv4;
    t->as_it_is = r->sigv4 != NULL;
    t->most_redirects = (long)r->redirects;
    t->is_head = !strcmp(method, "HEAD");
    t->is_post = !strcmp(method, "POST");
    t->deadline = r->timeout ? uv_hrtime() + r->timeout * 1000000 : 0;
    orr_http_failure failure = check(t, r, method);
    if (failure == ORR_HTTP_NONE) failure = take_nets(t, r);
    if (failure == ORR_HTTP_NONE) failure = add_headers(t, r);
    if (failure != ORR_HTTP_NONE) return failure;
    if (!orr_http_take_files(t, r)) return ORR_HTTP_MEMORY;
    t->easy = t->http->curl->easy_init();
    if (!t->easy) return ORR_HTTP_MEMORY;
    CURLcode code = set_method(t, r, method);
    if (code == CURLE_OK) code = set_user(t, r);
    if (code == CURLE_OK) code = set_proxy(t, r);
    if (code == CURLE_OK) code = set_limits(t, r);
    if (code == CURLE_OK) code = set_rest(t, r);
    if (code == CURLE_OK) code = orr_http_set_connection(t);
    if (code == CURLE_OUT_OF_MEMORY) return ORR_HTTP_MEMORY;
    return code == CURLE_OK ? ORR_HTTP_NONE
                            : reject(t, "libcurl refused an option: %s", t->http->curl->easy_strerror(code));
}
