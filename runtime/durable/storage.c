/* storage.c - the store behind a runtime: when queued records are submitted, and how its notices
 * are handled.
 *
 * Records are queued while the core decides (journal.c), submitted at the end of a turn, and
 * committed by the store's thread, which wakes the loop. At the next turn the actions, events and
 * fibers that waited go on.
 */
#include "durable/inner.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* How many turns may have no memory for a message; after that it stays in the inbox until a
 * restart. */
#define MOST_TRIES 100

/* ns; for so long what a relaxed run waits for may wait for what others of them are about to: their
 * ends then share a commit. */
#define SHARING 2000000

/* Bytes that may be queued while handlers go on: many large outputs at once would otherwise be in
 * memory together until the first of them is committed. */
#define MOST_QUEUED ((size_t)16 << 20)

typedef struct orr_storage {
    orr_store *store;
    orr_rtbox *rt;
    orr_trace trace;        /* what the store's thread tells by */
    uv_async_t *wakeup;     /* NULL in memory. The loop frees it */
    uv_timer_t *publishing; /* the same */
    orr_borrower borrower;
    uint64_t submitted;
    int64_t shares_until; /* relaxed runs wait for what was submitted, which is not urgent yet; 0: none */
    orr_lag lag;
    /* what is queued and was not durable when it was looked at last; beyond MOST_QUEUED no handler
     * goes on before `full_to` is */
    size_t queued;
    uint64_t full_to;
    bool full;
    uint32_t users; /* live runs with a journal */
    bool failing, lost;
    orr_notice_kind why; /* it is lost */
    orr_notice notice;   /* the latest */
    uint32_t tries;      /* how often it could not be handled; 0: it has been */
    bool awake;          /* counted among the runtime's users */
    char *url;           /* NULL in memory */
    char *rows;          /* the folder of lists that are kept in files; NULL: there is none */
    unsigned char *buffer;
    size_t buffer_size;
    /* the output that waits for its record */
    const orr_runbox *payload_run;
    orr_task payload_task;
    char *payload;
    size_t payload_size, payload_room;
    orr_noted noted; /* of the record that orr_run_note makes at this moment */
    orr_decisions decisions;
} orr_storage;

/* ---- opening and closing --------------------------------------------------------------------- */

static void on_async(uv_async_t *async) {
    (void)async; /* waking the loop is enough: the next turn reads the notices */
}

static void wake(void *ud) {
    uv_async_send(ud);
}

/* The handles of a storage, in a block that outlives it: the loop closes them later. */
typedef struct handles {
    uv_async_t wakeup;
    uv_timer_t publishing;
    orr_alloc alloc;
    int open;
} handles;

static void handle_closed(uv_handle_t *handle) {
    handles *h = handle->type == UV_ASYNC ? (handles *)handle
                                          : (handles *)((char *)handle - offsetof(handles, publishing));
    if (--h->open > 0) return;
    orr_alloc alloc = h->alloc;
    orr_mem_free(&alloc, h, 1, sizeof *h);
}

static bool make_handles(orr_storage *g, const orr_script *s) {
    handles *h = orr_mem_new(&s->alloc, 1, sizeof *h);
    if (!h || uv_async_init(orr_fibers_of(s)->loop, &h->wakeup, on_async) != 0) {
        orr_mem_free(&s->alloc, h, 1, sizeof *h);
        return false;
    }
    uv_timer_init(orr_fibers_of(s)->loop, &h->publishing);
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

static bool keep_names(orr_storage *g, const orr_alloc *alloc, const char *url) {
    const char *path = orr_store_path(g->store);
    size_t size = strlen(url) + 1, room = path ? strlen(path) + sizeof ORR_ROWS_FOLDER : 0;
    g->url = orr_mem_new(alloc, size, 1);
    if (g->url) memcpy(g->url, url, size);
    g->rows = path ? orr_mem_new(alloc, room, 1) : NULL;
    if (g->rows) snprintf(g->rows, room, "%s" ORR_ROWS_FOLDER, path);
    return g->url && (g->rows || !path);
}

static void free_names(orr_storage *g, const orr_alloc *alloc) {
    if (g->url) orr_mem_free(alloc, g->url, strlen(g->url) + 1, 1);
    if (g->rows) orr_mem_free(alloc, g->rows, strlen(g->rows) + 1, 1);
}

void orr_storage_open(lua_State *L, orr_rtbox *rt, const char *url, int durability) {
    orr_script *s = rt->base.script;
    static const char no_memory[] = "not enough memory for a store";
    orr_reason reason = {""};
    orr_storage *g = orr_mem_new(&s->alloc, 1, sizeof *g);
    if (!g) {
        luaL_error(L, "%s", no_memory);
        return;
    }
    bool in_memory = !url || strcmp(url, "memory:") == 0;
    g->rt = rt;
    g->borrower.ref = LUA_NOREF;
    if (!in_memory) make_handles(g, s);
    orr_store_options o = {.alloc = s->alloc,
                           .mode = ORR_STORE_OWN,
                           .wake = g->wakeup ? wake : NULL,
                           .ud = g->wakeup};
    g->trace = orr_fibers_of(s)->trace;
    orr_trace_store(&o, &g->trace);
    if (in_memory) g->store = orr_store_memory(&o);
    else if (g->wakeup) g->store = orr_store_open(url, &o, &reason);
    if (!g->store) {
        close_handles(g);
        orr_mem_free(&s->alloc, g, 1, sizeof *g);
        orr_push_error(L, s, *reason.text ? "store_error" : "out_of_memory",
                       *reason.text ? reason.text : no_memory);
        lua_error(L);
        return;
    }
    if (!in_memory && !keep_names(g, &s->alloc, url)) {
        free_names(g, &s->alloc);
        orr_store_close(g->store);
        close_handles(g);
        orr_mem_free(&s->alloc, g, 1, sizeof *g);
        luaL_error(L, "%s", no_memory);
        return;
    }
    rt->storage = g;
    rt->url = g->url;
    rt->durable = !in_memory;
    rt->durability = (uint8_t)durability;
    rt->durable_to = 0;
}

static void set_full(orr_storage *g, bool full) {
    if (g->full == full) return;
    g->full = full;
    orr_fibers *all = orr_fibers_of(g->rt->base.script);
    if (full) all->full++;
    else all->full--;
    g->full_to = full ? orr_store_ticket(g->store) : 0;
    orr_engine_full(g->rt->base.engine, g->full_to);
}

static void durable_up(orr_storage *g, uint64_t durable);

void orr_storage_close(orr_rtbox *rt) {
    orr_storage *g = rt->storage;
    if (!g) return;
    const orr_alloc *alloc = &rt->base.script->alloc;
    set_full(g, false);
    if (g->borrower.forget) g->borrower.forget(g->borrower.ud);
    if (lua_checkstack(rt->base.script->main, LUA_MINSTACK))
        luaL_unref(rt->base.script->main, LUA_REGISTRYINDEX, g->borrower.ref);
    orr_store_sync(g->store); /* where it cannot be written, nothing waits any longer */
    if (!rt->base.script->closed) {
        durable_up(g, orr_store_durable(g->store));
        orr_hold_gone(rt->base.script, rt);
    }
    if (g->awake && !rt->base.script->closed) orr_rt_use(rt->base.script->main, &rt->base, -1);
    orr_store_close(g->store);
    close_handles(g);
    orr_decisions_free(&g->decisions, alloc);
    free_names(g, alloc);
    orr_mem_free(alloc, g->buffer, g->buffer_size, 1);
    orr_mem_free(alloc, g->payload, g->payload_room, 1);
    orr_saved_forget(rt);
    orr_mem_free(alloc, g, 1, sizeof *g);
    rt->storage = NULL;
    rt->url = NULL;
    rt->durable = false;
    rt->durable_to = UINT64_MAX;
}

orr_store *orr_storage_any(const orr_rtbox *rt) {
    return rt->storage ? rt->storage->store : NULL;
}

const char *orr_storage_rows(const orr_rtbox *rt) {
    return rt->storage ? rt->storage->rows : NULL;
}

orr_store *orr_storage_store(const orr_rtbox *rt) {
    return rt->durable ? rt->storage->store : NULL;
}

orr_borrower *orr_storage_borrower(const orr_rtbox *rt) {
    return rt->durable ? &rt->storage->borrower : NULL;
}

orr_noted *orr_storage_noted(const orr_rtbox *rt) {
    return &rt->storage->noted;
}

orr_decisions *orr_storage_decisions(const orr_rtbox *rt) {
    return &rt->storage->decisions;
}

/* ---- turns ----------------------------------------------------------------------------------- */

bool orr_storage_busy(const orr_rtbox *rt) {
    const orr_storage *g = rt->storage;
    return g && !g->lost && orr_store_ticket(g->store) > rt->durable_to;
}

/* The loop stays alive, and the runtime is looked at, while a commit is on its way or a message
 * may come for a run. */
static void keep_alive(orr_storage *g) {
    bool wanted = g->wakeup && (orr_storage_busy(g->rt) || g->users);
    if (wanted == g->awake) return;
    orr_rt_use(g->rt->base.script->main, &g->rt->base, wanted ? 1 : -1);
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

/* Whether relaxed runs wait no longer for others to share their commit: nothing more was recorded
 * since the last turn, or it has been long enough. */
static bool has_shared(const orr_storage *g) {
    return g->shares_until && (g->rt->simulated || g->submitted == orr_store_ticket(g->store) ||
                               (int64_t)uv_hrtime() > g->shares_until);
}

void orr_storage_publish(orr_rtbox *rt) {
    orr_storage *g = rt->storage;
    if (g && g->publishing && g->users && !rt->simulated) orr_publish_later(rt, g->publishing);
}

/* True where there is more to do in the next turn. */
bool orr_storage_submit(orr_rtbox *rt) {
    orr_storage *g = rt->storage;
    if (!g || (g->submitted == orr_store_ticket(g->store) && !g->shares_until)) return false;
    bool urgent = rt->flush_urgent || has_shared(g);
    if (urgent) g->shares_until = 0;
    g->submitted = orr_store_ticket(g->store);
    orr_store_submit(g->store, urgent);
    rt->flush_urgent = false;
    if (g->wakeup) orr_silence_arm(rt);
    keep_alive(g);
    orr_storage_publish(rt);
    return g->shares_until || orr_store_durable(g->store) != rt->durable_to;
}

void orr_storage_queued(orr_rtbox *rt, size_t bytes) {
    orr_storage *g = rt->storage;
    if (!rt->durable || g->failing || g->lost) return;
    g->queued += bytes;
    if (g->full || g->queued <= MOST_QUEUED) return;
    set_full(g, true);
    g->queued = 0;
    rt->flush_urgent = true;
}

/* What cannot be written now is not waited for: others have to be told, and to end. */
static void look_at_queue(orr_storage *g, uint64_t durable) {
    if (durable == orr_store_ticket(g->store)) g->queued = 0;
    if (durable >= g->full_to || g->failing || g->lost) set_full(g, false);
}

static void durable_up(orr_storage *g, uint64_t durable) {
    orr_rtbox *rt = g->rt;
    rt->durable_to = durable;
    rt->lags = !rt->simulated && orr_lag_durable(&g->lag, durable);
    orr_engine_durable(rt->base.engine, durable);
    orr_hold_durable(rt->base.script, rt, durable);
    orr_outputs_durable(rt, durable);
    keep_alive(g);
}

void orr_storage_wait(orr_rtbox *rt, uint64_t ticket) {
    orr_storage *g = rt->storage;
    if (!g) return;
    orr_storage_submit(rt);
    if (orr_store_durable(g->store) < ticket) orr_store_sync(g->store);
}

/* A relaxed run waits for its creation where that may be refused, for what says that it has its
 * lock, and for its end, which is what others rely on. */
void orr_storage_appended(orr_runbox *r, const orr_record *record, size_t bytes) {
    orr_rtbox *rt = r->rt;
    if (!rt->durable || r->durability == ORR_DURABLE_NONE) return;
    r->ticket = orr_store_ticket(rt->storage->store);
    bool waits = true;
    if (r->durability == ORR_DURABLE_STRICT) orr_early_note(r, record->seq);
    if (r->durability == ORR_DURABLE_RELAXED) {
        waits = (record->kind == ORR_REC_RUN_CREATED && r->claims) || record->kind == ORR_REC_BEGUN ||
                (record->kind == ORR_REC_RUN_ENDED && r->depth == 0);
        if (waits) {
            r->held_to = r->ticket;
            if (!rt->storage->shares_until) rt->storage->shares_until = (int64_t)uv_hrtime() + SHARING;
        }
        rt->lags = !rt->simulated && orr_lag_note(&rt->storage->lag, bytes, r->ticket);
        waits = rt->lags;
    }
    if (waits) rt->flush_urgent = true;
}

bool orr_storage_works(const orr_rtbox *rt) {
    const orr_storage *g = rt->storage;
    return !g->failing && !g->lost && orr_store_owns(g->store);
}

bool orr_storage_displaced(orr_rtbox *rt) {
    orr_storage *g = rt->storage;
    if (g && !g->lost && orr_store_displaced(g->store, &g->why)) {
        g->lost = true; /* the next turn gives its runs up */
        if (g->wakeup) uv_async_send(g->wakeup);
    }
    return g && g->lost;
}

/* ---- notices of the store -------------------------------------------------------------------- */

typedef struct notice_args {
    orr_storage *g;
    const orr_notice *n;
} notice_args;

/* {code, message, retryable = false, details = {run = …}} */
static void push_loss(lua_State *L, const orr_script *s, const char *code, const char *message,
                      const char *run) {
    orr_push_error(L, s, code, message);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "retryable");
    if (!run) return;
    lua_createtable(L, 0, 1);
    orr_set_text(L, "run", run);
    lua_setfield(L, -2, "details");
}

/* Where the run is not here, the message is reported again to the process that claims it. */
static void take_message(lua_State *L, const notice_args *a) {
    orr_runbox *r = orr_run_by_id(a->g->rt, a->n->run);
    if (r) orr_inbox_take(L, r, a->n->message, a->n->name, a->n->text);
}

/* Another run has its key or its id: nothing of it is kept, and no event is sent. */
static void take_refusal(lua_State *L, orr_runbox *r, const notice_args *a) {
    bool keyed = a->n->text && *a->n->text;
    char message[96];
    snprintf(message, sizeof message,
             keyed ? "another run has this key" : "there is a run %s already: an id is given once", r->id);
    orr_events_forget(L, a->g->rt, r);
    push_loss(L, a->g->rt->base.script, keyed ? "duplicate_key" : "duplicate_id", message,
              keyed ? a->n->text : NULL);
    orr_run_drop(L, r);
}

/* Another run has its lock, and it does not wait for that. */
static void take_conflict(lua_State *L, orr_runbox *r, const notice_args *a) {
    if (r->lock == NULL) return;
    r->lock->refused = true;
    orr_events_forget(L, a->g->rt, r);
    orr_run_lock_push_conflict(L, r, a->n->text);
    orr_run_drop(L, r);
}

/* Events of a lost run after its last commit must not be sent: what they say was not kept. */
static int forget_events(lua_State *L) {
    orr_runbox *r = lua_touserdata(L, 1);
    orr_events_forget(L, r->rt, r);
    return 0;
}

/* Dropping a run may call code of the user's, which may change the list, so the search begins anew
 * each time. */
static bool drop_lost(orr_rtbox *rt, const char *why) {
    const char *code = rt->storage->why == ORR_NOTICE_BROKEN ? "store_error" : "ownership_lost";
    bool any = false;
    for (;;) {
        orr_runbox *r = rt->runs;
        while (r && !(r->live && r->journal)) r = r->next;
        if (!r) break;
        orr_protect(rt->base.script, forget_events, r);
        /* no memory at all: the next turn tries again */
        if (!orr_run_give_up(rt->base.script, r, code, why)) break;
        any = true;
    }
    orr_hold_gone(rt->base.script, rt);
    keep_alive(rt->storage);
    return any;
}

static int take_notice(lua_State *L) {
    notice_args *a = lua_touserdata(L, 1);
    orr_storage *g = a->g;
    orr_rtbox *rt = g->rt;
    orr_runbox *r;
    switch (a->n->kind) {
    case ORR_NOTICE_MESSAGE: take_message(L, a); break;
    case ORR_NOTICE_REFUSED:
        if ((r = orr_run_by_id(rt, a->n->run))) take_refusal(L, r, a);
        break;
    case ORR_NOTICE_CONFLICT:
        if ((r = orr_run_by_id(rt, a->n->run))) take_conflict(L, r, a);
        break;
    case ORR_NOTICE_LOCKS: rt->ask_locks = true; break;
    case ORR_NOTICE_FAILED:
        g->failing = true;
        orr_log(L, rt, NULL, "error", a->n->text);
        break;
    case ORR_NOTICE_WORKS:
        g->failing = false;
        orr_log(L, rt, NULL, "info", "the store can be written again");
        break;
    case ORR_NOTICE_DAMAGED: orr_log(L, rt, NULL, "error", a->n->text); break;
    case ORR_NOTICE_WORK: break; /* this runtime does not ask for it */
    case ORR_NOTICE_STATE: orr_decided(&g->decisions, a->n->message, a->n->name != NULL); break;
    case ORR_NOTICE_LOST:
    case ORR_NOTICE_BROKEN:
        g->lost = true;
        g->why = a->n->kind;
        drop_lost(rt, a->n->text);
        orr_log(L, rt, NULL, "error", a->n->text);
        break;
    }
    return 0;
}

/* False where the notice is to be handled again: a message must not be lost when memory is
 * short. */
static bool deliver_notice(orr_storage *g) {
    notice_args a = {g, &g->notice};
    orr_script *s = g->rt->base.script;
    bool taken = orr_protect(s, take_notice, &a) == LUA_OK;
    if (!taken && g->notice.kind == ORR_NOTICE_MESSAGE && ++g->tries < MOST_TRIES) return false;
    if (!taken) orr_script_stray(s, "a notice of the store was not dealt with", "not enough memory");
    g->tries = 0;
    return true;
}

bool orr_storage_news(orr_rtbox *rt) {
    orr_storage *g = rt->storage;
    bool any = false;
    if (!g) return false;
    /* read before the notices: a run that was refused starts nothing */
    uint64_t durable = orr_store_durable(g->store);
    rt->base.script->guarded++;
    bool listens = g->wakeup || g->decisions.open > 0; /* in memory there is nobody else to tell */
    while (listens && (g->tries > 0 || orr_store_notice(g->store, &g->notice))) {
        any = true;
        if (!deliver_notice(g)) break;
    }
    any |= orr_store_answers(g->store);
    if (g->lost)
        any |= drop_lost(rt, g->why == ORR_NOTICE_BROKEN
                                 ? "the store is damaged or gone: restore a backup"
                                 : "another process has taken over the runs of this one");
    rt->base.script->guarded--;
    look_at_queue(g, durable);
    if (durable == rt->durable_to) {
        rt->lags = !rt->simulated && orr_lag_look(&g->lag); /* by real time */
        return any;
    }
    durable_up(g, durable);
    return true;
}

/* ---- room for one record --------------------------------------------------------------------- */

unsigned char *orr_storage_buffer(orr_rtbox *rt, size_t size) {
    orr_storage *g = rt->storage;
    if (size > g->buffer_size) {
        size_t room = size < 4096 ? 4096 : size + size / 2;
        unsigned char *buffer = orr_mem_resize(&rt->base.script->alloc, g->buffer, g->buffer_size, room, 1);
        if (!buffer) return NULL;
        g->buffer = buffer;
        g->buffer_size = room;
    }
    return g->buffer;
}

bool orr_storage_keep_payload(const orr_runbox *r, const orr_task *task, const char *text, size_t size) {
    orr_storage *g = r->rt->storage;
    const orr_alloc *alloc = &r->script->alloc;
    /* memory of one large value is freed */
    if (size > g->payload_room || g->payload_room > size + ORR_BLOB_SIZE) {
        size_t room = size < 4096 ? 4096 : size;
        char *payload = orr_mem_resize(alloc, g->payload, g->payload_room, room, 1);
        if (!payload) return false;
        g->payload = payload;
        g->payload_room = room;
    }
    if (size > 0) memcpy(g->payload, text, size); /* there may be no room yet for nothing */
    g->payload_size = size;
    g->payload_run = r;
    g->payload_task = *task;
    return true;
}

void orr_storage_put_back(orr_rtbox *rt, const orr_runbox *r) {
    rt->storage->payload_run = r;
}

bool orr_storage_take_payload(const orr_runbox *r, const orr_task *task, orr_payload *payload) {
    orr_storage *g = r->rt->storage;
    const orr_task *own = &g->payload_task;
    bool same = g->payload_run == r && own->node == task->node && own->item == task->item &&
                own->iteration == task->iteration && own->attempt == task->attempt;
    g->payload_run = NULL;
    if (same) *payload = (orr_payload){g->payload, g->payload_size};
    return same;
}

/* rt:flushed(): waits, in a fiber, until everything that was recorded is durable. The loop goes
 * on. */
int orr_rt_flushed(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    return rt->storage ? orr_hold_all(L, rt->base.script, rt) : 0;
}

/* rt:sync(): waits until everything that was recorded is durable. Blocks the loop; for the end
 * of a program. */
int orr_rt_sync(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    if (!rt->storage) return 0;
    orr_storage_submit(rt);
    if (orr_store_sync(rt->storage->store) != ORR_OK)
        return luaL_error(L, "the store cannot be written; what was not committed is lost with this process");
    durable_up(rt->storage, orr_store_durable(rt->storage->store));
    return 0;
}
