/* prompt.c - reads, evaluates and prints; code may wait. */
#include "host/host.h"

#include "host/lines.h"
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

/* Pushes the text of the global `name`, or `otherwise` where it is nil. */
static const char *push_prompt(lua_State *L, const char *name, const char *otherwise) {
    if (lua_getglobal(L, name) == LUA_TNIL) {
        lua_pop(L, 1);
        return lua_pushstring(L, otherwise);
    }
    const char *text = luaL_tolstring(L, -1, NULL);
    lua_remove(L, -2);
    return text;
}

/* Reads a line and pushes it, without its newline. */
static line_status push_line(lua_State *L, lines *in, bool first) {
    const char *prompt = first ? push_prompt(L, "_PROMPT", "> ") : push_prompt(L, "_PROMPT2", ">> ");
    const char *text;
    size_t len;
    line_status status = lines_read(in, prompt, &text, &len);
    lua_pop(L, 1);
    if (status != LINE_READ) return status;
    bool value = first && len > 0 && text[0] == '='; /* =x prints x, as lua does */
    lua_pushstring(L, value ? "return " : "");
    lua_pushlstring(L, text + value, len - value);
    lua_concat(L, 2);
    return status;
}

static int load_text(lua_State *L, const char *text, size_t len) {
    return luaL_loadbufferx(L, text, len, "=stdin", "t");
}

/* The parser ran into the end of the text: more may make it whole. Leaves the message where it
 * is. */
static bool is_incomplete(lua_State *L, int status) {
    static const char mark[] = "<eof>";
    size_t len;
    const char *message = status == LUA_ERRSYNTAX ? lua_tolstring(L, -1, &len) : NULL;
    size_t tail = sizeof mark - 1;
    return message && len >= tail && strcmp(message + len - tail, mark) == 0;
}

/* Replaces the text on top by its chunk as an expression; false, with nothing changed, where it
 * is none. */
static bool load_expression(lua_State *L) {
    const char *text = lua_tostring(L, -1);
    lua_pushfstring(L, "return %s", text);
    int status = load_text(L, lua_tostring(L, -1), lua_rawlen(L, -1));
    lua_remove(L, -2);
    if (status != LUA_OK) {
        lua_pop(L, 1);
        return false;
    }
    lua_replace(L, -2);
    return true;
}

/* Replaces the first line, on top, by its chunk or an error, asking for more lines while they
 * may complete it. *status is that of the loading. Not LINE_READ: nothing is left on the stack. */
static line_status load_statement(lua_State *L, lines *in, int *status) {
    for (;;) {
        size_t len;
        const char *text = lua_tolstring(L, -1, &len);
        *status = load_text(L, text, len);
        line_status more = is_incomplete(L, *status) ? push_line(L, in, false) : LINE_END;
        if (more == LINE_INTERRUPTED) {
            lua_pop(L, 2);
            return more;
        }
        if (more == LINE_END) { /* whole, wrong, or never completed */
            lines_remember(in, text);
            lua_remove(L, -2);
            return LINE_READ;
        }
        lua_remove(L, -2); /* the message; the text and the new line stay */
        lua_pushliteral(L, "\n");
        lua_insert(L, -2);
        lua_concat(L, 3);
    }
}

/* Reads a chunk and pushes it, or an error; *status says which. */
static line_status read_chunk(lua_State *L, lines *in, int *status) {
    line_status read = push_line(L, in, true);
    if (read != LINE_READ) return read;
    lua_pushvalue(L, -1);
    if (load_expression(L)) {
        lines_remember(in, lua_tostring(L, -2));
        lua_remove(L, -2);
        *status = LUA_OK;
        return LINE_READ;
    }
    lua_pop(L, 1);
    return load_statement(L, in, status);
}

static bool has_table(lua_State *L, int base) {
    for (int i = lua_gettop(L); i > base; i--)
        if (lua_istable(L, i)) return true;
    return false;
}

/* (values...) -> the same, with texts in place of tables. What shows tables is loaded for the
 * first one. */
static int show_tables(lua_State *L) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "orrery.cli.display.literal");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "shown");
    lua_replace(L, -2);
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* (values...): prints them with the global `print`, whatever the user made of it. */
static int print_values(lua_State *L) {
    lua_getglobal(L, "print");
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

/* Calls a function with the values above `base`, which its results replace. False: it failed, and
 * that was said. */
static bool apply(lua_State *L, int base, lua_CFunction function, const char *what) {
    luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
    lua_pushcfunction(L, function);
    lua_insert(L, base + 1);
    if (host_call(L, lua_gettop(L) - base - 1, LUA_MULTRET) == LUA_OK) return true;
    lua_pushfstring(L, "calling '%s' failed: %s", what, lua_tostring(L, -1));
    lua_remove(L, -2);
    host_report(L);
    return false;
}

/* Prints the values above `base`. */
static void print_results(lua_State *L, int base) {
    if (lua_gettop(L) == base) return;
    if (has_table(L, base) && !apply(L, base, show_tables, "require")) return;
    apply(L, base, print_values, "print");
}

void host_prompt(lua_State *L) {
    lines *in = lines_open(L);
    if (!in) {
        fputs(HOST_NAME ": cannot start the prompt: not enough memory\n", stderr);
        return;
    }
    int base = lua_gettop(L);
    int status = LUA_OK;
    host_prompting(true);
    for (;;) {
        host_interrupt_begin(L);
        line_status read = read_chunk(L, in, &status);
        if (read == LINE_END) break;
        if (read == LINE_INTERRUPTED) continue;
        if (status == LUA_OK) status = host_call(L, 0, LUA_MULTRET);
        host_interrupted();
        if (status == LUA_OK) print_results(L, base);
        else host_report(L);
        lua_settop(L, base);
    }
    host_interrupt_end();
    host_prompting(false);
    lines_close(in);
    putchar('\n');
    fflush(stdout);
}
