/* web.h - a server whose answers are right, wrong or hostile, and a client of ours on its loop.
 */
#ifndef ORR_SPEC_WEB_H
#define ORR_SPEC_WEB_H

#include "loop/http.h"

/* An answer that nobody has asked for. */
#define WEB_EVIL "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

extern struct web {
    uv_loop_t loop;
    orr_http *client; /* NULL: it was closed */
    int port;
    int accepted, requests; /* connections and requests so far */
    char last_request[65536];
    char made[600000]; /* the answer to /made, made by the test */
    size_t live_bytes;
    long fail_in; /* the client's allocation that fails, -1: none */
} web;

/* Counts in `live_bytes`, and fails when `fail_in` says so. */
extern const orr_alloc web_alloc;

typedef struct web_seen {
    int ends;
    orr_http_response r;
    char body[256], url[256], message[512], headers[512];
    bool reset; /* close the client from the callback */
} web_seen;

/* A setup and a teardown for cmocka. */
int web_setup(void **state);
int web_teardown(void **state);

/* The URL of a path of the server; valid until the next call. */
const char *web_at(const char *path);
/* A GET whose end is put into `s`. */
orr_http_request web_request(web_seen *s, const char *url);
orr_transfer *web_begin(const orr_http_request *r);
/* Begins it and lets the loop run until it has ended; the same for a path of the server. */
void web_get(web_seen *s, const orr_http_request *r);
void web_get_path(web_seen *s, const char *path);
/* It ended so, with a message that has this part. */
void web_assert_failure(const web_seen *s, orr_http_failure failure, const char *part);

/* Writes to the newest connection, unasked; how many bytes. */
int web_push(const char *bytes, size_t size);

#endif
