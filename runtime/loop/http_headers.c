/* http_headers.c - the header lines of a response as libcurl passes them on, one by one. They are
 * bounded in number and in bytes, trailers and interim responses among them, and each costs the
 * same however many there are. */
#include "loop/http_client.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    FIRST_TEXT = 2048,
    MOST_LINES = 1000,
    MOST_BYTES = 256 << 10,
    MOST_RESPONSES = 100, /* before the one that counts: interim ones and those of proxies */
};

static bool blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool reserve_text(orr_transfer *t, size_t more) {
    orr_http_lines *l = &t->lines;
    if (l->room - l->size >= more) return true;
    size_t room = l->room ? l->room : FIRST_TEXT;
    while (room - l->size < more) room *= 2;
    char *text = orr_mem_resize(&t->http->alloc, l->text, l->room, room, 1);
    if (!text) return false;
    l->text = text;
    l->room = room;
    return true;
}

/* Appends the part without the blanks around it, and a NUL. */
static bool keep(orr_transfer *t, const char *s, size_t n) {
    while (n && blank(*s)) s++, n--;
    while (n && blank(s[n - 1])) n--;
    if (!reserve_text(t, n + 1)) return false;
    if (n) memcpy(t->lines.text + t->lines.size, s, n);
    t->lines.size += n;
    t->lines.text[t->lines.size++] = '\0';
    return true;
}

/* A line that begins with a blank goes on with the value before (RFC 9112, section 5.2). */
static bool continue_value(orr_transfer *t, const char *s, size_t n) {
    if (!t->lines.count) return true;
    size_t end = t->lines.size - 1;
    t->lines.size = end;
    if (!keep(t, s, n)) return false;
    if (t->lines.size == end + 1) return true;
    if (!reserve_text(t, 1)) return false;
    memmove(t->lines.text + end + 1, t->lines.text + end, t->lines.size - end);
    t->lines.text[end] = ' ';
    t->lines.size++;
    return true;
}

static bool keep_line(orr_transfer *t, const char *s, size_t n) {
    if (blank(*s)) return continue_value(t, s, n);
    const char *colon = memchr(s, ':', n);
    if (!colon) return true; /* not a header */
    if (!keep(t, s, (size_t)(colon - s)) || !keep(t, colon + 1, n - (size_t)(colon + 1 - s))) return false;
    t->lines.count++;
    return true;
}

static void begin_response(orr_transfer *t, const char *s, size_t n) {
    orr_http_lines *l = &t->lines;
    const char *space = memchr(s, ' ', n);
    l->size = l->count = 0;
    l->complete = false;
    l->responses++;
    l->status = space ? strtol(space, NULL, 10) : 0; /* libcurl has found a number there */
}

/* CURLOPT_HEADERFUNCTION */
size_t orr_http_header_line(char *line, size_t size, size_t n, void *transfer) {
    orr_transfer *t = transfer;
    orr_http_lines *l = &t->lines;
    n *= size;
    l->bytes += n;
    if (++l->lines > MOST_LINES + 2 || l->bytes > MOST_BYTES || l->responses > MOST_RESPONSES) {
        t->failure = ORR_HTTP_TOO_LARGE;
        t->reason = "the response has more than 1,000 lines or 256 KiB of headers";
    } else if (n && memchr(line, '\0', n)) {
        t->failure = ORR_HTTP_PROTOCOL;
        t->reason = "a header of the response has a NUL byte";
    } else if ((!l->responses || l->complete) && n > 5 && !strncasecmp(line, "HTTP/", 5)) {
        begin_response(t, line, n);
    } else if (n <= 2 && (!n || blank(*line))) {
        l->complete = true;
    } else if (!l->complete && !keep_line(t, line, n)) { /* what comes later is a trailer */
        t->failure = ORR_HTTP_MEMORY;
    }
    return t->failure == ORR_HTTP_NONE ? n : n + 1; /* anything but n ends the transfer */
}

const char *orr_http_find_header(const orr_transfer *t, const char *name) {
    const char *at = t->lines.text;
    for (size_t i = 0; i < t->lines.count; i++) {
        const char *value = at + strlen(at) + 1;
        if (!strcasecmp(at, name)) return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

orr_http_header *orr_http_list_headers(const orr_transfer *t, bool *failed) {
    size_t n = t->lines.count;
    *failed = false;
    if (!n) return NULL;
    orr_http_header *list = orr_mem_new(&t->http->alloc, n, sizeof *list);
    *failed = !list;
    const char *at = t->lines.text;
    for (size_t i = 0; list && i < n; i++) {
        const char *value = at + strlen(at) + 1;
        list[i] = (orr_http_header){at, value};
        at = value + strlen(value) + 1;
    }
    return list;
}

void orr_http_forget_headers(orr_transfer *t) {
    char *text = t->lines.text;
    size_t room = t->lines.room;
    t->lines = (orr_http_lines){.text = text, .room = room};
}
