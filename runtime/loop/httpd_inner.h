/* httpd_inner.h - what the files of the HTTP server share. Private to runtime/loop/httpd*.c. */
#ifndef ORR_LOOP_HTTPD_INNER_H
#define ORR_LOOP_HTTPD_INNER_H

#include "loop/httpd.h"
#include "loop/httpd_lib.h"

#include <sys/socket.h>
#include <sys/types.h>

/* Where a connection is between two requests, and what it waits for. */
typedef enum {
    PHASE_HEAD,               /* the client; has a deadline, as the next two */
    PHASE_BODY,               /* the client */
    PHASE_IDLE,               /* nothing */
    PHASE_LINGER,             /* the client: what it still sends is dropped; no connection of the library */
    PHASE_TIMED,              /* how many have a deadline */
    PHASE_WORK = PHASE_TIMED, /* the one who answers */
    PHASE_SEND,               /* the client, to take the answer */
    PHASE_STREAM,
    PHASE_CLOSING,
    PHASES
} orr_httpd_phase;

typedef struct orr_httpd_engine orr_httpd_engine;
typedef struct orr_httpd_listener orr_httpd_listener;

/* Those of one phase have the same deadline from its beginning on, so that each list is in the
 * order of deadlines. */
struct orr_httpd_client {
    orr_httpd *server;
    orr_httpd_engine *engine;
    struct MHD_Connection *mhd; /* NULL: the library has let go of it */
    struct lingering *rest;     /* NULL: it does not linger */
    struct watch *watch;        /* whether the client leaves; see on_left */
    orr_httpd_request *request; /* the present one, or NULL */
    orr_httpd_client *next, *prev;
    uint64_t due; /* ms of the loop */
    int fd;
    uint8_t phase;
    bool lingers; /* it is not closed before the client has seen the answer */
    bool left;    /* the client has ended its side, while it waits for an answer */
    unsigned char address[16];
    uint8_t family; /* AF_INET, AF_INET6, AF_UNIX */
    char peer[56];
};

typedef struct orr_httpd_list {
    orr_httpd_client *first, *last;
} orr_httpd_list;

/* The library, once with TLS and once without. */
struct orr_httpd_engine {
    orr_httpd *server;
    struct MHD_Daemon *daemon; /* NULL: it is not needed */
    uv_poll_t poll;
    uv_timer_t timer; /* when it wants to run next */
    uv_idle_t soon;   /* it is run in the next iteration of the loop, once fibers had their turn */
    unsigned spins;   /* how often it has wanted that since something came of it */
};

enum { ENGINE_PLAIN, ENGINE_TLS, ENGINES };

struct orr_httpd_listener {
    uv_poll_t poll;
    orr_httpd *server;
    orr_httpd_engine *engine;
    int fd;     /* -1: closed */
    char *path; /* of a unix socket that is ours, to be removed */
    dev_t device;
    ino_t inode;
    char address[136];
};

struct orr_httpd {
    const orr_mhd *lib;
    orr_httpd_options options; /* without what is the caller's */
    orr_httpd_engine engines[ENGINES];
    orr_httpd_listener *listeners;
    size_t n_listeners;
    orr_httpd_list lists[PHASES];
    orr_httpd_client *arriving; /* is being given to the library */
    uint32_t n_clients;
    uint32_t n_lingering;
    orr_httpd_stats stats;
    uv_timer_t tick; /* the earliest deadline */
    uv_timer_t beat; /* of streams */
    uv_timer_t last; /* the end of the grace */
    uint64_t tick_due;
    uint64_t deaf_until; /* too many files are open; 0: it listens */
    unsigned handles;    /* that libuv has not closed */
    bool stopping, closing, stopped;
    char log[256]; /* what the library said last */
};

/* ---- httpd.c --------------------------------------------------------------------------------- */

/* The library is run in the next iteration of the loop. */
void orr_httpd_wake(orr_httpd_engine *e);
/* One of the handles is closed: frees the server with the last. */
void orr_httpd_unhold(orr_httpd *h);

/* ---- httpd_listen.c -------------------------------------------------------------------------- */

bool orr_httpd_listen_all(orr_httpd *h, orr_httpd_failure *why);
void orr_httpd_close_listeners(orr_httpd *h);
/* Listens again, where the limit of open files had to be waited for. */
void orr_httpd_hear(orr_httpd *h);

/* ---- httpd_client.c -------------------------------------------------------------------------- */

void orr_httpd_enter(orr_httpd_client *c, orr_httpd_phase next);
/* The library has taken a connection, or lets go of it (MHD_OPTION_NOTIFY_CONNECTION). */
void orr_httpd_on_connection(void *ud, struct MHD_Connection *connection, void **context,
                             enum MHD_ConnectionNotificationCode what);
/* Gives an accepted socket to the library, or refuses it. */
void orr_httpd_admit(orr_httpd_listener *l, int fd, const struct sockaddr_storage *from);
/* Has the library close a connection. */
void orr_httpd_hang_up(orr_httpd_client *c);
/* Sends a problem past the library, where that cannot send one any more or not yet. */
void orr_httpd_send_problem(orr_httpd_client *c, unsigned status);
/* Frees a connection that the library knows no more; or the one that lingers. */
void orr_httpd_drop(orr_httpd_client *c);
void orr_httpd_end_lingering(orr_httpd_client *c);
/* Sets the timer of deadlines, where the one that is due at `due` comes before it. */
void orr_httpd_arm(orr_httpd *h, uint64_t due);
void orr_httpd_on_tick(uv_timer_t *timer);

/* ---- httpd_request.c ------------------------------------------------------------------------- */

/* The parameters that the library gives (MHD_AccessHandlerCallback). */
#define ORR_MHD_CALL                                                                                         \
    void *ud, struct MHD_Connection *connection, const char *url, const char *method, const char *version,   \
        const char *data, size_t *size, void **context

/* What the library calls: for the first line, for a request and each piece of its body, at its end,
 * and for what it wants decoded. */
void *orr_httpd_on_line(void *ud, const char *target, struct MHD_Connection *connection);
enum MHD_Result orr_httpd_on_call(ORR_MHD_CALL);
void orr_httpd_on_completed(void *ud, struct MHD_Connection *connection, void **context,
                            enum MHD_RequestTerminationCode how);
/* Queues an answer, which is taken. */
bool orr_httpd_answer(orr_httpd_request *r, unsigned status, struct MHD_Response *response);
/* Adds headers to a response; false: no memory. */
bool orr_httpd_add_headers(const orr_httpd_request *r, struct MHD_Response *response,
                           const orr_httpd_reply *reply);
/* Writes a problem as JSON; how many bytes. */
size_t orr_httpd_write_problem(char *to, size_t room, unsigned status, const char *code, const char *detail);
/* The same of one that is the server's own. */
size_t orr_httpd_write_own_problem(char *to, size_t room, unsigned status);

/* ---- httpd_stream.c -------------------------------------------------------------------------- */

/* Its request is over. */
void orr_httpd_stream_over(orr_httpd_request *r);
/* Ends it at once. */
void orr_httpd_stream_abort(orr_httpd_request *r);
void orr_httpd_on_beat(uv_timer_t *timer);

#endif
