/* keys.c - sets of keys that may be larger than memory, compared exactly.
 *
 * keys { memory, folder, weak } -> set
 *   memory   bytes that the table of the set takes at most; what is more lies in a file in `folder`
 *   weak     bits of each hash that are used; for tests of what equal hashes do
 * set:add(key) -> true where it was not in the set
 * set:count() -> how many
 *
 * The keys themselves are appended to a spool. In memory stands, for each, where it begins (40
 * bits) and a part of its hash (24 bits): eight bytes, in a table with open addressing. Where both
 * fit, the key is read and compared, so that two keys with one hash stay two. Once the table is
 * larger than `memory` it lies in a file as well, and a page of that is read for a look.
 *
 * The hash is SipHash-2-4 (Aumasson and Bernstein, 2012) with a key of this process, so that nobody
 * can choose keys that meet.
 */
#include "port/port.h"
#include "rows/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define KEYS "orrery.keys"
#define OFFSET_BITS 40
#define FIRST_SLOTS 1024
#define HEAD 4 /* bytes of a key's length before it */

typedef struct keys {
    orr_spool spool;
    uint64_t *slots; /* 0: free; else the place + 1, above it the part of the hash */
    size_t mask;     /* slots - 1 */
    size_t mapped;   /* bytes of `slots` that a file holds; 0: memory holds them */
    size_t memory;
    lua_Integer count;
    uint64_t seed[2], used; /* bits of a hash */
} keys;

/* ---- SipHash --------------------------------------------------------------------------------- */

#define ROTATE(x, n) (((x) << (n)) | ((x) >> (64 - (n))))

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1], v[1] = ROTATE(v[1], 13) ^ v[0], v[0] = ROTATE(v[0], 32);
    v[2] += v[3], v[3] = ROTATE(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = ROTATE(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = ROTATE(v[1], 17) ^ v[2], v[2] = ROTATE(v[2], 32);
}

static uint64_t siphash(const uint64_t seed[2], const char *data, size_t size) {
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575U, seed[1] ^ 0x646f72616e646f6dU,
                     seed[0] ^ 0x6c7967656e657261U, seed[1] ^ 0x7465646279746573U};
    uint64_t word, tail = (uint64_t)size << 56;
    for (; size >= 8; data += 8, size -= 8) {
        memcpy(&word, data, 8);
        v[3] ^= word;
        sip_round(v), sip_round(v);
        v[0] ^= word;
    }
    for (size_t i = 0; i < size; i++) tail |= (uint64_t)(unsigned char)data[i] << (8 * i);
    v[3] ^= tail;
    sip_round(v), sip_round(v);
    v[0] ^= tail;
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- the table ------------------------------------------------------------------------------- */

static const uint64_t place_bits = ((uint64_t)1 << OFFSET_BITS) - 1;

static void free_slots(keys *k, uint64_t *slots, size_t count, size_t mapped) {
    if (mapped) munmap(slots, mapped);
    else orr_mem_free(&k->spool.buffer.alloc, slots, count, sizeof *slots);
}

/* In a file without a name, mapped: the system keeps of it in memory what it has room for. */
static uint64_t *map_slots(keys *k, const char *folder, size_t bytes) {
    int fd = orr_unnamed_file(folder);
    if (fd < 0) return k->spool.error = errno, NULL;
    int error = posix_fallocate(fd, 0, (off_t)bytes); /* a full disk must not end the process later */
    void *at = error ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) k->spool.error = error ? error : errno;
    close(fd);
    return at == MAP_FAILED ? NULL : at;
}

static void insert(keys *k, uint64_t hash, uint64_t place) {
    size_t i = (size_t)hash & k->mask;
    while (k->slots[i]) i = (i + 1) & k->mask;
    k->slots[i] = (place + 1) | (hash & ~place_bits);
}

/* A part of the spool. */
typedef struct window {
    uint64_t at;
    size_t size;
    char data[16 * 1024];
} window;

/* The bytes at a place, as many as fit in a window at most; NULL with the spool's error. */
static const char *look(keys *k, window *w, uint64_t at, size_t size) {
    if (at < w->at || at + size > w->at + w->size) {
        uint64_t rest = orr_spool_size(&k->spool) - at;
        w->at = at;
        w->size = rest < sizeof w->data ? (size_t)rest : sizeof w->data;
        if (!orr_spool_read(&k->spool, at, w->data, w->size)) w->size = 0;
    }
    return w->size ? w->data + (at - w->at) : NULL;
}

/* A key that fits in no window. */
static const char *look_long(keys *k, orr_byte_list *key, uint64_t at, size_t size) {
    key->size = 0;
    if (!orr_bytes_reserve(key, size)) return NULL;
    return orr_spool_read(&k->spool, at, key->data, size) ? key->data : NULL;
}

/* All keys into a new table, from the spool, window by window. */
static bool fill(keys *k) {
    window w = {.size = 0};
    orr_byte_list key = {.alloc = k->spool.buffer.alloc};
    uint64_t at = 0, size = orr_spool_size(&k->spool);
    while (at < size) {
        uint32_t length = 0;
        const char *text = look(k, &w, at, HEAD);
        if (text) {
            memcpy(&length, text, HEAD);
            text = length > sizeof w.data ? look_long(k, &key, at + HEAD, length)
                                          : look(k, &w, at + HEAD, length);
        }
        if (!text) break;
        insert(k, siphash(k->seed, text, length) & k->used, at);
        at += HEAD + length;
    }
    orr_bytes_free(&key);
    return at >= size;
}

static bool grow(keys *k, const char *folder) {
    size_t former = k->slots ? k->mask + 1 : 0, count = former ? former * 2 : FIRST_SLOTS;
    size_t bytes = count * sizeof *k->slots, mapped = k->mapped;
    uint64_t *slots = k->slots;
    k->mapped = bytes > k->memory ? bytes : 0;
    k->slots = k->mapped ? map_slots(k, folder, bytes)
                         : orr_mem_new(&k->spool.buffer.alloc, count, sizeof *k->slots);
    if (!k->slots) {
        if (!k->spool.error) k->spool.error = ENOMEM;
        k->slots = slots;
        k->mapped = mapped;
        return false;
    }
    k->mask = count - 1;
    free_slots(k, slots, former, mapped);
    return fill(k);
}

/* Whether the key at `place` is this one. */
static bool is_equal(keys *k, uint64_t place, const char *key, size_t size) {
    char buffer[512];
    uint32_t length;
    if (!orr_spool_read(&k->spool, place, (char *)&length, HEAD) || length != size) return false;
    for (size_t at = 0; at < size;) {
        size_t part = size - at < sizeof buffer ? size - at : sizeof buffer;
        if (!orr_spool_read(&k->spool, place + HEAD + at, buffer, part)) return false;
        if (memcmp(buffer, key + at, part) != 0) return false;
        at += part;
    }
    return true;
}

static bool has(keys *k, uint64_t hash, const char *key, size_t size) {
    for (size_t i = (size_t)hash & k->mask; k->slots[i]; i = (i + 1) & k->mask) {
        if ((k->slots[i] ^ hash) & ~place_bits) continue;
        if (is_equal(k, (k->slots[i] & place_bits) - 1, key, size)) return true;
        if (k->spool.error) return false;
    }
    return false;
}

/* ---- for Lua --------------------------------------------------------------------------------- */

static const char *folder_of(lua_State *L) {
    lua_getiuservalue(L, 1, 1);
    const char *folder = lua_tostring(L, -1);
    lua_pop(L, 1); /* the userdata holds it */
    return folder;
}

static bool add(keys *k, const char *folder, uint64_t hash, const char *key, size_t size) {
    uint32_t length = (uint32_t)size;
    uint64_t place = orr_spool_size(&k->spool);
    if (place + HEAD + size >= place_bits) return k->spool.error = EFBIG, false;
    if (!orr_spool_append(&k->spool, folder, (const char *)&length, HEAD)) return false;
    if (!orr_spool_append(&k->spool, folder, key, size)) return false;
    insert(k, hash, place);
    k->count++;
    return true;
}

static int keys_add(lua_State *L) {
    keys *k = luaL_checkudata(L, 1, KEYS);
    size_t size;
    const char *key = luaL_checklstring(L, 2, &size);
    luaL_argcheck(L, size < UINT32_MAX, 2, "longer than 4 GiB");
    const char *folder = folder_of(L);
    uint64_t hash = siphash(k->seed, key, size) & k->used;
    bool full = !k->slots || (uint64_t)k->count * 4 >= (uint64_t)(k->mask + 1) * 3;
    if (k->spool.error || (full && !grow(k, folder))) return orr_spool_raise(L, &k->spool, folder);
    bool there = has(k, hash, key, size);
    if (!there && !k->spool.error) add(k, folder, hash, key, size);
    if (k->spool.error) return orr_spool_raise(L, &k->spool, folder);
    lua_pushboolean(L, !there);
    return 1;
}

static int keys_count(lua_State *L) {
    const keys *k = luaL_checkudata(L, 1, KEYS);
    lua_pushinteger(L, k->count);
    return 1;
}

static int keys_gc(lua_State *L) {
    keys *k = luaL_checkudata(L, 1, KEYS);
    free_slots(k, k->slots, k->mask + 1, k->mapped);
    k->slots = NULL;
    orr_spool_close(&k->spool);
    return 0;
}

static int new_keys(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "memory");
    lua_getfield(L, 1, "weak");
    lua_getfield(L, 1, "folder");
    lua_Integer memory = luaL_optinteger(L, 2, 16 << 20), weak = luaL_optinteger(L, 3, 64);
    luaL_checkstring(L, 4);
    luaL_argcheck(L, memory >= 0 && weak >= 0 && weak <= 64, 1, "memory or weak is out of range");
    keys *k = lua_newuserdatauv(L, sizeof *k, 1);
    *k = (keys){.memory = (size_t)memory, .used = weak == 64 ? UINT64_MAX : ((uint64_t)1 << weak) - 1};
    orr_spool_init(&k->spool, orr_rows_alloc(L));
    luaL_setmetatable(L, KEYS);
    lua_pushvalue(L, 4);
    lua_setiuservalue(L, -2, 1);
    if (getrandom(k->seed, sizeof k->seed, 0) != sizeof k->seed) luaL_error(L, "the system gives no chance");
    return 1;
}

void orr_open_keys(lua_State *L) {
    static const luaL_Reg methods[] = {{"add", keys_add},
                                       {"count", keys_count},
                                       {"close", keys_gc},
                                       {NULL, NULL}};
    orr_rows_kind(L, KEYS, keys_gc, methods);
    lua_pop(L, 1);
    lua_pushcfunction(L, new_keys);
    lua_setfield(L, -2, "keys");
}
