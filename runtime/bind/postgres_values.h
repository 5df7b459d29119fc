/* postgres_values.h - values of Lua and those of PostgreSQL, which are texts in the format of its
 * types' input and output functions. Private to postgres.c and postgres_values.c. */
#ifndef ORR_BIND_POSTGRES_VALUES_H
#define ORR_BIND_POSTGRES_VALUES_H

#include "bind/values.h"
#include <libpq-fe.h>

/* What a type's values are for Lua. */
typedef enum {
    ORR_PQ_TEXT,
    ORR_PQ_BOOLEAN,
    ORR_PQ_INTEGER,
    ORR_PQ_FLOAT,
    ORR_PQ_NUMERIC,
    ORR_PQ_JSON,
    ORR_PQ_BYTES
} orr_pq_kind;

typedef struct orr_pq_type {
    orr_pq_kind kind;
    bool known; /* otherwise it may be anything: an enum, an array of these */
    bool list;  /* an array of that kind */
} orr_pq_type;

/* The type that the server calls so (pg_type.oid). */
orr_pq_type orr_pq_type_of(Oid oid);

/* Pushes the value that the server has written as `size` bytes, which a NUL follows. Numbers of the
 * type numeric are texts, unless `floats`. What is no finite number, and JSON that Lua does not
 * hold, stays text. May raise a memory error. */
void orr_pq_push(lua_State *L, orr_pq_type type, const char *text, size_t size, bool floats);

/* Adds the value at idx, which is not null, as the server reads it. `raw`: the bytes of bytea as
 * they are. False with a message pushed where the type has no such value. May raise a memory
 * error. */
bool orr_pq_write(lua_State *L, int idx, orr_pq_type type, bool raw, orr_packed *out);

/* Adds what it is as a field of COPY's text format: with escapes, NULL as \N. `scratch` is used on
 * the way. As orr_pq_write. */
bool orr_pq_write_field(lua_State *L, int idx, orr_pq_type type, orr_packed *scratch, orr_packed *out);

#endif
