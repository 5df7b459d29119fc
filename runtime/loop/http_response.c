/* http_response.c - receives a body and makes the response, or the failure, that the user sees. */
#include "http_client.h"

#include <stdio.h>
#include <string.h>

enum { FIRST_ROOM = 8192 };

static const struct {
    const char *code;
    bool retryable;
} failures[] = {
#define ORR_FAILURE_ROW(id, code, retryable) [ORR_HTTP_##id] = {code, retryable},
    ORR_HTTP_FAILURES(ORR_FAILURE_ROW)
#undef ORR_FAILURE_ROW
};

const char *orr_http_failure_code(orr_http_failure failure) {
    return failures[failure].code;
}

bool orr_http_failure_retryable(orr_http_failure failure) {
    return failures[failure].retryable;
}

/* libcurl's codes by what a user can do about them; any other is the server's not speaking HTTP as it should. */
static const struct {
    CURLcode code;
    orr_http_failure failure;
} kinds[] = {
    {CURLE_COULDNT_RESOLVE_HOST, ORR_HTTP_RESOLVE},
    {CURLE_COULDNT_RESOLVE_PROXY, ORR_HTTP_RESOLVE},
    {CURLE_COULDNT_CONNECT, ORR_HTTP_CONNECT},
    {CURLE_GOT_NOTHING, ORR_HTTP_CONNECT},
    {CURLE_SEND_ERROR, ORR_HTTP_CONNECT},
    {CURLE_RECV_ERROR, ORR_HTTP_CONNECT},
    {CURLE_PARTIAL_FILE, ORR_HTTP_CONNECT},
    {CURLE_NO_CONNECTION_AVAILABLE, ORR_HTTP_CONNECT},
    {CURLE_PROXY, ORR_HTTP_CONNECT},
    {CURLE_SSL_CONNECT_ERROR, ORR_HTTP_TLS},
    {CURLE_PEER_FAILED_VERIFICATION, ORR_HTTP_TLS},
    {CURLE_SSL_CERTPROBLEM, ORR_HTTP_TLS},
    {CURLE_SSL_CIPHER, ORR_HTTP_TLS},
    {CURLE_SSL_CACERT_BADFILE, ORR_HTTP_TLS},
    {CURLE_SSL_CRL_BADFILE, ORR_HTTP_TLS},
    {CURLE_SSL_ISSUER_ERROR, ORR_HTTP_TLS},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, ORR_HTTP_TLS},
    {CURLE_SSL_INVALIDCERTSTATUS, ORR_HTTP_TLS},
    {CURLE_USE_SSL_FAILED, ORR_HTTP_TLS},
    {CURLE_OPERATION_TIMEDOUT, ORR_HTTP_TIMEOUT},
    {CURLE_FILESIZE_EXCEEDED, ORR_HTTP_TOO_LARGE},
    {CURLE_URL_MALFORMAT, ORR_HTTP_CONFIG},
    {CURLE_OUT_OF_MEMORY, ORR_HTTP_MEMORY},
};

static orr_http_failure kind_of(const orr_transfer *t, CURLcode code) {
    if (t->failure != ORR_HTTP_NONE || code == CURLE_OK) return t->failure;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].code == code) return kinds[i].failure;
    return ORR_HTTP_PROTOCOL;
}

/* ---- the body -------------------------------------------------------------------------------------------- */

/* Makes room for `more` bytes; at least doubles, but never beyond the limit. */
static bool reserve(orr_transfer *t, size_t more) {
    if (t->room - t->size >= more) return true;
    size_t room = t->room ? t->room : FIRST_ROOM;
    while (room - t->size < more) room *= 2;
    if (room > t->limit) room = t->limit;
    char *body = orr_mem_resize(&t->http->alloc, t->body, t->room, room, 1);
    if (!body) return false;
    t->body = body;
    t->room = room;
    return true;
}

size_t orr_http_receive(char *data, size_t size, size_t n, void *transfer) {
    orr_transfer *t = transfer;
    size_t more = size * n;
    if (more > t->limit - t->size)
        t->failure = ORR_HTTP_TOO_LARGE;
    else if (!reserve(t, more))
        t->failure = ORR_HTTP_MEMORY;
    if (t->failure != ORR_HTTP_NONE) return more + 1; /* anything but `more` ends the transfer */
    if (more) memcpy(t->body + t->size, data, more);
    t->size += more;
    return more;
}

/* ---- the end --------------------------------------------------------------------------------------------- */

static void explain(orr_transfer *t, orr_http_failure failure, CURLcode code) {
    const char *detail = t->detail[0] ? t->detail : t->http->curl->easy_strerror(code);
    switch (failure) {
    case ORR_HTTP_TOO_LARGE:
        snprintf(t->message, sizeof t->message, "%s: the body is longer than the limit of %zu bytes", t->shown,
                 t->limit);
        break;
    case ORR_HTTP_MEMORY:
        snprintf(t->message, sizeof t->message, "%s: not enough memory", t->shown);
        break;
    case ORR_HTTP_TLS:
        snprintf(t->message, sizeof t->message, "%s: %s; name a file of trusted certificates with ca", t->shown,
                 detail);
        break;
    default:
        snprintf(t->message, sizeof t->message, "%s: %s", t->shown, t->reason[0] ? t->reason : detail);
    }
}

/* The last response's headers as an array; NULL and *n = 0 where there is none or no memory (then also *failed). */
static orr_http_header *collect(orr_transfer *t, size_t *n, bool *failed) {
    const orr_curl *c = t->http->curl;
    *n = 0;
    struct curl_header *h = NULL;
    while ((h = c->easy_nextheader(t->easy, CURLH_HEADER, -1, h))) ++*n;
    if (!*n) return NULL;
    orr_http_header *list = orr_mem_new(&t->http->alloc, *n, sizeof *list);
    if (!list) {
        *failed = true;
        *n = 0;
    }
    for (size_t i = 0; i < *n; i++) {
        h = c->easy_nextheader(t->easy, CURLH_HEADER, -1, h);
        list[i] = (orr_http_header){h->name, h->value};
    }
    return list;
}

static orr_http_header *describe(orr_transfer *t, orr_http_response *r) {
    const orr_curl *c = t->http->curl;
    curl_off_t us = 0;
    char *url = NULL;
    c->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &r->status);
    c->easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url);
    c->easy_getinfo(t->easy, CURLINFO_TOTAL_TIME_T, &us);
    c->easy_getinfo(t->easy, CURLINFO_REDIRECT_COUNT, &r->redirects);
    r->url = url ? url : "";
    r->seconds = (double)us / 1e6;
    r->body = t->body;
    r->size = t->size;
    bool failed = false;
    orr_http_header *headers = collect(t, &r->n_headers, &failed);
    r->headers = headers;
    if (failed) r->failure = ORR_HTTP_MEMORY;
    return headers;
}

void orr_http_report(orr_transfer *t, CURLcode code) {
    orr_http_response r = {.url = "", .message = "", .failure = kind_of(t, code)};
    orr_http_header *headers = t->easy ? describe(t, &r) : NULL;
    size_t n = r.n_headers;
    if (r.failure != ORR_HTTP_NONE) {
        explain(t, r.failure, code);
        r.message = t->message;
    }
    orr_alloc alloc = t->http->alloc;
    if (t->on_end) t->on_end(t->ud, &r);
    orr_mem_free(&alloc, headers, n, sizeof *headers);
}
