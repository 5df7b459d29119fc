/* unicode.c - forms of Unicode text, by utf8proc, which is opened with dlopen at first use.
 *
 * unicode(text, form) -> text, or nil and what is wrong with it
 *   form   "nfc" (UAX #15), "lower" or "upper" (the simple mappings of UAX #44)
 * Raises { code = "unicode_unavailable" } where the library is absent and the text is not plain
 * ASCII.
 *
 * Sorting the marks behind a letter costs the square of their number. So a text with more than 30
 * in a row, which the Stream-Safe Text Format (UAX #15, section 13) does not allow, has no NFC
 * here.
 */
#include "lua/lua.h"
#include "port/port.h"
#include "rows/inner.h"

#include <pthread.h>
#include <string.h>
#include <utf8proc.h>

#define MOST_MARKS 30

static const char *const names[] = {"nfc", "lower", "upper", NULL};
enum form { NFC, LOWER, UPPER };

/* X(name) of each function of utf8proc that is used. */
#define FUNCTIONS(X)                                                                                         \
    X(category)                                                                                              \
    X(decompose_custom)                                                                                      \
    X(iterate)                                                                                               \
    X(reencode)                                                                                              \
    X(tolower)                                                                                               \
    X(toupper)

static struct {
#define DECLARE(name) __typeof__(utf8proc_##name) *(name);
    FUNCTIONS(DECLARE)
#undef DECLARE
} lib;

static orr_library library = {.name = "libutf8proc.so.2",
                              .package = "libutf8proc2",
                              .needed = "forms of Unicode need"};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    if (!orr_library_open(&library)) return;
#define FIND(name) lib.name = (__typeof__(lib.name))orr_library_find(&library, "utf8proc_" #name);
    FUNCTIONS(FIND)
#undef FIND
}

static void need_library(lua_State *L) {
    pthread_once(&once, load);
    if (!library.reason[0]) return;
    lua_pushstring(L, library.reason);
    orr_push_final_error(L, orr_script_of(L), "unicode_unavailable");
    lua_error(L);
}

/* ---- text ------------------------------------------------------------------------------------ */

static bool is_ascii(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] >= 0x80) return false;
    }
    return true;
}

/* Pushes plain ASCII in a form. */
static void push_ascii(lua_State *L, const char *text, size_t size, enum form form) {
    if (form == NFC) {
        lua_pushvalue(L, 1);
        return;
    }
    char first = form == LOWER ? 'A' : 'a'; /* of the letters that change */
    luaL_Buffer buffer;
    char *to = luaL_buffinitsize(L, &buffer, size);
    for (size_t i = 0; i < size; i++) {
        bool changes = text[i] >= first && text[i] < first + 26;
        to[i] = (char)(changes ? text[i] ^ ('a' ^ 'A') : text[i]);
    }
    luaL_pushresultsize(&buffer, size);
}

static bool is_mark(utf8proc_int32_t c) {
    utf8proc_category_t category = lib.category(c);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_ME;
}

/* NULL, or what is wrong. */
static const char *check(const char *text, size_t size) {
    int marks = 0;
    for (size_t at = 0; at < size;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = lib.iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(size - at),
                                         &c);
        if (n <= 0) return "it is not UTF-8";
        marks = is_mark(c) ? marks + 1 : 0;
        if (marks > MOST_MARKS) return "it has more than 30 marks on one letter";
        at += (size_t)n;
    }
    return NULL;
}

static utf8proc_int32_t to_lower(utf8proc_int32_t c, void *data) {
    (void)data;
    return lib.tolower(c);
}

static utf8proc_int32_t to_upper(utf8proc_int32_t c, void *data) {
    (void)data;
    return lib.toupper(c);
}

static const struct {
    utf8proc_option_t options;
    utf8proc_custom_func map;
} forms[] = {
    [NFC] = {UTF8PROC_STABLE | UTF8PROC_COMPOSE, NULL},
    [LOWER] = {0, to_lower},
    [UPPER] = {0, to_upper},
};

/* Pushes the text in a form. It has been checked, so nothing fails here but memory. */
static void push_form(lua_State *L, const char *text, size_t size, enum form form) {
    utf8proc_option_t options = forms[form].options;
    const utf8proc_uint8_t *from = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t length = (utf8proc_ssize_t)size;
    utf8proc_ssize_t count = lib.decompose_custom(from, length, NULL, 0, options, forms[form].map, NULL);
    if (count < 0) luaL_error(L, "not enough memory");
    utf8proc_int32_t *codes = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *codes, 0);
    lib.decompose_custom(from, length, codes, count, options, forms[form].map, NULL);
    utf8proc_ssize_t bytes = lib.reencode(codes, count, options);
    lua_pushlstring(L, (const char *)codes, bytes < 0 ? 0 : (size_t)bytes);
}

static int unicode(lua_State *L) {
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    enum form form = (enum form)luaL_checkoption(L, 2, NULL, names);
    if (is_ascii(text, size)) {
        push_ascii(L, text, size, form);
        return 1;
    }
    need_library(L);
    const char *wrong = check(text, size);
    if (wrong) {
        lua_pushnil(L);
        lua_pushstring(L, wrong);
        return 2;
    }
    push_form(L, text, size, form);
    return 1;
}

void orr_open_unicode(lua_State *L) {
    lua_pushcfunction(L, unicode);
    lua_setfield(L, -2, "unicode");
}
