/* durable.h - the room `durable`: what keeps runs. It knows the room `run` and the stores; `run`
 * knows it as a keeper only (run/keeper.h).
 *
 * keeper.c     the methods, and what is added to Lua  storage.c   the store behind a runtime
 * journal.c    records and their values               restore.c   a run from its journal
 * outputs.c    values that leave memory, come back    steps.c     recorded steps
 * hold.c       fibers that wait for the disk          inbox.c     messages from other processes
 * publish.c    logs, modules, reasons                 cache.c     outputs for later runs
 * orphans.c    children that nobody waits for         silence.c   what gives no sign of life
 * created.c    what a run was created with             early.c     starts before their own record
 * state.c      values that outlive runs             records.c   records as plain data
 * save.c       runs as bytes
 * trace.c      what a store does, as lines
 */
#ifndef ORR_DURABLE_H
#define ORR_DURABLE_H

#include "run/run.h"
#include "store/store.h"

/* The keeper of runtimes: its methods are those of run/keeper.h. */
extern const orr_keeper orr_durable_keeper;

/* Adds the methods of runtimes and runs that are about what is kept: rt:restore, rt:sync,
 * rt:keep_module, run:journal. May raise a memory error. */
void orr_durable_open(lua_State *L, const orr_script *s);

/* core.cache_get, cache_note, cache_put: called by orrery.definition.cached and up_to_date. */
int orr_core_cache_get(lua_State *L);
int orr_core_cache_note(lua_State *L);
int orr_core_cache_put(lua_State *L);

/* core.state_get, state_set: called by orrery.state. */
int orr_core_state_get(lua_State *L);
int orr_core_flushed(lua_State *L);
int orr_core_state_set(lua_State *L);

/* Pushes the records of a run that are durable, of a run of the plan at that index, as run:journal
 * gives them. Statuses as of orr_store_read; raises where one cannot be read or memory is short. */
orr_status orr_journal_push(lua_State *L, orr_store *store, const uint8_t id[16], int plan,
                            orr_reason *reason);

/* A record as a store gives it. */
typedef struct orr_written_record {
    uint64_t seq;
    const void *bytes;
    size_t size;
} orr_written_record;

/* lua_CFunction: a light userdata that points to an orr_written_record -> it as plain data without
 * its value: {seq, kind, time, index (of its node in the definition, from 1), item, iteration,
 * attempt, due, items, port (of the definition, from 1), state, error = {code, message}}. Raises
 * where it cannot be read, or memory is short. */
int orr_record_push(lua_State *L);

/* core.records(bytes, first, after, most): the same of a row of the journal, whose first record has
 * that number: a list of those after a sequence number, at most so many. */
int orr_core_records(lua_State *L);

/* The store of a runtime's runs, where it is one that others can open; else NULL. */
orr_store *orr_storage_store(const orr_rtbox *rt);

/* Has a store that is opened with these options report what it does as lines of the topic `store`,
 * where that is asked for. The trace must outlive the store. */
void orr_trace_store(orr_store_options *options, orr_trace *trace);

/* ---- save.c: runs as bytes ------------------------------------------------------------------- */

typedef struct orr_save_io {
    /* 0, or the save fails with ORR_EIO */
    int (*write)(void *ud, const void *bytes, size_t size);
    /* of the definition of a plan; NULL: it is not known */
    const char *(*hash)(void *ud, const orr_plan *plan);
    void *ud;
} orr_save_io;
/* Writes all live runs of the runtime, and children whose parents may still want their result.
 * ORR_ESTATE where one of them cannot be saved; ORR_ENOMEM, ORR_EIO. Waits for the disk where there
 * is a store. Outside of the core and of handlers only. */
orr_status orr_runs_save(orr_rtbox *rt, const orr_save_io *io, orr_reason *reason);

/* The runs of a save that have not been read. */
typedef struct orr_saved {
    const unsigned char *at, *end;
    uint64_t left;
    int64_t time;
} orr_saved;
typedef struct orr_saved_run {
    uint8_t id[16];
    bool child; /* another run called it, and restores it */
    char workflow[256], hash[65];
    const unsigned char *journal; /* in the bytes that were read */
    size_t size;
} orr_saved_run;
/* ORR_EINVAL, with a reason, for bytes that are no save, cut off or changed. */
orr_status orr_saved_read(const unsigned char *bytes, size_t size, orr_saved *saved, orr_reason *reason);
bool orr_saved_next(orr_saved *saved, orr_saved_run *run);
/* Makes a run of a save a live one, with that plan and options (env), in a runtime that keeps
 * journals in memory, and pushes it; or only puts the journal of a child where its parent finds it.
 * Raises. */
orr_runbox *orr_saved_go_on(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts,
                            const orr_saved_run *run);
void orr_saved_put(lua_State *L, orr_rtbox *rt, const orr_saved_run *run);
/* Takes it back, where it is no run of the runtime's. */
void orr_saved_drop(orr_rtbox *rt, const orr_saved_run *run);

/* Another user of that store: `forget` is called once, before the store is closed. */
typedef struct orr_borrower {
    void (*forget)(void *ud); /* NULL: there is none */
    void *ud;
    int ref; /* registry reference that is released then */
} orr_borrower;
/* NULL where orr_storage_store gives none. */
orr_borrower *orr_storage_borrower(const orr_rtbox *rt);

#endif
