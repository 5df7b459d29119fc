/* http_file.h - bodies that come from files or go to one, a block at a time. Private to
 * runtime/loop/http*.c.
 *
 * A disk may be slower than the network, or not answer at all, so blocks are read and written on
 * threads (blocking.h); libcurl pauses meanwhile. Each of these has a descriptor of its own, so
 * that a transfer may end at any time and its descriptors with it.
 */
#ifndef ORR_LOOP_HTTP_FILE_H
#define ORR_LOOP_HTTP_FILE_H

#include "loop/http.h"

typedef struct orr_http_block orr_http_block;

/* A body of pieces that is sent. */
typedef struct orr_http_upload {
    orr_http_piece *pieces; /* our own descriptors */
    size_t n, at;
    char *texts;
    size_t texts_size;
    uint64_t offset, total; /* in the piece; of all */
    orr_http_block *block;  /* of a file; read, or being read */
    size_t taken;           /* of it */
    bool paused;
} orr_http_upload;

/* The file that a body is written to. */
typedef struct orr_http_download {
    int fd; /* our own; 0: none */
    uint64_t offset, size;
    orr_http_block *filling, *writing;
    bool paused, ending;
    int code; /* of libcurl, while `ending` */
} orr_http_download;

/* Takes over copies of the request's pieces and of its file. False: no memory or no descriptor. */
bool orr_http_take_files(orr_transfer *t, const orr_http_request *request);

/* Frees them. What is on a thread comes to nothing. */
void orr_http_drop_files(orr_transfer *t);

/* CURLOPT_READFUNCTION and CURLOPT_SEEKFUNCTION of a body of pieces. */
size_t orr_http_send(char *out, size_t size, size_t n, void *transfer);
int orr_http_seek(void *transfer, int64_t offset, int origin);

/* Before the body is sent again. */
void orr_http_rewind(orr_transfer *t);

/* Whether the body of the response goes to the file: that of a status of 2xx. */
bool orr_http_is_for_file(const orr_transfer *t);

/* Whether no more can be taken for now; orr_http_resume is called when it can. */
bool orr_http_is_full(orr_transfer *t);

/* Takes some of the body. False: t->failure says why. */
bool orr_http_put_file(orr_transfer *t, const char *data, size_t size);

/* Whether all has been written. Where not, orr_http_finish is called once it has, or has failed. */
bool orr_http_flush(orr_transfer *t, int code);

#endif
