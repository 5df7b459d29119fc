/* files.c - orrery.core.fs: requests to file systems in threads of their own (loop/blocking.h), so
 * that one which does not answer holds up nobody else.
 *
 * fs(name, arguments..., callback) -> handle
 *   "open", path, flags, mode     the descriptor
 *   "read", fd, bytes, offset     a string; -1: where the file stands
 *   "write", fd, text, offset     how many bytes
 *   "close", fd   "fsync", fd   "fchmod", fd, mode   "futime", fd, read, changed (seconds)
 *   "sendfile", to, from, offset, bytes   how many bytes went from one descriptor to another
 *   "hash", fd, algorithm         the digest of the rest, in hex: sha256, sha512, sha1, md5
 *   "stat", path   "lstat", path   "fstat", fd
 *       {type, mode, size, uid, gid, ino, dev = integers, mtime, ctime = {sec, nsec}}
 *   "mkdir", path, mode   "unlink", path   "rmdir", path
 *   "remove", path                also a folder, with all that is in it
 *   "rename", from, to, how       "replace" (default), "new", "exchange"
 *   "link", from, to   "symlink", target, path
 *   "readlink", path   "realpath", path   a path
 *   "scandir", path               a list of {name, type}
 * callback(err, result) is called once, later, with a text like luv's ("ENOENT: no such file or
 * directory: notes.txt"), or with the result, true where there is none. Without a callback the
 * request is done at some time, and nothing waits for it.
 *
 * handle:unref(): neither the loop nor virtual time waits for it any more; the callback may come.
 * handle:cancel(): "hash" and "remove" end soon, with ECANCELED.
 * handle:close_after(fd): closes a descriptor when the request, which may use it, is over.
 */
#include "loop/loop.h"
#include "bind/inner.h"
#include "fiber/fiber.h"
#include "port/port.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define HANDLE "orrery.request"
#define THREADS "orrery.requests"

/* Operations and what they take: p path, q another path, f descriptor, F another, g flags, m mode,
 * n number of bytes, t text, o offset, d e times, a algorithm, h how it renames. */
#define OPERATIONS(X)                                                                                        \
    X(OPEN, "open", "pgm")                                                                                   \
    X(READ, "read", "fno")                                                                                   \
    X(WRITE, "write", "fto")                                                                                 \
    X(CLOSE, "close", "f")                                                                                   \
    X(FSYNC, "fsync", "f")                                                                                   \
    X(FCHMOD, "fchmod", "fm")                                                                                \
    X(FUTIME, "futime", "fde")                                                                               \
    X(SENDFILE, "sendfile", "fFon")                                                                          \
    X(HASH, "hash", "fa")                                                                                    \
    X(FSTAT, "fstat", "f")                                                                                   \
    X(STAT, "stat", "p")                                                                                     \
    X(LSTAT, "lstat", "p")                                                                                   \
    X(MKDIR, "mkdir", "pm")                                                                                  \
    X(UNLINK, "unlink", "p")                                                                                 \
    X(RMDIR, "rmdir", "p")                                                                                   \
    X(REMOVE, "remove", "p")                                                                                 \
    X(RENAME, "rename", "pqh")                                                                               \
    X(LINK, "link", "pq")                                                                                    \
    X(SYMLINK, "symlink", "pq")                                                                              \
    X(READLINK, "readlink", "p")                                                                             \
    X(REALPATH, "realpath", "p")                                                                             \
    X(SCANDIR, "scandir", "p")

#define ID(id, name, takes) id,
typedef enum { OPERATIONS(ID) } asked;
#undef ID

#define NAME(id, name, takes) name,
static const char *const names[] = {OPERATIONS(NAME) NULL};
#undef NAME

#define TAKES(id, name, takes) takes,
static const char *const arguments[] = {OPERATIONS(TAKES)};
#undef TAKES

typedef struct handle handle;

/* A block of libc's, with its texts or bytes behind it. */
typedef struct request {
    orr_job job;
    uv_fs_t fs;
    asked operation;
    int fd, other_fd, flags, mode;
    orr_rename how;
    int64_t offset;
    double times[2];
    atomic_bool stop;
    int then_close[2]; /* descriptors, or -1 */
    size_t size;       /* of what is read, written or sent */
    handle *handle;    /* NULL: none */
    orr_blocking *pool;
    char *other; /* the second path or the algorithm, in `data` */
    char data[];
} request;

/* Stands in Lua's registry, under its own address, until the callback is called. */
struct handle {
    orr_script *script;
    request *request; /* NULL once it has ended */
    bool sent, waited;
    const struct threads *threads;
};

typedef struct threads {
    orr_blocking *blocking; /* NULL when the state is being closed */
} threads;

static const char pool_key = 0;

/* ---- on a thread ----------------------------------------------------------------------------- */

/* What libuv does not do leaves its result where libuv's are. */
static void do_more(request *r) {
    switch (r->operation) {
    case HASH: r->fs.result = orr_digest_file(r->fd, r->other, r->data, &r->stop); break;
    case REMOVE: r->fs.result = orr_remove_tree(r->data, &r->stop); break;
    case RENAME: r->fs.result = -orr_port_rename(r->data, r->other, r->how); break;
    default: break;
    }
}

static void work(orr_job *job) {
    request *r = (request *)job;
    uv_fs_t *fs = &r->fs;
    uv_buf_t buf = uv_buf_init(r->data, (unsigned)r->size);
    switch (r->operation) {
    case OPEN: uv_fs_open(NULL, fs, r->data, r->flags, r->mode, NULL); break;
    case READ: uv_fs_read(NULL, fs, r->fd, &buf, 1, r->offset, NULL); break;
    case WRITE: uv_fs_write(NULL, fs, r->fd, &buf, 1, r->offset, NULL); break;
    case CLOSE: uv_fs_close(NULL, fs, r->fd, NULL); break;
    case FSYNC: uv_fs_fsync(NULL, fs, r->fd, NULL); break;
    case FCHMOD: uv_fs_fchmod(NULL, fs, r->fd, r->mode, NULL); break;
    case FUTIME: uv_fs_futime(NULL, fs, r->fd, r->times[0], r->times[1], NULL); break;
    case SENDFILE: uv_fs_sendfile(NULL, fs, r->fd, r->other_fd, r->offset, r->size, NULL); break;
    case FSTAT: uv_fs_fstat(NULL, fs, r->fd, NULL); break;
    case STAT: uv_fs_stat(NULL, fs, r->data, NULL); break;
    case LSTAT: uv_fs_lstat(NULL, fs, r->data, NULL); break;
    case MKDIR: uv_fs_mkdir(NULL, fs, r->data, r->mode, NULL); break;
    case UNLINK: uv_fs_unlink(NULL, fs, r->data, NULL); break;
    case RMDIR: uv_fs_rmdir(NULL, fs, r->data, NULL); break;
    case LINK: uv_fs_link(NULL, fs, r->data, r->other, NULL); break;
    case SYMLINK: uv_fs_symlink(NULL, fs, r->data, r->other, 0, NULL); break;
    case READLINK: uv_fs_readlink(NULL, fs, r->data, NULL); break;
    case REALPATH: uv_fs_realpath(NULL, fs, r->data, NULL); break;
    case SCANDIR: uv_fs_scandir(NULL, fs, r->data, 0, NULL); break;
    case HASH:
    case REMOVE:
    case RENAME: do_more(r); break;
    }
}

/* libuv forgets the last entry of a folder where it is not asked for one more. */
static void free_request(request *r) {
    uv_dirent_t entry;
    while (r->operation == SCANDIR && uv_fs_scandir_next(&r->fs, &entry) == 0) {
    }
    uv_fs_req_cleanup(&r->fs);
    free(r);
}

static void close_now(int fd) {
    uv_fs_t fs;
    if (fd < 0) return;
    uv_fs_close(NULL, &fs, fd, NULL);
    uv_fs_req_cleanup(&fs);
}

static void drop(orr_job *job) {
    request *r = (request *)job;
    close_now(r->then_close[0]);
    close_now(r->then_close[1]);
    if (r->operation == OPEN && job->since && r->fs.result >= 0) close_now((int)r->fs.result);
    free_request(r);
}

/* ---- results --------------------------------------------------------------------------------- */

static const char *type_of(uint64_t mode) {
    switch (mode & 0170000) {
    case 0100000: return "file";
    case 0040000: return "directory";
    case 0120000: return "link";
    case 0010000: return "fifo";
    case 0140000: return "socket";
    case 0020000: return "char";
    case 0060000: return "block";
    default: return "unknown";
    }
}

static void set_time(lua_State *L, const char *key, const uv_timespec_t *t) {
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, t->tv_sec);
    lua_setfield(L, -2, "sec");
    lua_pushinteger(L, t->tv_nsec);
    lua_setfield(L, -2, "nsec");
    lua_setfield(L, -2, key);
}

static void push_stat(lua_State *L, const uv_stat_t *st) {
    lua_createtable(L, 0, 9);
    lua_pushstring(L, type_of(st->st_mode));
    lua_setfield(L, -2, "type");
    lua_pushinteger(L, (lua_Integer)st->st_mode);
    lua_setfield(L, -2, "mode");
    lua_pushinteger(L, (lua_Integer)st->st_size);
    lua_setfield(L, -2, "size");
    lua_pushinteger(L, (lua_Integer)st->st_uid);
    lua_setfield(L, -2, "uid");
    lua_pushinteger(L, (lua_Integer)st->st_gid);
    lua_setfield(L, -2, "gid");
    lua_pushinteger(L, (lua_Integer)st->st_ino);
    lua_setfield(L, -2, "ino");
    lua_pushinteger(L, (lua_Integer)st->st_dev);
    lua_setfield(L, -2, "dev");
    set_time(L, "mtime", &st->st_mtim);
    set_time(L, "ctime", &st->st_ctim);
}

static const char *entry_type(uv_dirent_type_t type) {
    switch (type) {
    case UV_DIRENT_FILE: return "file";
    case UV_DIRENT_DIR: return "directory";
    case UV_DIRENT_LINK: return "link";
    case UV_DIRENT_FIFO: return "fifo";
    case UV_DIRENT_SOCKET: return "socket";
    case UV_DIRENT_CHAR: return "char";
    case UV_DIRENT_BLOCK: return "block";
    default: return "unknown";
    }
}

static void push_entries(lua_State *L, uv_fs_t *fs) {
    uv_dirent_t entry;
    lua_createtable(L, (int)fs->result, 0);
    for (lua_Integer i = 1; uv_fs_scandir_next(fs, &entry) == 0; i++) {
        lua_createtable(L, 2, 0);
        lua_pushstring(L, entry.name);
        lua_rawseti(L, -2, 1);
        lua_pushstring(L, entry_type(entry.type));
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, i);
    }
}

static void push_result(lua_State *L, request *r) {
    switch (r->operation) {
    case OPEN:
    case SENDFILE:
    case WRITE: lua_pushinteger(L, (lua_Integer)r->fs.result); break;
    case READ: lua_pushlstring(L, r->data, (size_t)r->fs.result); break;
    case STAT:
    case LSTAT:
    case FSTAT: push_stat(L, &r->fs.statbuf); break;
    case HASH: lua_pushstring(L, r->data); break;
    case READLINK:
    case REALPATH: lua_pushstring(L, r->fs.ptr); break;
    case SCANDIR: push_entries(L, &r->fs); break;
    default: lua_pushboolean(L, true);
    }
}

/* (request) -> err, result */
static int build(lua_State *L) {
    request *r = lua_touserdata(L, 1);
    if (r->fs.result >= 0) {
        lua_pushnil(L);
        push_result(L, r);
        return 2;
    }
    int error = (int)r->fs.result;
    bool has_path = arguments[r->operation][0] == 'p';
    char name[32], text[128];
    lua_pushfstring(L, "%s: %s%s%s", uv_err_name_r(error, name, sizeof name),
                    uv_strerror_r(error, text, sizeof text), has_path ? ": " : "", has_path ? r->data : "");
    lua_pushnil(L);
    return 2;
}

static request *new_request(orr_blocking *pool, asked operation, size_t bytes);

/* Closing may block as well. */
static void close_later(orr_blocking *pool, int fd) {
    request *r = new_request(pool, CLOSE, 0);
    if (r) r->fd = fd;
    if (r && orr_blocking_submit(pool, &r->job, false)) return;
    if (r) free_request(r);
    close_now(fd);
}

/* Runs inside orr_script_call. */
static int deliver(lua_State *L) {
    request *r = lua_touserdata(L, 1);
    handle *h = r->handle;
    lua_rawgetp(L, LUA_REGISTRYINDEX, h);
    lua_getiuservalue(L, -1, 1);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, h);
    lua_pushcfunction(L, build);
    lua_pushlightuserdata(L, r);
    if (lua_pcall(L, 1, 2, 0) != LUA_OK) {
        lua_pop(L, 1);
        if (r->operation == OPEN && r->fs.result >= 0) close_later(r->pool, (int)r->fs.result);
        lua_pushliteral(L, "ENOMEM: not enough memory");
        lua_pushnil(L);
    }
    lua_call(L, 2, 0);
    return 0;
}

static void stop_waiting(handle *h) {
    if (h->waited) orr_script_pending(h->script, -1);
    h->waited = false;
}

static void done(orr_job *job) {
    request *r = (request *)job;
    handle *h = r->handle;
    if (h) {
        lua_State *L = orr_script_main(h->script);
        h->request = NULL;
        stop_waiting(h);
        if (lua_checkstack(L, LUA_MINSTACK)) {
            lua_pushcfunction(L, deliver);
            lua_pushlightuserdata(L, r);
            orr_script_call(h->script, 1);
        }
    }
    for (int i = 0; i < 2; i++)
        if (r->then_close[i] >= 0) close_later(r->pool, r->then_close[i]);
    free_request(r);
}

/* ---- the functions --------------------------------------------------------------------------- */

static request *new_request(orr_blocking *pool, asked operation, size_t bytes) {
    request *r = calloc(1, sizeof *r + bytes + 1);
    if (!r) return NULL;
    r->job = (orr_job){.work = work, .done = done, .drop = drop};
    r->operation = operation;
    r->then_close[0] = r->then_close[1] = -1;
    r->pool = pool;
    return r;
}

static int threads_gc(lua_State *L) {
    threads *p = luaL_checkudata(L, 1, THREADS);
    if (p->blocking) orr_blocking_close(p->blocking);
    p->blocking = NULL;
    return 0;
}

void orr_files_let_loop_go(lua_State *L) {
    orr_let_kind_go(L, &pool_key);
}

static const threads *threads_of(lua_State *L, const orr_script *s) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &pool_key) == LUA_TNIL) {
        lua_pop(L, 1);
        threads *p = lua_newuserdatauv(L, sizeof *p, 0);
        *p = (threads){NULL};
        luaL_setmetatable(L, THREADS);
        p->blocking = orr_blocking_open(orr_fibers_of(s)->loop);
        if (!p->blocking) luaL_error(L, "not enough memory for files");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &pool_key);
    }
    const threads *p = lua_touserdata(L, -1);
    lua_pop(L, 1); /* the registry holds it */
    if (!p->blocking) luaL_error(L, "the state is being closed");
    return p;
}

struct orr_blocking *const *orr_threads_of(lua_State *L) {
    return &threads_of(L, orr_script_of(L))->blocking;
}

/* What an operation was given. Texts are Lua's. */
typedef struct given {
    int fd, other_fd, flags, mode;
    orr_rename how;
    int64_t offset;
    double times[2];
    const char *text, *other;
    size_t text_size, other_size, bytes;
} given;

static const char *check_path(lua_State *L, int idx, size_t *size) {
    const char *path = luaL_checklstring(L, idx, size);
    luaL_argcheck(L, strlen(path) == *size, idx, "a path has no NUL byte");
    return path;
}

static size_t check_bytes(lua_State *L, int idx) {
    lua_Integer bytes = luaL_checkinteger(L, idx);
    luaL_argcheck(L, bytes >= 0 && bytes <= 1 << 30, idx, "out of range");
    return (size_t)bytes;
}

static const char *check_algorithm(lua_State *L, int idx, size_t *size) {
    const char *name = luaL_checklstring(L, idx, size);
    luaL_argcheck(L, orr_digest_known(name), idx, "expected sha256, sha512, sha1 or md5");
    return name;
}

static void check(lua_State *L, given *g, char what, int idx) {
    static const char *const hows[] = {"replace", "new", "exchange", NULL};
    switch (what) {
    case 'p': g->text = check_path(L, idx, &g->text_size); break;
    case 'q': g->other = check_path(L, idx, &g->other_size); break;
    case 'f': g->fd = (int)luaL_checkinteger(L, idx); break;
    case 'F': g->other_fd = (int)luaL_checkinteger(L, idx); break;
    case 'g': g->flags = (int)luaL_checkinteger(L, idx); break;
    case 'm': g->mode = (int)luaL_checkinteger(L, idx); break;
    case 'n': g->bytes = check_bytes(L, idx); break;
    case 't': g->text = luaL_checklstring(L, idx, &g->text_size); break;
    case 'o': g->offset = luaL_optinteger(L, idx, -1); break;
    case 'd': g->times[0] = luaL_checknumber(L, idx); break;
    case 'e': g->times[1] = luaL_checknumber(L, idx); break;
    case 'a': g->other = check_algorithm(L, idx, &g->other_size); break;
    default: g->how = lua_isstring(L, idx) ? (unsigned)luaL_checkoption(L, idx, NULL, hows) : 0; break;
    }
}

/* Its text, or room for what is read, then the other text. */
static request *request_of(const given *g, orr_blocking *pool, asked operation) {
    size_t first = g->text ? g->text_size : operation == HASH ? ORR_DIGEST_HEX : 0;
    if (operation == READ) first = g->bytes;
    request *r = new_request(pool, operation, first + 1 + g->other_size);
    if (!r) return NULL;
    if (g->text) memcpy(r->data, g->text, g->text_size);
    r->other = r->data + first + 1;
    if (g->other) memcpy(r->other, g->other, g->other_size);
    r->fd = g->fd;
    r->other_fd = g->other_fd;
    r->flags = g->flags;
    r->mode = g->mode;
    r->how = g->how;
    r->offset = g->offset;
    r->times[0] = g->times[0];
    r->times[1] = g->times[1];
    r->size = operation == WRITE ? g->text_size : g->bytes;
    return r;
}

static request *read_request(lua_State *L, orr_blocking *pool) {
    asked operation = (unsigned)luaL_checkoption(L, 1, NULL, names);
    given g = {.offset = -1};
    int idx = 2;
    for (const char *what = arguments[operation]; *what; what++) check(L, &g, *what, idx++);
    request *r = request_of(&g, pool, operation);
    if (!r) luaL_error(L, "not enough memory for a request");
    return r;
}

/* Pushes it, with the callback at the top (popped). */
static handle *new_handle(lua_State *L, orr_script *s, const threads *p) {
    handle *h = lua_newuserdatauv(L, sizeof *h, 1);
    *h = (handle){.script = s, .threads = p};
    luaL_setmetatable(L, HANDLE);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 1);
    return h;
}

static int no_thread(lua_State *L, request *r) {
    if (r->handle) {
        r->handle->request = NULL;
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, r->handle);
    }
    free_request(r);
    return luaL_error(L, "EAGAIN: the system gives no thread for files");
}

/* It stands in the registry until its end. */
static void keep(lua_State *L, handle *h, request *r) {
    h->request = r;
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, h);
}

/* What could not be sent, for want of memory. */
static int handle_gc(lua_State *L) {
    const handle *h = luaL_checkudata(L, 1, HANDLE);
    if (h->request && !h->sent) free_request(h->request);
    return 0;
}

static int fs(lua_State *L) {
    orr_script *s = orr_script_of(L);
    const threads *p = threads_of(L, s);
    handle *h = lua_isfunction(L, -1) ? new_handle(L, s, p) : NULL;
    request *r = read_request(L, p->blocking);
    r->handle = h;
    if (h) keep(L, h, r);
    if (!orr_blocking_submit(p->blocking, &r->job, h != NULL)) return no_thread(L, r);
    if (!h) return 0;
    h->sent = h->waited = true;
    orr_script_pending(s, +1);
    return 1;
}

static handle *check_handle(lua_State *L) {
    handle *h = luaL_checkudata(L, 1, HANDLE);
    if (!h->threads->blocking) h->request = NULL; /* dropped */
    return h;
}

static int handle_unref(lua_State *L) {
    handle *h = check_handle(L);
    if (!h->request) return 0;
    stop_waiting(h);
    orr_blocking_unref(h->request->pool, &h->request->job);
    return 0;
}

static int handle_cancel(lua_State *L) {
    const handle *h = check_handle(L);
    if (h->request) h->request->stop = true;
    return 0;
}

static int handle_close_after(lua_State *L) {
    const handle *h = check_handle(L);
    int fd = (int)luaL_checkinteger(L, 2);
    int *slots = h->request ? h->request->then_close : NULL;
    if (slots && slots[0] < 0) slots[0] = fd;
    else if (slots && slots[1] < 0) slots[1] = fd;
    else if (h->threads->blocking) close_later(h->threads->blocking, fd);
    else close_now(fd);
    return 0;
}

int orr_open_files(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"unref", handle_unref},
        {"cancel", handle_cancel},
        {"close_after", handle_close_after},
        {NULL, NULL},
    };
    orr_push_kind(L, THREADS, threads_gc, NULL);
    orr_push_kind(L, HANDLE, handle_gc, methods);
    lua_pop(L, 2);
    lua_pushcfunction(L, fs);
    return 1;
}
