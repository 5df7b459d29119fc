/* step_text.c - the payload of a step's record, read where it stands: what it holds stays text, as
 * a handler that is replayed may be the first to want it as a value.
 *
 * Only the form that orr_steps_record writes is known here, and only where nothing in it has to be
 * undone: names without escapes, no child run, no signal. Anything else is for the JSON codec.
 */
#include "durable/inner.h"
#include <string.h>

typedef struct cursor {
    const char *at, *end;
} cursor;

static bool skip(cursor *c, const char *text) {
    size_t n = strlen(text);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, text, n) != 0) return false;
    c->at += n;
    return true;
}

/* The rest of a string whose first quote was read, and its last one. */
static bool take_string(cursor *c, orr_payload *string) {
    const char *quote = memchr(c->at, '"', (size_t)(c->end - c->at));
    if (!quote || memchr(c->at, '\\', (size_t)(quote - c->at))) return false;
    *string = (orr_payload){c->at, (size_t)(quote - c->at)};
    c->at = quote + 1;
    return true;
}

static bool take_ordinal(cursor *c, lua_Integer *n) {
    enum { DIGITS = 10 }; /* of a number of 32 bits */
    const char *first = c->at;
    for (*n = 0; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        if (c->at - first == DIGITS) return false;
        *n = *n * 10 + (*c->at - '0');
    }
    return c->at > first;
}

/* When it is due is in the record itself, so the number only has to be passed over. */
static void skip_number(cursor *c) {
    while (c->at < c->end && memchr("+-.0123456789Ee", *c->at, 15)) c->at++;
}

bool orr_step_text_read(const char *text, size_t size, orr_step_text *step) {
    *step = (orr_step_text){.state = STEP_VALUE, .path = {"", 0}, .held = {"", 0}};
    if (size == 0 || text[size - 1] != '}') return false;
    cursor c = {text, text + size - 1};
    if (!skip(&c, "{\"k\":\"") || !take_string(&c, &step->kind)) return false;
    if (!skip(&c, ",\"o\":") || !take_ordinal(&c, &step->ordinal)) return false;
    if (!skip(&c, ",\"n\":\"") || !take_string(&c, &step->name)) return false;
    if (skip(&c, ",\"p\":\"") && !take_string(&c, &step->path)) return false;
    if (skip(&c, ",\"d\":")) skip_number(&c);
    if (c.at == c.end) return true;
    if (skip(&c, ",\"e\":")) step->state = STEP_ERROR;
    else if (!skip(&c, ",\"v\":")) return false;
    step->held = (orr_payload){c.at, (size_t)(c.end - c.at)};
    return step->held.size > 0;
}
