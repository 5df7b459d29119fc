/* mail_body.h - the bytes of a message from its pieces. Private to runtime/loop/mail*.c. */
#ifndef ORR_LOOP_MAIL_BODY_H
#define ORR_LOOP_MAIL_BODY_H

#include "loop/mail.h"

/* Of libc's heap, as a thread reads it. */
typedef struct orr_mail_body {
    orr_mail_piece *pieces; /* own copies of the texts, own descriptors */
    size_t n, at;
    uint64_t offset; /* in the piece */
    uint64_t total;  /* bytes that are sent */
    char *raw, *block;
    size_t size, taken; /* of what is in `block` */
    int error;          /* errno of a file that could not be read; ENODATA: it has become shorter */
} orr_mail_body;

/* False: no memory or no descriptor; what there is of it is still to be freed. */
bool orr_mail_body_copy(orr_mail_body *body, const orr_mail_piece *pieces, size_t n);
void orr_mail_body_free(orr_mail_body *body);

/* The next bytes, at most `room`; 0 at the end. False: `error`. May block. */
bool orr_mail_body_read(orr_mail_body *body, char *out, size_t room, size_t *n);

#endif
