/* json.c - see json.h */
#include "store/tables/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- skipping -------------------------------------------------------------------------------- */

static const char *skip_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
    return at;
}

/* Past the string that begins here, or NULL. */
static const char *skip_string(const char *at, const char *end) {
    for (at++; at < end; at++) {
        if (*at == '"') return at + 1;
        if (*at == '\\' && ++at == end) break;
    }
    return NULL;
}

static bool ends_word(char c) {
    return c == ',' || c == ']' || c == '}' || c == ':' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_word(const char *at, const char *end) {
    const char *start = at;
    while (at < end && !ends_word(*at)) at++;
    return at > start ? at : NULL;
}

/* Past an object or an array; brackets are only counted, so that depth takes no stack. */
static const char *skip_nested(const char *at, const char *end) {
    size_t depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            if (at == NULL) return NULL;
            continue;
        }
        if (*at == '{' || *at == '[') depth++;
        else if ((*at == '}' || *at == ']') && --depth == 0) return at + 1;
        at++;
    }
    return NULL;
}

static const char *skip_value(const char *at, const char *end) {
    if (at == end) return NULL;
    if (*at == '"') return skip_string(at, end);
    return *at == '{' || *at == '[' ? skip_nested(at, end) : skip_word(at, end);
}

/* ---- walking --------------------------------------------------------------------------------- */

bool orr_json_open(orr_json_walk *w, orr_span value) {
    *w = (orr_json_walk){0};
    if (value.at == NULL) return false;
    const char *end = value.at + value.size, *at = skip_space(value.at, end);
    if (at == end || (*at != '{' && *at != '[')) return false;
    *w = (orr_json_walk){at + 1, end, *at == '{' ? '}' : ']', false};
    return true;
}

static bool spoilt(orr_json_walk *w) {
    w->bad = true;
    return false;
}

static bool read_key(orr_json_walk *w, orr_span *key) {
    const char *after = *w->at == '"' ? skip_string(w->at, w->end) : NULL;
    if (after == NULL) return false;
    *key = (orr_span){w->at, (size_t)(after - w->at)};
    w->at = skip_space(after, w->end);
    if (w->at == w->end || *w->at != ':') return false;
    w->at = skip_space(w->at + 1, w->end);
    return true;
}

bool orr_json_next(orr_json_walk *w, orr_span *key, orr_span *value) {
    orr_span name = {NULL, 0};
    w->at = skip_space(w->at, w->end);
    if (w->bad || w->at == w->end) return spoilt(w);
    if (*w->at == w->close) return false;
    if (w->close == '}' && !read_key(w, &name)) return spoilt(w);
    const char *after = skip_value(w->at, w->end);
    if (after == NULL) return spoilt(w);
    *value = (orr_span){w->at, (size_t)(after - w->at)};
    w->at = skip_space(after, w->end);
    if (w->at == w->end || (*w->at != ',' && *w->at != w->close)) return spoilt(w);
    w->at += *w->at == ',';
    if (key != NULL) *key = name;
    return true;
}

bool orr_json_is(orr_span value, const char *text) {
    size_t size = strlen(text);
    return value.at != NULL && value.size == size + 2 && value.at[0] == '"' &&
           memcmp(value.at + 1, text, size) == 0;
}

orr_span orr_json_member(orr_span object, const char *name) {
    orr_json_walk w;
    orr_span key, value;
    if (orr_json_open(&w, object) && w.close == '}')
        while (orr_json_next(&w, &key, &value))
            if (orr_json_is(key, name)) return value;
    return (orr_span){NULL, 0};
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool read_hex(const char *at, const char *end, uint32_t *code) {
    *code = 0;
    if (end - at < 4) return false;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit > 15) return false;
        *code = *code << 4 | digit;
    }
    return true;
}

static char *put_utf8(char *to, uint32_t code) {
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

/* The character of a \u escape, whose digits begin at *at; a pair of surrogates is one. Half a
 * pair and NUL, which a text cannot hold, become U+FFFD; without digits it is the letter alone,
 * so that no text grows. */
static uint32_t read_escape(const char **at, const char *end) {
    uint32_t high, low;
    if (!read_hex(*at, end, &high)) return 'u';
    *at += 4;
    if (high == 0 || (high >= 0xdc00 && high < 0xe000)) return 0xfffd;
    if (high < 0xd800 || high >= 0xdc00) return high;
    if (end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u' || !read_hex(*at + 2, end, &low) ||
        low < 0xdc00 || low > 0xdfff)
        return 0xfffd;
    *at += 6;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

size_t orr_json_text(orr_span value, char *to) {
    static const char short_escapes[] = "b\bf\fn\nr\rt\t";
    const char *at = value.at, *end = at + value.size;
    char *start = to;
    if (value.size < 2 || *at != '"') {
        memcpy(to, at, value.size);
        return value.size;
    }
    at++;
    end--;
    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        at++;
        char c = at < end ? *at++ : '\\';
        const char *found = c != 0 ? strchr("bfnrt", c) : NULL;
        if (c == 'u') to = put_utf8(to, read_escape(&at, end));
        else *to++ = found != NULL ? strchr(short_escapes, c)[1] : c;
    }
    return (size_t)(to - start);
}

double orr_json_number(orr_span value, double otherwise) {
    char text[64], *end;
    if (value.at == NULL || value.size == 0 || value.size >= sizeof text) return otherwise;
    memcpy(text, value.at, value.size);
    text[value.size] = 0;
    double n = strtod(text, &end);
    return *end == 0 ? n : otherwise;
}
