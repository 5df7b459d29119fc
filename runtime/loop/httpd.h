/* httpd.h - an HTTP/1.1 server on a libuv loop, over libmicrohttpd.
 *
 * The library parses, sends and speaks TLS (by GnuTLS); it is opened with dlopen at the first
 * server and never unloaded. Sockets are accepted here, and given to it; its epoll descriptor is
 * polled on the loop, and a timer does what it asks for. All calls and callbacks are on the loop's
 * thread. What is done with a request may take any time: its connection is suspended meanwhile.
 *
 * The library's own timeout begins anew at every byte, so that the deadlines for a head, a body and
 * a connection that rests are kept here. It does not notice that a client leaves while its
 * connection is suspended: the connections of streams are watched here.
 *
 * httpd.c         servers: opening, running the library, stopping
 * httpd_listen.c  sockets that listen, and who is let in
 * httpd_client.c  connections: their deadlines, and what is refused
 * httpd_request.c from a head to an answer         httpd_stream.c  answers that go on
 * httpd_target.c  what a head may have in it       httpd_lib.c     the library
 */
#ifndef ORR_LOOP_HTTPD_H
#define ORR_LOOP_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

typedef struct orr_httpd orr_httpd;
typedef struct orr_httpd_client orr_httpd_client;

typedef struct orr_httpd_limits {
    size_t head_bytes;                 /* 431 */
    size_t body_bytes;                 /* 413; a body is kept in memory */
    size_t stream_bytes;               /* of a stream, that its reader has not taken yet */
    uint64_t head_ms;                  /* from the first byte that may come to the end of the head: 408 */
    uint64_t body_ms;                  /* the same for the body */
    uint64_t idle_ms;                  /* between two requests */
    uint32_t connections, per_address; /* 503; per_address 0: no limit. Unix sockets have none */
} orr_httpd_limits;

/* Where to listen: a TCP port (0: a free one), a unix socket, or a socket that listens already. */
typedef struct orr_httpd_listen {
    const char *host; /* a name or an address; NULL: 127.0.0.1 */
    int port;
    const char *path; /* NULL: no unix socket */
    int fd;           /* -1: none. It is the server's once that is open */
} orr_httpd_listen;

/* A request, from the end of its head on. It is counted: see orr_httpd_ref. */
typedef struct orr_httpd_request {
    const char *method; /* valid in on_request only */
    char *target;       /* as it came */
    const char *path;   /* decoded once; without dot segments, control bytes and backslashes */
    const char *query;  /* as it came, without the "?"; "" */
    const char *body;
    size_t path_size, body_size;
    const char *peer; /* "127.0.0.1:1234", "[::1]:1234", "unix"; valid in on_request only */
    bool tls;
    int tag;    /* the caller's; 0 at first */
    bool asked; /* on_request was called */
    bool answered;
    /* the rest is private */
    orr_httpd_client *client;      /* NULL: it is over */
    struct MHD_Response *response; /* to be queued as soon as the library asks */
    struct stream *stream;
    char *buffer; /* path and query, of the same length as the target at most */
    char *taken;  /* the body */
    size_t room;
    unsigned status;
    uint32_t refs;
    uint8_t state;
    bool suspended, closes, head;
} orr_httpd_request;

typedef struct orr_httpd_options {
    uv_loop_t *loop;
    const orr_httpd_listen *listen;
    size_t n_listen;
    const char *cert, *key; /* PEM; NULL: no TLS. Unix sockets have none */
    orr_httpd_limits limits;
    void *ud;
    /* A request has come. Called by the library: it answers later or now, but runs no code of
     * others. */
    void (*on_request)(void *ud, orr_httpd_request *r);
    /* A request is over: it was answered, or its client has left. Likewise. */
    void (*on_end)(void *ud, orr_httpd_request *r);
    /* +1: the server waits for a client, in the middle of a request or an answer; -1: no more. */
    void (*on_busy)(void *ud, int by);
    /* It has stopped, and is freed when this returns. */
    void (*on_stopped)(void *ud);
} orr_httpd_options;

typedef struct orr_httpd_stats {
    uint32_t connections, streams; /* now */
    uint64_t requests, refused;    /* requests whose head came; connections and requests refused here */
} orr_httpd_stats;

/* Why a server cannot be had. */
typedef struct orr_httpd_failure {
    const char *code; /* "listen_error", "http_tls" */
    char message[512];
} orr_httpd_failure;

/* Opens a server; the options may go once it has returned. NULL with the reason. */
orr_httpd *orr_httpd_open(const orr_httpd_options *options, orr_httpd_failure *why);

/* No connection is taken any more, streams end, what is under way has `grace` ms to be answered;
 * then on_stopped is called, never from within. A second call shortens the time. */
void orr_httpd_stop(orr_httpd *h, uint64_t grace);

/* Drops everything at once, calling nothing back. What the loop holds is freed in its next
 * iterations. */
void orr_httpd_close(orr_httpd *h);

void orr_httpd_read_stats(const orr_httpd *h, orr_httpd_stats *stats);

/* "http://127.0.0.1:8080", "https://[::1]:8443", "unix:/run/orrery.sock"; NULL behind the last. */
const char *orr_httpd_address(const orr_httpd *h, size_t i);

/* ---- requests -------------------------------------------------------------------------------- */

/* It stays until it has been let go of as often. */
void orr_httpd_ref(orr_httpd_request *r);
void orr_httpd_unref(orr_httpd_request *r);

/* Calls fn with each field of the head, in order; in on_request only. */
void orr_httpd_each_field(const orr_httpd_request *r,
                          void (*fn)(void *ud, const char *name, const char *value), void *ud);

typedef struct orr_httpd_reply {
    unsigned status;            /* 200 to 599 */
    const char *const *headers; /* name, value, name, ... */
    size_t n_headers;           /* pairs */
    const char *body;           /* copied; NULL: none */
    size_t size;
    int fd; /* of a file whose `size` bytes from `offset` on are the body, or -1; it is taken */
    uint64_t offset;
} orr_httpd_reply;

/* Whether a header may be sent: NULL, or what is wrong with it. */
const char *orr_httpd_check_header(const char *name, size_t name_size, const char *value, size_t value_size);

/* Answers. False where the client has left or there is no memory. Once for each request. */
bool orr_httpd_respond(orr_httpd_request *r, const orr_httpd_reply *reply);

/* Answers with a problem (RFC 9457) of that status. */
bool orr_httpd_respond_problem(orr_httpd_request *r, unsigned status, const char *code, const char *detail);

/* Answers with a head, and what is written later. A stream of the type text/event-stream gets a
 * comment when nothing was written for 15 s. */
bool orr_httpd_stream(orr_httpd_request *r, const orr_httpd_reply *reply);

/* Writes to a stream. False where it has ended, or its reader is so slow that more than the limit
 * would wait for it: then nothing was taken, and orr_httpd_end drops what waits. */
bool orr_httpd_write(orr_httpd_request *r, const char *text, size_t size);

/* How many bytes of a stream wait for its reader; 0 where it has ended. */
size_t orr_httpd_waiting(const orr_httpd_request *r);

/* Ends a stream: what was written is still sent. */
void orr_httpd_end(orr_httpd_request *r);

#endif
