/* storage.c - the store behind a runtime: when what was queued is handed to it, and what it tells.
 *
 * Records are queued while the core decides (journal.c), handed over at the end of a turn, and committed by the
 * store's thread, which wakes the loop. At the next turn the actions, events and fibers that waited go on.
 */
#include "../store/store.h"
#include "state.h"
#include <lauxlib.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define OUTPUT_LIMIT ((size_t)16 << 20)
#define MOST_TRIES 100 /* turns in which there may be no memory for a message; after that it waits in the inbox for a restart */

typedef struct orr_storage {
    orr_store *store;
    orr_rtbox *rt;
    uv_async_t *wakeup; /* NULL in memory. The loop frees it */
    uv_timer_t *publishing; /* the same */
    void *borrowed;     /* rt:store(), kept under `borrowed_ref` */
    int borrowed_ref;
    uint64_t submitted, durable;
    size_t output_limit;
    uint32_t users;      /* live runs with a journal */
    uint8_t durability;  /* of runs that do not say */
    bool failing, lost;
    orr_notice notice;   /* the latest */
    uint32_t tries;      /* how often it could not be told; 0: it has been */
    bool awake;          /* counted among the runtime's users */
    char *url;           /* NULL in memory */
    unsigned char *buffer;
    size_t buffer_size;
    /* the output that waits for its record */
    const orr_runbox *payload_run;
    orr_task payload_task;
    char *payload;
    size_t payload_size, payload_room;
} orr_storage;

/* ---- opening and closing ---------------------------------------------------------------------------------------- */

static void on_async(uv_async_t *async) {
    (void)async; /* that the loop came back is all that is wanted: the next turn looks for news */
}

static void wake(void *ud) {
    uv_async_send(ud);
}

/* The handles of a storage, in a block that outlives it: the loop lets go of them later. */
typedef struct handles {
    uv_async_t wakeup;
    uv_timer_t publishing;
    orr_alloc alloc;
    int open;
} handles;

static void handle_closed(uv_handle_t *handle) {
    handles *h = handle->type == UV_ASYNC ? (handles *)handle : (handles *)((char *)handle - offsetof(handles, publishing));
    if (--h->open > 0) return;
    orr_alloc alloc = h->alloc;
    orr_mem_free(&alloc, h, 1, sizeof *h);
}

static bool make_handles(orr_storage *g, const orr_script *s) {
    handles *h = orr_mem_new(&s->alloc, 1, sizeof *h);
    if (!h || uv_async_init(s->loop, &h->wakeup, on_async) != 0) {
        orr_mem_free(&s->alloc, h, 1, sizeof *h);
        return false;
    }
    uv_timer_init(s->loop, &h->publishing);
    uv_unref((uv_handle_t *)&h->wakeup);
    h->alloc = s->alloc;
    h->open = 2;
    g->wakeup = &h->wakeup;
    g->publishing = &h->publishing;
    return true;
}

static void close_handles(orr_storage *g) {
    if (!g->wakeup) return;
    g->publishing->data = NULL;
    uv_close((uv_handle_t *)g->publishing, handle_closed);
    uv_close((uv_handle_t *)g->wakeup, handle_closed);
    g->wakeup = NULL;
}

static bool keep_url(orr_storage *g, const orr_alloc *alloc, const char *url) {
    size_t size = strlen(url) + 1;
    g->url = orr_mem_new(alloc, size, 1);
    if (g->url) memcpy(g->url, url, size);
    return g->url != NULL;
}

void orr_storage_open(lua_State *L, orr_rtbox *rt, const char *url, int durability) {
    orr_script *s = rt->script;
    static const char no_memory[] = "not enough memory for a store";
    char message[512] = "";
    orr_storage *g = orr_mem_new(&s->alloc, 1, sizeof *g);
    if (!g) {
        luaL_error(L, "%s", no_memory);
        return;
    }
    bool in_memory = !url || strcmp(url, "memory:") == 0;
    g->rt = rt;
    g->output_limit = rt->output_limit ? rt->output_limit : OUTPUT_LIMIT;
    g->durability = (uint8_t)durability;
    g->borrowed_ref = LUA_NOREF;
    if (!in_memory) make_handles(g, s);
    orr_store_options o = {.alloc = s->alloc, .mode = ORR_STORE_OWN, .wake = g->wakeup ? wake : NULL, .ud = g->wakeup};
    if (in_memory) g->store = orr_store_memory(&o);
    else if (g->wakeup) g->store = orr_store_open(url, &o, message, sizeof message);
    if (!g->store) {
        close_handles(g);
        orr_mem_free(&s->alloc, g, 1, sizeof *g);
        orr_push_error(L, s, "store_error", *message ? message : no_memory);
        lua_error(L);
        return;
    }
    if (!in_memory && !keep_url(g, &s->alloc, url)) {
        orr_store_close(g->store);
        close_handles(g);
        orr_mem_free(&s->alloc, g, 1, sizeof *g);
        luaL_error(L, "%s", no_memory);
        return;
    }
    rt->storage = g;
}

static void durable_up(orr_storage *g, uint64_t durable);

void orr_storage_close(orr_rtbox *rt) {
    orr_storage *g = rt->storage;
    if (!g) return;
    const orr_alloc *alloc = &rt->script->alloc;
    if (g->borrowed) orr_lstore_forget(g->borrowed);
    if (lua_checkstack(rt->script->main, LUA_MINSTACK)) luaL_unref(rt->script->main, LUA_REGISTRYINDEX, g->borrowed_ref);
    orr_store_sync(g->store); /* where it cannot be written nothing more waits for that */
    if (!rt->script->closed) {
        durable_up(g, orr_store_durable(g->store));
        orr_wait_disk_gone(rt->script, rt);
    }
    if (g->awake && !rt->script->closed) orr_rt_use(rt->script->main, rt, -1);
    orr_store_close(g->store);
    close_handles(g);
    if (g->url) orr_mem_free(alloc, g->url, strlen(g->url) + 1, 1);
    orr_mem_free(alloc, g->buffer, g->buffer_size, 1);
    orr_mem_free(alloc, g->payload, g->payload_room, 1);
    orr_mem_free(alloc, g, 1, sizeof *g);
    rt->storage = NULL;
}

orr_store *orr_storage_store(const orr_rtbox *rt) {
    return rt->storage ? rt->storage->store : NULL;
}

bool orr_storage_is_durable(const orr_rtbox *rt) {
    return rt->storage && rt->storage->wakeup;
}

const char *orr_storage_url(const orr_rtbox *rt) {
    return rt->storage ? rt->storage->url : NULL;
}

int orr_storage_durability(const orr_rtbox *rt) {
    return rt->storage ? rt->storage->durability : ORR_DURABLE_STRICT;
}

size_t orr_storage_output_limit(const orr_rtbox *rt) {
    return rt->storage->output_limit;
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

uint64_t orr_storage_durable(const orr_rtbox *rt) {
    return rt->storage ? rt->storage->durable : UINT64_MAX;
}

bool orr_storage_busy(const orr_rtbox *rt) {
    const orr_storage *g = rt->storage;
    return g && !g->lost && orr_store_ticket(g->store) > g->durable;
}

/* The loop stays alive, and the runtime is looked at, while a commit is on its way or a message may come for a run. */
static void keep_alive(orr_storage *g) {
    bool wanted = g->wakeup && (orr_storage_busy(g->rt) || g->users);
    if (wanted == g->awake) return;
    orr_rt_use(g->rt->script->main, g->rt, wanted ? 1 : -1);
    g->awake = wanted;
    if (wanted) uv_ref((uv_handle_t *)g->wakeup);
    else uv_unref((uv_handle_t *)g->wakeup);
}

void orr_storage_count(const orr_rtbox *rt, bool counted) {
    const orr_storage *g = rt->storage;
    if (!g || !g->awake) return;
    if (counted) uv_ref((uv_handle_t *)g->wakeup);
    else uv_unref((uv_handle_t *)g->wakeup);
}

void orr_storage_use(orr_rtbox *rt, int by) {
    orr_storage *g = rt->storage;
    if (!g) return;
    g->users = (uint32_t)((int64_t)g->users + by);
    keep_alive(g);
}

void orr_storage_submit(orr_rtbox *rt) {
    orr_storage *g = rt->storage;
    if (!g || g->submitted == orr_store_ticket(g->store)) return;
    g->submitted = orr_store_ticket(g->store);
    orr_store_submit(g->store, rt->soon);
    rt->soon = false;
    if (g->wakeup) orr_watch_arm(rt);
    keep_alive(g);
    if (g->publishing && g->users) orr_publish_soon(rt, g->publishing);
}

static void durable_up(orr_storage *g, uint64_t durable) {
    orr_rtbox *rt = g->rt;
    g->durable = durable;
    orr_engine_durable(rt->runtime, g->durable);
    orr_wait_durable(rt->script, rt, g->durable);
    orr_outputs_durable(rt, g->durable);
    keep_alive(g);
}

void orr_storage_wait(orr_rtbox *rt, uint64_t ticket) {
    orr_storage *g = rt->storage;
    if (!g) return;
    orr_storage_submit(rt);
    if (orr_store_durable(g->store) < ticket) orr_store_sync(g->store);
}

/* ---- what the store tells ----------------------------------------------------------------------------------------- */

typedef struct telling {
    orr_storage *g;
    const orr_notice *n;
} telling;

static orr_runbox *run_of(const orr_rtbox *rt, const uint8_t id[16]) {
    for (orr_runbox *r = rt->runs; r; r = r->next)
        if (r->run && r->live && memcmp(orr_run_id_of(r->run), id, 16) == 0) return r;
    return NULL;
}

static void set_text(lua_State *L, const char *key, const char *text) {
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

/* {code, message, retryable = false, details = {run = …}} */
static void push_loss(lua_State *L, const orr_script *s, const char *code, const char *message, const char *run) {
    orr_push_error(L, s, code, message);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "retryable");
    if (!run) return;
    lua_createtable(L, 0, 1);
    set_text(L, "run", run);
    lua_setfield(L, -2, "details");
}

/* Where the run is not here the message comes again when it has an owner that knows it. */
static void tell_message(lua_State *L, const telling *t) {
    orr_runbox *r = run_of(t->g->rt, t->n->run);
    if (r) orr_inbox_take(L, r, t->n->message, t->n->name, t->n->text);
}

/* Its key belongs to another run, or its id: nothing of it is kept, and nothing is told. */
static void tell_refused(lua_State *L, orr_runbox *r, const telling *t) {
    bool keyed = t->n->text && *t->n->text;
    char message[96];
    snprintf(message, sizeof message, keyed ? "another run has this key" : "there is a run %s already: an id is given once", r->id);
    orr_events_forget(L, t->g->rt, r);
    push_loss(L, t->g->rt->script, keyed ? "duplicate_key" : "duplicate_id", message, keyed ? t->n->text : NULL);
    orr_run_drop(L, r);
}

void orr_storage_log(lua_State *L, orr_rtbox *rt, const orr_runbox *r, const char *level, const char *message) {
    if (!rt->n_listeners) {
        lua_warning(L, "orrery: ", 1);
        lua_warning(L, message, 0);
        return;
    }
    orr_event_push(L, rt, r, "log", NULL, orr_engine_now(rt->runtime));
    set_text(L, "level", level);
    set_text(L, "message", message);
    if (r) orr_event_queue(L, rt);
    else orr_event_tell(L, rt);
}

/* What is told of a run that was lost after its last commit has not happened. */
static int forget_events(lua_State *L) {
    orr_runbox *r = lua_touserdata(L, 1);
    orr_events_forget(L, r->rt, r);
    return 0;
}

/* Dropping a run may run code of the user's, which may change the list: so it is begun anew each time. */
static bool drop_lost(orr_rtbox *rt, const char *why) {
    bool any = false;
    for (;;) {
        orr_runbox *r = rt->runs;
        while (r && !(r->live && r->journal)) r = r->next;
        if (!r) break;
        orr_protect(rt->script, forget_events, r);
        if (!orr_run_give_up(rt->script, r, "ownership_lost", why)) break; /* no memory at all: the next turn tries again */
        any = true;
    }
    orr_wait_disk_gone(rt->script, rt);
    keep_alive(rt->storage);
    return any;
}

static int tell(lua_State *L) {
    telling *t = lua_touserdata(L, 1);
    orr_storage *g = t->g;
    orr_rtbox *rt = g->rt;
    orr_runbox *r;
    switch (t->n->kind) {
    case ORR_NOTICE_MESSAGE:
        tell_message(L, t);
        break;
    case ORR_NOTICE_REFUSED:
        if ((r = run_of(rt, t->n->run))) tell_refused(L, r, t);
        break;
    case ORR_NOTICE_FAILED:
        g->failing = true;
        orr_storage_log(L, rt, NULL, "error", t->n->text);
        break;
    case ORR_NOTICE_WORKS:
        g->failing = false;
        orr_storage_log(L, rt, NULL, "info", "the store can be written again");
        break;
    case ORR_NOTICE_LOST:
        g->lost = true;
        drop_lost(rt, t->n->text);
        orr_storage_log(L, rt, NULL, "error", t->n->text);
        break;
    }
    return 0;
}

/* False where it is to be told again: a message must not get lost for want of memory. */
static bool tell_notice(orr_storage *g) {
    telling t = {g, &g->notice};
    orr_script *s = g->rt->script;
    bool told = orr_protect(s, tell, &t) == LUA_OK;
    if (!told && g->notice.kind == ORR_NOTICE_MESSAGE && ++g->tries < MOST_TRIES) return false;
    if (!told) orr_script_stray(s, "a notice of the store was not dealt with", "not enough memory");
    g->tries = 0;
    return true;
}

bool orr_storage_news(orr_rtbox *rt) {
    orr_storage *g = rt->storage;
    bool any = false;
    if (!g) return false;
    uint64_t durable = orr_store_durable(g->store); /* read before the notices: a run that was refused starts nothing */
    rt->script->guarded++;
    while (g->wakeup && (g->tries > 0 || orr_store_notice(g->store, &g->notice))) {
        any = true;
        if (!tell_notice(g)) break;
    }
    if (g->lost) any |= drop_lost(rt, "another process has taken over the runs of this one");
    rt->script->guarded--;
    if (durable == g->durable) return any;
    durable_up(g, durable);
    return true;
}

/* ---- room for one record ------------------------------------------------------------------------------------------ */

unsigned char *orr_storage_buffer(orr_rtbox *rt, size_t size) {
    orr_storage *g = rt->storage;
    if (size > g->buffer_size) {
        size_t room = size < 4096 ? 4096 : size + size / 2;
        unsigned char *buffer = orr_mem_resize(&rt->script->alloc, g->buffer, g->buffer_size, room, 1);
        if (!buffer) return NULL;
        g->buffer = buffer;
        g->buffer_size = room;
    }
    return g->buffer;
}

bool orr_storage_keep_payload(orr_rtbox *rt, const orr_runbox *r, const orr_task *task, const char *text, size_t size) {
    orr_storage *g = rt->storage;
    if (size > g->payload_room || g->payload_room > size + ORR_BLOB_SIZE) { /* what one large value needed is given back */
        size_t room = size < 4096 ? 4096 : size;
        char *payload = orr_mem_resize(&rt->script->alloc, g->payload, g->payload_room, room, 1);
        if (!payload) return false;
        g->payload = payload;
        g->payload_room = room;
    }
    memcpy(g->payload, text, size);
    g->payload_size = size;
    g->payload_run = r;
    g->payload_task = *task;
    return true;
}

void orr_storage_put_back(orr_rtbox *rt, const orr_runbox *r) {
    rt->storage->payload_run = r;
}

bool orr_storage_take_payload(orr_rtbox *rt, const orr_runbox *r, const orr_task *task, orr_payload *payload) {
    orr_storage *g = rt->storage;
    const orr_task *own = &g->payload_task;
    bool same = g->payload_run == r && own->node == task->node && own->item == task->item &&
                own->iteration == task->iteration && own->attempt == task->attempt;
    g->payload_run = NULL;
    if (same) *payload = (orr_payload){g->payload, g->payload_size};
    return same;
}

/* rt:store() -> the store of its runs to look at, as core.store gives one; nil where they keep none. It is closed with the
 * runtime. */
int orr_rt_store(lua_State *L) {
    orr_storage *g = orr_check_rt(L, 1)->storage;
    if (!g || !g->wakeup) return 0;
    if (g->borrowed_ref != LUA_NOREF) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, g->borrowed_ref);
        return 1;
    }
    void *borrowed = orr_lstore_borrow(L, g->store, g->url);
    lua_pushvalue(L, -1);
    g->borrowed_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    g->borrowed = borrowed;
    return 1;
}

/* rt:sync(): waits until everything that was recorded is durable. Blocks the loop; for the end of a program. */
int orr_rt_sync(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    if (!rt->storage) return 0;
    orr_storage_submit(rt);
    if (orr_store_sync(rt->storage->store) != ORR_OK)
        return luaL_error(L, "the store cannot be written; what was not committed is lost with this process");
    durable_up(rt->storage, orr_store_durable(rt->storage->store));
    return 0;
}
