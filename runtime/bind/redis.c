/* redis.c - orrery.core.redis_reader: what a Redis server says, as Lua values, by hiredis. It reads
 * bytes and has no socket: orrery.redis.connection has one, of luv's, so that nothing waits.
 *
 * core.redis_reader(limit) -> reader       a reply may have so many bytes
 *     nil, why                             there is no hiredis
 * reader:feed(bytes)
 * reader:next() -> true, reply             and again, until
 *     false                                more bytes are needed
 *     nil, problem, too_large              what came is no reply; nothing can be read any more
 * reader:close()
 *
 * A reply is a string, an integer, null (of orrery.core.json), { error = text }, or a list of
 * these. A server may say anything, so a reply has a bound for bytes, one for elements, and one for
 * the length of a line, which hiredis would read from its beginning with every piece that comes.
 */
#include "bind/inner.h"
#include "bind/redis_lib.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define READER "orrery.redis_reader"
#define MOST_ELEMENTS (1024 * 1024) /* of a reply, with those of lists in it */
#define LONGEST_LINE ((size_t)64 * 1024)

typedef struct reader {
    const orr_redis_lib *lib;
    redisReader *from; /* NULL: closed */
    redisReply *reply; /* what is being pushed; freed later where that raises an error */
    size_t limit, got; /* bytes of a reply; of the one that is under way */
    int elements;      /* that the reply has announced */
    bool too_many;
} reader;

/* ---- bounds ---------------------------------------------------------------------------------- */

static redisReplyObjectFunctions bounded;                 /* hiredis's, but for createArray */
static void *(*create_array)(const redisReadTask *, int); /* NULL: there was no memory */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Before memory is taken for them. */
static void *create_bounded(const redisReadTask *task, int elements) {
    reader *r = task->privdata;
    if (elements > MOST_ELEMENTS - r->elements) {
        r->too_many = true;
        return NULL;
    }
    r->elements += elements > 0 ? elements : 0;
    return create_array(task, elements);
}

static void bound(void) {
    const char *why;
    const orr_redis_lib *lib = orr_redis_lib_get(&why);
    redisReader *any = lib->create();
    if (!any) return;
    bounded = *any->fn;
    create_array = bounded.createArray;
    bounded.createArray = create_bounded;
    lib->free(any);
}

static bool line_is_long(const redisReader *from) {
    size_t left = from->len - from->pos;
    return left > LONGEST_LINE && !memchr(from->buf + from->pos, '\n', LONGEST_LINE);
}

/* ---- replies --------------------------------------------------------------------------------- */

static void clear(reader *r) {
    if (r->reply) r->lib->drop(r->reply);
    r->reply = NULL;
}

/* hiredis reads no more than seven lists in each other. */
static void push_reply(lua_State *L, const redisReply *reply) {
    luaL_checkstack(L, 4, NULL);
    switch (reply->type) {
    case REDIS_REPLY_INTEGER: lua_pushinteger(L, reply->integer); break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS: lua_pushlstring(L, reply->str, reply->len); break;
    case REDIS_REPLY_ERROR:
        lua_createtable(L, 0, 1);
        lua_pushlstring(L, reply->str, reply->len);
        lua_setfield(L, -2, "error");
        break;
    case REDIS_REPLY_ARRAY:
        lua_createtable(L, (int)reply->elements, 0);
        for (size_t i = 0; i < reply->elements; i++) {
            push_reply(L, reply->element[i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    default: orr_json_push_null(L);
    }
}

static int problem(lua_State *L, const char *text, bool too_large) {
    lua_pushnil(L);
    lua_pushstring(L, text);
    lua_pushboolean(L, too_large);
    return 3;
}

static reader *check(lua_State *L) {
    reader *r = luaL_checkudata(L, 1, READER);
    if (!r->from) luaL_error(L, "the reader is closed");
    return r;
}

static int feed(lua_State *L) {
    reader *r = check(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    if (r->lib->feed(r->from, bytes, size) != REDIS_OK && r->from->err == REDIS_ERR_OOM)
        return luaL_error(L, "not enough memory");
    r->got += size;
    return 0;
}

static int next(lua_State *L) {
    reader *r = check(L);
    void *reply = NULL;
    clear(r);
    if (r->lib->get(r->from, &reply) != REDIS_OK) {
        if (r->too_many) return problem(L, "a reply has more than 1048576 elements", true);
        return problem(L, r->from->errstr, false);
    }
    if (!reply) {
        if (line_is_long(r->from)) return problem(L, "a line has more than 65536 bytes", false);
        if (r->got <= r->limit) return lua_pushboolean(L, false), 1;
        lua_pushfstring(L, "a reply has more than %I bytes", (LUAI_UACINT)r->limit);
        return problem(L, lua_tostring(L, -1), true);
    }
    r->reply = reply;
    r->elements = 0;
    r->got = r->from->len - r->from->pos;
    lua_pushboolean(L, true);
    push_reply(L, r->reply);
    clear(r);
    return 2;
}

/* ---- the reader ------------------------------------------------------------------------------ */

static int close_reader(lua_State *L) {
    reader *r = luaL_checkudata(L, 1, READER);
    if (!r->from) return 0;
    clear(r);
    r->lib->free(r->from);
    r->from = NULL;
    return 0;
}

int orr_core_redis_reader(lua_State *L) {
    static const luaL_Reg methods[] = {{"feed", feed}, {"next", next}, {"close", close_reader}, {NULL, NULL}};
    lua_Integer limit = luaL_checkinteger(L, 1);
    luaL_argcheck(L, limit > 0, 1, "expected a number of bytes");
    const char *why;
    const orr_redis_lib *lib = orr_redis_lib_get(&why);
    if (!lib) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    reader *r = lua_newuserdatauv(L, sizeof *r, 0);
    *r = (reader){.lib = lib, .limit = (size_t)limit};
    orr_push_kind(L, READER, close_reader, methods);
    lua_setmetatable(L, -2);
    pthread_once(&once, bound);
    r->from = create_array ? lib->create() : NULL;
    if (!r->from) return luaL_error(L, "not enough memory");
    r->from->fn = &bounded;
    r->from->privdata = r;
    return 1;
}
