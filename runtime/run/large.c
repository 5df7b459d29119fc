/* large.c - outputs that take much memory. The last few that were made or used stay in it; any
 * other is a handle: it is read back where it is used, from the journal of a run in a store, and of
 * a run in memory from a file that nobody else sees.
 *
 * Those of the items of a node with `each` leave it one by one: item_outputs.c.
 */
#include "port/port.h"
#include "run/inner.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAY = 4 };

/* Where an output is that has left memory. */
typedef struct copy {
    uint32_t node;
    off_t at;    /* in the file */
    size_t size; /* bytes of JSON; 0: it is in the journal */
} copy;

struct orr_large {
    uint32_t used[STAY]; /* nodes, the last used first */
    uint32_t n_used;
    copy *copies;
    uint32_t n, cap;
    int fd; /* -1: there is no file yet */
    off_t end;
};

static copy *find(const orr_large *l, uint32_t node) {
    for (uint32_t i = 0; l->copies && i < l->n; i++)
        if (l->copies[i].node == node) return &l->copies[i];
    return NULL;
}

/* Moves the node to the front of those that were used; false where it is not among them. */
static bool touch(orr_large *l, uint32_t node) {
    uint32_t i = 0;
    while (i < l->n_used && l->used[i] != node) i++;
    if (i == l->n_used) return false;
    for (; i > 0; i--) l->used[i] = l->used[i - 1];
    l->used[0] = node;
    return true;
}

void orr_large_used(orr_large *l, uint32_t node) {
    touch(l, node);
}

/* ---- the file -------------------------------------------------------------------------------- */

int orr_unseen_open(void) {
    const char *folder = getenv("TMPDIR");
    return orr_unnamed_file(folder && *folder ? folder : "/tmp");
}

bool orr_unseen_write(int fd, const char *text, size_t size, off_t at) {
    while (size > 0) {
        ssize_t n = pwrite(fd, text, size, at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        text += n;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* Writes the value at the top into the file. */
static bool write_copy(lua_State *L, orr_large *l, copy *c) {
    if (!orr_json_encode(L, -1, &(orr_json_writing){.root = "output", .binary = true})) {
        lua_pop(L, 1);
        return false;
    }
    const char *text = lua_tolstring(L, -1, &c->size);
    c->at = l->end;
    if (l->fd < 0) l->fd = orr_unseen_open();
    bool written = l->fd >= 0 && orr_unseen_write(l->fd, text, c->size, c->at);
    if (written) l->end += (off_t)c->size;
    lua_pop(L, 1);
    return written;
}

static void read_copy(lua_State *L, const orr_large *l, const copy *c, const char *node) {
    luaL_Buffer b;
    char *text = luaL_buffinitsize(L, &b, c->size);
    size_t got = 0;
    while (got < c->size) {
        ssize_t n = pread(l->fd, text + got, c->size - got, c->at + (off_t)got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        got += (size_t)n;
    }
    int why = errno;
    luaL_pushresultsize(&b, got);
    if (got == c->size &&
        orr_json_decode(L, lua_tostring(L, -1), got,
                        &(orr_json_reading){.name = "output", .binary = true, .depth = ORR_JSON_DEPTH_MAX})) {
        lua_remove(L, -2);
        return;
    }
    luaL_error(L, "the output of node %s cannot be read back from its file: %s", node ? node : "?",
               got == c->size ? lua_tostring(L, -1) : strerror(why));
}

/* ---- leaving memory -------------------------------------------------------------------------- */

static bool reserve(orr_runbox *r) {
    orr_large *l = r->large;
    if (l->n < l->cap) return true;
    uint32_t cap = l->cap ? l->cap * 2 : 8;
    copy *grown = orr_mem_resize(&r->script->alloc, l->copies, l->cap, cap, sizeof *grown);
    if (!grown) return false;
    l->copies = grown;
    l->cap = cap;
    return true;
}

/* Makes the output a handle. What cannot be written stays. */
static void let_go(lua_State *L, orr_runbox *r, uint32_t node) {
    orr_large *l = r->large;
    if (orr_run_node_state(r->run, node, ORR_NONE) != ORR_NODE_COMPLETED) return;
    copy c = {.node = node};
    bool again = find(l, node) != NULL;
    if (!again && !reserve(r)) return;
    if (r->kept.n > 0) {
        r->rt->keeper->leave_output(L, r, node);
    } else {
        orr_run_push_table(L, r, RUN_OUTPUTS, 0);
        lua_rawgeti(L, -1, (lua_Integer)node + 1);
        bool gone = again || write_copy(L, l, &c);
        lua_pop(L, 1);
        if (gone) {
            lua_pushnil(L);
            lua_rawseti(L, -2, (lua_Integer)node + 1);
        }
        lua_pop(L, 1);
        if (!gone) return;
    }
    if (!again) l->copies[l->n++] = c;
    r->unloads = true;
}

/* The output is another one now. */
static void forget_copy(orr_large *l, uint32_t node) {
    for (uint32_t i = 0; l->copies && i < l->n; i++) {
        if (l->copies[i].node != node) continue;
        l->copies[i] = l->copies[l->n - 1];
        l->n--;
        return;
    }
}

static orr_large *make(const orr_runbox *r) {
    orr_large *l = orr_mem_new(&r->script->alloc, 1, sizeof *l);
    if (l) *l = (orr_large){.fd = -1};
    return l;
}

void orr_large_took(lua_State *L, orr_runbox *r, uint32_t node) {
    orr_large *l = r->large ? r->large : (r->large = make(r));
    if (!l) return; /* without memory for the handle it stays */
    forget_copy(l, node);
    if (touch(l, node)) return;
    if (l->n_used == STAY) let_go(L, r, l->used[STAY - 1]);
    else l->n_used++;
    l->used[l->n_used - 1] = node;
    touch(l, node);
}

bool orr_large_is_handle(const orr_runbox *r, uint32_t node) {
    return r->large && find(r->large, node);
}

void orr_large_load(lua_State *L, const orr_runbox *r, uint32_t node) {
    const copy *c = r->large ? find(r->large, node) : NULL;
    if (r->kept.n > 0) r->rt->keeper->load_output(L, r, node);
    else if (c) read_copy(L, r->large, c, orr_plan_name(r->plan->plan, node));
    else lua_pushnil(L);
}

void orr_large_free(orr_runbox *r) {
    orr_large *l = r->large;
    if (!l) return;
    if (l->fd >= 0) close(l->fd);
    orr_mem_free(&r->script->alloc, l->copies, l->cap, sizeof *l->copies);
    orr_mem_free(&r->script->alloc, l, 1, sizeof *l);
    r->large = NULL;
}
