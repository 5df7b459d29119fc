/* xml.c - XML into values, for Lua.
 *
 * xml_reader { rows, form, lists, encoding, max_row, max_size, max_depth } -> reader
 *   rows       the path of the elements that are wanted: "feed/entry", "*" for any name, or
 *              "//entry" for those anywhere; nil: the document is one value
 *   form       "object" or "tree", see below
 *   lists      { name = true }: these elements are lists also where there is one of them
 *   encoding   of the text, where it is not what the document says
 *   max_row    bytes of a row's names and values, and 16 for each of them (1 MiB)
 *   max_size   the same of a document (64 MiB)
 *   max_depth  levels of elements (100, at most 400)
 * reader:read(text) -> values, or nil and { reason, line, column }
 *   takes a piece of the text; nil: there is no more
 * Raises `xml_unavailable` without libexpat.
 *
 * An object is what xmltodict (Python) makes: an element with neither attributes nor elements in it
 * is its text; another is { ["@attribute"] = text, element = value, ["#text"] = text }, where
 * elements of one name are a list, and blanks between elements are left out. A document is { root =
 * value }. A tree loses nothing but comments, processing instructions and the document type:
 * { name, attributes = { name = text }, content = { text or element, … } }.
 */
#include "lua/json.h"
#include "lua/lua.h"
#include "rows/inner.h"
#include "rows/xml_parse.h"

#include <lauxlib.h>
#include <string.h>

#define READER "orrery.xml_reader"

typedef struct reader {
    bool tree, rows;
    bool failed;
    orr_xml *xml;
} reader;

enum { LISTS = 1, PARSER, VALUES = PARSER }; /* user values: names of lists, the parser's memory */

/* ---- events ---------------------------------------------------------------------------------- */

/* An event as it is read. */
typedef struct event {
    orr_xml_event head;
    const char *name, *value; /* of an ELEMENT, value is what is in it */
    const char *end;          /* where the next one begins, elements in it included */
} event;

static event event_at(const char *at) {
    event e;
    memcpy(&e.head, at, sizeof e.head);
    e.name = at + sizeof e.head;
    e.value = e.name + e.head.size;
    e.end = e.head.kind == ORR_XML_ELEMENT ? at + e.head.span : e.value + e.head.span;
    return e;
}

/* ---- trees ----------------------------------------------------------------------------------- */

static void push_attributes(lua_State *L, const event *element) {
    lua_newtable(L);
    for (const char *at = element->value; at < element->end;) {
        event e = event_at(at);
        at = e.end;
        if (e.head.kind != ORR_XML_ATTRIBUTE) break;
        lua_pushlstring(L, e.name, e.head.size);
        lua_pushlstring(L, e.value, e.head.span);
        lua_rawset(L, -3);
    }
}

static void push_tree(lua_State *L, const event *element) {
    lua_Integer n = 0;
    luaL_checkstack(L, LUA_MINSTACK, "the document is nested too deep");
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, element->name, element->head.size);
    lua_setfield(L, -2, "name");
    push_attributes(L, element);
    lua_setfield(L, -2, "attributes");
    lua_newtable(L);
    orr_json_mark_array(L, -1);
    for (const char *at = element->value; at < element->end;) {
        event e = event_at(at);
        at = e.end;
        if (e.head.kind == ORR_XML_ATTRIBUTE) continue;
        if (e.head.kind == ORR_XML_TEXT) lua_pushlstring(L, e.value, e.head.span);
        else push_tree(L, &e);
        lua_rawseti(L, -2, ++n);
    }
    lua_setfield(L, -2, "content");
}

/* ---- objects --------------------------------------------------------------------------------- */

static bool is_blank(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (!strchr(" \t\r\n", text[i]) || !text[i]) return false;
    }
    return true;
}

/* What is in an element. */
typedef struct contents {
    bool fields;   /* attributes or elements */
    bool elements; /* elements */
    bool text;     /* text that is no blank between elements */
} contents;

static contents look(const event *element) {
    contents c = {false, false, false};
    bool some = false, ink = false;
    for (const char *at = element->value; at < element->end;) {
        event e = event_at(at);
        at = e.end;
        c.fields = c.fields || e.head.kind != ORR_XML_TEXT;
        c.elements = c.elements || e.head.kind == ORR_XML_ELEMENT;
        some = some || e.head.kind == ORR_XML_TEXT;
        ink = ink || (e.head.kind == ORR_XML_TEXT && !is_blank(e.value, e.head.span));
    }
    c.text = c.elements ? ink : some;
    return c;
}

/* The texts of the element, joined. */
static void push_text(lua_State *L, const event *element) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (const char *at = element->value; at < element->end;) {
        event e = event_at(at);
        at = e.end;
        if (e.head.kind == ORR_XML_TEXT) luaL_addlstring(&b, e.value, e.head.span);
    }
    luaL_pushresult(&b);
}

/* (…, object, name, value): puts the value there, after those of the same name. */
static void put(lua_State *L, int lists) {
    lua_pushvalue(L, -2);
    int there = lua_rawget(L, -4); /* a list has items, and an element's object names only */
    bool is_list = there == LUA_TTABLE && lua_rawlen(L, -1) > 0;
    if (there == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushvalue(L, -2);
        bool wanted = lua_rawget(L, lists) != LUA_TNIL;
        lua_pop(L, 1);
        if (!wanted) {
            lua_rawset(L, -3);
            return;
        }
        lua_pushnil(L);
    }
    if (!is_list) { /* …, object, name, value, former or nil */
        lua_createtable(L, 2, 0);
        orr_json_mark_array(L, -1);
        lua_insert(L, -2);
        if (lua_isnil(L, -1)) lua_pop(L, 1);
        else lua_rawseti(L, -2, 1);
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -2);
        lua_rawset(L, -6);
    }
    lua_insert(L, -2); /* …, object, name, list, value */
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 2);
}

/* `lists` is a table in the stack. */
static void push_object(lua_State *L, const event *element, int lists) {
    contents c = look(element);
    luaL_checkstack(L, LUA_MINSTACK, "the document is nested too deep");
    if (!c.fields) {
        push_text(L, element);
        return;
    }
    lua_newtable(L);
    for (const char *at = element->value; at < element->end;) {
        event e = event_at(at);
        at = e.end;
        if (e.head.kind == ORR_XML_TEXT) continue;
        if (e.head.kind == ORR_XML_ATTRIBUTE) {
            lua_pushliteral(L, "@");
            lua_pushlstring(L, e.name, e.head.size);
            lua_concat(L, 2);
            lua_pushlstring(L, e.value, e.head.span);
            lua_rawset(L, -3);
        } else {
            lua_pushlstring(L, e.name, e.head.size);
            push_object(L, &e, lists);
            put(L, lists);
        }
    }
    if (!c.text) return;
    push_text(L, element);
    lua_setfield(L, -2, "#text");
}

/* ---- reading --------------------------------------------------------------------------------- */

static void push_value(lua_State *L, const reader *r, const event *element, int lists) {
    if (r->tree) {
        push_tree(L, element);
        return;
    }
    if (r->rows) {
        push_object(L, element, lists);
        return;
    }
    lua_newtable(L);
    lua_pushlstring(L, element->name, element->head.size);
    push_object(L, element, lists);
    lua_rawset(L, -3);
}

static int push_problem(lua_State *L, reader *r) {
    lua_Integer line, column;
    const char *reason = orr_xml_problem(r->xml, &line, &column);
    r->failed = true;
    lua_pushnil(L);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, reason);
    lua_setfield(L, -2, "reason");
    lua_pushinteger(L, line);
    lua_setfield(L, -2, "line");
    lua_pushinteger(L, column);
    lua_setfield(L, -2, "column");
    return 2;
}

static int reader_read(lua_State *L) {
    reader *r = luaL_checkudata(L, 1, READER);
    size_t size = 0;
    lua_Integer n = 0;
    bool last = lua_isnoneornil(L, 2);
    const char *text = luaL_optlstring(L, 2, "", &size);
    if (!r->xml) return luaL_error(L, "the reader has ended");
    if (r->failed || !orr_xml_feed(r->xml, text, size, last)) return push_problem(L, r);
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, LISTS); /* 3 */
    lua_newtable(L);
    const char *at = orr_xml_ready(r->xml, &size), *end = at ? at + size : at;
    while (at < end) {
        event e = event_at(at);
        push_value(L, r, &e, 3);
        lua_rawseti(L, 4, ++n);
        at = e.end;
    }
    orr_xml_taken(r->xml);
    return 1;
}

static int reader_gc(lua_State *L) {
    reader *r = luaL_checkudata(L, 1, READER);
    if (r->xml) orr_xml_end(r->xml);
    r->xml = NULL;
    return 0;
}

/* ---- making a reader ------------------------------------------------------------------------- */

static lua_Integer number_of(lua_State *L, const char *key, lua_Integer otherwise, lua_Integer most) {
    lua_getfield(L, 1, key);
    lua_Integer n = luaL_optinteger(L, -1, otherwise);
    if (n < 1 || n > most) luaL_error(L, "%s: expected 1 to %I", key, (LUAI_UACINT)most);
    lua_pop(L, 1);
    return n;
}

static const char *text_of(lua_State *L, const char *key) {
    lua_getfield(L, 1, key);
    return luaL_optstring(L, -1, NULL);
}

static void begin(lua_State *L, reader *r, orr_xml *xml, const orr_xml_options *options) {
    const char *why = NULL;
    if (!orr_xml_available(&why)) {
        orr_push_error(L, orr_script_of(L), "xml_unavailable", why);
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "retryable");
        lua_error(L);
    }
    memset(xml, 0, orr_xml_size());
    r->xml = xml;
    why = orr_xml_begin(xml, orr_rows_alloc(L), options);
    if (why) luaL_error(L, options->path ? "rows: %s" : "%s", why);
}

static int xml_reader(lua_State *L) {
    static const char *const forms[] = {"object", "tree", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    orr_xml_options options = {
        .path = text_of(L, "rows"),
        .encoding = text_of(L, "encoding"),
        .max_depth = (int)number_of(L, "max_depth", 100, ORR_XML_DEEPEST),
    };
    lua_Integer most = options.path ? number_of(L, "max_row", 1 << 20, (lua_Integer)1 << 40)
                                    : number_of(L, "max_size", 1 << 26, (lua_Integer)1 << 40);
    options.max_bytes = options.max_token = (size_t)most;
    lua_getfield(L, 1, "form");
    bool tree = luaL_checkoption(L, -1, "object", forms) == 1;
    reader *r = lua_newuserdatauv(L, sizeof *r, VALUES);
    int self = lua_gettop(L);
    *r = (reader){.tree = tree, .rows = options.path != NULL};
    luaL_setmetatable(L, READER);
    if (lua_getfield(L, 1, "lists") != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
    lua_setiuservalue(L, self, LISTS);
    orr_xml *xml = lua_newuserdatauv(L, orr_xml_size(), 0);
    lua_setiuservalue(L, self, PARSER);
    begin(L, r, xml, &options);
    lua_settop(L, self);
    return 1;
}

void orr_open_xml(lua_State *L) {
    static const luaL_Reg methods[] = {{"read", reader_read}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"xml_reader", xml_reader}, {NULL, NULL}};
    orr_rows_kind(L, READER, reader_gc, methods);
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
