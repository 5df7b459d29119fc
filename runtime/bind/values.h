/* values.h - values of Lua as bytes, for threads that have no Lua: what a database is given and
 * gives. Private to database.c, postgres*.c and values.c.
 *
 * A value is a letter and what belongs to it: n; i and 8 bytes; d and 8 bytes; s, the length in 4
 * bytes, the text.
 */
#ifndef ORR_BIND_VALUES_H
#define ORR_BIND_VALUES_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of libc's heap. */
typedef struct orr_packed {
    char *data;
    size_t size, room;
    bool failed; /* there was no memory; nothing is added any more */
} orr_packed;

typedef struct orr_value_read {
    char kind; /* n, i, d or s */
    int64_t integer;
    double number;
    const char *text; /* in the bytes */
    uint32_t size;
} orr_value_read;

void orr_packed_free(orr_packed *p);
/* Adds bytes as they are, which are no value. */
void orr_pack_bytes(orr_packed *p, const void *data, size_t size);
void orr_pack_null(orr_packed *p);
void orr_pack_integer(orr_packed *p, int64_t value);
void orr_pack_number(orr_packed *p, double value);
void orr_pack_text(orr_packed *p, const char *text, size_t size);
/* The value at idx; false, with nothing added, where it is no value of a database. */
bool orr_pack_lua(orr_packed *p, lua_State *L, int idx);

/* Reads the value at *at and moves on. The bytes are those that were packed. */
orr_value_read orr_unpack(const char **at);
/* Pushes it. */
void orr_unpack_lua(lua_State *L, const char **at);

#endif
