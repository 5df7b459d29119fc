/* inner.h - what the files of the room `rows` share among themselves. */
#ifndef ORR_ROWS_INNER_H
#define ORR_ROWS_INNER_H

#include "core/alloc.h"
#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>

/* Each pushes its metatable's functions into the table at the top. May raise a memory error. */
void orr_open_csv(lua_State *L);
void orr_open_keys(lua_State *L);
void orr_open_list(lua_State *L);
void orr_open_pack(lua_State *L);
void orr_open_sorter(lua_State *L);
void orr_open_xml(lua_State *L);
void orr_open_unicode(lua_State *L);

/* Pushes the metatable of that name, made where it is not there yet. May raise a memory error. */
void orr_rows_kind(lua_State *L, const char *name, lua_CFunction gc, const luaL_Reg *methods);

/* ---- bytes that grow: bytes.c ---------------------------------------------------------------- */

typedef struct orr_byte_list {
    orr_alloc alloc;
    char *data;
    size_t size, room;
} orr_byte_list;

/* The allocator of the state. */
orr_alloc orr_rows_alloc(lua_State *L);
/* Room for `more` bytes behind those that are there; false where there is no memory. */
bool orr_bytes_reserve(orr_byte_list *b, size_t more);
bool orr_bytes_add(orr_byte_list *b, const char *data, size_t size);
void orr_bytes_free(orr_byte_list *b);

/* ---- values as bytes: pack.c ----------------------------------------------------------------- */

/* Adds the plain value at idx; raises for what is none. What was added before an error is to be
 * dropped. */
void orr_rows_pack(lua_State *L, orr_byte_list *out, int idx);
/* Pushes the value at *at, which was packed, and moves on. */
void orr_rows_unpack(lua_State *L, const char **at);

/* ---- a file without a name: spool.c ---------------------------------------------------------- */

/* Written at its end, through a buffer, and read anywhere. The first error is kept: all that comes
 * after it fails as well. */
typedef struct orr_spool {
    orr_byte_list buffer; /* what stands at `written` */
    uint64_t written;
    int fd;    /* -1: not opened yet */
    int error; /* errno */
} orr_spool;

void orr_spool_init(orr_spool *s, orr_alloc alloc);
void orr_spool_close(orr_spool *s);
/* Where the next byte will stand. */
uint64_t orr_spool_size(const orr_spool *s);
/* False with `error` set. `folder` is where the file is made, once the buffer is full. */
bool orr_spool_append(orr_spool *s, const char *folder, const char *data, size_t size);
/* Reads from what was written, buffered or not; false with `error` set. */
bool orr_spool_read(orr_spool *s, uint64_t at, char *data, size_t size);
/* Raises { code = "spool_error" } for what the spool failed with. Never returns. */
int orr_spool_raise(lua_State *L, const orr_spool *s, const char *folder);

#endif
