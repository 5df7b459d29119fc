/* json.h - just enough JSON to find the parts of a record's payload and of a definition,
 * without building anything.
 *
 * What is read was written by our own encoder, but it comes from a file: damage is noticed where it
 * matters (a value that does not end, a member without a key) and nothing is read beyond the end.
 */
#ifndef ORR_STORE_TABLES_JSON_H
#define ORR_STORE_TABLES_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* A piece of a text that belongs to somebody else; `at` NULL is none. */
typedef struct orr_span {
    const char *at;
    size_t size;
} orr_span;

typedef struct orr_json_walk {
    const char *at, *end;
    char close; /* of the object or array */
    bool bad;   /* it ended because of damage */
} orr_json_walk;

/* Begins to walk over the members of an object or the elements of an array. False for any other
 * value. */
bool orr_json_open(orr_json_walk *w, orr_span value);

/* The next member or element; false at the end. `key` (NULL allowed) is the string with its
 * quotes, none in an array. */
bool orr_json_next(orr_json_walk *w, orr_span *key, orr_span *value);

/* Whether the value is that string; only for a `text` that needs no escapes. */
bool orr_json_is(orr_span value, const char *text);

/* The value of an object's member, or none. */
orr_span orr_json_member(orr_span object, const char *name);

/* What a string says, as UTF-8 without a NUL, into `to` with room for value.size bytes; the
 * size. Of a value that is no string it is the JSON text itself. */
size_t orr_json_text(orr_span value, char *to);

/* The value as a number; `otherwise` for one that is none. */
double orr_json_number(orr_span value, double otherwise);

#endif
