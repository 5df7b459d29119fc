/* json.h - JSON (RFC 8259) to and from Lua values, and the test of what a plain value is.
 *
 * The mapping is exact both ways: integers of 64 bits stay integers, `1` and `1.0` stay apart, so
 * do `[]` and `{}`, and null is a value of its own. An array is a table with the keys 1..n, or an
 * empty table whose metatable is `array_mt`; every other table with string keys, the empty one
 * included, is an object. Decoded arrays carry `array_mt`, so that one which is emptied later is
 * still an array.
 *
 * Metamethods are never called, so none of this runs Lua code of others or yields. Memory comes
 * from the state's own allocator; where it fails, Lua's memory error is raised and nothing leaks.
 * All other failures are answers, not errors.
 */
#ifndef ORR_LUA_JSON_H
#define ORR_LUA_JSON_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#define ORR_JSON_DEPTH 1000     /* levels of nesting, unless another number is given */
#define ORR_JSON_DEPTH_MAX 5000 /* what may be asked for: the codec recurses in C */
/* bytes that are written, or that a value which is read takes, unless another number is given */
#define ORR_JSON_LIMIT ((size_t)1024 * 1024 * 1024)

typedef struct orr_json_writing {
    int indent;       /* spaces a level; 0 = all on one line */
    bool unsorted;    /* keys as the table has them; sorted by their bytes otherwise */
    int depth;        /* levels; 0 = ORR_JSON_DEPTH */
    size_t limit;     /* bytes; 0 = ORR_JSON_LIMIT */
    const char *root; /* what messages call the value; NULL = "value" */
    /* text that is not UTF-8 becomes {"$bytes": base64}, an object with a key that begins with $
     * becomes {"$object": itself}; reading with `binary` undoes both, and counts neither as a
     * level. For journals: any value comes back as it was. Keys have to be UTF-8 all the same */
    bool binary;
    bool *too_large; /* set where it fails for the limit */
    /* with `binary`: a list that is kept in a file of this folder (lazy.h) becomes {"$rows": where
     * it is}; NULL: it is written whole */
    const char *spools;
    bool lists; /* beside `spools`: so do lists with items that are kept elsewhere, as {"$list": …} */
} orr_json_writing;

typedef struct orr_json_reading {
    int depth;        /* levels; 0 = ORR_JSON_DEPTH */
    bool duplicates;  /* a key seen twice takes its last value; an error otherwise */
    const char *name; /* what messages call the text, such as a file's path; NULL = "JSON" */
    bool binary;      /* undoes what writing with `binary` did */
    /* with `binary`: {"$rows": …} becomes the list in that folder, about which nothing is asked
     * yet; NULL: it stays as it stands */
    const char *spools;
    /* with `binary`: what {"$list": …} holds is at the top, and becomes the list; false: it is
     * none. May raise. NULL: it stays as it stands */
    bool (*list)(lua_State *L, void *ud);
    void *ud;
    size_t limit; /* bytes that the value takes in memory, about; 0 = ORR_JSON_LIMIT */
} orr_json_reading;

/* Pushes the table {encode, decode, check, null, array, object, array_mt, object_mt, is_array}.
 * The metatables are made once a state. May raise a memory error. */
int orr_open_json(lua_State *L);

/* Writes the value at `idx` as JSON and pushes the text; true. Where it cannot be written (a
 * function, a cycle, NaN, text that is not UTF-8, more than `limit` bytes), pushes a message
 * that says where in the value; false. `how` may be NULL. */
bool orr_json_encode(lua_State *L, int idx, const orr_json_writing *how);

/* Reads `len` bytes of JSON and pushes the value; true. Otherwise pushes a message that begins
 * "NAME:LINE:COLUMN: " (columns count characters); false. The caller keeps `text` alive during
 * the call. `how` may be NULL. */
bool orr_json_decode(lua_State *L, const char *text, size_t len, const orr_json_reading *how);

/* Whether the value at `idx` is plain data: nil, null, boolean, integer, finite float, string,
 * or an array or object of those, at most ORR_JSON_DEPTH deep. Pushes nothing when true.
 * Otherwise pushes one sentence: the path, what is there, and the rule. `root` is what the path
 * begins with ("output"); `rule` the start of the second half, NULL for "a handler returns plain
 * data". Text need not be UTF-8. Costs time in proportion to the number of values. */
bool orr_value_check(lua_State *L, int idx, const char *root, const char *rule);

/* The same, and adds to `bytes` roughly what the value takes in memory. What stands in it twice may
 * count twice. */
bool orr_value_measure(lua_State *L, int idx, const char *root, const char *rule, size_t *bytes);

/* Roughly the bytes of memory that the plain value at `idx` takes, each table and each text once.
 * Costs time and memory in proportion to the number of values. */
size_t orr_value_bytes(lua_State *L, int idx);

/* Length of the UTF-8 sequence at `s` (RFC 3629: no overlong form, no surrogate, nothing above
 * U+10FFFF), or 0. */
int orr_utf8_sequence(const char *s, const char *end);

/* Pushes the value that stands for null. It is the same in every state: a light userdata of
 * NULL. */
void orr_json_push_null(lua_State *L);
bool orr_json_is_null(lua_State *L, int idx);

/* Whether the value at `idx` is written as an array: a table whose first key decides, or the
 * metatable of an empty one. Needs 4 free stack slots, and raises nothing. */
bool orr_json_is_array(lua_State *L, int idx);

/* Gives the table at `idx` the metatable of arrays. */
void orr_json_mark_array(lua_State *L, int idx);

#endif
