/* spooled.c - the rows of a file as a list that holds a few pieces of them.
 *
 * The file is read in pieces of whole lines. Where each begins, and which row that is, is noted
 * when
 * the piece before it was read; so a row is found by the last note before it, and what is read in
 * order is read once. A file with a name is opened for each piece: a list may live for long, and
 * there may be thousands.
 */
#include "lua/json.h"
#include "lua/lazy.h"
#include "lua/lua.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)64 * 1024) /* bytes; more where a row is longer */

enum { SLOTS = 4 }; /* pieces in memory */

/* Its user values. */
enum { FOLDER = 1, NAME, NOTES, ROWS, USER_VALUES = ROWS + SLOTS - 1 };

typedef struct note {
    int64_t rows, at; /* of the piece: rows before it, and where it begins */
} note;

typedef struct spooled {
    orr_lazy list;
    int64_t bytes;
    int fd; /* -1: it has a name */
    note *notes;
    size_t n_notes, room;
    struct {
        int64_t first, n; /* rows before them, and how many */
    } slots[SLOTS];
    unsigned next_slot;
} spooled;

static const char kind[] = "orrery.spooled";

/* ---- the file -------------------------------------------------------------------------------- */

static bool fail(lua_State *L, int self, const char *why, ...) {
    va_list args;
    va_start(args, why);
    lua_pushvfstring(L, why, args);
    va_end(args);
    lua_getiuservalue(L, self, FOLDER);
    lua_getiuservalue(L, self, NAME);
    if (lua_isnil(L, -1))
        lua_pushfstring(L, "rows cannot be read back from their file: %s", lua_tostring(L, -3));
    else
        lua_pushfstring(
            L,
            "rows cannot be read back from %s/%s: %s; restore a backup with its folder, or make them "
            "anew: orrery fork RUN --from NODE",
            lua_tostring(L, -2), lua_tostring(L, -1), lua_tostring(L, -3));
    return false;
}

/* The descriptor to read from; -1 with a message pushed. */
static int open_file(lua_State *L, int self, const spooled *s) {
    if (s->fd >= 0) return s->fd;
    lua_getiuservalue(L, self, FOLDER);
    lua_getiuservalue(L, self, NAME);
    const char *path = lua_pushfstring(L, "%s/%s", lua_tostring(L, -2), lua_tostring(L, -1));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        int error = errno;
        if (fd >= 0) close(fd); /* first: what follows may raise */
        fail(L, self, "%s", strerror(error));
        return -1;
    }
    if (st.st_size == s->bytes) return fd;
    close(fd);
    fail(L, self, "it has %I bytes instead of %I", (LUAI_UACINT)st.st_size, (LUAI_UACINT)s->bytes);
    return -1;
}

/* A piece: whole lines from one place on. */
typedef struct piece {
    const char *text; /* in a userdata on the stack */
    size_t size;
    int64_t rows;
} piece;

static int64_t count_lines(const char *text, size_t size) {
    int64_t n = 0;
    for (const char *at = text, *end = text + size; (at = memchr(at, '\n', (size_t)(end - at))); at++) n++;
    return n;
}

static bool read_fully(int fd, char *text, size_t size, int64_t at) {
    while (size > 0) {
        ssize_t n = pread(fd, text, size, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (n == 0) errno = ENODATA;
            return false;
        }
        text += n;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* Reads the piece there; pushes its block, or a message. */
static bool read_piece(lua_State *L, int self, const spooled *s, int fd, int64_t at, piece *p) {
    for (size_t size = PIECE;; size *= 2) {
        bool whole = (int64_t)size >= s->bytes - at;
        if (whole) size = (size_t)(s->bytes - at);
        char *text = lua_newuserdatauv(L, size + 1, 0);
        if (!read_fully(fd, text, size, at)) return fail(L, self, "%s", strerror(errno));
        const char *last = memrchr(text, '\n', size);
        if (last) {
            *p = (piece){text, (size_t)(last - text) + 1, 0};
            p->rows = count_lines(text, p->size);
            return true;
        }
        if (whole) return fail(L, self, "its last line has no end");
        lua_pop(L, 1);
    }
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static void take_note(lua_State *L, int self, spooled *s, note n) {
    if (s->n_notes == s->room) {
        size_t room = s->room ? s->room * 2 : 16;
        note *notes = lua_newuserdatauv(L, room * sizeof *notes, 0);
        if (s->n_notes) memcpy(notes, s->notes, s->n_notes * sizeof *notes);
        lua_setiuservalue(L, self, NOTES);
        s->notes = notes;
        s->room = room;
    }
    s->notes[s->n_notes++] = n;
}

/* The number of the last note of a piece that begins before row i, which counts from 1. */
static size_t note_before(const spooled *s, int64_t i) {
    size_t low = 0, high = s->n_notes;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (s->notes[middle].rows < i) low = middle;
        else high = middle;
    }
    return low;
}

/* The rows of the piece as a table at the top. */
static bool decode_piece(lua_State *L, int self, const piece *p) {
    orr_json_reading how = {.name = "row", .binary = true, .depth = ORR_JSON_DEPTH_MAX};
    const char *at = p->text, *end = p->text + p->size;
    lua_createtable(L, (int)p->rows, 0);
    for (lua_Integer i = 1; at < end; i++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!orr_json_decode(L, at, (size_t)(stop - at), &how))
            return fail(L, self, "%s", lua_tostring(L, -1));
        lua_rawseti(L, -2, i);
        at = stop + 1;
    }
    return true;
}

/* Brings the piece with row i into a slot; which one that is, -1 with a message at the top. */
static int bring(lua_State *L, int self, spooled *s, int fd, int64_t i) {
    int top = lua_gettop(L);
    for (size_t k = note_before(s, i);; k++) {
        piece p = {NULL, 0, 0};
        note here = s->notes[k];
        lua_settop(L, top);
        if (here.at >= s->bytes) return fail(L, self, "it has %I rows", (LUAI_UACINT)here.rows), -1;
        if (!read_piece(L, self, s, fd, here.at, &p)) return -1;
        note after = {here.rows + p.rows, here.at + (int64_t)p.size};
        if (k + 1 == s->n_notes) take_note(L, self, s, after);
        if (i > after.rows) continue;
        if (!decode_piece(L, self, &p)) return -1;
        unsigned slot = s->next_slot++ % SLOTS;
        lua_setiuservalue(L, self, ROWS + (int)slot);
        s->slots[slot].first = here.rows;
        s->slots[slot].n = p.rows;
        return (int)slot;
    }
}

static int find_slot(const spooled *s, int64_t i) {
    for (int k = 0; k < SLOTS; k++)
        if (i > s->slots[k].first && i <= s->slots[k].first + s->slots[k].n) return k;
    return -1;
}

static int bring_opened(lua_State *L) {
    spooled *s = lua_touserdata(L, 1);
    int fd = (int)lua_tointeger(L, 2), slot = bring(L, 1, s, fd, lua_tointeger(L, 3));
    lua_pushinteger(L, slot);
    return slot < 0 ? 2 : 1;
}

/* As bring, with the file opened for it; protected, because a memory error must not leave it
 * open. */
static int bring_by_name(lua_State *L, int self, spooled *s, int64_t i) {
    int fd = open_file(L, self, s);
    if (fd < 0) return -1;
    lua_pushcfunction(L, bring_opened);
    lua_pushvalue(L, self);
    lua_pushinteger(L, fd);
    lua_pushinteger(L, i);
    int status = lua_pcall(L, 3, 2, 0);
    if (s->fd < 0) close(fd);
    if (status != LUA_OK) return lua_error(L);
    if (!lua_isnil(L, -1)) {
        lua_pop(L, 1); /* the message is below it */
        return -1;
    }
    return (int)lua_tointeger(L, -2);
}

static bool row(lua_State *L, int self, lua_Integer i) {
    spooled *s = lua_touserdata(L, self);
    int top = lua_gettop(L), slot = find_slot(s, i);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (slot < 0 && (slot = bring_by_name(L, self, s, i)) < 0) {
        lua_rotate(L, top + 1, 1); /* the message is what stays */
        lua_settop(L, top + 1);
        return false;
    }
    lua_settop(L, top);
    lua_getiuservalue(L, self, ROWS + slot);
    lua_rawgeti(L, -1, i - s->slots[slot].first);
    lua_remove(L, -2);
    return true;
}

/* ---- where it is ----------------------------------------------------------------------------- */

static void set_counts(lua_State *L, const spooled *s) {
    lua_pushinteger(L, s->list.n);
    lua_setfield(L, -2, "rows");
    lua_pushinteger(L, (lua_Integer)s->bytes);
    lua_setfield(L, -2, "bytes");
}

/* For another thread of this process: a descriptor, which is whoever's that reads this. */
static bool place_here(lua_State *L, const spooled *s) {
    lua_createtable(L, 0, 3);
    set_counts(L, s);
    lua_pushinteger(L, 0);
    lua_setfield(L, -2, "fd"); /* there is room for it from here on */
    int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
    lua_pushinteger(L, fd);
    lua_setfield(L, -2, "fd");
    if (fd < 0) lua_pop(L, 1);
    return fd >= 0;
}

static bool place(lua_State *L, int self, const char *folder) {
    const spooled *s = lua_touserdata(L, self);
    int top = lua_gettop(L);
    if (!*folder && s->fd >= 0) return place_here(L, s);
    lua_getiuservalue(L, self, FOLDER);
    const char *own = lua_tostring(L, -1);
    bool same = own && strcmp(own, folder) == 0;
    lua_settop(L, top);
    if (!same) return false;
    lua_createtable(L, 0, 3);
    lua_getiuservalue(L, self, NAME);
    lua_setfield(L, -2, "file");
    set_counts(L, s);
    return true;
}

static int collect(lua_State *L) {
    spooled *s = lua_touserdata(L, 1);
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
    return 0;
}

void orr_spooled_push(lua_State *L, const orr_spool_file *file) {
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    spooled *s = lua_newuserdatauv(L, sizeof *s, USER_VALUES);
    *s = (spooled){.list = {.n = file->rows, .item = row, .place = place, .form = "$rows"},
                   .bytes = file->bytes,
                   .fd = -1};
    if (luaL_newmetatable(L, kind)) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    int self = lua_gettop(L);
    if (file->name) {
        lua_pushstring(L, file->folder);
        lua_setiuservalue(L, self, FOLDER);
        lua_pushstring(L, file->name);
        lua_setiuservalue(L, self, NAME);
    }
    take_note(L, self, s, (note){0, 0});
    orr_lazy_push(L);
    if (!file->name) s->fd = file->fd;
}

/* A name of ours: it leads nowhere else, whatever a journal says. */
static bool is_name(const char *name) {
    return *name && *name != '.' && !strchr(name, '/');
}

bool orr_spooled_find(lua_State *L, const char *folder) {
    int t = lua_gettop(L);
    orr_spool_file file = {.folder = folder, .fd = -1};
    if (!lua_istable(L, t)) return false;
    lua_getfield(L, t, *folder ? "file" : "fd");
    lua_getfield(L, t, "rows");
    lua_getfield(L, t, "bytes");
    bool is = lua_isinteger(L, t + 2) && lua_isinteger(L, t + 3);
    if (is && *folder && lua_type(L, t + 1) == LUA_TSTRING) file.name = lua_tostring(L, t + 1);
    if (is && !*folder && lua_isinteger(L, t + 1)) file.fd = (int)lua_tointeger(L, t + 1);
    is = is && (file.fd >= 0 || (file.name && is_name(file.name)));
    if (is) {
        file.rows = lua_tointeger(L, t + 2);
        file.bytes = lua_tointeger(L, t + 3);
        is = file.rows > 0 && file.bytes >= file.rows;
    }
    if (is) {
        orr_spooled_push(L, &file);
        lua_replace(L, t);
    }
    lua_settop(L, t);
    return is;
}
