/* http_client.h - what the files of the HTTP client share. Only runtime/loop/http*.c include it.
 *
 * http_curl.c      libcurl's functions           http.c           sockets and the timer on the loop
 * http_request.c   a request -> a handle         http_response.c  what comes back -> a response
 * http_headers.c   its header lines              http_redirect.c  from one place to the next
 * http_file.c      bodies in files               http_address.c   where it may connect to
 * http_connection.c  the descriptors of connections, and which of them may be used again
 */
#ifndef ORR_LOOP_HTTP_CLIENT_H
#define ORR_LOOP_HTTP_CLIENT_H

#include "loop/http.h"
#include "loop/http_address.h"
#include "loop/http_curl.h"
#include "loop/http_decode.h"
#include "loop/http_file.h"
#include "loop/blocking.h"

typedef struct orr_http_socket orr_http_socket;
typedef struct orr_http_connection orr_http_connection;

struct orr_http {
    const orr_curl *curl;
    CURLM *multi;
    uv_loop_t *loop;
    orr_alloc alloc;
    uv_timer_t timer;
    orr_http_socket *sockets;
    orr_http_connection *connections;
    orr_transfer *transfers;
    orr_transfer *grown;    /* those whose on_body is to be called; linked by next_grown */
    orr_blocking *blocking; /* for bodies in files; NULL: there were none */
    uint64_t last_end;      /* of a response (ns) */
    unsigned handles;       /* that libuv has not closed yet */
    bool closing, starved;  /* starved: a transfer is */
};

/* The headers of the last response; interim and trailing ones are only counted. */
typedef struct orr_http_lines {
    char *text; /* name NUL value NUL ... */
    size_t size, room, count;
    size_t lines, bytes, responses; /* seen in all */
    long status;
    bool complete; /* the empty line has come */
} orr_http_lines;

struct orr_transfer {
    orr_http *http;
    CURL *easy;
    struct curl_slist *headers;
    orr_http_net *nets; /* the allowed, and after them the denied */
    size_t n_allowed, n_denied, nets_room;
    orr_transfer *next, *prev;
    void *ud;
    void (*on_body)(void *ud, const char *body, size_t size);
    void (*on_end)(void *ud, const orr_http_response *response);
    orr_transfer *next_grown;
    char *body;
    size_t size, room, limit, skipped;
    orr_http_upload upload;
    orr_http_download download;
    orr_decoder *decoder; /* of the body, where it is compressed */
    char *url;            /* of the response, once it has ended */
    size_t url_size;
    orr_http_lines lines;
    uint64_t deadline, spent; /* loop's clock (ns), 0: none; time of the transfers before this one (us) */
    long redirects, most_redirects;
    curl_socket_t fd;         /* of the last request's connection */
    long connections;         /* that libcurl has made for the transfer so far */
    orr_http_failure failure; /* found by ourselves, before or during the transfer */
    const char *reason;       /* for it; NULL: libcurl's */
    char reason_text[256];
    char shown[256];    /* "GET http://host/path", without credentials */
    char message[1024]; /* the final one */
    char detail[CURL_ERROR_SIZE];
    bool may_follow, is_head, is_post;
    bool has_grown;      /* it is among http->grown */
    bool refused;        /* an address, by the lists */
    bool began;          /* the body */
    bool decodes_itself; /* the caller, what is not known here */
    bool as_it_is;       /* the body, in whatever encoding it is */
    bool stale;          /* the kept connection that it got may not be used */
    bool starved;        /* no memory to watch its socket */
    uv_timer_t *later;   /* begins the transfer, or reports one that cannot be made */
};

/* Fills t->easy from the request. ORR_HTTP_NONE, or the failure with t->reason filled in. */
orr_http_failure orr_http_prepare(orr_transfer *t, const orr_http_request *request);

/* Appends a line to the headers that are sent. False: no memory. */
bool orr_http_append(orr_transfer *t, const char *line);

/* CURLOPT_WRITEFUNCTION, CURLOPT_HEADERFUNCTION */
size_t orr_http_receive(char *data, size_t size, size_t n, void *transfer);
size_t orr_http_header_line(char *line, size_t size, size_t n, void *transfer);

/* The value of a header of the response, or NULL. */
const char *orr_http_find_header(const orr_transfer *t, const char *name);

/* An array of t->lines.count headers that point into t->lines; NULL where there is none or no
 * memory (*failed). */
orr_http_header *orr_http_list_headers(const orr_transfer *t, bool *failed);

/* Before the next response of the transfer. */
void orr_http_forget_headers(orr_transfer *t);

/* Whether the response is a redirect that is to be followed; then orr_http_redirect sets t->easy up
 * for the next place, or gives the failure with t->reason. */
bool orr_http_is_followed(const orr_transfer *t);
orr_http_failure orr_http_redirect(orr_transfer *t);

/* Sets the options of t->easy that concern its connection. A transfer that was not begun because
 * its kept connection may not be used has `stale` set. */
CURLcode orr_http_set_connection(orr_transfer *t);

/* After a response: lets the other end send at once whatever it has beyond it. */
void orr_http_acknowledge(orr_transfer *t);

/* Forgets the connections, after libcurl has closed them. */
void orr_http_drop_connections(orr_http *h);

/* "GET http://host/path": the URL without "user:password@", into a buffer. */
void orr_http_show(char *out, size_t size, const char *method, const char *url);

/* For what http_file.c has paused: goes on, or ends it. Nothing of libcurl may be under way. */
void orr_http_resume(orr_transfer *t);
void orr_http_finish(orr_transfer *t, int code);

/* Builds the response of a transfer that ended with `code` and calls on_end. */
void orr_http_report(orr_transfer *t, CURLcode code);

#endif
