/* sorter.c - sorting of what may be larger than memory: runs that are sorted in memory and merged
 * from a file (Knuth, The Art of Computer Programming, volume 3, 5.4).
 *
 * sorter { memory, folder } -> sorter
 *   memory   bytes that rows take before a sorted run of them is written to a file in `folder`
 * sorter:add(key, row)           keys sort by their bytes; rows of one key stay in their order
 * sorter:next(n) -> rows, keys   at most n of them, in order; nil at the end. From the first call
 *                                on nothing can be added
 * sorter:runs() -> how many runs were written
 */
#include "rows/inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SORTER "orrery.sorter"
#define LEAST_BUFFER (4 * 1024)
#define MOST_BUFFER (256 * 1024)

typedef struct record {
    uint32_t key, row; /* bytes that follow: of the key, then of the row */
} record;

typedef struct entry {
    uint64_t prefix; /* the first bytes of the key, as a number that sorts like them */
    uint64_t at;     /* in the arena */
} entry;

/* A sorted part of the spool, or the arena. */
typedef struct run {
    uint64_t at, end; /* what was not read into the buffer yet */
    orr_byte_list buffer;
    size_t from; /* the record at hand, in the buffer */
} run;

typedef struct sorter {
    orr_byte_list arena;
    entry *entries;
    size_t count, room, next; /* next: of what is given out, where there are no runs */
    orr_spool spool;
    run *runs;
    size_t run_count, run_room;
    size_t *heap, heap_count; /* numbers of runs, the least first */
    size_t memory, piece;     /* piece: of the buffer of a run */
    bool giving;
} sorter;

/* ---- in memory ------------------------------------------------------------------------------- */

static uint64_t prefix_of(const char *key, size_t size) {
    uint64_t n = 0;
    for (size_t i = 0; i < 8; i++) n = n << 8 | (i < size ? (unsigned char)key[i] : 0);
    return n;
}

static int compare_keys(const char *a, const char *b) {
    record x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    int order = memcmp(a + sizeof x, b + sizeof y, x.key < y.key ? x.key : y.key);
    return order ? order : (x.key > y.key) - (x.key < y.key);
}

static int compare_entries(const void *a, const void *b, void *arena) {
    const entry *x = a, *y = b;
    if (x->prefix != y->prefix) return x->prefix < y->prefix ? -1 : 1;
    int order = compare_keys((const char *)arena + x->at, (const char *)arena + y->at);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static void sort(sorter *s) {
    if (s->count > 1) qsort_r(s->entries, s->count, sizeof *s->entries, compare_entries, s->arena.data);
}

static size_t size_of(const char *at) {
    record r;
    memcpy(&r, at, sizeof r);
    return sizeof r + r.key + r.row;
}

static bool grow(orr_alloc *alloc, void **list, size_t *room, size_t size) {
    size_t more = *room ? *room * 2 : 64;
    void *grown = orr_mem_resize(alloc, *list, *room, more, size);
    if (!grown) return false;
    *list = grown;
    *room = more;
    return true;
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* What is in memory, sorted, at the end of the spool. */
static bool spill(sorter *s, const char *folder) {
    if (s->run_count == s->run_room &&
        !grow(&s->arena.alloc, (void **)&s->runs, &s->run_room, sizeof *s->runs)) {
        return s->spool.error = ENOMEM, false;
    }
    run *r = &s->runs[s->run_count];
    *r = (run){.at = orr_spool_size(&s->spool), .buffer = {.alloc = s->arena.alloc}};
    sort(s);
    for (size_t i = 0; i < s->count; i++) {
        const char *at = s->arena.data + s->entries[i].at;
        if (!orr_spool_append(&s->spool, folder, at, size_of(at))) return false;
    }
    r->end = orr_spool_size(&s->spool);
    s->run_count++;
    s->arena.size = s->count = 0;
    return true;
}

/* More of a run into its buffer, before which what was given out is dropped. */
static bool fill(sorter *s, run *r, size_t wanted) {
    size_t have = r->buffer.size - r->from;
    if (have >= wanted) return true;
    if (have > 0) memmove(r->buffer.data, r->buffer.data + r->from, have);
    r->buffer.size = have;
    r->from = 0;
    size_t more = wanted - have > s->piece ? wanted - have : s->piece;
    if (more > r->end - r->at) more = (size_t)(r->end - r->at);
    if (!orr_bytes_reserve(&r->buffer, more)) return s->spool.error = ENOMEM, false;
    if (!orr_spool_read(&s->spool, r->at, r->buffer.data + have, more)) return false;
    r->at += more;
    r->buffer.size += more;
    return true;
}

/* Whether the run has a record, which is then whole in its buffer. */
static bool has_record(sorter *s, run *r) {
    if (r->from == r->buffer.size && r->at == r->end) return false;
    return fill(s, r, sizeof(record)) && fill(s, r, size_of(r->buffer.data + r->from));
}

static bool is_before(const sorter *s, size_t a, size_t b) {
    const run *x = &s->runs[a], *y = &s->runs[b];
    int order = compare_keys(x->buffer.data + x->from, y->buffer.data + y->from);
    return order ? order < 0 : a < b;
}

static void sink(sorter *s, size_t i) {
    for (;;) {
        size_t least = i, left = 2 * i + 1;
        for (size_t child = left; child < left + 2 && child < s->heap_count; child++) {
            if (is_before(s, s->heap[child], s->heap[least])) least = child;
        }
        if (least == i) return;
        size_t run_number = s->heap[i];
        s->heap[i] = s->heap[least];
        s->heap[least] = run_number;
        i = least;
    }
}

static bool begin_merge(sorter *s) {
    orr_bytes_free(&s->arena);
    s->heap = orr_mem_new(&s->arena.alloc, s->run_count, sizeof *s->heap);
    if (!s->heap) return s->spool.error = ENOMEM, false;
    s->piece = s->memory / s->run_count;
    if (s->piece < LEAST_BUFFER) s->piece = LEAST_BUFFER;
    if (s->piece > MOST_BUFFER) s->piece = MOST_BUFFER;
    for (size_t i = 0; i < s->run_count; i++) {
        if (has_record(s, &s->runs[i])) s->heap[s->heap_count++] = i;
    }
    for (size_t i = s->heap_count; i > 0; i--) sink(s, i - 1);
    return s->spool.error == 0;
}

/* ---- giving out ------------------------------------------------------------------------------ */

/* The next record, or NULL; it is there until the call after this one. */
static const char *first(const sorter *s) {
    if (s->run_count == 0) return s->next < s->count ? s->arena.data + s->entries[s->next].at : NULL;
    if (s->heap_count == 0) return NULL;
    const run *r = &s->runs[s->heap[0]];
    return r->buffer.data + r->from;
}

static void drop_first(sorter *s) {
    if (s->run_count == 0) {
        s->next++;
        return;
    }
    run *r = &s->runs[s->heap[0]];
    r->from += size_of(r->buffer.data + r->from);
    if (!has_record(s, r)) {
        orr_bytes_free(&r->buffer);
        s->heap[0] = s->heap[--s->heap_count];
    }
    sink(s, 0);
}

static const char *folder_of(lua_State *L) {
    lua_getiuservalue(L, 1, 1);
    const char *folder = lua_tostring(L, -1);
    lua_pop(L, 1); /* the userdata holds it */
    return folder;
}

static void begin_giving(lua_State *L, sorter *s) {
    bool good = true;
    s->giving = true;
    if (s->run_count == 0) sort(s);
    else good = (s->count == 0 || spill(s, folder_of(L))) && begin_merge(s);
    if (!good) orr_spool_raise(L, &s->spool, folder_of(L));
}

static int sorter_next(lua_State *L) {
    sorter *s = luaL_checkudata(L, 1, SORTER);
    lua_Integer most = luaL_checkinteger(L, 2), n = 0;
    if (!s->giving) begin_giving(L, s);
    lua_settop(L, 2);
    lua_newtable(L);
    lua_newtable(L);
    for (const char *at; n < most && !s->spool.error && (at = first(s)); drop_first(s)) {
        record r;
        memcpy(&r, at, sizeof r);
        const char *row = at + sizeof r + r.key;
        n++;
        lua_pushlstring(L, at + sizeof r, r.key);
        lua_rawseti(L, 4, n);
        orr_rows_unpack(L, &row);
        lua_rawseti(L, 3, n);
    }
    if (s->spool.error) return orr_spool_raise(L, &s->spool, folder_of(L));
    if (n == 0) return 0;
    return 2;
}

/* ---- taking in ------------------------------------------------------------------------------- */

static int sorter_add(lua_State *L) {
    sorter *s = luaL_checkudata(L, 1, SORTER);
    size_t size, at = s->arena.size;
    const char *key = luaL_checklstring(L, 2, &size);
    luaL_argcheck(L, size < UINT32_MAX, 2, "longer than 4 GiB");
    luaL_argcheck(L, !s->giving, 1, "rows were taken out already");
    if (s->count == s->room && !grow(&s->arena.alloc, (void **)&s->entries, &s->room, sizeof *s->entries)) {
        return luaL_error(L, "not enough memory");
    }
    record r = {(uint32_t)size, 0};
    if (!orr_bytes_add(&s->arena, (const char *)&r, sizeof r) || !orr_bytes_add(&s->arena, key, size)) {
        s->arena.size = at;
        return luaL_error(L, "not enough memory");
    }
    size_t from = s->arena.size;
    orr_rows_pack(L, &s->arena, 3);
    r.row = (uint32_t)(s->arena.size - from);
    memcpy(s->arena.data + at, &r, sizeof r);
    s->entries[s->count++] = (entry){prefix_of(key, size), at};
    if (s->arena.size + s->count * sizeof *s->entries > s->memory && !spill(s, folder_of(L))) {
        return orr_spool_raise(L, &s->spool, folder_of(L));
    }
    return 0;
}

static int sorter_runs(lua_State *L) {
    const sorter *s = luaL_checkudata(L, 1, SORTER);
    lua_pushinteger(L, (lua_Integer)s->run_count);
    return 1;
}

static int sorter_gc(lua_State *L) {
    sorter *s = luaL_checkudata(L, 1, SORTER);
    orr_alloc *alloc = &s->arena.alloc;
    for (size_t i = 0; i < s->run_count; i++) orr_bytes_free(&s->runs[i].buffer);
    orr_mem_free(alloc, s->heap, s->heap ? s->run_count : 0, sizeof *s->heap);
    orr_mem_free(alloc, s->runs, s->run_room, sizeof *s->runs);
    orr_mem_free(alloc, s->entries, s->room, sizeof *s->entries);
    orr_bytes_free(&s->arena);
    orr_spool_close(&s->spool);
    s->heap = NULL;
    s->runs = NULL;
    s->entries = NULL;
    s->run_count = s->run_room = s->heap_count = s->count = s->room = 0;
    s->giving = true;
    return 0;
}

static int new_sorter(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "memory");
    lua_getfield(L, 1, "folder");
    lua_Integer memory = luaL_optinteger(L, 2, 16 << 20);
    luaL_checkstring(L, 3);
    luaL_argcheck(L, memory >= 0, 1, "memory is out of range");
    sorter *s = lua_newuserdatauv(L, sizeof *s, 1);
    *s = (sorter){.arena = {.alloc = orr_rows_alloc(L)}, .memory = (size_t)memory};
    orr_spool_init(&s->spool, s->arena.alloc);
    luaL_setmetatable(L, SORTER);
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

void orr_open_sorter(lua_State *L) {
    static const luaL_Reg methods[] = {{"add", sorter_add},
                                       {"next", sorter_next},
                                       {"runs", sorter_runs},
                                       {"close", sorter_gc},
                                       {NULL, NULL}};
    orr_rows_kind(L, SORTER, sorter_gc, methods);
    lua_pop(L, 1);
    lua_pushcfunction(L, new_sorter);
    lua_setfield(L, -2, "sorter");
}
