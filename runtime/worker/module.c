/* module.c - what Lua sees of workers.
 *
 * On the side of the loop:
 *
 * core.workers { min, max = integers, budget = bytes, patience = seconds } -> workers
 * workers:start(text, fn) -> job
 *     fn(kind, text, message) is called on the loop, in a callback, for whatever comes of the job:
 *     "text" and what its function has sent; "warning" and one of Lua's that came while it ran;
 *     last "ended" and what it has returned, or "failed", the code and the message.
 * job:send(text)   for the function's `receive`; lost where the job is over
 * job:worker() -> integer, the number of the worker that has it; nil in line, and when it is over
 * job:cancel()     asks it to stop; its end comes all the same, at the latest half a second after
 *                  it would not wait any more
 * workers:stats() -> {min, max, threads, queued, live, done, failed, most_threads, workers =
 * list of
 *     {number, live, done, failed, busy = processor time, age (seconds)}}
 * workers:close()     stops what runs and waits for the threads; then no more can be started
 *
 * On the side of the worker, orrery.worker.main returns a function(job, text) -> text:
 *
 * job:send(text)      to the loop
 * job:on(fn)          calls fn(text) once, with the next text from the loop; at once where one is
 *                      there
 * job:loads(bool)     it waits for its code: its worker takes no other job meanwhile
 * job:fails()         what it returns is an error: it counts as one that failed
 *
 * core.current_fiber() -> integer, the id of the running fiber; nil outside of all
 */
#include "worker/inner.h"

#include <lauxlib.h>
#include <string.h>

#define WORKERS "orrery.workers"
#define JOB "orrery.job"
#define OWN_JOB "orrery.worker.job"

/* ---- the loop's side ------------------------------------------------------------------------- */

/* NULL once it is closed. */
typedef struct workers_face {
    orr_workers *workers;
    orr_script *script;
} workers_face;

/* Stands in the registry under its own address until the job is over, with its function. */
typedef struct job_face {
    job *job; /* NULL once it is over */
    orr_script *script;
} job_face;

typedef struct delivery {
    job_face *face;
    message_kind kind;
    const char *text;
    size_t size;
    orr_script *script;
    bool again; /* there was no memory for it */
} delivery;

static bool is_end(message_kind kind) {
    return kind == MESSAGE_ENDED || kind == MESSAGE_FAILED;
}

/* Whatever it raises for lack of memory, it can be called again for the same; anything else is a
 * fault of its own. */
static void listener_failed(lua_State *L, delivery *d, int status) {
    d->again = status == LUA_ERRMEM;
    if (!d->again) orr_script_stray(d->script, "a job's listener failed", luaL_tolstring(L, -1, NULL));
}

static int call_listener(lua_State *L) {
    static const char *const kinds[] = {[MESSAGE_TEXT] = "text",
                                        [MESSAGE_ENDED] = "ended",
                                        [MESSAGE_FAILED] = "failed",
                                        [MESSAGE_WARNING] = "warning"};
    delivery *d = lua_touserdata(L, 1);
    size_t code = d->kind == MESSAGE_FAILED ? strlen(d->text) : d->size;
    lua_rawgetp(L, LUA_REGISTRYINDEX, d->face);
    lua_getiuservalue(L, -1, 1);
    lua_pushstring(L, kinds[d->kind]);
    lua_pushlstring(L, d->text, code);
    if (d->kind == MESSAGE_FAILED) lua_pushlstring(L, d->text + code + 1, d->size - code - 1);
    else lua_pushnil(L);
    int status = lua_pcall(L, 3, 0, 0);
    if (status != LUA_OK) listener_failed(L, d, status);
    if (!is_end(d->kind) || d->again) return 0;
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, d->face);
    return 0;
}

static bool deliver(void *ud, job *j, message_kind kind, const char *text, size_t size) {
    orr_script *s = ud;
    if (!j) {
        lua_warning(orr_script_main(s), text, 0);
        return true;
    }
    delivery d = {.face = j->ud, .kind = kind, .text = text, .size = size, .script = s};
    orr_stay_awake(s);
    if (orr_protect(s, call_listener, &d) == LUA_ERRMEM || d.again) return false;
    if (is_end(kind)) d.face->job = NULL;
    return true;
}

static orr_workers *check_workers(lua_State *L) {
    workers_face *face = luaL_checkudata(L, 1, WORKERS);
    if (!face->workers) luaL_error(L, "these workers were closed");
    return face->workers;
}

static int workers_start(lua_State *L) {
    orr_workers *p = check_workers(L);
    const workers_face *own = lua_touserdata(L, 1);
    size_t size;
    const char *text = luaL_checklstring(L, 2, &size);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    job_face *face = lua_newuserdatauv(L, sizeof *face, 1);
    *face = (job_face){.script = own->script};
    luaL_setmetatable(L, JOB);
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, face);
    face->job = orr_workers_add(p, text, size, face);
    if (!face->job) {
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, face);
        return luaL_error(L, "not enough memory");
    }
    return 1;
}

static int job_send(lua_State *L) {
    const job_face *face = luaL_checkudata(L, 1, JOB);
    size_t size;
    const char *text = luaL_checklstring(L, 2, &size);
    if (face->job && !orr_workers_send(face->job, text, size)) return luaL_error(L, "not enough memory");
    return 0;
}

static int job_worker(lua_State *L) {
    const job_face *face = luaL_checkudata(L, 1, JOB);
    unsigned number = face->job ? orr_workers_number(face->job) : 0;
    if (number) lua_pushinteger(L, number);
    else lua_pushnil(L);
    return 1;
}

static int job_cancel(lua_State *L) {
    const job_face *face = luaL_checkudata(L, 1, JOB);
    if (face->job) orr_workers_cancel(face->job);
    return 0;
}

static void set_number(lua_State *L, const char *key, double value) {
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

/* ns of processor time that its thread has used. */
static int64_t used_by(const worker *w) {
    struct timespec t;
    if (!w->has_clock || w->gone || clock_gettime(w->clock, &t)) return 0;
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

enum { MOST_SHOWN = 256 };

typedef struct figures {
    lua_Integer number, live, done, failed;
    double busy, age;
} figures;

static unsigned take_figures(orr_workers *p, figures list[MOST_SHOWN], uint64_t *done, uint64_t *failed) {
    unsigned n = 0;
    int64_t now = orr_port_now();
    for (const worker *w = p->workers; w && n < MOST_SHOWN; w = w->next) {
        if (w->gone) {
            *done += w->done;
            *failed += w->failed;
            continue;
        }
        list[n++] = (figures){w->number,
                              w->live,
                              (lua_Integer)w->done,
                              (lua_Integer)w->failed,
                              (double)used_by(w) / 1e9,
                              (double)(now - w->since) / 1e9};
    }
    return n;
}

/* Lua may raise, so it is called when the lock is free again. */
static int workers_stats(lua_State *L) {
    orr_workers *p = check_workers(L);
    figures list[MOST_SHOWN];
    orr_mutex_lock(&p->lock);
    uint64_t done = p->done, failed = p->failed;
    unsigned n = take_figures(p, list, &done, &failed);
    unsigned queued = p->n_queued, most = p->most_threads, started = p->n_started;
    orr_mutex_unlock(&p->lock);
    lua_createtable(L, 0, 10);
    lua_createtable(L, (int)n, 0);
    for (unsigned i = 0; i < n; i++) {
        lua_createtable(L, 0, 6);
        orr_set_integer(L, "number", list[i].number);
        orr_set_integer(L, "live", list[i].live);
        orr_set_integer(L, "done", list[i].done);
        orr_set_integer(L, "failed", list[i].failed);
        set_number(L, "busy", list[i].busy);
        set_number(L, "age", list[i].age);
        lua_rawseti(L, -2, (lua_Integer)(n - i));
        done += (uint64_t)list[i].done;
        failed += (uint64_t)list[i].failed;
    }
    lua_setfield(L, -2, "workers");
    orr_set_integer(L, "min", p->options.min);
    orr_set_integer(L, "max", p->options.max);
    orr_set_integer(L, "threads", n);
    orr_set_integer(L, "started", started);
    orr_set_integer(L, "most_threads", most);
    orr_set_integer(L, "queued", queued);
    orr_set_integer(L, "live", p->n_live);
    orr_set_integer(L, "done", (lua_Integer)done);
    orr_set_integer(L, "failed", (lua_Integer)failed);
    return 1;
}

static int workers_close(lua_State *L) {
    workers_face *face = luaL_checkudata(L, 1, WORKERS);
    orr_workers *p = face->workers;
    face->workers = NULL;
    if (!p) return 0;
    for (job *j = p->live; j; j = j->next_live) ((job_face *)j->ud)->job = NULL;
    orr_workers_close(p);
    return 0;
}

static lua_Integer option(lua_State *L, const char *name, lua_Integer least, lua_Integer usual) {
    lua_getfield(L, 1, name);
    lua_Integer value = luaL_optinteger(L, -1, usual);
    if (value < least) luaL_error(L, "workers: %s is an integer from %I on", name, (LUAI_UACINT)least);
    lua_pop(L, 1);
    return value;
}

/* core.workers. Upvalue 1: the setup. */
static int core_workers(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    orr_script *s = orr_script_of(L);
    workers_face *face = lua_newuserdatauv(L, sizeof *face, 0);
    *face = (workers_face){.script = s};
    luaL_setmetatable(L, WORKERS);
    lua_getfield(L, 1, "patience");
    lua_Number patience = luaL_optnumber(L, -1, 10);
    orr_workers_options o = {.alloc = {orr_alloc_libc, NULL},
                             .loop = orr_script_loop(s),
                             .min = (unsigned)option(L, "min", 0, 0),
                             .max = (unsigned)option(L, "max", 1, 1),
                             .budget = (size_t)option(L, "budget", 1 << 20, (lua_Integer)1 << 30),
                             .patience = (int64_t)(patience * 1e9),
                             .setup = *(orr_worker_setup *)lua_touserdata(L, lua_upvalueindex(1)),
                             .ud = s,
                             .deliver = deliver};
    orr_modules_read(L, &o.alloc, &o.modules);
    face->workers = orr_workers_open(&o);
    if (!face->workers)
        return luaL_error(L, "no workers can be made: not enough memory, or too many open files");
    lua_pushvalue(L, 2);
    return 1;
}

/* ---- the worker's side ----------------------------------------------------------------------- */

typedef struct own_job {
    job *job;
    worker *worker;
} own_job;

static own_job *check_own(lua_State *L) {
    own_job *face = luaL_checkudata(L, 1, OWN_JOB);
    if (face->job->worker != face->worker) luaL_error(L, "this job is over");
    return face;
}

static int own_send(lua_State *L) {
    const own_job *face = check_own(L);
    size_t size;
    const char *text = luaL_checklstring(L, 2, &size);
    message *l = orr_message_new(face->job, MESSAGE_TEXT, text, size);
    if (!l) return luaL_error(L, "not enough memory");
    orr_workers_post(face->job->all, l);
    return 0;
}

static int own_on(lua_State *L) {
    const own_job *face = check_own(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    message *l = face->job->inbox.first;
    if (!l) {
        luaL_unref(L, LUA_REGISTRYINDEX, face->job->receiver);
        face->job->receiver = luaL_ref(L, LUA_REGISTRYINDEX);
        return 0;
    }
    lua_pushlstring(L, l->text, l->size);
    orr_message_free(orr_messages_take(&face->job->inbox));
    lua_call(L, 1, 0);
    return 0;
}

static int own_loads(lua_State *L) {
    check_own(L)->job->loads = lua_toboolean(L, 2);
    return 0;
}

static int own_fails(lua_State *L) {
    check_own(L)->job->fails = true;
    return 0;
}

static int own_gc(lua_State *L) {
    own_job *face = luaL_checkudata(L, 1, OWN_JOB);
    if (face->job) orr_job_release(face->job);
    face->job = NULL;
    return 0;
}

static void make_class(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *meta) {
    if (luaL_newmetatable(L, name)) {
        luaL_setfuncs(L, meta, 0);
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
}

void orr_push_own_job(lua_State *L, worker *w, job *j) {
    static const luaL_Reg methods[] = {{"send", own_send},
                                       {"on", own_on},
                                       {"loads", own_loads},
                                       {"fails", own_fails},
                                       {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", own_gc}, {NULL, NULL}};
    make_class(L, OWN_JOB, methods, meta);
    own_job *face = lua_newuserdatauv(L, sizeof *face, 0);
    *face = (own_job){.job = NULL, .worker = w};
    luaL_setmetatable(L, OWN_JOB);
    orr_mutex_lock(&w->all->lock);
    j->refs++;
    orr_mutex_unlock(&w->all->lock);
    face->job = j;
}

static int core_current_fiber(lua_State *L) {
    const orr_fiber *f = orr_fiber_current(orr_script_of(L));
    if (f) lua_pushinteger(L, (lua_Integer)orr_fiber_id_of(f));
    else lua_pushnil(L);
    return 1;
}

void orr_open_workers(lua_State *L, const orr_worker_setup *setup) {
    static const luaL_Reg workers_methods[] = {{"start", workers_start},
                                               {"stats", workers_stats},
                                               {"close", workers_close},
                                               {NULL, NULL}};
    static const luaL_Reg workers_meta[] = {{"__gc", workers_close}, {NULL, NULL}};
    static const luaL_Reg job_methods[] = {{"send", job_send},
                                           {"worker", job_worker},
                                           {"cancel", job_cancel},
                                           {NULL, NULL}};
    static const luaL_Reg job_meta[] = {{NULL, NULL}};
    make_class(L, WORKERS, workers_methods, workers_meta);
    make_class(L, JOB, job_methods, job_meta);
    *(orr_worker_setup *)lua_newuserdatauv(L, sizeof *setup, 0) = *setup;
    lua_pushcclosure(L, core_workers, 1);
    lua_setfield(L, -2, "workers");
    lua_pushcfunction(L, core_current_fiber);
    lua_setfield(L, -2, "current_fiber");
}
