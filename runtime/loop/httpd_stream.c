/* httpd_stream.c - answers that go on: what is written waits here until the library takes it.
 *
 * The library asks for more whenever it can send, and its connection is suspended where there is
 * nothing.
 */
#include "loop/httpd_inner.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BEAT = 15000 }; /* ms */

typedef struct stream {
    orr_httpd_request *request; /* NULL: it is over */
    orr_httpd *server;
    char *text;
    size_t from, size, room; /* what waits lies between */
    bool ended, left, events, quiet;
    char last; /* byte that was written */
} stream;

/* ---- what waits ------------------------------------------------------------------------------ */

static void go_on(orr_httpd_request *r) {
    orr_httpd_client *c = r->client;
    if (!r->suspended) return;
    r->suspended = false;
    c->server->lib->resume_connection(c->mhd);
    orr_httpd_wake(c->engine);
}

static bool make_room(stream *s, size_t more) {
    size_t waiting = s->size - s->from;
    if (s->from) memmove(s->text, s->text + s->from, waiting);
    s->from = 0;
    s->size = waiting;
    if (more <= s->room - s->size) return true;
    size_t room = s->room * 2 > s->size + more ? s->room * 2 : s->size + more;
    char *text = realloc(s->text, room);
    if (!text) return false;
    s->text = text;
    s->room = room;
    return true;
}

bool orr_httpd_write(orr_httpd_request *r, const char *text, size_t size) {
    stream *s = r->client ? r->stream : NULL;
    if (!s || s->ended || s->left) return false;
    if (r->head || !size) return true;
    if (s->size - s->from + size > s->server->options.limits.stream_bytes) {
        s->left = true; /* there is a gap: nothing may follow */
        return false;
    }
    if (size > s->room - s->size && !make_room(s, size)) return false;
    memcpy(s->text + s->size, text, size);
    s->size += size;
    s->last = text[size - 1];
    s->quiet = false;
    go_on(r);
    return true;
}

size_t orr_httpd_waiting(const orr_httpd_request *r) {
    const stream *s = r->client ? r->stream : NULL;
    return s ? s->size - s->from : 0;
}

/* MHD_ContentReaderCallback */
static ssize_t read_on(void *ud, uint64_t at, char *to, size_t room) {
    stream *s = ud;
    orr_httpd_request *r = s->request;
    (void)at;
    if (!r || s->left) return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = s->size - s->from;
    if (n > room) n = room;
    if (n) {
        memcpy(to, s->text + s->from, n);
        s->from += n;
        if (s->from < s->size) return (ssize_t)n;
        s->from = s->size = 0;
        if (s->room > 65536) { /* what a burst took is given back */
            free(s->text);
            s->text = NULL;
            s->room = 0;
        }
        return (ssize_t)n;
    }
    if (s->ended) return MHD_CONTENT_READER_END_OF_STREAM;
    r->suspended = true;
    s->server->lib->suspend_connection(r->client->mhd);
    return 0;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

void orr_httpd_stream_abort(orr_httpd_request *r) {
    r->stream->left = true;
    shutdown(r->client->fd, SHUT_RDWR);
    go_on(r);
}

static void free_stream(stream *s) {
    free(s->text);
    free(s);
}

void orr_httpd_stream_over(orr_httpd_request *r) {
    stream *s = r->stream;
    orr_httpd *h = s->server;
    r->stream = NULL;
    s->request = NULL;
    h->stats.streams--;
    if (!h->stats.streams) uv_timer_stop(&h->beat);
}

/* MHD_ContentReaderFreeCallback */
static void on_freed(void *ud) {
    stream *s = ud;
    if (s->request) orr_httpd_stream_over(s->request);
    free_stream(s);
}

static bool is_events(const orr_httpd_reply *reply) {
    for (size_t i = 0; i < reply->n_headers; i++)
        if (!strcasecmp(reply->headers[2 * i], "content-type"))
            return !strncasecmp(reply->headers[2 * i + 1], "text/event-stream", 17);
    return false;
}

bool orr_httpd_stream(orr_httpd_request *r, const orr_httpd_reply *reply) {
    orr_httpd_client *c = r->client;
    if (!c || r->answered) return false;
    orr_httpd *h = c->server;
    stream *s = calloc(1, sizeof *s);
    if (!s) return false;
    *s = (stream){.request = r, .server = h, .events = is_events(reply), .last = '\n'};
    struct MHD_Response *response = h->lib->create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_on, s,
                                                                          on_freed);
    if (!response) {
        free_stream(s);
        return false;
    }
    if (!orr_httpd_add_headers(r, response, reply)) {
        h->lib->destroy_response(response);
        return false;
    }
    s->ended = h->stopping;
    r->stream = s;
    if (!h->stats.streams++) uv_timer_start(&h->beat, orr_httpd_on_beat, BEAT, BEAT);
    return orr_httpd_answer(r, reply->status, response);
}

void orr_httpd_end(orr_httpd_request *r) {
    stream *s = r->client ? r->stream : NULL;
    if (!s || s->ended) return;
    s->ended = true;
    if (s->left) orr_httpd_stream_abort(r);
    else go_on(r);
}

/* ---- comments -------------------------------------------------------------------------------- */

/* What nobody has written to since the last time gets a line that means nothing: so proxies do not
 * take it for dead, and a client that is gone without a word is found out. */
void orr_httpd_on_beat(uv_timer_t *timer) {
    orr_httpd *h = timer->data;
    for (orr_httpd_client *c = h->lists[PHASE_STREAM].first; c; c = c->next) {
        stream *s = c->request ? c->request->stream : NULL;
        if (!s || !s->events) continue;
        if (s->quiet && s->last == '\n') orr_httpd_write(c->request, ":\n", 2);
        s->quiet = true;
    }
}
