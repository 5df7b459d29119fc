/* http.h - an HTTP client on a libuv loop: libcurl's multi interface driven by uv_poll and one
 * uv_timer.
 *
 * libcurl is opened with dlopen when the first client is made, for linking it would cost every
 * start 1 to 3 ms; it is never unloaded. A client keeps connections open and reuses them. All calls
 * and callbacks are on the loop's thread.
 *
 * Threads: Debian's libcurl is built with the threaded resolver (not c-ares), so that each name
 * that is looked up takes a thread of libcurl's own for the time of one getaddrinfo; answers are
 * cached for a minute. A client has at most ORR_HTTP_CONNECTIONS connections, those that are being
 * resolved among them, and further transfers wait in line: there are never more such threads than
 * that, plus those of cancelled look-ups that run out by themselves. libuv's thread pool is not
 * used.
 */
#ifndef ORR_LOOP_HTTP_H
#define ORR_LOOP_HTTP_H

#include "core/plan/plan.h"
#include <uv.h>

/* Open connections of a client, and with them the bound of libcurl's resolver threads. */
#define ORR_HTTP_CONNECTIONS 64

typedef struct orr_http orr_http;
typedef struct orr_transfer orr_transfer;

/* Why there is no response: id, code for users, whether another try may help. */
#define ORR_HTTP_FAILURES(X)                                                                                 \
    X(NONE, "", false)                                                                                       \
    X(RESOLVE, "http_resolve", true)                                                                         \
    X(CONNECT, "http_connect", true)                                                                         \
    X(TLS, "http_tls", false)                                                                                \
    X(TIMEOUT, "http_timeout", true)                                                                         \
    X(TOO_LARGE, "http_too_large", false)                                                                    \
    X(PROTOCOL, "http_protocol", false)                                                                      \
    X(CONFIG, "config_error", false)                                                                         \
    X(ADDRESS, "http_address", false)                                                                        \
    X(FILE, "file_error", true)                                                                              \
    X(MEMORY, "out_of_memory", true)

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
    /* With a failure it is there where all headers have come, and what of the body came before. */
    long status;
    const char *url;  /* after redirects, without user and password */
    const char *body; /* decoded; valid during the callback, as is everything here; NULL when empty */
    size_t size;
    bool in_file; /* `size` bytes of the body are in the file */
    /* of the last response, in order, names as the server wrote them, values without the blanks
     * around them. At most 1,000 lines and 256 KiB, else the failure is TOO_LARGE */
    const orr_http_header *headers;
    size_t n_headers;
    double seconds;
    long redirects;
    long version; /* of HTTP: 10, 11, 20; 0: unknown */
} orr_http_response;

/* A part of a body: a text, or so many bytes of a file from its beginning. */
typedef struct orr_http_piece {
    const char *text; /* NULL: a file */
    uint64_t size;
    int fd; /* may be closed once orr_http_start has returned */
} orr_http_piece;

typedef struct orr_http_request {
    const char *url;    /* http or https */
    const char *method; /* NULL: GET */
    const orr_http_header *headers;
    size_t n_headers;
    const char *body; /* NULL: none */
    size_t size;
    const orr_http_piece *pieces; /* in place of `body`; read on threads, in blocks */
    size_t n_pieces;
    /* A file, as a descriptor, that the body of a status of 2xx is written to, from its beginning,
     * in place of `body` of the response; 0: none. It may be closed once orr_http_start has
     * returned. */
    int to;
    size_t limit; /* bytes of the decoded body */
    /* Followed at most; 0: none. Only to http and https. To another origin (scheme, host, port) go
     * neither the user and password of the URL nor headers that could carry credentials. */
    uint32_t redirects;
    uint64_t timeout;         /* ms for all of it; 0: none */
    uint64_t connect_timeout; /* ms to connect; 0: libcurl's 300 s */
    uint64_t idle_timeout;    /* ms (rounded up to s) without a byte; 0: none */
    bool insecure;            /* do not verify certificates */
    const char *ca;           /* file of trusted certificates instead of the system's; NULL: those */
    const char *user_agent;
    const char *proxy; /* a URL; "": none; NULL: that of the environment, or none where there are lists */
    /* Addresses that may be connected to (none: all) and that may not, as orr_http_add_nets reads
     * them. The address that is connected to is checked, whatever names and redirects led there. */
    const char *const *allow, *const *deny;
    size_t n_allow, n_deny;
    /* Signs the request (AWS Signature Version 4): "aws:amz:REGION:SERVICE", with user and
     * password as the key's id and the key. Redirects are then not followed, and the body is not
     * decoded. */
    const char *sigv4;
    const char *user, *password;
    void *ud;
    /* NULL, or called each time that more has come of a body of a status of 2xx that is kept in
     * memory, with all that there is of it so far, and before on_end. It may start and cancel
     * transfers, this one too. */
    void (*on_body)(void *ud, const char *body, size_t size);
    /* Called exactly once, never from within orr_http_start, not after orr_transfer_cancel or
     * orr_http_close. The handle is invalid when it returns. */
    void (*on_end)(void *ud, const orr_http_response *response);
} orr_http_request;

/* Makes a client. NULL with a sentence in *why (static storage) when there is no libcurl or no
 * memory. */
orr_http *orr_http_open(uv_loop_t *loop, const orr_alloc *alloc, const char **why);

/* Whether it has no transfers. */
bool orr_http_is_idle(const orr_http *http);

/* Drops its transfers without calling back and closes its connections. What the loop holds is
 * freed in its next iterations. */
void orr_http_close(orr_http *http);

/* Starts a transfer; the request and what it points to may go once it has returned. NULL when
 * there is no memory. A request that cannot be made is reported to on_end. */
orr_transfer *orr_http_start(orr_http *http, const orr_http_request *request);

/* Drops a transfer. */
void orr_transfer_cancel(orr_transfer *transfer);

/* libcurl's version text, e.g. "libcurl/7.88.1 OpenSSL/3.0.19 …", for doctor; NULL and *why as
 * above. */
const char *orr_http_version(const char **why);

#endif
