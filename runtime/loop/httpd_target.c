/* httpd_target.c - see httpd_target.h. */
#include "loop/httpd_target.h"

#include <string.h>
#include <strings.h>

/* ---- tokens ---------------------------------------------------------------------------------- */

static bool is_token_char(unsigned char c) {
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) return true;
    return c && strchr("!#$%&'*+-.^_`|~", c);
}

bool orr_httpd_is_token(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (!is_token_char((unsigned char)text[i])) return false;
    return size > 0;
}

/* ---- targets --------------------------------------------------------------------------------- */

static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool is_control(unsigned char c) {
    return c < 0x20 || c == 0x7f;
}

/* Decodes what lies between; `*size` bytes. NULL, or what is wrong. */
static const char *decode(const char *from, const char *end, char *to, size_t *size) {
    char *out = to;
    while (from < end) {
        char c = *from++;
        if (c == '%') {
            int high = from < end ? digit(from[0]) : -1,
                low = high >= 0 && from + 1 < end ? digit(from[1]) : -1;
            if (low < 0) return "the path has a % that no two hexadecimal digits follow";
            c = (char)(high * 16 + low);
            from += 2;
        }
        if (is_control((unsigned char)c)) return "the path has a control character";
        if (c == '\\') return "the path has a backslash";
        *out++ = c;
    }
    *out = '\0';
    *size = (size_t)(out - to);
    return NULL;
}

static bool has_dot_segment(const char *path, size_t size) {
    for (const char *at = path, *end = path + size; at < end; at++) {
        if (*at != '/') continue;
        size_t n = strcspn(at + 1, "/");
        if (n <= 2 && n > 0 && !strncmp(at + 1, "..", n)) return true;
    }
    return false;
}

/* "http://host" before a path: where that begins; NULL: it is none. */
static const char *skip_origin(const char *target) {
    if (!strncasecmp(target, "http://", 7)) target += 7;
    else if (!strncasecmp(target, "https://", 8)) target += 8;
    else return NULL;
    size_t n = strcspn(target, "/?");
    return n ? target + n : NULL;
}

const char *orr_httpd_read_target(const char *target, char *buffer, orr_httpd_target *to) {
    for (const char *at = target; *at; at++)
        if (is_control((unsigned char)*at) || *at == ' ' || *at == '#' || (unsigned char)*at >= 0x80)
            return "the target has a blank, a #, a control character or one beyond ASCII";
    const char *path = target;
    bool asterisk = !strcmp(target, "*");
    if (!asterisk && *path != '/' && !(path = skip_origin(target)))
        return "the target is neither a path nor an address of http";
    const char *end = path + strcspn(path, "?");
    *to = (orr_httpd_target){.path = buffer, .query = *end ? end + 1 : end};
    if (path == end) { /* an address without a path */
        memcpy(buffer, "/", 2);
        to->path_size = 1;
        return NULL;
    }
    const char *why = decode(path, end, buffer, &to->path_size);
    if (!why && has_dot_segment(buffer, to->path_size)) return "the path has a segment . or ..";
    return why;
}

/* ---- heads ----------------------------------------------------------------------------------- */

bool orr_httpd_head_is_plain(const char *at, const char *end) {
    while (at < end && *at) {
        size_t name = strnlen(at, (size_t)(end - at));
        if (!orr_httpd_is_token(at, name)) return false;
        at += name + 1;
        for (; at < end && *at; at++)
            if (is_control((unsigned char)*at) && *at != '\t') return false;
        if (end - at < 2 || at[0] || at[1]) return false; /* CR and LF */
        at += 2;
    }
    return end - at == 2 && !at[0] && !at[1];
}
