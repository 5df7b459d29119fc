/* process.h - child processes on a libuv loop: each in a process group of its own, bounded in
 * output and in time.
 *
 * A child is the leader of its own session and group (setsid), so that killing reaches whatever it
 * started; with a watcher it also reaches what has left the group, and ends with this program. It
 * gets no descriptors but the first three. Its standard input is /dev/null or a text; its outputs
 * are captured up to a limit, passed on chunk by chunk, inherited or discarded. It ends when it has
 * exited and its outputs are closed; a grandchild that keeps them open holds the end back for
 * `linger` at most. All calls and callbacks are on the loop's thread.
 */
#ifndef ORR_LOOP_PROCESS_H
#define ORR_LOOP_PROCESS_H

#include "core/plan/plan.h"
#include "loop/cgroup.h"
#include "loop/reaper.h"
#include "loop/watcher.h"
#include <uv.h>

typedef struct orr_process orr_process;

typedef enum {
    ORR_OUTPUT_DISCARD, /* /dev/null */
    ORR_OUTPUT_CAPTURE, /* kept up to `limit` bytes; the rest is counted and dropped */
    ORR_OUTPUT_STREAM,  /* each chunk to on_chunk, none kept */
    ORR_OUTPUT_INHERIT  /* this program's own */
} orr_output_kind;

/* Which part of starting a child failed. */
typedef enum { ORR_SPAWN_OK, ORR_SPAWN_PROGRAM, ORR_SPAWN_CWD, ORR_SPAWN_SYSTEM } orr_spawn_failure;

typedef struct orr_process_result {
    orr_spawn_failure failed; /* not ORR_SPAWN_OK: it never ran; `error` says why, the rest is 0 */
    /* libuv's error code; UV_ENOMEM also where the captured output found no memory */
    int error;
    int64_t code; /* exit code; 0 where a signal ended it */
    int signal;   /* the signal that ended it, or 0 */
    /* another process still held an output open when waiting for it was given up */
    bool held;
    /* somebody else in this program has waited for the child: how it ended is not known */
    bool unknown;
    unsigned left; /* processes that it had started and left behind; they were ended */
    struct {
        const char *data; /* captured bytes, valid during the callback; not terminated; NULL when empty */
        size_t size;
        uint64_t dropped; /* bytes beyond the limit */
    } output[2];          /* of descriptors 1 and 2 */
} orr_process_result;

typedef struct orr_process_options {
    /* NULL-terminated, at least one. argv[0] without a '/' is searched in the child's PATH */
    const char *const *argv;
    const char *const *env; /* NULL-terminated "NAME=value"; NULL: this program's environment */
    const char *cwd;        /* NULL: this program's */
    const char *input;      /* standard input; NULL: /dev/null */
    size_t input_size;
    orr_output_kind output[2]; /* of descriptors 1 and 2 */
    size_t limit;              /* bytes captured of each output */
    uint64_t grace;            /* ms between TERM and KILL; 0 = 2,000 */
    uint64_t linger;           /* ms to wait for the outputs to close once it has exited; 0 = 1,000 */
    orr_watcher *watcher;      /* must outlive the child; NULL: none */
    orr_reaper *reaper;        /* must outlive the child; NULL: none */
    orr_cgroup *cgroup;        /* must outlive the child; NULL: none */
    bool unmarked;             /* its environment gets no mark */
    bool detach;               /* what it leaves behind goes on, whatever becomes of this program */
    void *ud;
    void (*on_chunk)(void *ud, int descriptor, const char *data, size_t size);
    /* Called exactly once, never from within orr_process_spawn, not after orr_process_abandon.
     * The handle is invalid when it returns. */
    void (*on_end)(void *ud, const orr_process_result *result);
} orr_process_options;

/* Starts a child. Options and what they point to may go once it has returned. NULL only when
 * there is no memory for the handle; a child that cannot be started is reported to on_end. */
orr_process *orr_process_spawn(uv_loop_t *loop, const orr_alloc *alloc, const orr_process_options *options);

/* The child's id, which is its group's as well; 0 where it is known that it never ran, which may be
 * only when on_end is called. */
int orr_process_id(const orr_process *p);

/* Sends a signal to the child's whole group. 0, or libuv's error (UV_ESRCH when it has exited). */
int orr_process_kill(orr_process *p, int signal);

/* Ends the child with all that it has started: TERM (and CONT, for what is stopped), then KILL
 * after the grace to whatever of it is left, be it only grandchildren. on_end comes when that is
 * done. A second call has no effect. */
void orr_process_terminate(orr_process *p);

/* Kills the child and all that it has started at once; on_end comes as ever. */
void orr_process_kill_all(orr_process *p);

/* Kills all of it at once and lets go of it without calling back; for when the owner goes away.
 * What the loop holds is freed in its next iterations. */
void orr_process_abandon(orr_process *p);

/* The number of a signal by name ("TERM", "SIGTERM"), or 0; and the name ("SIGTERM") by number,
 * or NULL. */
int orr_signal_number(const char *name);
const char *orr_signal_name(int number);

#endif
