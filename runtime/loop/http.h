/* http.h - an HTTP client on a libuv loop: libcurl's multi interface driven by uv_poll and one uv_timer.
 *
 * libcurl is opened with dlopen when the first client is made, for linking it would cost every start 1 to 3 ms; it is
 * never unloaded. A client keeps connections open and reuses them. All calls and callbacks are on the
 * loop's thread.
 *
 * Threads: Debian's libcurl is built with the threaded resolver (not c-ares), so that each name that is looked up
 * takes a thread of libcurl's own for the time of one getaddrinfo; answers are cached for a minute. A client has at
 * most ORR_HTTP_CONNECTIONS connections, those that are being resolved among them, and further transfers wait in
 * line: there are never more such threads than that, plus those of cancelled look-ups that run out by themselves.
 * libuv's thread pool is not used.
 */
#ifndef ORR_LOOP_HTTP_H
#define ORR_LOOP_HTTP_H

#include "../core/plan.h"
#include <uv.h>

/* Open connections of a client, and with them the bound of libcurl's resolver threads. */
#define ORR_HTTP_CONNECTIONS 64

typedef struct orr_http orr_http;
typedef struct orr_transfer orr_transfer;

/* Why there is no response: id, code for users, whether another try may help. */
#define ORR_HTTP_FAILURES(X) \
    X(NONE, "", false) X(RESOLVE, "http_resolve", true) X(CONNECT, "http_connect", true) X(TLS, "http_tls", false) \
    X(TIMEOUT, "http_timeout", true) X(TOO_LARGE, "http_too_large", false) X(PROTOCOL, "http_protocol", false) \
    X(CONFIG, "config_error", false) X(MEMORY, "out_of_memory", true)

#define ORR_ENUM_HTTP(id, code, retryable) ORR_HTTP_##id,
typedef enum { ORR_HTTP_FAILURES(ORR_ENUM_HTTP) ORR_HTTP_FAILURE_COUNT } orr_http_failure;
#undef ORR_ENUM_HTTP

const char *orr_http_failure_code(orr_http_failure failure);
bool orr_http_failure_retryable(orr_http_failure failure);

typedef struct orr_http_header {
    const char *name, *value;
} orr_http_header;

typedef struct orr_http_response {
    orr_http_failure failure;
    const char *message; /* one sentence where there is a failure; without the credentials of the URL */
    long status;
    const char *url;     /* after redirects */
    const char *body;    /* decoded; valid during the callback, as is everything here; NULL when empty */
    size_t size;
    const orr_http_header *headers; /* of the last response, in order, names as the server wrote them */
    size_t n_headers;
    double seconds;
    long redirects;
} orr_http_response;

typedef struct orr_http_request {
    const char *url;    /* http or https */
    const char *method; /* NULL: GET */
    const orr_http_header *headers;
    size_t n_headers;
    const char *body; /* NULL: none */
    size_t size;
    size_t limit;         /* bytes of the decoded body */
    uint32_t redirects;   /* followed at most; 0: none. Only to http and https */
    uint64_t timeout;     /* ms for all of it; 0: none */
    uint64_t connect_timeout; /* ms to connect; 0: libcurl's 300 s */
    uint64_t idle_timeout;    /* ms (rounded up to s) without a byte; 0: none */
    bool insecure;        /* do not verify certificates */
    const char *ca;       /* file of trusted certificates instead of the system's; NULL: those */
    const char *user_agent;
    void *ud;
    /* Called exactly once, never from within orr_http_start, not after orr_transfer_cancel or orr_http_close. The
     * handle is invalid when it returns. */
    void (*on_end)(void *ud, const orr_http_response *response);
} orr_http_request;

/* Makes a client. NULL with a sentence in *why (static storage) when there is no libcurl or no memory. */
orr_http *orr_http_open(uv_loop_t *loop, const orr_alloc *alloc, const char **why);

/* Drops its transfers without calling back and closes its connections. What the loop holds is freed in its next
 * iterations. */
void orr_http_close(orr_http *http);

/* Starts a transfer; the request and what it points to may go once it has returned. NULL when there is no memory. A
 * request that cannot be made is reported to on_end. */
orr_transfer *orr_http_start(orr_http *http, const orr_http_request *request);

/* Drops a transfer. */
void orr_transfer_cancel(orr_transfer *transfer);

/* libcurl's version text, e.g. "libcurl/7.88.1 OpenSSL/3.0.19 …", for doctor; NULL and *why as above. */
const char *orr_http_version(const char **why);

#endif
