/* json_inner.h - what the files of the JSON codec and plain.c share: text that grows, places in a
 * value, shapes of tables. No other file includes it. */
#ifndef ORR_LUA_JSON_INNER_H
#define ORR_LUA_JSON_INNER_H

#include "lua/json.h"
#include "lua/lazy.h"

#include <stdint.h>
#include <string.h>

/* ---- text that grows ------------------------------------------------------------------------- */

/* Short texts stay in `first`; longer ones move to a block that a userdata in stack slot `box`
 * owns, so that an error raised anywhere frees it. luaL_Buffer would want its box on top of the
 * stack, which a walk over tables cannot give. */
typedef struct orr_jbuf {
    lua_State *L;
    char *p;
    size_t n, cap;
    int box;
    char first[512];
} orr_jbuf;

/* Starts an empty text. Pushes one stack slot, which must stay until the end. The struct must
 * not move. */
void orr_jbuf_init(orr_jbuf *b, lua_State *L);
/* Makes room for `more` bytes; raises a memory error. */
void orr_jbuf_room(orr_jbuf *b, size_t more);
void orr_jbuf_add(orr_jbuf *b, const char *s, size_t n);
/* Gives the block back at once; without it the collector would do so later. */
void orr_jbuf_drop(orr_jbuf *b);

static inline void orr_jbuf_char(orr_jbuf *b, char c) {
    if (b->n == b->cap) orr_jbuf_room(b, 1);
    b->p[b->n++] = c;
}

/* The first byte from `p` on that a JSON string cannot hold as it is, or that is not ASCII.
 * Eight bytes are tested at once: a byte below n, for n up to 128, sets its top bit in (word - n
 * in every byte) & ~word. */
static inline const char *orr_json_plain(const char *p, const char *end) {
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
    for (uint64_t w; end - p >= 8; p += 8) {
        memcpy(&w, p, 8);
        uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');
        if ((w | ((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & tops)
            break;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\') p++;
    return p;
}

/* What values take in memory, about: a string beside its bytes, an empty table, and an item or a
 * field of one, half of which is room to grow. */
enum {
    ORR_BYTES_TEXT = 32,
    ORR_BYTES_TABLE = 72,
    ORR_BYTES_ITEM = 24,
    ORR_BYTES_FIELD = 56,
    ORR_BYTES_LAZY = 512
};

/* ---- text that is not UTF-8 (json_binary.c) -------------------------------------------------- */

bool orr_json_is_text(const char *s, size_t n);
void orr_json_base64(orr_jbuf *to, const char *s, size_t n);
/* The object at the top has one field: where that is $bytes, $object or, of lists in the folder
 * `spools`, $rows or $list, what it stands for takes its place. False for what is no base64. */
bool orr_json_unwrap(lua_State *L, const orr_json_reading *how);

/* ---- numbers as text (json_float.c) ---------------------------------------------------------- */

enum { ORR_JSON_NUMBER = 32 }; /* bytes that the text of a number has at most */

/* Writes the digits of n to the left of `end`, at most 20; where they begin. Journals are full of
 * integers, and printf takes ten times as long. */
static inline char *orr_json_digits(uint64_t n, char *end) {
    do {
        *--end = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    return end;
}

/* Writes the shortest text that reads back as the finite number, marked as a fraction or by an
 * exponent; the nearest of them to it where there are several. It has an exponent where C's %g
 * with 15 digits, or with as many as it needs, would write one. Returns its length, at most
 * ORR_JSON_NUMBER. */
size_t orr_json_float(double d, char *text);

/* ---- places in a value ----------------------------------------------------------------------- */

/* A value's place: the frame of the table it is in, and its key there. Lives on the C stack of
 * the walk. */
typedef struct orr_jframe {
    const struct orr_jframe *up; /* NULL for the root */
    int key;                     /* stack index of the key, or 0 for the item below */
    lua_Integer item;
    const void *table; /* the table at this place, once it is entered */
} orr_jframe;

/* Pushes "PATH REST", REST being formatted as by lua_pushfstring. Always false. Needs 6 free
 * stack slots. */
bool orr_jfail(lua_State *L, const orr_jframe *at, const char *root, const char *rest, ...);

/* The same for a table too deep: says so, or that it is cyclic where one of its ancestors comes
 * twice. */
bool orr_jfail_deep(lua_State *L, const orr_jframe *at, const char *root, int depth);

/* ---- shapes of tables ------------------------------------------------------------------------ */

/* What the keys seen so far make of a table. */
typedef struct orr_jshape {
    size_t items, names;
    lua_Integer highest;
    bool is_array; /* said by orr_jshape_end */
} orr_jshape;

/* The addresses of our metatables, to recognise a marked table cheaply. */
typedef struct orr_jmarks {
    const void *array, *object, *lazy; /* lazy: NULL while there is no such list */
} orr_jmarks;
orr_jmarks orr_jmarks_of(lua_State *L);
/* Whether the table at `t` is a list of lazy.h. */
static inline bool orr_jmarks_lazy(lua_State *L, const orr_jmarks *marks, int t) {
    if (!marks->lazy || !lua_getmetatable(L, t)) return false;
    bool is = lua_topointer(L, -1) == marks->lazy;
    lua_pop(L, 1);
    return is;
}
/* Pushes the metatable of arrays; it is made at the first use. */
void orr_json_push_array_mt(lua_State *L);

/* Counts the key at `key`; false with a message pushed when no plain table has it. */
bool orr_jshape_key(lua_State *L, orr_jshape *shape, int key, const orr_jframe *at, const char *root);

/* Decides what the table at `t` is once all its keys are counted; false with a message pushed when
 * it is neither array nor object. */
bool orr_jshape_end(lua_State *L, orr_jshape *shape, int t, const orr_jmarks *marks, const orr_jframe *at,
                    const char *root);

#endif
