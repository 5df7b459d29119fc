/* httpd_request.c - from the head of a request to its answer.
 *
 * The library calls orr_httpd_on_call for the head, for each piece of the body, and once all of it
 * is there, again and again, until it has an answer: the request is asked about at the first of
 * these calls, and only where it is not answered by the second is its connection suspended. So an
 * answer that is at hand in the same turn of the loop costs no system call more.
 */
#include "loop/httpd_inner.h"
#include "loop/httpd_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { STATE_LINE, STATE_BODY, STATE_ASKED };

/* ---- problems -------------------------------------------------------------------------------- */

typedef struct problem {
    const char *code, *detail;
    unsigned status;
    const char *title;
} problem;

static const problem problems[] = {
    {"request_malformed", "the request is no HTTP that this server takes", 400, "Bad Request"},
    {"request_too_slow", "the request did not come in the time that it has", 408, "Request Timeout"},
    {"request_too_large", "the body is larger than this server takes", 413, "Content Too Large"},
    {"request_too_large", "the head is larger than this server takes", 431,
     "Request Header Fields Too Large"},
    {"handler_error", "the server could not answer; its log says why", 500, "Internal Server Error"},
    {"request_malformed", "the body has a transfer coding other than chunked", 501, "Not Implemented"},
    {"server_busy", "the server has no room, or is being stopped; try again later", 503,
     "Service Unavailable"},
};

static size_t own_problem(unsigned status) {
    size_t i = 0;
    while (problems[i].status != status && problems[i].status != 500) i++;
    while (problems[i].status != status && i + 1 < sizeof problems / sizeof *problems) i++;
    return i;
}

size_t orr_httpd_write_problem(char *to, size_t room, unsigned status, const char *code, const char *detail) {
    int n = snprintf(
        to, room,
        "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"code\":\"%s\",\"detail\":\"%s\"}",
        problems[own_problem(status)].title, status, code, detail);
    return n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

size_t orr_httpd_write_own_problem(char *to, size_t room, unsigned status) {
    size_t i = own_problem(status);
    return orr_httpd_write_problem(to, room, status, problems[i].code, problems[i].detail);
}

/* ---- their life ------------------------------------------------------------------------------ */

void orr_httpd_ref(orr_httpd_request *r) {
    r->refs++;
}

void orr_httpd_unref(orr_httpd_request *r) {
    if (--r->refs) return;
    free(r->target);
    free(r->buffer);
    free(r->taken);
    free(r);
}

static orr_httpd_client *client_of(const orr_httpd *h, struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = h->lib->get_connection_info(connection,
                                                                       MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

void *orr_httpd_on_line(void *ud, const char *target, struct MHD_Connection *connection) {
    orr_httpd *h = ud;
    orr_httpd_client *c = client_of(h, connection);
    orr_httpd_request *r = c ? calloc(1, sizeof *r) : NULL;
    if (!r) return NULL;
    r->refs = 1;
    r->client = c;
    r->tls = c->engine == &h->engines[ENGINE_TLS];
    r->target = strdup(target ? target : "");
    r->buffer = malloc((target ? strlen(target) : 0) + 2);
    c->request = r;
    if (c->phase == PHASE_IDLE) orr_httpd_enter(c, PHASE_HEAD);
    return r;
}

void orr_httpd_on_completed(void *ud, struct MHD_Connection *connection, void **context,
                            enum MHD_RequestTerminationCode how) {
    orr_httpd *h = ud;
    orr_httpd_request *r = *context;
    (void)connection, (void)how;
    if (!r) return;
    *context = NULL;
    orr_httpd_client *c = r->client;
    if (r->response) h->lib->destroy_response(r->response);
    r->response = NULL;
    if (r->stream) orr_httpd_stream_over(r);
    r->client = NULL;
    c->request = NULL;
    orr_httpd_enter(c, PHASE_IDLE);
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK && h->stopping) orr_httpd_hang_up(c);
    if (r->asked && !h->closing) h->options.on_end(h->options.ud, r);
    orr_httpd_unref(r);
}

/* ---- answers --------------------------------------------------------------------------------- */

bool orr_httpd_answer(orr_httpd_request *r, unsigned status, struct MHD_Response *response) {
    orr_httpd_client *c = r->client;
    const orr_mhd *lib = c->server->lib;
    r->answered = true;
    r->status = status;
    r->response = response;
    if (c->server->stopping || r->closes) lib->add_response_header(response, "Connection", "close");
    orr_httpd_enter(c, r->stream ? PHASE_STREAM : PHASE_SEND);
    if (!r->suspended) return true; /* the library asks for it */
    bool queued = lib->queue_response(c->mhd, status, response) == MHD_YES;
    lib->destroy_response(response);
    r->response = NULL;
    r->suspended = false;
    if (!queued) shutdown(c->fd, SHUT_RDWR);
    lib->resume_connection(c->mhd);
    orr_httpd_wake(c->engine);
    return queued;
}

bool orr_httpd_add_headers(const orr_httpd_request *r, struct MHD_Response *response,
                           const orr_httpd_reply *reply) {
    const orr_mhd *lib = r->client->server->lib;
    for (size_t i = 0; i < reply->n_headers; i++)
        if (lib->add_response_header(response, reply->headers[2 * i], reply->headers[2 * i + 1]) != MHD_YES)
            return false;
    return true;
}

const char *orr_httpd_check_header(const char *name, size_t name_size, const char *value, size_t value_size) {
    static const char *const own[] = {"content-length", "transfer-encoding", "date", "upgrade", "trailer"};
    if (!orr_httpd_is_token(name, name_size)) return "its name has a character that no name of a header has";
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!strcasecmp(name, own[i])) return "the server sets that header itself";
    for (size_t i = 0; i < value_size; i++)
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f) return "its value has a control character";
    return value_size ? NULL : "its value is empty";
}

bool orr_httpd_respond(orr_httpd_request *r, const orr_httpd_reply *reply) {
    struct MHD_Response *response = NULL;
    if (r->client && !r->answered) {
        const orr_mhd *lib = r->client->server->lib;
        response = reply->fd >= 0
                       ? lib->create_response_from_fd_at_offset64(reply->size, reply->fd, reply->offset)
                       : lib->create_response_from_buffer(reply->size,
                                                          (void *)(uintptr_t)(reply->body ? reply->body : ""),
                                                          MHD_RESPMEM_MUST_COPY);
        if (response && orr_httpd_add_headers(r, response, reply))
            return orr_httpd_answer(r, reply->status, response);
        if (response) lib->destroy_response(response);
    }
    return false;
}

bool orr_httpd_respond_problem(orr_httpd_request *r, unsigned status, const char *code, const char *detail) {
    static const char *const headers[] = {"Content-Type", "application/problem+json"};
    char text[512];
    orr_httpd_reply reply = {.status = status, .headers = headers, .n_headers = 1, .body = text, .fd = -1};
    reply.size = orr_httpd_write_problem(text, sizeof text, status, code, detail);
    return orr_httpd_respond(r, &reply);
}

static enum MHD_Result queue(orr_httpd_request *r) {
    const orr_mhd *lib = r->client->server->lib;
    struct MHD_Response *response = r->response;
    r->response = NULL;
    enum MHD_Result result = lib->queue_response(r->client->mhd, r->status, response);
    lib->destroy_response(response);
    return result;
}

/* Answers a request whose body is not read any more: the connection is closed behind the answer. */
static enum MHD_Result refuse(orr_httpd_request *r, unsigned status, const char *detail) {
    orr_httpd_client *c = r->client;
    size_t i = own_problem(status);
    c->server->stats.refused++;
    c->lingers = r->closes = true;
    if (!orr_httpd_respond_problem(r, status, problems[i].code, detail ? detail : problems[i].detail))
        return MHD_NO;
    return queue(r);
}

/* ---- heads ----------------------------------------------------------------------------------- */

typedef struct counts {
    unsigned hosts, lengths, codings;
    const char *length, *coding;
} counts;

static void count_field(void *ud, const char *name, const char *value) {
    counts *n = ud;
    if (!strcasecmp(name, "host")) n->hosts++;
    if (!strcasecmp(name, "content-length")) n->lengths++, n->length = value;
    if (!strcasecmp(name, "transfer-encoding")) n->codings++, n->coding = value;
}

typedef struct each {
    void (*fn)(void *ud, const char *name, const char *value);
    void *ud;
} each;

static enum MHD_Result on_field(void *ud, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                const char *value, size_t value_size) {
    const each *e = ud;
    (void)kind, (void)name_size, (void)value_size;
    e->fn(e->ud, name, value ? value : "");
    return MHD_YES;
}

void orr_httpd_each_field(const orr_httpd_request *r,
                          void (*fn)(void *ud, const char *name, const char *value), void *ud) {
    each e = {fn, ud};
    r->client->server->lib->get_connection_values_n(r->client->mhd, MHD_HEADER_KIND, on_field, &e);
}

static size_t head_size(const orr_httpd_request *r) {
    const union MHD_ConnectionInfo *info = r->client->server->lib->get_connection_info(
        r->client->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

/* Whether the library took the head for what it is (httpd_target.h). */
static bool is_plain(const orr_httpd_request *r, const char *url, const char *version, size_t size) {
    if (!r->client->server->lib->leaves_head) return true;
    const char *end = r->method + size, *fields = version + strlen(version);
    /* a NUL in the method or the target ends it for the library; blanks it skips */
    if (url != r->method + strlen(r->method) + 1 || url + strlen(r->target) != version - 1) return false;
    if (fields + 2 > end || fields[1]) return false;
    return orr_httpd_head_is_plain(fields + 2, end);
}

/* Refuses what others may understand in another way, and what is too large; 0: all is well. */
static unsigned judge(orr_httpd_request *r, const char *version, const counts *n) {
    bool newer = strcmp(version, "HTTP/1.0") != 0;
    if (n->hosts > 1 || (newer && !n->hosts)) return 400;
    if (n->lengths > 1 || n->codings > 1 || (n->lengths && n->codings)) return 400;
    if (n->codings && !newer) return 400;
    if (n->codings && strcasecmp(n->coding, "chunked") != 0) return 501;
    if (!orr_httpd_is_token(r->method, strlen(r->method))) return 400;
    if (n->lengths && strtoull(n->length, NULL, 10) > r->client->server->options.limits.body_bytes)
        return 413;
    return 0;
}

static enum MHD_Result take_head(orr_httpd_request *r, const char *url, const char *version) {
    orr_httpd_client *c = r->client;
    counts n = {0};
    orr_httpd_target target;
    size_t size = head_size(r);
    c->server->stats.requests++;
    if (!r->target || !r->buffer) return MHD_NO;
    if (size > c->server->options.limits.head_bytes) return refuse(r, 431, NULL);
    const char *why = orr_httpd_read_target(r->target, r->buffer, &target);
    if (why) return refuse(r, 400, why);
    if (!is_plain(r, url, version, size))
        return refuse(r, 400,
                      "the head has a line that is folded, ends without CR, or has a NUL or a blank "
                      "where none may be");
    orr_httpd_each_field(r, count_field, &n);
    unsigned status = judge(r, version, &n);
    if (status) return refuse(r, status, NULL);
    r->path = target.path;
    r->path_size = target.path_size;
    r->query = target.query;
    r->closes = n.codings; /* what follows a chunked body begins where two may not agree */
    r->head = !strcmp(r->method, "HEAD");
    r->state = STATE_BODY;
    if (n.codings || (n.lengths && strtoull(n.length, NULL, 10))) orr_httpd_enter(c, PHASE_BODY);
    return MHD_YES;
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static enum MHD_Result take_body(orr_httpd_request *r, const char *data, size_t *size) {
    orr_httpd_client *c = r->client;
    size_t limit = c->server->options.limits.body_bytes;
    if (*size > limit - r->body_size) { /* the library takes no answer in the middle of a body */
        c->lingers = true;
        orr_httpd_send_problem(c, 413);
        return MHD_NO;
    }
    if (*size > r->room - r->body_size) {
        size_t room = r->room * 2 > r->body_size + *size ? r->room * 2 : r->body_size + *size;
        char *taken = realloc(r->taken, room);
        if (!taken) return MHD_NO;
        r->taken = taken;
        r->room = room;
    }
    memcpy(r->taken + r->body_size, data, *size);
    r->body_size += *size;
    *size = 0;
    return MHD_YES;
}

static void ask(orr_httpd_request *r) {
    orr_httpd_client *c = r->client;
    r->state = STATE_ASKED;
    r->asked = true;
    r->body = r->taken ? r->taken : "";
    r->peer = c->peer;
    orr_httpd_enter(c, PHASE_WORK);
    c->server->options.on_request(c->server->options.ud, r);
    free(r->taken); /* whoever wants it has it now */
    r->taken = NULL;
    r->body = r->peer = "";
}

enum MHD_Result orr_httpd_on_call(ORR_MHD_CALL) {
    orr_httpd_request *r = *context;
    const orr_httpd *h = ud;
    (void)connection;
    if (!r) return MHD_NO;
    r->client->engine->spins = 0;
    r->method = method;
    if (r->state == STATE_LINE) return take_head(r, url, version);
    if (r->state == STATE_BODY && *size) return take_body(r, data, size);
    if (r->state == STATE_BODY) ask(r);
    else if (!r->answered) {
        r->suspended = true;
        h->lib->suspend_connection(r->client->mhd);
    }
    return r->response ? queue(r) : MHD_YES;
}
