/* port.h - what the system gives and other systems give otherwise: clocks, locks between processes,
 * threads, bells, files that nobody else sees, libraries that may be absent. Any room may use it;
 * it uses none.
 *
 * A function here is as thin as it can be, so that a port is written by reading one file. What
 * fails says so by the number that errno has for it.
 */
#ifndef ORR_PORT_H
#define ORR_PORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- clocks ---------------------------------------------------------------------------------- */

/* A clock that never goes back and that the calendar does not move (ns). */
int64_t orr_port_now(void);

/* The same, but it goes on while the machine is suspended. */
int64_t orr_port_elapsed(void);

/* Seconds since the epoch. */
double orr_port_wall(void);

/* A descriptor that can be read once the calendar shows a time, also where the machine was
 * suspended meanwhile, and at once when the calendar is set. -1: there is none. */
int orr_alarm_open(void);

/* Sets the time (s since the epoch); a time that has passed comes at once. */
bool orr_alarm_set(int fd, double time);

/* Takes what has come: whether the calendar was set. Set it anew then. */
bool orr_alarm_take(int fd);

/* ---- locks between processes ----------------------------------------------------------------- */

/* A lock is on one byte of a file and belongs to the descriptor that took it: other processes, and
 * other descriptors of this one, are kept out. The system lets go of it when the descriptor is
 * closed or the process dies, however it dies. The byte need not be there. */

/* Opens a file of locks; `make`: makes it where it is missing, for its user alone. A descriptor
 * that a child does not inherit, or -1 with errno set. */
int orr_lock_open(const char *path, bool make);

/* Takes the lock, or finds it taken. 0; EAGAIN where another has it; another number where the file
 * cannot be locked. */
int orr_lock_try(int fd, int64_t byte);

/* Takes the lock together with others that share it; as orr_lock_try. */
int orr_lock_share(int fd, int64_t byte);

/* Takes the lock and waits for it until `until` (of orr_port_now). As orr_lock_try, but ETIMEDOUT
 * in place of EAGAIN. */
int orr_lock_wait(int fd, int64_t byte, int64_t until);

/* Lets go of the lock. */
void orr_lock_release(int fd, int64_t byte);

/* A byte from one to another, both included, that a descriptor other than this one has locked; -1:
 * there is none, or that cannot be known. */
int64_t orr_lock_find(int fd, int64_t from, int64_t to);

/* Whether a descriptor other than this one has the lock; true where that cannot be known. */
bool orr_lock_is_taken(int fd, int64_t byte);

/* ---- names of files -------------------------------------------------------------------------- */

/* What becomes of a file that has the name already: it is replaced, it is kept (EEXIST), or it gets
 * the other name. */
typedef enum orr_rename { ORR_RENAME_OVER, ORR_RENAME_NEW, ORR_RENAME_EXCHANGE } orr_rename;

/* Renames at once. 0 or the number of an error: EINVAL or ENOSYS where the file system or the
 * system knows no such renaming. */
int orr_port_rename(const char *from, const char *to, orr_rename how);

/* ---- threads --------------------------------------------------------------------------------- */

typedef pthread_t orr_thread;
typedef pthread_mutex_t orr_mutex;
typedef pthread_cond_t orr_condition; /* its times are those of orr_port_now */

#define ORR_MUTEX_INIT PTHREAD_MUTEX_INITIALIZER

/* Makes and ends what one thread holds and others wait for. */
void orr_mutex_init(orr_mutex *mutex);
void orr_mutex_destroy(orr_mutex *mutex);

/* Takes the mutex, waiting for it, and lets go of it. */
void orr_mutex_lock(orr_mutex *mutex);
void orr_mutex_unlock(orr_mutex *mutex);

/* Makes and ends what threads wait for. */
void orr_condition_init(orr_condition *condition);
void orr_condition_destroy(orr_condition *condition);

/* Lets go of the mutex, waits to be woken or until `until` (INT64_MAX: for ever), and takes the
 * mutex again. It may return without having been woken. */
void orr_condition_wait(orr_condition *condition, orr_mutex *mutex, int64_t until);

/* Wakes one of those that wait, or all of them. */
void orr_condition_wake(orr_condition *condition);
void orr_condition_wake_all(orr_condition *condition);

/* Starts a thread to which no signal of the process is delivered. False where none is to be had. */
bool orr_thread_start(orr_thread *thread, void *(*run)(void *ud), void *ud);

/* Has this thread, and those that it starts, take less of the processor and the disk than
 * others. */
void orr_thread_stand_back(void);

/* Waits for the end of a thread. */
void orr_thread_join(orr_thread thread);

/* Nobody will wait for it. */
void orr_thread_detach(orr_thread thread);

/* ---- bells between processes ----------------------------------------------------------------- */

/* What one thread waits by: for others of its process, which wake it, and for other processes,
 * which ring a file. */
typedef struct orr_bell {
    int watch, wake; /* descriptors that a child does not inherit */
} orr_bell;

#define ORR_NO_BELL ((orr_bell){-1, -1})

/* Watches the file. False where that cannot be had. Closing may take some milliseconds. */
bool orr_bell_open(orr_bell *bell, const char *path);
void orr_bell_close(orr_bell *bell);

/* Rings the file that is open as `fd`, for all who watch it. */
void orr_bell_ring(int fd);

/* Has orr_bell_wait return, the next one where none is under way. On any thread. */
void orr_bell_wake(const orr_bell *bell);

/* Waits to be woken, until the file rings, or until `until` (INT64_MAX: for ever). True where it
 * has rung since the last time. It may return without a reason. */
bool orr_bell_wait(const orr_bell *bell, int64_t until);

/* ---- files that nobody else sees ------------------------------------------------------------- */

/* Makes a file without a name in a folder: it is gone with its last descriptor, whatever ends the
 * process. A descriptor that a child does not inherit, or -1 with errno set. */
int orr_unnamed_file(const char *folder);

/* ---- the manager of services ----------------------------------------------------------------- */

/* Sends a text as one datagram to a unix socket: how a service says to systemd that it is ready. A
 * path that begins with @ is in the abstract namespace. Never waits. 0 or the number of an
 * error. */
int orr_port_notify(const char *path, const char *text);

/* ---- libraries that are opened at first use -------------------------------------------------- */

/* Linked, such a library would cost every start. It is never closed: some leave handlers behind
 * that run when the process exits. */
typedef struct orr_library {
    const char *name;    /* "libcurl.so.4" */
    const char *package; /* Debian's */
    const char *needed;  /* by what: "HTTP needs" */
    const char *least;   /* the version that has all that is used; NULL: any */
    void *handle;
    char reason[256]; /* a sentence: why it cannot be used; empty: it can */
} orr_library;

typedef void (*orr_symbol)(void);

/* Opens it. False, with the reason, where it is absent. Call it once, as by pthread_once. */
bool orr_library_open(orr_library *library);

/* A function of it, to be cast to its type. NULL, with the reason, where it has none of that
 * name. */
orr_symbol orr_library_find(orr_library *library, const char *name);

#endif
