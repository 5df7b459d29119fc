/* blocking.h - system calls that block, and may never come back (a file system that does not
 * answer), in threads of their own.
 *
 * libuv has four threads for all such calls of a program: four that do not come back and no other
 * file is read any more. Here a call that does not come back soon is not counted: there are always
 * some threads for the others. Nobody waits for such a thread, neither the loop nor the end of the
 * program.
 */
#ifndef ORR_LOOP_BLOCKING_H
#define ORR_LOOP_BLOCKING_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef struct orr_blocking orr_blocking;

/* What is to be done; a part of what the caller keeps of it. All but the functions is the
 * pool's. */
typedef struct orr_job {
    void (*work)(struct orr_job *job); /* on a thread; uses nothing but the job */
    /* Once, on the loop's thread, when it is over; the job is the caller's again. */
    void (*done)(struct orr_job *job);
    /* In place of `done`, on any thread, where the pool was closed meanwhile. */
    void (*drop)(struct orr_job *job);
    struct orr_job *next, *prev;
    int64_t since; /* orr_port_now when its work was begun, or 0 */
    bool awaited;
} orr_job;

/* NULL where there is no memory. It is of libc's heap, like the jobs should be: a thread may still
 * use it when the program that embeds us has taken back all that it gave. */
orr_blocking *orr_blocking_open(uv_loop_t *loop);

/* Takes jobs no more. What is under way is dropped when it comes back; nothing waits for it. */
void orr_blocking_close(orr_blocking *b);

/* False where there is no thread for it. `awaited`: the loop stays alive until it is done. */
bool orr_blocking_submit(orr_blocking *b, orr_job *job, bool awaited);

/* It does not keep the loop alive any more, as if it had not been awaited. */
void orr_blocking_unref(orr_blocking *b, orr_job *job);

#endif
