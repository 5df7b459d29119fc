/* json_decode.c - JSON text (RFC 8259) as a Lua value. */
#include "lua/json_inner.h"

#include <lauxlib.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 16 /* stack slots that every level wants free */

typedef struct reader {
    lua_State *L;
    const char *text, *p, *end;
    int depth, max_depth;
    bool duplicates;
    const orr_json_reading *how;
    bool binary, as_it_is; /* the next object is what a "$object" holds: no form of ours */
    const char *name;
    size_t used, limit; /* bytes of memory, about */
    int array_mt;       /* stack slot */
    orr_jbuf buf;       /* a string with escapes, a number with many digits */
} reader;

static bool get_value(reader *r);

/* ---- errors ---------------------------------------------------------------------------------- */

/* Pushes the message for what stands at `at`. Always false. */
static bool fail(reader *r, const char *at, const char *what, ...) {
    lua_Integer line = 1, column = 1;
    for (const char *p = r->text; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*p & 0xC0) != 0x80) {
            column++;
        }
    }
    va_list args;
    va_start(args, what);
    const char *text = lua_pushvfstring(r->L, what, args);
    va_end(args);
    lua_pushfstring(r->L, "%s:%I:%I: %s", r->name, (LUAI_UACINT)line, (LUAI_UACINT)column, text);
    return false;
}

/* Counts what a part of the value takes. Two bytes of text, "[]", make a table: without a bound a
 * short text fills the memory. */
static bool spend(reader *r, size_t bytes) {
    r->used += bytes;
    if (r->used <= r->limit) return true;
    return fail(r, r->p, "the value takes more than %I bytes of memory, which is the limit for it",
                (LUAI_UACINT)r->limit);
}

/* What stands at the reading point, for a message; pushed. */
static const char *found(reader *r) {
    if (r->p >= r->end) return "the end of the text";
    unsigned char c = (unsigned char)*r->p;
    int n = c < 0x80 ? 1 : orr_utf8_sequence(r->p, r->end);
    if (n == 0 || c < 0x20 || c == 0x7F) return lua_pushfstring(r->L, "the byte %d", (int)c);
    lua_pushlstring(r->L, r->p, (size_t)n);
    return lua_pushfstring(r->L, "'%s'", lua_tostring(r->L, -1));
}

/* Spellings that other formats allow, and what to write instead. */
static const struct {
    const char *start, *advice;
} foreign[] = {
    {"NaN", "NaN is not JSON; write null, or a string"},
    {"nan", "NaN is not JSON; write null, or a string"},
    {"Infinity", "Infinity is not JSON; write null, or a string"},
    {"-Infinity", "Infinity is not JSON; write null, or a string"},
    {"None", "None is not JSON; write null"},
    {"nil", "nil is not JSON; write null"},
    {"True", "True is not JSON; write true"},
    {"False", "False is not JSON; write false"},
    {"undefined", "undefined is not JSON; write null, or leave the field out"},
    {"//", "JSON has no comments; take them out"},
    {"/*", "JSON has no comments; take them out"},
    {"#", "JSON has no comments; take them out"},
    {"'", "strings stand in double quotes in JSON"},
    {"+", "a number has no plus sign in JSON"},
    {".", "a number begins with a digit in JSON; write 0 before the point"},
};

static bool unexpected(reader *r, const char *expected) {
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        size_t n = strlen(foreign[i].start);
        if ((size_t)(r->end - r->p) >= n && memcmp(r->p, foreign[i].start, n) == 0)
            return fail(r, r->p, "%s", foreign[i].advice);
    }
    return fail(r, r->p, "expected %s, got %s", expected, found(r));
}

static void skip_space(reader *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t')) r->p++;
}

/* ---- strings --------------------------------------------------------------------------------- */

/* Four hexadecimal digits at the reading point, or -1. */
static int32_t hex4(const reader *r) {
    int32_t value = 0;
    if (r->end - r->p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = r->p[i];
        int digit = c >= '0' && c <= '9'                 ? c - '0'
                    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                         : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

static void add_utf8(orr_jbuf *b, uint32_t c) {
    char s[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6) s[i] = (char)(0x80 | (c & 0x3F));
    s[0] = (char)(lead[n] | c);
    orr_jbuf_add(b, s, n);
}

/* After "\u". Two of them make one character where the first is a high surrogate (RFC 8259,
 * section 7). */
static bool get_unicode(reader *r) {
    const char *at = r->p - 2;
    int32_t c = hex4(r);
    if (c < 0) return fail(r, at, "expected four hexadecimal digits after \\u");
    r->p += 4;
    if (c >= 0xD800 && c <= 0xDFFF) {
        int32_t low = -1;
        if (c < 0xDC00 && r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u') {
            r->p += 2;
            low = hex4(r);
        }
        if (low < 0xDC00 || low > 0xDFFF)
            return fail(r, at, "the surrogate \\u%s stands alone; a pair of them makes one character",
                        lua_pushlstring(r->L, at + 2, 4));
        r->p += 4;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    add_utf8(&r->buf, (uint32_t)c);
    return true;
}

static bool get_escape(reader *r) {
    static const char letters[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    const char *at = r->p++;
    if (r->p >= r->end) return fail(r, r->p, "the text ends inside a string");
    char c = *r->p++;
    if (c == 'u') return get_unicode(r);
    for (const char *l = letters; *l; l += 2) {
        if (l[0] == c) {
            orr_jbuf_char(&r->buf, l[1]);
            return true;
        }
    }
    r->p--;
    return fail(r, at, "unknown escape: after a backslash stands one of \" \\ / b f n r t u, got %s",
                found(r));
}

static bool bad_character(reader *r, const char *start) {
    if (r->p >= r->end) return fail(r, start, "this string is not closed before the end of the text");
    unsigned char c = (unsigned char)*r->p;
    if (c >= 0x80) return fail(r, r->p, "the text is not UTF-8 here (byte %d)", (int)c);
    return fail(r, r->p, "a control character (byte %d) stands in a string; write it as \\u00%c%c", (int)c,
                c < 16 ? '0' : '1', "0123456789abcdef"[c & 15]);
}

/* Pushes the string whose opening quote is at the reading point. */
static bool get_string(reader *r) {
    const char *start = r->p++, *from = r->p;
    r->buf.n = 0;
    for (;;) {
        r->p = orr_json_plain(r->p, r->end);
        unsigned char c = r->p < r->end ? (unsigned char)*r->p : 0;
        if (c == '"') {
            break;
        } else if (c == '\\') {
            orr_jbuf_add(&r->buf, from, (size_t)(r->p - from));
            if (!get_escape(r)) return false;
            from = r->p;
        } else if (c >= 0x80) {
            int n = orr_utf8_sequence(r->p, r->end);
            if (n == 0) return bad_character(r, start);
            r->p += n;
        } else {
            return bad_character(r, start);
        }
    }
    if (r->buf.n == 0) {
        lua_pushlstring(r->L, from, (size_t)(r->p - from));
    } else {
        orr_jbuf_add(&r->buf, from, (size_t)(r->p - from));
        lua_pushlstring(r->L, r->buf.p, r->buf.n);
    }
    r->p++;
    return spend(r, ORR_BYTES_TEXT + lua_rawlen(r->L, -1));
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void skip_digits(reader *r) {
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9') r->p++;
}

static bool at_digit(const reader *r) {
    return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

/* Pushes the integer between `s` and the reading point; false where it has more than 64 bits. */
static bool push_integer(reader *r, const char *s) {
    bool negative = *s == '-';
    uint64_t value = 0, most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    for (s += negative; s < r->p; s++) {
        uint64_t digit = (uint64_t)(*s - '0');
        if (value > (most - digit) / 10) return false;
        value = value * 10 + digit;
    }
    lua_pushinteger(r->L, negative ? (lua_Integer)(0 - value) : (lua_Integer)value);
    return true;
}

static bool push_float(reader *r, const char *s) {
    r->buf.n = 0;
    orr_jbuf_add(&r->buf, s, (size_t)(r->p - s));
    orr_jbuf_char(&r->buf, '\0');
    char *point = memchr(r->buf.p, '.', r->buf.n);
    if (point) /* strtod reads the point of the process's locale */
        *point = localeconv()->decimal_point[0];
    double d = strtod(r->buf.p, NULL);
    if (!isfinite(d)) return fail(r, s, "the number is too large: the largest there is has 309 digits");
    lua_pushnumber(r->L, d);
    return true;
}

static bool get_number(reader *r) {
    const char *start = r->p;
    bool whole = true;
    if (*r->p == '-') r->p++;
    if (!at_digit(r)) {
        if (r->p < r->end && *r->p == 'I') r->p = start;
        return unexpected(r, "a digit");
    }
    if (*r->p == '0' && r->end - r->p > 1 && r->p[1] >= '0' && r->p[1] <= '9')
        return fail(r, start, "a number has no leading zero in JSON");
    skip_digits(r);
    if (r->p < r->end && *r->p == '.') {
        whole = false;
        r->p++;
        if (!at_digit(r)) return unexpected(r, "a digit after the decimal point");
        skip_digits(r);
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        whole = false;
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-')) r->p++;
        if (!at_digit(r)) return fail(r, r->p, "expected a digit in the exponent, got %s", found(r));
        skip_digits(r);
    }
    return (whole && push_integer(r, start)) || push_float(r, start);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static bool enter(reader *r) {
    if (++r->depth > r->max_depth) return fail(r, r->p, "nested deeper than %d levels", r->max_depth);
    if (!lua_checkstack(r->L, SLOTS)) return fail(r, r->p, "nested too deep for the memory there is");
    r->p++;
    skip_space(r);
    return spend(r, ORR_BYTES_TABLE);
}

static bool ends(reader *r, char c) {
    skip_space(r);
    if (r->p >= r->end || *r->p != c) return false;
    r->p++;
    return true;
}

/* After the comma at `comma`: a closing bracket here is a frequent slip. */
static bool check_trailing_comma(reader *r, const char *comma) {
    skip_space(r);
    if (r->p < r->end && (*r->p == ']' || *r->p == '}'))
        return fail(r, comma, "a comma stands before the closing '%c'; take it out", (int)*r->p);
    return true;
}

static bool get_array(reader *r) {
    lua_State *L = r->L;
    if (!enter(r)) return false;
    lua_newtable(L);
    lua_pushvalue(L, r->array_mt);
    lua_setmetatable(L, -2);
    lua_Integer n = 0;
    if (!ends(r, ']')) {
        for (;;) {
            if (!get_value(r) || !spend(r, ORR_BYTES_ITEM)) return false;
            lua_rawseti(L, -2, ++n);
            if (ends(r, ']')) break;
            const char *comma = r->p;
            if (!ends(r, ',')) return unexpected(r, "',' or ']' after an item");
            if (!check_trailing_comma(r, comma)) return false;
        }
    }
    r->depth--;
    return true;
}

static bool get_field(reader *r, bool as_it_is) {
    lua_State *L = r->L;
    skip_space(r);
    const char *at = r->p;
    if (r->p >= r->end || *r->p != '"') return unexpected(r, "a key in double quotes");
    if (!get_string(r)) return false;
    if (!r->duplicates) {
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) != LUA_TNIL)
            return fail(r, at, "the key %s stands twice in one object",
                        lua_pushlstring(L, at, (size_t)(r->p - at)));
        lua_pop(L, 1);
    }
    if (!ends(r, ':')) return unexpected(r, "':' after a key");
    r->as_it_is = r->binary && !as_it_is && strcmp(lua_tostring(L, -1), "$object") == 0;
    if (!get_value(r) || !spend(r, ORR_BYTES_FIELD)) return false;
    r->as_it_is = false;
    lua_rawset(L, -3);
    return true;
}

static bool get_object(reader *r) {
    bool as_it_is = r->as_it_is;
    int fields = 0;
    r->as_it_is = false;
    if (as_it_is) r->depth--; /* what it stands in is no level of the value's */
    if (!enter(r)) return false;
    lua_newtable(r->L);
    if (!ends(r, '}')) {
        for (;; fields++) {
            if (!get_field(r, as_it_is)) return false;
            if (ends(r, '}')) break;
            const char *comma = r->p;
            if (!ends(r, ',')) return unexpected(r, "',' or '}' after a field");
            if (!check_trailing_comma(r, comma)) return false;
        }
    }
    r->depth -= !as_it_is;
    if (r->binary && !as_it_is && fields == 0 && !orr_json_unwrap(r->L, r->how))
        return fail(r, r->p, "the text of \"$bytes\" before this is no base64");
    return true;
}

static bool get_word(reader *r) {
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(r->end - r->p) < n || memcmp(r->p, words[i], n) != 0) continue;
        r->p += n;
        if (i == 2) orr_json_push_null(r->L);
        else lua_pushboolean(r->L, i == 0);
        return true;
    }
    return unexpected(r, "a value");
}

/* Pushes the value at the reading point; where it fails, a message above whatever it had begun. */
static bool get_value(reader *r) {
    skip_space(r);
    char c = '\0';
    if (r->p < r->end) c = *r->p;
    if (c == '"') return get_string(r);
    if (c == '{') return get_object(r);
    if (c == '[') return get_array(r);
    if (c == '-' || (c >= '0' && c <= '9')) return get_number(r);
    return get_word(r);
}

/* True for text in two or four bytes a character: it begins with a byte order mark of such an
 * encoding, or with zero bytes around the first character, which is ASCII in every JSON text
 * (RFC 4627, section 3). */
static bool is_wide(const reader *r) {
    if (r->end - r->p < 2) return false;
    unsigned char a = (unsigned char)r->p[0], b = (unsigned char)r->p[1];
    return (a == 0xFF && b == 0xFE) || (a == 0xFE && b == 0xFF) || a == 0 || b == 0;
}

static bool get_text(reader *r) {
    if (is_wide(r)) return fail(r, r->p, "the text is UTF-16 or UTF-32, and JSON is UTF-8; save it as UTF-8");
    if (r->end - r->p >= 3 && memcmp(r->p, "\xEF\xBB\xBF", 3) == 0)
        r->p += 3; /* a byte order mark, which a reader may ignore (section 8.1) */
    skip_space(r);
    if (r->p >= r->end) return fail(r, r->p, "expected a value, got an empty text");
    if (!get_value(r)) return false;
    skip_space(r);
    if (r->p < r->end) return fail(r, r->p, "expected the end of the text after the value, got %s", found(r));
    return true;
}

bool orr_json_decode(lua_State *L, const char *text, size_t len, const orr_json_reading *how) {
    static const orr_json_reading defaults = {.depth = 0};
    reader r;
    int top = lua_gettop(L);
    if (!how) how = &defaults;
    luaL_checkstack(L, SLOTS, NULL);
    r.L = L;
    r.text = r.p = text;
    r.end = text + len;
    r.depth = 0;
    r.max_depth = how->depth > 0 ? how->depth : ORR_JSON_DEPTH;
    r.duplicates = how->duplicates;
    r.binary = how->binary;
    r.how = how;
    r.max_depth += how->binary; /* bytes at the deepest level stand in an object of ours */
    r.as_it_is = false;
    r.name = how->name ? how->name : "JSON";
    r.used = 0;
    r.limit = how->limit > 0 ? how->limit : ORR_JSON_LIMIT;
    orr_jbuf_init(&r.buf, L);
    orr_json_push_array_mt(L);
    r.array_mt = lua_gettop(L);
    bool good = get_text(&r);
    orr_jbuf_drop(&r.buf);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return good;
}
