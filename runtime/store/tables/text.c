/* text.c - the JSON that the tables hold and no record does. */
#include "store/tables/inner.h"

#include <string.h>

/* Writes a JSON string, or only measures it where `to` is NULL. */
static size_t put_string(char *to, const char *text) {
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    char escaped[7] = {'\\', 'u', '0', '0'};
    for (const char *at = text - 1, *end = text + strlen(text); at <= end; at++) {
        bool quote = at < text || at == end;
        unsigned char ch = quote ? '"' : (unsigned char)*at;
        size_t size = 1;
        escaped[4] = digits[ch >> 4];
        escaped[5] = digits[ch & 15];
        const char *from = escaped;
        if (!quote && (ch == '"' || ch == '\\')) {
            from = ch == '"' ? "\\\"" : "\\\\";
            size = 2;
        } else if (!quote && ch < 0x20) {
            size = 6;
        } else {
            from = quote ? "\"" : at;
        }
        if (to != NULL) memcpy(to + n, from, size);
        n += size;
    }
    return n;
}

static size_t put_text(char *to, const char *text) {
    size_t size = strlen(text);
    if (to != NULL) memcpy(to, text, size);
    return size;
}

/* A field of an error: as the payload has it where the record could not hold all of it. */
static size_t put_field(char *to, const char *name, const char *text, orr_span more) {
    orr_span whole = orr_json_member(more, name);
    if (whole.at == NULL) return put_string(to, text);
    if (to != NULL) memcpy(to, whole.at, whole.size);
    return whole.size;
}

static size_t put_error(char *to, const char *code, const char *message, orr_span more) {
    orr_json_walk w;
    orr_span key, value;
    size_t n = put_text(to, "{\"code\":");
#define AT (to != NULL ? to + n : NULL)
    n += put_field(AT, "code", code, more);
    n += put_text(AT, ",\"message\":");
    n += put_field(AT, "message", message, more);
    if (orr_json_open(&w, more) && w.close == '}')
        while (orr_json_next(&w, &key, &value)) {
            if (orr_json_is(key, "code") || orr_json_is(key, "message")) continue;
            /* from the key to the end of the value */
            size_t size = (size_t)(value.at + value.size - key.at);
            n += put_text(AT, ",");
            if (to != NULL) memcpy(to + n, key.at, size);
            n += size;
        }
    n += put_text(AT, "}");
#undef AT
    return n;
}

orr_span orr_error_text(orr_projector *p, const char *code, const char *message, orr_span more,
                        orr_status *status) {
    size_t size = put_error(NULL, code, message, more);
    char *text = orr_arena_take(&p->arena, size);
    if (text == NULL) {
        *status = ORR_ENOMEM;
        return (orr_span){NULL, 0};
    }
    put_error(text, code, message, more);
    return (orr_span){text, size};
}

/* The reason in the words of `orrery why`. */
static size_t put_skip(char *to, const char *reason, const char *by) {
    size_t n = put_text(to, "{\"kind\":\"settled\",\"skip\":");
    n += put_string(to != NULL ? to + n : NULL, reason);
    if (by != NULL) {
        n += put_text(to != NULL ? to + n : NULL, ",\"by\":");
        n += put_string(to != NULL ? to + n : NULL, by);
    }
    return n + put_text(to != NULL ? to + n : NULL, "}");
}

orr_span orr_skip_text(orr_projector *p, const char *reason, const char *by, orr_status *status) {
    size_t size = put_skip(NULL, reason, by);
    char *text = orr_arena_take(&p->arena, size);
    if (text == NULL) {
        *status = ORR_ENOMEM;
        return (orr_span){NULL, 0};
    }
    put_skip(text, reason, by);
    return (orr_span){text, size};
}

orr_span orr_member_text(orr_projector *p, orr_span reference, const char *member, orr_status *status) {
    size_t n = reference.size - 1; /* without the closing brace */
    char *text = orr_arena_take(&p->arena, n + strlen(member) + sizeof ",\"member\":\"\"}");
    if (text == NULL) {
        *status = ORR_ENOMEM;
        return (orr_span){NULL, 0};
    }
    memcpy(text, reference.at, n);
    n += put_text(text + n, ",\"member\":");
    n += put_string(text + n, member);
    n += put_text(text + n, "}");
    return (orr_span){text, n};
}
