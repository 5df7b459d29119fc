/* http_client.h - what the files of the HTTP client share. Private to runtime/loop/http*.c.
 *
 * http_curl.c    libcurl's functions        http.c           clients: sockets and the timer on the loop
 * http_request.c a request -> a handle      http_response.c  what comes back -> a response
 */
#ifndef ORR_LOOP_HTTP_CLIENT_H
#define ORR_LOOP_HTTP_CLIENT_H

#include "http.h"
#include "http_curl.h"

typedef struct orr_http_socket orr_http_socket;

struct orr_http {
    const orr_curl *curl;
    CURLM *multi;
    uv_loop_t *loop;
    orr_alloc alloc;
    uv_timer_t timer;
    orr_http_socket *sockets;
    orr_transfer *transfers;
    unsigned handles; /* that libuv has not closed yet */
    bool closing, starved; /* starved: a transfer is */
};

struct orr_transfer {
    orr_http *http;
    CURL *easy;
    struct curl_slist *headers;
    orr_transfer *next, *prev;
    void *ud;
    void (*on_end)(void *ud, const orr_http_response *response);
    char *body;
    size_t size, room, limit;
    orr_http_failure failure; /* found by ourselves, before or during the transfer */
    char reason[256];         /* for it */
    char shown[256];          /* "GET http://host/path", without credentials */
    char message[1024];       /* the final one */
    char detail[CURL_ERROR_SIZE];
    bool starved; /* no memory to watch its socket */
    uv_timer_t *rejected; /* reports a transfer that cannot be made */
};

/* Fills t->easy from the request. ORR_HTTP_NONE, or the failure with t->reason filled in. */
orr_http_failure orr_http_prepare(orr_transfer *t, const orr_http_request *request);

/* CURLOPT_WRITEFUNCTION */
size_t orr_http_receive(char *data, size_t size, size_t n, void *transfer);

/* Builds the response of a transfer that ended with `code` and calls on_end. */
void orr_http_report(orr_transfer *t, CURLcode code);

#endif
