/* lazy.h - lists whose items are read when they are asked for: rows in a file (spooled.c), and what
 * the rooms above read from elsewhere.
 *
 * For Lua such a list is a table with a metatable of ours: `#list`, `list[i]`, `ipairs` and `pairs`
 * read it, an assignment raises. Raw access finds one key that is no text and no number. For the
 * codec and for what measures values it is an array.
 */
#ifndef ORR_LUA_LAZY_H
#define ORR_LUA_LAZY_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The userdata of a list begins with it. Both functions may raise a memory error only. */
typedef struct orr_lazy {
    lua_Integer n; /* items */
    /* Pushes item i, from 1 to n, of the list whose userdata is at `self`; true. Otherwise pushes
     * a sentence that says what hinders; false. */
    bool (*item)(lua_State *L, int self, lua_Integer i);
    /* Pushes a table that says where the items are, for who knows `folder`, "": who reads it once,
     * in this process; true. Otherwise pushes nothing; false. NULL: nobody else can know. */
    bool (*place)(lua_State *L, int self, const char *folder);
    const char *form; /* the key under which a journal has its place: "$rows", "$list" */
} orr_lazy;

/* The userdata at the top becomes a list. May raise a memory error. */
void orr_lazy_push(lua_State *L);
/* Pushes the userdata of the list at idx. */
void orr_lazy_push_self(lua_State *L, int idx);
/* The list at idx, or NULL. Raises nothing. */
orr_lazy *orr_lazy_at(lua_State *L, int idx);
/* How many items the table at idx has, and item i: of such a list, or of one that is a table like
 * others. The second may raise what hinders. */
size_t orr_list_len(lua_State *L, int idx);
void orr_list_get(lua_State *L, int idx, lua_Integer i);
/* Of the list at idx: see above. */
bool orr_lazy_item(lua_State *L, int idx, lua_Integer i);
bool orr_lazy_place(lua_State *L, int idx, const char *folder);
/* The address of the metatable of all of them; NULL while there is none. */
const void *orr_lazy_mark(lua_State *L);

/* ---- rows in a file: spooled.c --------------------------------------------------------------- */

/* A file of JSON Lines, as the codec writes them with `binary`. It is never changed. */
typedef struct orr_spool_file {
    const char *folder, *name; /* NULL: it has no name */
    int fd;                    /* of one without a name, and then the list's, which closes it */
    int64_t rows, bytes;
} orr_spool_file;

/* Pushes the list of its rows. Nothing is read or opened yet. Raises a memory error, and then the
 * descriptor is still the caller's. */
void orr_spooled_push(lua_State *L, const orr_spool_file *file);
/* The table {file=, rows=, bytes=} at the top, {fd=, rows=, bytes=} where `folder` is "", as
 * `place` gave it, becomes the list; true. False, and it stays, where it is no such table. */
bool orr_spooled_find(lua_State *L, const char *folder);

#endif
