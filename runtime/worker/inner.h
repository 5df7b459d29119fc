/* inner.h - inside the room `worker`. */
#ifndef ORR_WORKER_INNER_H
#define ORR_WORKER_INNER_H

#include "fiber/fiber.h"
#include <lauxlib.h>
#include "port/port.h"
#include "worker/worker.h"
#include <uv.h>

typedef struct orr_workers orr_workers;
typedef struct orr_job_message message;
typedef struct worker worker;
typedef struct job job;
typedef struct memory memory;

/* To a worker: a text for a job, or that it is to stop. To the loop: a text of a job, or its end; a
 * warning of Lua's. A failed one has its code and its message as "code\0message". */
typedef enum { MESSAGE_TEXT, MESSAGE_CANCEL, MESSAGE_ENDED, MESSAGE_FAILED, MESSAGE_WARNING } message_kind;

struct orr_job_message {
    message *next;
    orr_workers *all;
    job *job; /* counted; NULL: a warning of no job */
    message_kind kind;
    bool part; /* of its job, in whose memory it stands */
    size_t size;
    const char *text; /* behind it, or a constant; a zero follows it */
};

typedef struct messages {
    message *first, *last;
} messages;

struct job {
    job *next; /* in line */
    orr_workers *all;
    message *start;
    message stop, last; /* that it is to stop, and its end where that needs no text of its own */
    /* under their lock */
    unsigned refs;
    worker *worker; /* NULL: in line, or over */
    bool cancelled; /* it was asked to stop */
    bool over;
    int64_t cancelled_at;
    _Atomic bool cut; /* it did not, and is stopped wherever it is */
    /* of the worker's thread */
    bool loads; /* it waits for its code */
    bool fails; /* what it returns is an error */
    orr_fiber_id fiber;
    job *next_own, *prev_own; /* of the jobs that it has */
    messages inbox;           /* texts that nobody has waited for */
    int receiver;             /* registry: the function that gets the next text, or LUA_NOREF */
    /* of the loop's thread */
    void *ud;
    job *next_live, *prev_live;
};

/* What one thread wakes another's loop by. */
typedef struct wake {
    uv_poll_t poll; /* of the loop that is woken */
    int fd;
    _Atomic bool sent;
    void (*woken)(void *ud);
} wake;

struct worker {
    orr_workers *all;
    worker *next;
    orr_thread thread;
    unsigned number;
    wake wake; /* its descriptor is there for as long as the worker is */
    /* Written under their lock. */
    messages inbox;
    _Atomic bool idle;   /* it blocks, or is about to, and would take a job */
    _Atomic bool called; /* it was woken, or started, for a job in line, and has not looked yet */
    bool closing;        /* it ends when its jobs have, and takes no other */
    bool gone;           /* its thread is over; whoever sees that joins it */
    unsigned live;
    uint64_t done, failed;
    int64_t since;
    bool has_clock;
    clockid_t clock;
    /* of its own thread */
    uv_loop_t loop;
    uv_prepare_t before_sleep;
    uv_timer_t patience;
    uv_timer_t pause;
    job *jobs;
    char warning[512];      /* what has come of one */
    size_t warned;          /* bytes of it */
    bool warns, in_warning; /* warnings are not turned off; more of one is to come */
    bool waiting;           /* `patience` was started when it had no job left */
    bool paused;            /* none of its jobs has gone on since the last pause */
    unsigned handles;
    orr_script *script;
    orr_watchdog *watchdog; /* under their lock; NULL: none */
    int main;               /* registry: the function that does a job */
};

/* What a worker's state takes over from the one that the work comes from: where modules are
 * searched for, and those in C that it has in package.preload. */
typedef struct modules {
    char *path, *cpath;
    struct {
        char name[32];
        lua_CFunction open;
    } preloaded[16];
    unsigned n_preloaded;
    bool embedded; /* the modules that are compiled in are found */
} modules;

typedef struct orr_workers_options {
    orr_alloc alloc; /* used by several threads at once */
    uv_loop_t *loop;
    unsigned min, max;
    size_t budget;    /* bytes of a worker's state */
    int64_t patience; /* ns without a job after which a worker ends */
    orr_worker_setup setup;
    modules modules; /* freed with the workers */
    void *ud;
    /* A message has come for the loop, on its thread; of no job it is a warning. False where there
     * was no memory for it: it comes again, later. */
    bool (*deliver)(void *ud, job *j, message_kind kind, const char *text, size_t size);
} orr_workers_options;

struct orr_workers {
    orr_workers_options options;
    wake news;
    uv_timer_t cutter; /* looks for jobs that go on although they were asked to stop */
    uv_timer_t again;  /* to deliver what could not be delivered */
    unsigned handles;
    orr_mutex lock;
    job *first, *last; /* in line */
    worker *workers;
    messages outbox; /* to the loop */
    unsigned n_queued;
    unsigned n_called;  /* workers that will look at the line */
    unsigned n_threads; /* those that are not closing */
    unsigned n_started, most_threads;
    uint64_t done, failed; /* by workers that are gone */
    bool closed;
    job *live; /* of the loop's thread: jobs that are not over */
    unsigned n_live;
};

/* ---- workers.c: the loop's thread
 * --------------------------------------------------------------- */

/* Takes over the texts of options->modules. NULL where there is no memory or no handle. */
orr_workers *orr_workers_open(const orr_workers_options *options);
/* Drops what is in line, stops what runs, and waits for the threads. Nothing is delivered any
 * more. */
void orr_workers_close(orr_workers *p);
/* Adds a job to the line; NULL where there is no memory. `ud` is the caller's. What becomes of
 * it is delivered, last its end. */
job *orr_workers_add(orr_workers *p, const char *text, size_t size, void *ud);
/* False where there is no memory. */
bool orr_workers_send(job *j, const char *text, size_t size);
/* Of the worker that has it; 0: none. */
unsigned orr_workers_number(job *j);
/* It is to stop. Its end is delivered all the same. */
void orr_workers_cancel(job *j);

/* ---- messages.c: any thread
 * --------------------------------------------------------------------- */

/* NULL where there is no memory. */
message *orr_message_new(job *j, message_kind kind, const char *text, size_t size);
message *orr_message_failed(job *j, const char *code, const char *said);
message *orr_message_warning(orr_workers *p, job *j, const char *text, size_t size);
/* The end of a job, without memory: `text` is a constant, "code\0message". At most one. */
message *orr_message_last(job *j, const char *text, size_t size);
/* That it is to stop, without memory. At most one. */
message *orr_message_stop(job *j);
/* While its job is there. */
void orr_message_free(message *l);
void orr_messages_add(messages *list, message *l);
message *orr_messages_take(messages *list);
void orr_messages_drop(messages *list);

/* ---- wake.c
 * ------------------------------------------------------------------------------------- */

/* False where there is no descriptor for it. */
bool orr_wake_make(wake *w);
void orr_wake_drop(wake *w);
/* Has `woken` called on that loop whenever it is sent to; what was sent before counts. False where
 * there is no handle for it; otherwise its poll is closed before it is dropped. */
bool orr_wake_listen(wake *w, uv_loop_t *loop, void (*woken)(void *ud), void *ud);
/* On any thread, also when nobody listens. */
void orr_wake_send(wake *w);

/* ---- workers.c: any thread
 * ---------------------------------------------------------------------- */

/* Sends to the loop. */
void orr_workers_post(orr_workers *p, message *l);
/* Of NULL nothing. */
void orr_job_release(job *j);

/* ---- workers.c: a worker's thread
 * --------------------------------------------------------------- */

/* The next job in line for a worker that has nothing to run, NULL where there is none: then it is
 * idle, or, where *closing is set, it is to end. */
job *orr_workers_take(worker *w, bool *closing);
/* Its job is over. */
void orr_workers_done(worker *w, job *j, bool failed);
/* It had nothing to do for so long; true where it is to end. */
bool orr_workers_spare(worker *w);
/* It goes on with a job that it has: whoever is in line needs another. */
void orr_workers_goes_on(worker *w);
/* Its thread is over. `why`, where it could not begin: if no other is there, those in line are told
 * so. */
void orr_workers_gone(worker *w, const char *why);

/* ---- thread.c -------------------------------------------------------------------------------- */

void *orr_worker_run(void *ud);

/* Of the root of a job's fibers: the client's word in it. */
static inline job *orr_job_of(const orr_fiber *f) {
    return (job *)(intptr_t)f->alive;
}

/* ---- warning.c ------------------------------------------------------------------------------- */

/* Warnings of the state go to the loop: a worker has no terminal, and no log, of its own. */
void orr_worker_warns(lua_State *L, worker *w);

/* ---- state.c --------------------------------------------------------------------------------- */

/* Reads what L has. May raise; then there is nothing to be freed. */
void orr_modules_read(lua_State *L, const orr_alloc *alloc, modules *m);
void orr_modules_free(const orr_alloc *alloc, modules *m);
/* A state with Lua's libraries, whose memory is bounded; NULL where there is none. */
lua_State *orr_worker_state_new(const orr_alloc *alloc, size_t budget, memory **made);
void orr_worker_state_close(lua_State *L, memory *m);
/* Opens in it what others have. May raise. */
void orr_modules_open(lua_State *L, const modules *m);

/* ---- module.c -------------------------------------------------------------------------------- */

/* Pushes what a job is to the function that does it; it counts the job. */
void orr_push_own_job(lua_State *L, worker *w, job *j);

#endif
