/* csv.c - CSV (RFC 4180) into rows and back.
 *
 * csv_reader { separator, quote, header, columns, types, max_row } -> reader
 *   separator, quote   one byte each; quote = "": there is none
 *   header             true: the first record names the columns
 *   columns            names, where there is no header; without both a row is a list
 *   types              column -> "string", "integer", "number", "boolean"
 *   max_row            bytes of a record
 * reader:read(text) -> rows, rejects    takes a piece of the file; nil: there is no more
 *   rows      a list of {column = text}, or of lists
 *   rejects   a list of {line, reason, text}, or nil; what cannot be a row
 * reader:columns() -> names, or nil as long as the header was not read
 * reader:line() -> the line of the next record
 *
 * csv_text(rows, columns, separator, quote) -> text
 *   Numbers are written so that they read as the same ones, booleans as true and false, nil and
 *   null as nothing; what else is in a row raises.
 *
 * A record ends with LF or CRLF, and lines without anything are no records. A quote inside a field
 * that does not begin with one is a byte like others. After a record that is broken, reading goes
 * on at the line after its first: one bad quote costs one line.
 */
#include "lua/json.h"
#include "rows/inner.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READER "orrery.csv_reader"
#define MOST_COLUMNS 10000
#define SHOWN 200 /* bytes of a rejected record */

typedef enum { TEXT, INTEGER, NUMBER, BOOLEAN } kind;
static const char *const kinds[] = {"string", "integer", "number", "boolean", NULL};
static const char *const articles[] = {"a string", "an integer", "a number", "true or false"};

typedef struct field {
    size_t from, size; /* in `bytes` */
    bool quoted, doubled;
} field;

typedef struct reader {
    orr_byte_list bytes; /* from `at` on: what was not read as rows yet */
    size_t at;
    lua_Integer line; /* of the record at `at` */
    size_t max_row;
    field *fields;
    int count, room; /* of fields */
    int columns;     /* 0: not known */
    bool header, lists;
    bool had;             /* the first bytes of the file were seen */
    bool skip;            /* what comes belongs to a line that was rejected, up to its end */
    bool stops[256];      /* bytes that end a field without quotes */
    int separator, quote; /* quote -1: none */
    unsigned char *types; /* of `columns`, or NULL */
} reader;

enum { NAMES = 1, TYPES, VALUES = TYPES }; /* user values: names of columns, their types by name */

/* ---- one record ------------------------------------------------------------------------------ */

typedef enum { MORE, RECORD, LOOSE, UNCLOSED, TOO_LONG, NO_MEMORY } outcome;

static bool add_field(reader *r, field f) {
    if (r->count == r->room) {
        int room = r->room ? r->room * 2 : 16;
        field *fields = orr_mem_resize(&r->bytes.alloc, r->fields, (size_t)r->room, (size_t)room,
                                       sizeof *fields);
        if (!fields) return false;
        r->fields = fields;
        r->room = room;
    }
    r->fields[r->count++] = f;
    return true;
}

/* A field that begins with a quote at `p`; *after is what follows its end. */
static outcome quoted_field(reader *r, const char *p, const char *end, bool last, const char **after) {
    const char *start = ++p;
    bool doubled = false;
    for (;;) {
        const char *q = memchr(p, r->quote, (size_t)(end - p));
        if (!q) return last ? UNCLOSED : MORE;
        if (q + 1 == end && !last) return MORE;
        if (q + 1 == end || q[1] != (char)r->quote) {
            *after = q + 1;
            field f = {(size_t)(start - r->bytes.data), (size_t)(q - start), true, doubled};
            return add_field(r, f) ? RECORD : NO_MEMORY;
        }
        doubled = true;
        p = q + 2;
    }
}

static outcome plain_field(reader *r, const char *p, const char *end, bool last, const char **after) {
    const char *start = p;
    while (p < end && !r->stops[(unsigned char)*p]) p++;
    if (p == end && !last) return MORE;
    size_t size = (size_t)(p - start);
    if (size > 0 && p[-1] == '\r' && (p == end || *p == '\n')) size--;
    *after = p;
    return add_field(r, (field){(size_t)(start - r->bytes.data), size, false, false}) ? RECORD : NO_MEMORY;
}

/* Whether a line ends at `p`; *after is then what follows. */
static outcome line_end(const char *p, const char *end, bool last, const char **after) {
    *after = p;
    if (p == end) return last ? RECORD : MORE;
    if (*p == '\r') {
        if (p + 1 == end && !last) return MORE;
        p++;
        if (p == end) return *after = p, RECORD;
    }
    if (*p != '\n') return LOOSE;
    *after = p + 1;
    return RECORD;
}

/* The fields of the record at r->at, and where the next one begins. */
static outcome scan(reader *r, bool last, size_t *next) {
    const char *p = r->bytes.data + r->at, *end = r->bytes.data + r->bytes.size;
    r->count = 0;
    for (;;) {
        bool quoted = p < end && r->quote >= 0 && *p == (char)r->quote;
        outcome o = quoted ? quoted_field(r, p, end, last, &p) : plain_field(r, p, end, last, &p);
        if (o != RECORD) return o;
        if (p < end && *p == (char)r->separator) {
            p++;
            continue;
        }
        o = line_end(p, end, last, &p);
        *next = (size_t)(p - r->bytes.data);
        return o;
    }
}

/* Where the line at r->at ends and the next one begins; false where that is not there yet. */
static bool end_of_line(const reader *r, size_t *next) {
    const char *p = memchr(r->bytes.data + r->at, '\n', r->bytes.size - r->at);
    *next = p ? (size_t)(p + 1 - r->bytes.data) : r->bytes.size;
    return p != NULL;
}

static lua_Integer lines_in(const char *p, const char *end) {
    lua_Integer n = 0;
    while ((p = memchr(p, '\n', (size_t)(end - p)))) n++, p++;
    return n;
}

/* ---- fields as values ------------------------------------------------------------------------ */

/* "" becomes a quote; in place, because the record is read no more. */
static size_t undouble(char *text, size_t size, char quote) {
    size_t made = 0;
    for (size_t i = 0; i < size; i++) {
        text[made++] = text[i];
        if (text[i] == quote) i++;
    }
    return made;
}

static bool push_boolean(lua_State *L, const char *text, size_t size) {
    bool yes = (size == 4 && memcmp(text, "true", 4) == 0) || (size == 1 && *text == '1');
    bool no = (size == 5 && memcmp(text, "false", 5) == 0) || (size == 1 && *text == '0');
    if (!yes && !no) return false;
    lua_pushboolean(L, yes);
    return true;
}

/* Decimal digits only: Lua reads hexadecimal numbers and blanks around them as well. */
static bool looks_like_number(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (!strchr("0123456789+-.eE", text[i]) || text[i] == '\0') return false;
    }
    return true;
}

/* Pushes the number and true, or nothing and false. */
static bool push_number(lua_State *L, const char *text, size_t size, kind wanted) {
    char copy[64];
    if (size >= sizeof copy || !looks_like_number(text, size)) return false;
    if (size > 0 && *text == '+') text++, size--;
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (lua_stringtonumber(L, copy) != size + 1) return false;
    if (wanted == NUMBER || lua_isinteger(L, -1)) return true;
    lua_pop(L, 1);
    return false;
}

/* An empty field of a column with a type is missing: nil. */
static bool push_value(lua_State *L, reader *r, const field *f, kind wanted) {
    char *text = r->bytes.data + f->from;
    size_t size = f->doubled ? undouble(text, f->size, (char)r->quote) : f->size;
    if (wanted == TEXT) return lua_pushlstring(L, text, size), true;
    if (size == 0) return lua_pushnil(L), true;
    return wanted == BOOLEAN ? push_boolean(L, text, size) : push_number(L, text, size, wanted);
}

/* ---- rejects --------------------------------------------------------------------------------- */

/* (…, rejects or nil at idx): adds one with the reason at the top, which is popped. */
static void reject(lua_State *L, const reader *r, int idx, size_t next) {
    if (lua_isnil(L, idx)) {
        lua_newtable(L);
        lua_replace(L, idx);
    }
    size_t size = next - r->at;
    const char *text = r->bytes.data + r->at;
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r')) size--;
    lua_createtable(L, 0, 3);
    lua_insert(L, -2);
    lua_setfield(L, -2, "reason");
    lua_pushinteger(L, r->line);
    lua_setfield(L, -2, "line");
    lua_pushlstring(L, text, size < SHOWN ? size : SHOWN);
    lua_setfield(L, -2, "text");
    lua_rawseti(L, idx, (lua_Integer)lua_rawlen(L, idx) + 1);
}

static const char *const reasons[] = {
    [LOOSE] = "there is text after the quote that ends a field",
    [UNCLOSED] = "a quote is not closed",
    [TOO_LONG] = "the row is longer than max_row; perhaps a quote is not closed",
};

/* ---- the header ------------------------------------------------------------------------------ */

static void read_types(lua_State *L, reader *r, int self) {
    if (lua_getiuservalue(L, self, TYPES) == LUA_TTABLE && r->columns > 0) {
        r->types = orr_mem_new(&r->bytes.alloc, (size_t)r->columns, 1);
        if (!r->types) {
            luaL_error(L, "not enough memory");
            return;
        }
        lua_getiuservalue(L, self, NAMES);
        for (int i = 0; i < r->columns; i++) {
            lua_rawgeti(L, -1, i + 1);
            lua_rawget(L, -3);
            r->types[i] = (unsigned char)luaL_checkoption(L, -1, "string", kinds);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* Raises "the header …" for two columns of one name. */
static void check_names(lua_State *L, int names, int count) {
    lua_createtable(L, 0, count);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, names, i);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) != LUA_TNIL) {
            luaL_error(L, "columns %d and %d are both called \"%s\"", (int)lua_tointeger(L, -1), i,
                       lua_tostring(L, -2));
        }
        lua_pop(L, 1);
        lua_pushinteger(L, i);
        lua_rawset(L, -3);
    }
    lua_pop(L, 1);
}

static void take_header(lua_State *L, reader *r, int self) {
    lua_createtable(L, r->count, 0);
    for (int i = 0; i < r->count; i++) {
        push_value(L, r, &r->fields[i], TEXT);
        lua_rawseti(L, -2, i + 1);
    }
    check_names(L, lua_gettop(L), r->count);
    lua_setiuservalue(L, self, NAMES);
    r->columns = r->count;
    r->header = false;
    read_types(L, r, self);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void push_list(lua_State *L, reader *r) {
    lua_createtable(L, r->count, 0);
    for (int i = 0; i < r->count; i++) {
        push_value(L, r, &r->fields[i], TEXT);
        lua_rawseti(L, -2, i + 1);
    }
}

/* Pushes the row, whose columns' names stand from `names` on in the stack; or a reason, and
 * false. */
static bool push_row(lua_State *L, reader *r, int names) {
    if (r->count != r->columns) {
        lua_pushfstring(L, "it has %d field%s, and there are %d columns", r->count, r->count == 1 ? "" : "s",
                        r->columns);
        return false;
    }
    lua_createtable(L, 0, r->columns);
    for (int i = 0; i < r->columns; i++) {
        kind wanted = r->types ? (kind)r->types[i] : TEXT;
        lua_pushvalue(L, names + i);
        if (!push_value(L, r, &r->fields[i], wanted)) {
            lua_pushlstring(L, r->bytes.data + r->fields[i].from,
                            r->fields[i].size < 40 ? r->fields[i].size : 40);
            lua_pushfstring(L, "%s: expected %s, got \"%s\"", lua_tostring(L, names + i), articles[wanted],
                            lua_tostring(L, -1));
            return false;
        }
        lua_rawset(L, -3);
    }
    return true;
}

static bool is_blank(const reader *r) {
    return r->count == 1 && r->fields[0].size == 0 && !r->fields[0].quoted;
}

/* The names of the columns, onto the stack; where they begin. */
static int push_names(lua_State *L, const reader *r, int self) {
    int first = lua_gettop(L) + 1;
    luaL_checkstack(L, r->columns + LUA_MINSTACK, "too many columns");
    lua_getiuservalue(L, self, NAMES);
    for (int i = 1; i <= r->columns; i++) lua_rawgeti(L, first, i);
    lua_remove(L, first);
    return first;
}

enum { SELF = 1, PIECE, ROWS, REJECTS }; /* in the stack of `read` */

/* The record at r->at, which ends before `next`. */
static void take(lua_State *L, reader *r, int names, size_t next, lua_Integer *n) {
    int top = lua_gettop(L);
    bool good = true;
    if (is_blank(r)) return;
    if (r->lists) push_list(L, r);
    else good = push_row(L, r, names);
    if (good) lua_rawseti(L, ROWS, ++*n);
    else reject(L, r, REJECTS, next);
    lua_settop(L, top);
}

static void go_on(reader *r, size_t next, bool one_line) {
    const char *data = r->bytes.data;
    r->line += one_line ? next > r->at : lines_in(data + r->at, data + next);
    r->at = next;
}

static bool has_quotes(const reader *r) {
    for (int i = 0; i < r->count; i++) {
        if (r->fields[i].quoted) return true;
    }
    return false;
}

/* What scan made of a record: the outcome to act on. A line that is refused is shown whole. */
static outcome judge(const reader *r, outcome o, bool last) {
    bool long_enough = r->bytes.size - r->at > r->max_row;
    size_t next;
    if (o == MORE && long_enough) return TOO_LONG;
    return o == LOOSE && !last && !long_enough && !end_of_line(r, &next) ? MORE : o;
}

/* Goes on behind the line at r->at, whenever its end comes. */
static void skip_line(reader *r) {
    size_t next;
    r->skip = !end_of_line(r, &next);
    if (!r->skip) r->line++;
    r->at = next;
}

static void refuse_line(lua_State *L, reader *r, outcome o) {
    size_t next;
    end_of_line(r, &next);
    lua_pushstring(L, reasons[o]);
    reject(L, r, REJECTS, next);
    skip_line(r);
}

static void read_all(lua_State *L, reader *r, bool last) {
    lua_Integer n = 0;
    int names = r->columns ? push_names(L, r, SELF) : 0;
    while (r->at < r->bytes.size) {
        if (r->skip) {
            skip_line(r);
            continue;
        }
        size_t next = r->at;
        outcome o = judge(r, scan(r, last, &next), last);
        if (o == MORE) return;
        /* the same where it came at once and where it came in pieces */
        if (o == RECORD && next - r->at > r->max_row) o = TOO_LONG;
        if (o == NO_MEMORY) {
            luaL_error(L, "not enough memory");
            return;
        }
        if (o != RECORD) {
            refuse_line(L, r, o);
            continue;
        }
        bool one_line = !has_quotes(r);
        if (r->header && !is_blank(r)) {
            take_header(L, r, SELF);
            names = push_names(L, r, SELF);
        } else {
            take(L, r, names, next, &n);
        }
        go_on(r, next, one_line);
    }
}

/* Drops what was read, and adds the piece. */
static void feed(lua_State *L, reader *r, const char *text, size_t size) {
    if (r->at > 0) {
        r->bytes.size -= r->at;
        memmove(r->bytes.data, r->bytes.data + r->at, r->bytes.size);
        r->at = 0;
    }
    if (!r->had && size > 0) {
        if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) text += 3, size -= 3; /* a BOM */
        r->had = true;
    }
    if (!orr_bytes_add(&r->bytes, text, size)) luaL_error(L, "not enough memory");
}

static int reader_read(lua_State *L) {
    reader *r = luaL_checkudata(L, SELF, READER);
    size_t size = 0;
    const char *text = luaL_optlstring(L, PIECE, "", &size);
    bool last = lua_isnoneornil(L, PIECE);
    lua_settop(L, PIECE);
    lua_newtable(L);
    lua_pushnil(L);
    feed(L, r, text, size);
    read_all(L, r, last);
    lua_settop(L, REJECTS);
    return 2;
}

static int reader_columns(lua_State *L) {
    luaL_checkudata(L, SELF, READER);
    lua_getiuservalue(L, SELF, NAMES);
    return 1;
}

static int reader_line(lua_State *L) {
    const reader *r = luaL_checkudata(L, SELF, READER);
    lua_pushinteger(L, r->line);
    return 1;
}

static int reader_gc(lua_State *L) {
    reader *r = luaL_checkudata(L, SELF, READER);
    orr_bytes_free(&r->bytes);
    orr_mem_free(&r->bytes.alloc, r->fields, (size_t)r->room, sizeof *r->fields);
    orr_mem_free(&r->bytes.alloc, r->types, (size_t)r->columns, 1);
    r->fields = NULL;
    r->types = NULL;
    r->room = r->count = 0;
    return 0;
}

/* ---- making a reader ------------------------------------------------------------------------- */

/* The byte in a field of the options at 1; -1 where it is "". */
static int byte_of(lua_State *L, const char *key, const char *otherwise) {
    size_t size;
    lua_getfield(L, 1, key);
    const char *text = luaL_optlstring(L, -1, otherwise, &size);
    if (size > 1 || (size == 1 && strchr("\r\n", *text))) {
        luaL_error(L, "%s is one byte that ends no line, got \"%s\"", key, text);
    }
    int byte = size ? (unsigned char)*text : -1;
    lua_pop(L, 1);
    return byte;
}

static void take_columns(lua_State *L, reader *r, int self) {
    if (lua_getfield(L, 1, "columns") != LUA_TTABLE) {
        lua_pop(L, 1);
        r->lists = !r->header;
        return;
    }
    r->header = false;
    r->columns = (int)luaL_len(L, -1);
    luaL_argcheck(L, r->columns > 0 && r->columns <= MOST_COLUMNS, 1, "columns: expected names");
    for (int i = 1; i <= r->columns; i++) {
        if (lua_rawgeti(L, -1, i) != LUA_TSTRING) luaL_error(L, "columns[%d] is no string", i);
        lua_pop(L, 1);
    }
    check_names(L, lua_gettop(L), r->columns);
    lua_setiuservalue(L, self, NAMES);
    read_types(L, r, self);
}

static int csv_reader(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    int separator = byte_of(L, "separator", ","), quote = byte_of(L, "quote", "\"");
    luaL_argcheck(L, separator >= 0 && separator != quote, 1, "separator: expected one byte, not the quote");
    reader *r = lua_newuserdatauv(L, sizeof *r, VALUES);
    *r = (reader){.bytes = {.alloc = orr_rows_alloc(L)}, .line = 1, .separator = separator, .quote = quote};
    luaL_setmetatable(L, READER);
    r->stops[separator] = r->stops['\n'] = true;
    lua_getfield(L, 1, "max_row");
    r->max_row = (size_t)luaL_optinteger(L, -1, 1 << 20);
    lua_getfield(L, 1, "header");
    r->header = lua_isnil(L, -1) || lua_toboolean(L, -1);
    lua_pop(L, 2);
    lua_getfield(L, 1, "types");
    lua_setiuservalue(L, 2, TYPES);
    take_columns(L, r, 2);
    return 1;
}

/* ---- writing --------------------------------------------------------------------------------- */

typedef struct writer {
    orr_byte_list bytes;
    char separator, quote;
    bool quotes;
} writer;

#define WRITER "orrery.csv_writer"

static int writer_gc(lua_State *L) {
    writer *w = luaL_checkudata(L, 1, WRITER);
    orr_bytes_free(&w->bytes);
    return 0;
}

static bool needs_quotes(const writer *w, const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (text[i] == w->separator || text[i] == w->quote || text[i] == '\n' || text[i] == '\r') return true;
    }
    return false;
}

static void put(lua_State *L, writer *w, const char *text, size_t size) {
    if (!orr_bytes_add(&w->bytes, text, size)) luaL_error(L, "not enough memory");
}

static void put_quoted(lua_State *L, writer *w, const char *text, size_t size) {
    put(L, w, &w->quote, 1);
    while (size > 0) {
        const char *q = memchr(text, w->quote, size);
        size_t part = q ? (size_t)(q + 1 - text) : size;
        put(L, w, text, part);
        if (q) put(L, w, &w->quote, 1);
        text += part;
        size -= part;
    }
    put(L, w, &w->quote, 1);
}

/* The shortest text of up to 17 digits that reads as the same number, with a point or an exponent
 * where it is a float. */
static size_t number_text(lua_State *L, char *text, size_t room) {
    if (lua_isinteger(L, -1)) return (size_t)snprintf(text, room, LUA_INTEGER_FMT, lua_tointeger(L, -1));
    double n = lua_tonumber(L, -1);
    int size = snprintf(text, room, "%.15g", n);
    if (strtod(text, NULL) != n) size = snprintf(text, room, "%.17g", n);
    if (!strpbrk(text, ".einf")) size += snprintf(text + size, room - (size_t)size, ".0");
    return (size_t)size;
}

/* The value at the top, which is popped. `alone`: it is all of its line. */
static void put_value(lua_State *L, writer *w, const char *column, bool alone) {
    size_t size = 0;
    char number[48];
    const char *text = "";
    int type = lua_type(L, -1);
    if (type == LUA_TBOOLEAN) text = lua_toboolean(L, -1) ? "true" : "false", size = strlen(text);
    else if (type == LUA_TSTRING) text = lua_tolstring(L, -1, &size);
    else if (type == LUA_TNUMBER) text = number, size = number_text(L, number, sizeof number);
    else if (type != LUA_TNIL && !orr_json_is_null(L, -1)) {
        luaL_error(L, "%s is a %s, and a CSV file holds texts, numbers, true and false", column,
                   lua_typename(L, type));
    }
    if (w->quotes && (needs_quotes(w, text, size) || (alone && size == 0))) put_quoted(L, w, text, size);
    else if (!w->quotes && needs_quotes(w, text, size)) {
        luaL_error(L, "%s holds a separator or the end of a line, and there is no quote", column);
    } else put(L, w, text, size);
    lua_pop(L, 1);
}

enum { TABLE = 1, NAMES_OF, LINES = 5 };

static int csv_text(lua_State *L) {
    size_t size, quote_size;
    luaL_checktype(L, TABLE, LUA_TTABLE);
    luaL_checktype(L, NAMES_OF, LUA_TTABLE);
    const char *separator = luaL_optlstring(L, 3, ",", &size);
    const char *quote = luaL_optlstring(L, 4, "\"", &quote_size);
    luaL_argcheck(L, size == 1, 3, "expected one byte");
    luaL_argcheck(L, quote_size <= 1, 4, "expected one byte, or none");
    lua_settop(L, 4);
    writer *w = lua_newuserdatauv(L, sizeof *w, 0);
    *w = (writer){{.alloc = orr_rows_alloc(L)}, *separator, *quote, quote_size > 0};
    luaL_setmetatable(L, WRITER);
    int columns = (int)luaL_len(L, NAMES_OF), names = lua_gettop(L) + 1;
    luaL_checkstack(L, columns + LUA_MINSTACK, "too many columns");
    for (int i = 1; i <= columns; i++) lua_rawgeti(L, NAMES_OF, i);
    lua_Integer rows = luaL_len(L, TABLE);
    for (lua_Integer k = 1; k <= rows; k++) {
        if (lua_rawgeti(L, TABLE, k) != LUA_TTABLE) luaL_error(L, "row %I is no table", (LUAI_UACINT)k);
        for (int i = 0; i < columns; i++) {
            if (i > 0) put(L, w, &w->separator, 1);
            lua_pushvalue(L, names + i);
            lua_rawget(L, -2);
            const char *column = lua_type(L, names + i) == LUA_TSTRING ? lua_tostring(L, names + i)
                                                                       : "a field";
            put_value(L, w, column, columns == 1);
        }
        put(L, w, "\n", 1);
        lua_pop(L, 1);
    }
    lua_pushlstring(L, w->bytes.data ? w->bytes.data : "", w->bytes.size);
    return 1;
}

void orr_open_csv(lua_State *L) {
    static const luaL_Reg methods[] = {{"read", reader_read},
                                       {"columns", reader_columns},
                                       {"line", reader_line},
                                       {NULL, NULL}};
    static const luaL_Reg none[] = {{NULL, NULL}};
    static const luaL_Reg functions[] = {{"csv_reader", csv_reader}, {"csv_text", csv_text}, {NULL, NULL}};
    orr_rows_kind(L, READER, reader_gc, methods);
    orr_rows_kind(L, WRITER, writer_gc, none);
    lua_pop(L, 2);
    luaL_setfuncs(L, functions, 0);
}
