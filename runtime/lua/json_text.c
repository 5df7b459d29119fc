/* json_text.c - text that grows, and UTF-8. */
#include "lua/json_inner.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

#define BOX "orrery.json.text"

typedef struct box {
    void *p;
    size_t size;
} box;

static void box_resize(lua_State *L, box *x, size_t size) {
    void *ud;
    lua_Alloc alloc = lua_getallocf(L, &ud);
    void *p = alloc(ud, x->p, x->size, size);
    if (!p && size > 0) luaL_error(L, "not enough memory for a JSON text of %I bytes", (LUAI_UACINT)size);
    x->p = p;
    x->size = size;
}

static int box_gc(lua_State *L) {
    box_resize(L, lua_touserdata(L, 1), 0);
    return 0;
}

static box *box_new(orr_jbuf *b) {
    lua_State *L = b->L;
    box *x = lua_newuserdatauv(L, sizeof *x, 0);
    x->p = NULL;
    x->size = 0;
    if (luaL_newmetatable(L, BOX)) {
        lua_pushcfunction(L, box_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_replace(L, b->box);
    return x;
}

void orr_jbuf_init(orr_jbuf *b, lua_State *L) {
    b->L = L;
    b->p = b->first;
    b->n = 0;
    b->cap = sizeof b->first;
    lua_pushnil(L);
    b->box = lua_gettop(L);
}

void orr_jbuf_room(orr_jbuf *b, size_t more) {
    if (more <= b->cap - b->n) return;
    if (more > SIZE_MAX / 2 - b->n) luaL_error(b->L, "a JSON text is too long");
    size_t cap = b->cap + b->cap / 2;
    if (cap < b->n + more) cap = b->n + more;
    box *x = lua_touserdata(b->L, b->box);
    if (!x) x = box_new(b);
    box_resize(b->L, x, cap);
    if (b->p == b->first) memcpy(x->p, b->first, b->n);
    b->p = x->p;
    b->cap = cap;
}

void orr_jbuf_add(orr_jbuf *b, const char *s, size_t n) {
    if (n > b->cap - b->n) orr_jbuf_room(b, n);
    memcpy(b->p + b->n, s, n);
    b->n += n;
}

void orr_jbuf_drop(orr_jbuf *b) {
    box *x = lua_touserdata(b->L, b->box);
    if (x) box_resize(b->L, x, 0);
    b->p = b->first;
    b->n = 0;
    b->cap = sizeof b->first;
}

static bool continues(const char *s, int n) {
    for (int i = 1; i < n; i++) {
        if (((unsigned char)s[i] & 0xC0) != 0x80) return false;
    }
    return true;
}

int orr_utf8_sequence(const char *s, const char *end) {
    unsigned char c = (unsigned char)s[0];
    if (c < 0x80) return 1;
    int n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC2 || c > 0xF4 || end - s < n || !continues(s, n)) return 0;
    unsigned char d = (unsigned char)s[1];
    bool overlong = (c == 0xE0 && d < 0xA0) || (c == 0xF0 && d < 0x90);
    bool surrogate = c == 0xED && d >= 0xA0;
    bool above = c == 0xF4 && d >= 0x90;
    return overlong || surrogate || above ? 0 : n;
}
