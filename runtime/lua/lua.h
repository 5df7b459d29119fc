/* lua.h - the room `lua`: what every room that speaks Lua needs. It stands above the core and below
 * everything that has coroutines or runs, and those rooms may use it.
 *
 * script.c    the state that hangs on a lua_State       error.c     structured errors
 * box.c       what is behind a userdata of ours         fields.c    fields of tables
 * json*.c     the JSON codec (json.h)                   plain.c     what plain data is
 * uuid.c      UUIDs as text and bytes                   duration.c  durations
 * hash.c      SHA-256                                   heap.c      a heap for a Lua state (heap.h)
 * embedded.c  modules that are compiled in (embedded.h)
 * lazy.c, spooled.c  lists that are read when they are used (lazy.h)
 *
 * Who may raise: functions that take a lua_State as their first argument may raise Lua errors, and
 * are called in protected code only. Functions that take an orr_script first never raise; they
 * protect what they call. Nothing here yields.
 */
#ifndef ORR_LUA_H
#define ORR_LUA_H

#include "core/core.h"
#include "lua/embedded.h"
#include "lua/heap.h"
#include "lua/json.h"
#include "lua/lazy.h"
#include <lua.h>

/* ---- the state: script.c --------------------------------------------------------------------- */

typedef struct orr_script orr_script;
typedef struct orr_owned orr_owned;

/* The state of ours that belongs to one lua_State. The rooms above extend it: their struct begins
 * with this one. */
struct orr_script {
    lua_State *main;
    orr_alloc alloc;
    orr_owned *owned; /* all boxes */
    /* depth of calls of Lua inside the core or the storage: no run may be dropped, no runtime
     * closed */
    uint32_t guarded;
    bool closed;
    int boxes;    /* registry: [light userdata of a box] = its userdata, weakly */
    int error_mt; /* registry: the metatable of structured errors */
    /* An error value that is neither text nor a table and that the room above knows: pushes its
     * code and its message. NULL: there is none. */
    bool (*describe)(lua_State *L, orr_script *s, int idx);
    /* Reports an error that belongs to nobody to the listeners; false where there are none. Never
     * raises. */
    bool (*report)(orr_script *s, const char *what, const char *message);
    char text[512]; /* strings of answers, errors without a home */
};

/* The script state of L (any of its coroutines); raises a Lua error where orrery.core was not
 * opened in it. */
orr_script *orr_script_of(lua_State *L);
/* The same, or NULL. Never raises. */
orr_script *orr_script_find(lua_State *L);
/* Makes a zeroed state of `size` bytes, which begins with an orr_script, and pushes its userdata.
 * `close` is its __gc, which has to end with orr_script_close. It is found by orr_script_of from
 * orr_script_publish on. */
orr_script *orr_script_new(lua_State *L, size_t size, const orr_alloc *alloc, lua_CFunction close);
/* Pops the userdata: from now on the state is found. */
void orr_script_publish(lua_State *L);
/* Closes all boxes. */
void orr_script_close(orr_script *s);

/* The main thread of the Lua state: the one on which callbacks call Lua functions. Its stack has
 * room for LUA_MINSTACK values. */
lua_State *orr_script_main(orr_script *s);
/* Calls fn(ud) on the main thread, protected, `ud` being its argument 1; the status. An error is
 * dropped. */
int orr_protect(orr_script *s, lua_CFunction fn, void *ud);
/* Reports an error that belongs to nobody: as a log event of level error, or as a warning of
 * Lua's. */
void orr_script_stray(orr_script *s, const char *what, const char *message);
/* An invariant. Builds with ORR_CHECK abort where it is broken. All others report `internal_error`,
 * and the caller gives up what it does, for a fault of ours must not end the process that we are a
 * guest in. `what` is a literal. */
#define ORR_HOLDS_TEXT_OF(x) #x
#define ORR_HOLDS_TEXT(x) ORR_HOLDS_TEXT_OF(x)
#define ORR_HOLDS(s, fact, what)                                                                             \
    (__builtin_expect(!!(fact), 1) || orr_holds_not(s, what " (" __FILE__ ":" ORR_HOLDS_TEXT(__LINE__) ")"))
/* Always false. */
bool orr_holds_not(orr_script *s, const char *what);
/* Pushes what the registry keeps under a reference. */
static inline void orr_push_anchor(lua_State *L, int ref) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
}
/* A reference to a new table of that __mode (NULL: an ordinary one). */
int orr_anchor_table(lua_State *L, const char *mode);

/* ---- boxes: box.c ---------------------------------------------------------------------------- */

/* What is behind a userdata of ours lies in a block of its own, and the script keeps a list of
 * all: Lua gives up a finaliser for which it has no memory, and then nothing must point to where
 * the userdata was. */
struct orr_owned {
    struct orr_owned *next, *prev;
    void (*collect)(orr_script *s, struct orr_owned *owned); /* Lua no longer needs it */
    void (*close)(orr_script *s, struct orr_owned *owned);   /* the state is closed; frees it */
};

/* What is asked for a box. */
typedef struct orr_box_kind {
    size_t size;   /* of the block, which begins with an orr_owned */
    int values;    /* user values of its userdata */
    int metatable; /* registry reference */
    void (*collect)(orr_script *s, orr_owned *owned);
    void (*close)(orr_script *s, orr_owned *owned);
} orr_box_kind;

/* Makes a zeroed box and pushes its userdata. */
void *orr_new_box(lua_State *L, orr_script *s, const orr_box_kind *kind);
/* Sets __gc of the metatable at the top. */
void orr_box_metatable(lua_State *L);
/* The box behind the userdata at idx, which has the metatable; raises an argument error with
 * `what` otherwise. */
void *orr_check_box(lua_State *L, int idx, int metatable, const char *what);
/* The box behind a userdata that is known to be one; NULL after the state was closed. */
static inline void *orr_unbox(lua_State *L, int idx) {
    return *(void **)lua_touserdata(L, idx);
}
/* Takes a box out of the list and frees its block. */
void orr_free_box(orr_script *s, orr_owned *owned, size_t size);
/* Pushes the userdata of a box. */
void orr_push_box(lua_State *L, const orr_script *s, const void *box);

/* ---- errors: error.c ------------------------------------------------------------------------- */

/* Makes the metatable of errors. */
void orr_open_errors(lua_State *L, orr_script *s);
/* Makes the error table of the value at `idx` and pushes it: {code, message, retryable,
 * retry_after, details, traceback}. Fills *out; its strings live as long as the table. */
void orr_error_table(lua_State *L, orr_script *s, int idx, const char *fallback_code, orr_error *out);
/* Whether the value at idx is the error that memory is out. */
bool orr_is_memory_error(lua_State *L, int idx);
/* Pushes an error value of ours: {code=, message=} with the metatable of errors. */
void orr_push_error(lua_State *L, const orr_script *s, const char *code, const char *message);
/* The same with the text at the top as its message, which is popped, and retryable = false. */
void orr_push_final_error(lua_State *L, const orr_script *s, const char *code);
/* A message handler: keeps the traceback aside. */
int orr_error_trace(lua_State *L);
/* Pushes the traceback kept by the message handler and forgets it; nil where there is none. */
void orr_push_trace(lua_State *L);

/* ---- fields of the table at the top: fields.c ------------------------------------------------ */

/* Nothing is set for a text of NULL. */
void orr_set_text(lua_State *L, const char *key, const char *text);
void orr_set_integer(lua_State *L, const char *key, lua_Integer n);
void orr_set_flag(lua_State *L, const char *key, bool flag);
/* `ns` as seconds. */
void orr_set_seconds(lua_State *L, const char *key, int64_t ns);
/* What fits in 63 bits of nanoseconds, in whole seconds; orrery.duration stops there too. */
#define ORR_MAX_SECONDS 9223372036.0
/* A field of the table at idx in seconds, as ns; 0 where it is missing. Raises where it is out of
 * range. */
int64_t orr_read_seconds(lua_State *L, int idx, const char *key);

/* ---- UUIDs (RFC 9562): uuid.c ---------------------------------------------------------------- */

enum { ORR_UUID_TEXT = 37 }; /* bytes of its text, with the end */

/* Whether the text is a UUID; its bytes. */
bool orr_uuid_parse(const char *text, uint8_t id[16]);
/* Writes ORR_UUID_TEXT bytes. */
void orr_uuid_format(char *text, const uint8_t id[16]);
/* Version 7: `now` is ns since the epoch, `chance` what makes it unique. */
void orr_uuid_v7(uint8_t id[16], int64_t now, const uint64_t chance[2]);
/* Pushes the text of a UUID of that version (4, 8) with 122 of these bits. */
void orr_push_uuid(lua_State *L, const uint64_t bits[2], unsigned version);

/* ---- durations: duration.c ------------------------------------------------------------------- */

/* Seconds, as a number or a duration's text, at idx in ns; raises, naming `what`. */
int64_t orr_check_duration(lua_State *L, int idx, const char *what);
/* Pushes the seconds of the duration's text at idx, or nil. */
void orr_parse_duration(lua_State *L, int idx);

/* ---- others ---------------------------------------------------------------------------------- */

/* core.sha256(text) -> its SHA-256 (FIPS 180-4) as 64 lower-case hexadecimal digits. Takes any
 * bytes; raises where it is given no text. */
int orr_core_sha256(lua_State *L);

#endif
