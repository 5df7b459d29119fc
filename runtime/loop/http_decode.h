/* http_decode.h - bodies in gzip or deflate, decoded as they come. Private to runtime/loop/http*.c.
 *
 * libcurl can do that too, but takes a stream that breaks off for a whole one. zlib, which libcurl
 * itself uses, is opened when it is first needed.
 */
#ifndef ORR_LOOP_HTTP_DECODE_H
#define ORR_LOOP_HTTP_DECODE_H

#include "core/plan/plan.h"

typedef struct orr_decoder orr_decoder;

typedef enum {
    ORR_DECODE_OK,
    ORR_DECODE_BAD,    /* not what its encoding says */
    ORR_DECODE_REFUSED /* by `put` */
} orr_decode_result;

/* Whether the value of Content-Encoding is one that can be decoded. */
bool orr_decode_knows(const char *encoding);

/* Whether there is a zlib. */
bool orr_decode_available(void);

/* NULL where there is no memory or no zlib. */
orr_decoder *orr_decoder_open(const orr_alloc *alloc, const char *encoding);
void orr_decoder_close(orr_decoder *d);

/* Decodes the next piece; `put` gets what comes of it, in pieces of at most 64 KiB, and says
 * whether it goes on. */
orr_decode_result orr_decoder_feed(orr_decoder *d, const char *data, size_t size,
                                   bool (*put)(void *ud, const char *data, size_t size), void *ud);

/* Whether the body may end here: nothing of it has come, or all of it. */
bool orr_decoder_is_whole(const orr_decoder *d);

#endif
