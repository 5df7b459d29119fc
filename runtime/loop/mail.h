/* mail.h - mails over SMTP, by libcurl.
 *
 * Each is sent on a thread of its own (blocking.h): libcurl waits for the answer to a message, and
 * for that to its good-bye, inside of one call, which would hold up the loop for as long as the
 * server pleases. All functions and callbacks are of the loop's thread.
 */
#ifndef ORR_LOOP_MAIL_H
#define ORR_LOOP_MAIL_H

#include "core/plan/plan.h"
#include "loop/blocking.h"

/* Why it was not sent: id, code for users, whether another try may help. */
#define ORR_MAIL_FAILURES(X)                                                                                 \
    X(NONE, "", false)                                                                                       \
    X(CONNECT, "mail_connect", true)                                                                         \
    X(TLS, "mail_tls", false)                                                                                \
    X(TIMEOUT, "mail_timeout", true)                                                                         \
    X(PROTOCOL, "mail_protocol", false)                                                                      \
    X(DEFERRED, "mail_deferred", true)                                                                       \
    X(REFUSED, "mail_refused", false)                                                                        \
    X(FILE, "file_error", true)                                                                              \
    X(CONFIG, "config_error", false)                                                                         \
    X(MEMORY, "out_of_memory", true)

#define ORR_ENUM_MAIL(id, code, retryable) ORR_MAIL_##id,
typedef enum { ORR_MAIL_FAILURES(ORR_ENUM_MAIL) ORR_MAIL_FAILURE_COUNT } orr_mail_failure;
#undef ORR_ENUM_MAIL

const char *orr_mail_failure_code(orr_mail_failure failure);
bool orr_mail_failure_retryable(orr_mail_failure failure);

typedef struct orr_mail orr_mail;

/* A part of the message: a text, or so many bytes of a file from its beginning. */
typedef struct orr_mail_piece {
    const char *text; /* NULL: a file */
    uint64_t size;
    int fd;      /* may be closed once orr_mail_start has returned */
    bool base64; /* it is sent in base64, in lines of 76 characters (RFC 2045, section 6.8) */
} orr_mail_piece;

typedef struct orr_mail_result {
    orr_mail_failure failure;
    const char *message; /* one sentence where there is a failure, with the server's last words */
    long status;         /* the server's last (RFC 5321, section 4.2), or 0 */
} orr_mail_result;

typedef struct orr_mail_request {
    const char *url;  /* "smtp://host:port/name" or "smtps://…"; the name is how this host calls itself */
    const char *from; /* an address alone, as those of `to` */
    const char *const *to;
    size_t n_to;
    const orr_mail_piece *pieces; /* the message, its lines ended by CR LF */
    size_t n_pieces;
    const char *user, *password; /* NULL: none */
    const char *ca;              /* file of trusted certificates instead of the system's; NULL: those */
    bool insecure;               /* do not verify certificates */
    bool starttls;               /* the connection has to be encrypted before anything else is said */
    uint64_t timeout, connect_timeout, idle_timeout; /* ms; 0: none */
    void *ud;
    /* Called once, later; not after orr_mail_cancel. The handle is invalid when it returns. */
    void (*on_end)(void *ud, const orr_mail_result *result);
} orr_mail_request;

/* Begins to send; the request and what it points to may go once it has returned. NULL with a
 * sentence in *why (static storage) where there is no libcurl, no memory, no descriptor or no
 * thread. */
orr_mail *orr_mail_start(orr_blocking *threads, const orr_mail_request *request, const char **why);

/* Gives it up: nobody is called, and what was sent may have been taken. The thread ends by itself,
 * soon or once the system's resolver answers. */
void orr_mail_cancel(orr_mail *mail);

#endif
