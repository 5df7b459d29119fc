/* http_response.c - receives a body and makes the response, or the failure, that the user sees. */
#include "loop/http_client.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { FIRST_ROOM = 8192, MOST_SKIPPED = 16 << 20, MOST_BESIDE = 64 << 20 };

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

/* libcurl's codes by what a user can do about them; any other is the server's not speaking HTTP
 * as it should. */
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
    if (t->refused && code == CURLE_COULDNT_CONNECT) return ORR_HTTP_ADDRESS;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].code == code) return kinds[i].failure;
    return ORR_HTTP_PROTOCOL;
}

/* ---- the body -------------------------------------------------------------------------------- */

/* What is in memory although there is a file is an answer to be read by people. */
static size_t limit_of(const orr_transfer *t) {
    return t->download.fd && t->limit > MOST_BESIDE ? MOST_BESIDE : t->limit;
}

/* Makes room for `more` bytes; at least doubles, but never beyond the limit. */
static bool reserve(orr_transfer *t, size_t more) {
    if (t->room - t->size >= more) return true;
    size_t room = t->room ? t->room : FIRST_ROOM;
    while (room - t->size < more) room *= 2;
    if (room > limit_of(t)) room = limit_of(t);
    char *body = orr_mem_resize(&t->http->alloc, t->body, t->room, room, 1);
    if (!body) return false;
    t->body = body;
    t->room = room;
    return true;
}

/* The user is called when nothing of libcurl is under way. */
static void note_growth(orr_transfer *t) {
    if (!t->on_body || t->has_grown || t->lines.status / 100 != 2) return;
    t->has_grown = true;
    t->next_grown = t->http->grown;
    t->http->grown = t;
}

static bool keep_body(void *transfer, const char *data, size_t size) {
    orr_transfer *t = transfer;
    if (orr_http_is_for_file(t)) return orr_http_put_file(t, data, size);
    if (size > limit_of(t) - t->size) t->failure = ORR_HTTP_TOO_LARGE;
    else if (!reserve(t, size)) t->failure = ORR_HTTP_MEMORY;
    if (t->failure != ORR_HTTP_NONE) return false;
    memcpy(t->body + t->size, data, size);
    t->size += size;
    note_growth(t);
    return true;
}

/* Who has asked for encodings himself also decodes those that are not known here. */
static orr_http_failure begin_body(orr_transfer *t) {
    const char *encoding = orr_http_find_header(t, "Content-Encoding");
    t->began = true;
    if (t->as_it_is) return ORR_HTTP_NONE;
    if (!encoding || !*encoding || !strcasecmp(encoding, "identity")) return ORR_HTTP_NONE;
    if (orr_decode_knows(encoding) && orr_decode_available()) {
        t->decoder = orr_decoder_open(&t->http->alloc, encoding);
        return t->decoder ? ORR_HTTP_NONE : ORR_HTTP_MEMORY;
    }
    if (t->decodes_itself) return ORR_HTTP_NONE;
    t->reason = "the body is in a content encoding that was not asked for";
    return ORR_HTTP_PROTOCOL;
}

size_t orr_http_receive(char *data, size_t size, size_t n, void *transfer) {
    orr_transfer *t = transfer;
    size_t more = size * n;
    if (orr_http_is_followed(t)) { /* nobody sees this body */
        t->skipped += more;
        if (t->skipped <= MOST_SKIPPED) return more;
        t->failure = ORR_HTTP_TOO_LARGE;
        t->reason = "the body of a redirect does not end";
        return more + 1;
    }
    if (!more) return 0;
    if (orr_http_is_for_file(t) && orr_http_is_full(t)) return CURL_WRITEFUNC_PAUSE;
    if (!t->began) t->failure = begin_body(t);
    if (t->failure == ORR_HTTP_NONE && !t->decoder) keep_body(t, data, more);
    else if (t->failure == ORR_HTTP_NONE &&
             orr_decoder_feed(t->decoder, data, more, keep_body, t) == ORR_DECODE_BAD) {
        t->failure = ORR_HTTP_PROTOCOL;
        t->reason = "the body is not in the content encoding that the response names";
    }
    return t->failure == ORR_HTTP_NONE ? more : more + 1; /* anything but `more` ends the transfer */
}

/* ---- the end --------------------------------------------------------------------------------- */

static void explain(orr_transfer *t, orr_http_failure failure, CURLcode code) {
    /* which libcurl says of a header that it cannot keep */
    const char *plain = code == CURLE_BAD_FUNCTION_ARGUMENT ? "the response has a header line that is none"
                                                            : t->http->curl->easy_strerror(code);
    const char *detail = t->detail[0] ? t->detail : plain;
    const char *remedy = failure == ORR_HTTP_TLS ? "; name a file of trusted certificates with ca" : "";
    if (t->reason) detail = t->reason;
    if (failure == ORR_HTTP_ADDRESS) detail = "its address is not among those that may be connected to";
    if (failure == ORR_HTTP_MEMORY) detail = "not enough memory";
    if (failure == ORR_HTTP_TOO_LARGE && !t->reason)
        snprintf(t->message, sizeof t->message, "%s: the body is longer than the limit of %zu bytes",
                 t->shown, orr_http_is_for_file(t) ? t->limit : limit_of(t));
    else snprintf(t->message, sizeof t->message, "%s: %s%s", t->shown, detail, remedy);
}

/* Without the credentials in it. */
static bool keep_url(orr_transfer *t, const char *url) {
    t->url_size = strlen(url) + 1;
    t->url = orr_mem_new(&t->http->alloc, t->url_size, 1);
    if (t->url) orr_http_show(t->url, t->url_size, "", url);
    return t->url != NULL;
}

static long version_of(const orr_transfer *t) {
    long version = 0;
    t->http->curl->easy_getinfo(t->easy, CURLINFO_HTTP_VERSION, &version);
    if (version == CURL_HTTP_VERSION_1_0) return 10;
    if (version == CURL_HTTP_VERSION_1_1) return 11;
    return version >= CURL_HTTP_VERSION_2_0 ? 20 : 0;
}

static orr_http_header *describe(orr_transfer *t, orr_http_response *r) {
    const orr_curl *c = t->http->curl;
    curl_off_t us = 0;
    char *url = NULL;
    c->easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url);
    c->easy_getinfo(t->easy, CURLINFO_TOTAL_TIME_T, &us);
    r->redirects = t->redirects;
    r->seconds = (double)(t->spent + (uint64_t)us) / 1e6;
    r->body = t->body;
    r->in_file = orr_http_is_for_file(t);
    r->size = r->in_file ? (size_t)t->download.size : t->size;
    bool failed = !keep_url(t, url ? url : "");
    if (!failed) r->url = t->url;
    if (failed) r->failure = ORR_HTTP_MEMORY;
    r->version = version_of(t);
    if (!t->lines.complete || orr_http_is_followed(t)) return NULL; /* no answer */
    bool unlisted;
    r->status = t->lines.status;
    orr_http_header *headers = orr_http_list_headers(t, &unlisted);
    r->n_headers = headers ? t->lines.count : 0;
    r->headers = headers;
    if (unlisted) r->failure = ORR_HTTP_MEMORY;
    return headers;
}

void orr_http_report(orr_transfer *t, CURLcode code) {
    if (t->failure == ORR_HTTP_NONE && code == CURLE_OK && t->decoder && !orr_decoder_is_whole(t->decoder)) {
        t->failure = ORR_HTTP_CONNECT;
        t->reason = "the body was cut short before it was compressed to its end";
    }
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
