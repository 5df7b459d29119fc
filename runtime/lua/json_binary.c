/* json_binary.c - text that is not UTF-8 inside JSON, so that a journal gives every value back as
 * it was.
 *
 * Such a text is written as {"$bytes": base64 (RFC 4648, section 4)}. An object with a key that
 * begins with $ is written as {"$object": itself}, so that no such form can be meant by a value of
 * the user's. A list that is kept in a file is written as {"$rows": where that is}.
 */
#include "lua/json_inner.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool orr_json_is_text(const char *s, size_t n) {
    const char *end = s + n;
    while ((s = orr_json_plain(s, end)) < end) {
        int length = (unsigned char)*s < 0x80 ? 1 : orr_utf8_sequence(s, end);
        if (length == 0) return false;
        s += length;
    }
    return true;
}

void orr_json_base64(orr_jbuf *to, const char *s, size_t n) {
    const unsigned char *p = (const unsigned char *)s;
    orr_jbuf_room(to, (n + 2) / 3 * 4);
    for (; n >= 3; n -= 3, p += 3) {
        char four[] = {digits[p[0] >> 2], digits[(p[0] & 3) << 4 | p[1] >> 4],
                       digits[(p[1] & 15) << 2 | p[2] >> 6], digits[p[2] & 63]};
        orr_jbuf_add(to, four, sizeof four);
    }
    if (n == 0) return;
    unsigned second = n > 1 ? p[1] : 0;
    char four[] = {digits[p[0] >> 2], digits[(p[0] & 3u) << 4 | second >> 4],
                   n > 1 ? digits[(second & 15) << 2] : '=', '='};
    orr_jbuf_add(to, four, sizeof four);
}

static int digit_of(char c) {
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Pushes the bytes of the base64 text at the top in its place; false where it is none. */
static bool replace_by_bytes(lua_State *L) {
    size_t n;
    const char *s = lua_tolstring(L, -1, &n);
    if (!s || n % 4 != 0) return false;
    size_t padding = n > 0 && s[n - 1] == '=' ? 1u + (s[n - 2] == '=') : 0;
    char *to = lua_newuserdatauv(L, n / 4 * 3 + 1, 0), *start = to;
    for (size_t i = 0; i < n; i += 4) {
        unsigned word = 0;
        for (size_t k = 0; k < 4; k++) {
            int digit = i + k >= n - padding ? 0 : digit_of(s[i + k]);
            if (digit < 0) return false;
            word = word << 6 | (unsigned)digit;
        }
        *to++ = (char)(word >> 16);
        *to++ = (char)(word >> 8);
        *to++ = (char)word;
    }
    lua_pushlstring(L, start, (size_t)(to - start) - padding);
    return true;
}

/* The value of the field at the top became a list. */
static bool is_listed(lua_State *L, const orr_json_reading *how, const char *key) {
    if (strcmp(key, "$rows") == 0) return how->spools && orr_spooled_find(L, how->spools);
    return strcmp(key, "$list") == 0 && how->list && lua_istable(L, -1) && how->list(L, how->ud);
}

bool orr_json_unwrap(lua_State *L, const orr_json_reading *how) {
    int object = lua_gettop(L);
    lua_pushnil(L);
    if (!lua_next(L, object)) return true;
    bool bytes = strcmp(lua_tostring(L, -2), "$bytes") == 0,
         wrapped = strcmp(lua_tostring(L, -2), "$object") == 0;
    bool listed = is_listed(L, how, lua_tostring(L, -2));
    bool good = !bytes || replace_by_bytes(L);
    if (good && (bytes || wrapped || listed)) lua_replace(L, object);
    lua_settop(L, object);
    return good;
}
