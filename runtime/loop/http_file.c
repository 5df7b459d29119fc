/* http_file.c - see http_file.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* F_DUPFD_CLOEXEC, pread */
#endif
#include "loop/http_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 256 << 10 };

/* Of libc's heap: a thread may still use it when everything else is gone. */
struct orr_http_block {
    orr_job job;
    orr_transfer *t; /* NULL: nobody waits for it */
    int fd;
    bool is_read, busy;
    uint64_t offset;
    size_t size, room;
    int error; /* errno */
    char *data;
};

/* ---- on a thread ----------------------------------------------------------------------------- */

static void work(orr_job *job) {
    orr_http_block *b = (orr_http_block *)job;
    size_t done = 0;
    while (done < b->size) {
        off_t at = (off_t)(b->offset + done);
        ssize_t n = b->is_read ? pread(b->fd, b->data + done, b->size - done, at)
                               : pwrite(b->fd, b->data + done, b->size - done, at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) b->error = errno;
        if (n <= 0) break;
        done += (size_t)n;
    }
    if (!b->error && done < b->size) b->error = b->is_read ? ENODATA : ENOSPC;
    close(b->fd);
}

static void free_block(orr_http_block *b) {
    if (!b) return;
    free(b->data);
    free(b);
}

static void drop(orr_job *job) {
    orr_http_block *b = (orr_http_block *)job;
    if (!job->since) close(b->fd); /* it was never begun */
    free_block(b);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void done(orr_job *job);

static orr_http_block *new_block(orr_transfer *t, bool is_read, size_t room) {
    orr_http_block *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->job = (orr_job){.work = work, .done = done, .drop = drop};
    b->t = t;
    b->is_read = is_read;
    b->room = room;
    b->data = malloc(room);
    if (b->data) return b;
    free(b);
    return NULL;
}

static orr_blocking *threads_of(orr_http *h) {
    if (!h->blocking) h->blocking = orr_blocking_open(h->loop);
    return h->blocking;
}

/* Begins to read or write it. False: t->failure. */
static bool submit(orr_transfer *t, orr_http_block *b, int fd, uint64_t offset) {
    orr_blocking *threads = threads_of(t->http);
    b->fd = threads ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    b->offset = offset;
    b->busy = b->fd >= 0 && orr_blocking_submit(threads, &b->job, true);
    if (b->busy) return true;
    if (b->fd >= 0) close(b->fd);
    t->failure = ORR_HTTP_MEMORY;
    return false;
}

/* Nobody waits for it. */
static void abandon(orr_transfer *t, orr_http_block *b) {
    if (!b || !b->busy) {
        free_block(b);
        return;
    }
    b->t = NULL;
    orr_blocking_unref(t->http->blocking, &b->job);
}

static void fail(orr_transfer *t, const orr_http_block *b) {
    char text[128];
    const char *what = b->is_read ? "the file of the body cannot be read" : "the body cannot be written";
    uv_strerror_r(-b->error, text, sizeof text);
    if (b->is_read && b->error == ENODATA)
        snprintf(t->reason_text, sizeof t->reason_text, "a file has become shorter while it was sent");
    else snprintf(t->reason_text, sizeof t->reason_text, "%s: %s", what, text);
    t->reason = t->reason_text;
    t->failure = ORR_HTTP_FILE;
}

/* ---- what is sent ---------------------------------------------------------------------------- */

static bool take_pieces(orr_transfer *t, const orr_http_request *r) {
    orr_http_upload *u = &t->upload;
    const orr_alloc *alloc = &t->http->alloc;
    for (size_t i = 0; i < r->n_pieces; i++)
        if (r->pieces[i].text) u->texts_size += r->pieces[i].size;
    u->pieces = orr_mem_new(alloc, r->n_pieces, sizeof *u->pieces);
    if (u->pieces) u->n = r->n_pieces;
    if (u->texts_size) u->texts = orr_mem_new(alloc, u->texts_size, 1);
    if (!u->pieces || (u->texts_size && !u->texts)) return false;
    char *at = u->texts;
    for (size_t i = 0; i < u->n; i++) {
        orr_http_piece *p = &u->pieces[i];
        *p = r->pieces[i];
        u->total += p->size;
        if (p->text) {
            if (at && p->size) memcpy(at, p->text, p->size);
            p->text = at ? at : "";
            if (at) at += p->size;
        } else if ((p->fd = fcntl(r->pieces[i].fd, F_DUPFD_CLOEXEC, 3)) < 0) {
            return false;
        }
    }
    return true;
}

static size_t send_text(orr_http_upload *u, const orr_http_piece *p, char *out, size_t room) {
    size_t n = p->size - u->offset < room ? (size_t)(p->size - u->offset) : room;
    memcpy(out, p->text + u->offset, n);
    u->offset += n;
    return n;
}

static size_t send_block(orr_http_upload *u, char *out, size_t room) {
    size_t n = u->block->size - u->taken < room ? u->block->size - u->taken : room;
    memcpy(out, u->block->data + u->taken, n);
    u->taken += n;
    u->offset += n;
    if (u->taken < u->block->size) return n;
    free_block(u->block);
    u->block = NULL;
    return n;
}

static bool read_block(orr_transfer *t, const orr_http_piece *p) {
    orr_http_upload *u = &t->upload;
    uint64_t left = p->size - u->offset;
    u->block = new_block(t, true, left < BLOCK ? (size_t)left : BLOCK);
    u->taken = 0;
    if (!u->block) t->failure = ORR_HTTP_MEMORY;
    else u->block->size = u->block->room;
    if (u->block && submit(t, u->block, p->fd, u->offset)) return true;
    free_block(u->block);
    u->block = NULL;
    return false;
}

size_t orr_http_send(char *out, size_t size, size_t n, void *transfer) {
    orr_transfer *t = transfer;
    orr_http_upload *u = &t->upload;
    if (t->failure != ORR_HTTP_NONE) return CURL_READFUNC_ABORT;
    while (u->at < u->n && u->offset == u->pieces[u->at].size) {
        u->at++;
        u->offset = 0;
    }
    if (u->at == u->n) return 0;
    const orr_http_piece *p = &u->pieces[u->at];
    if (p->text) return send_text(u, p, out, size * n);
    if (u->block && !u->block->busy) return send_block(u, out, size * n);
    if (!u->block && !read_block(t, p)) return CURL_READFUNC_ABORT;
    u->paused = true;
    return CURL_READFUNC_PAUSE;
}

void orr_http_rewind(orr_transfer *t) {
    orr_http_upload *u = &t->upload;
    abandon(t, u->block);
    u->block = NULL;
    u->at = 0;
    u->offset = u->taken = 0;
    u->paused = false;
}

int orr_http_seek(void *transfer, int64_t offset, int origin) {
    if (origin != SEEK_SET || offset) return CURL_SEEKFUNC_CANTSEEK;
    orr_http_rewind(transfer);
    return CURL_SEEKFUNC_OK;
}

/* ---- what is received ------------------------------------------------------------------------ */

bool orr_http_is_for_file(const orr_transfer *t) {
    return t->download.fd && t->lines.status >= 200 && t->lines.status < 300;
}

bool orr_http_is_full(orr_transfer *t) {
    orr_http_download *d = &t->download;
    d->paused = d->writing && d->filling && d->filling->size >= BLOCK;
    return d->paused;
}

static bool write_block(orr_transfer *t) {
    orr_http_download *d = &t->download;
    orr_http_block *b = d->filling;
    if (!b || !b->size || d->writing) return true;
    if (!submit(t, b, d->fd, d->offset)) return false;
    d->offset += b->size;
    d->writing = b;
    d->filling = NULL;
    return true;
}

/* Makes room for `more` bytes. A piece of a compressed body may become many blocks. */
static bool reserve(orr_transfer *t, size_t more) {
    orr_http_download *d = &t->download;
    if (!d->filling) d->filling = new_block(t, false, BLOCK + more);
    orr_http_block *b = d->filling;
    if (!b) return false;
    if (b->room - b->size >= more) return true;
    size_t room = b->room * 2 > b->size + more ? b->room * 2 : b->size + more;
    char *data = realloc(b->data, room);
    if (!data) return false;
    b->data = data;
    b->room = room;
    return true;
}

bool orr_http_put_file(orr_transfer *t, const char *data, size_t size) {
    orr_http_download *d = &t->download;
    if (size > t->limit - d->size) t->failure = ORR_HTTP_TOO_LARGE;
    else if (!reserve(t, size)) t->failure = ORR_HTTP_MEMORY;
    if (t->failure != ORR_HTTP_NONE) return false;
    memcpy(d->filling->data + d->filling->size, data, size);
    d->filling->size += size;
    d->size += size;
    return d->filling->size < BLOCK || write_block(t);
}

bool orr_http_flush(orr_transfer *t, int code) {
    orr_http_download *d = &t->download;
    if (t->failure != ORR_HTTP_NONE || code != CURLE_OK || !write_block(t)) return true;
    d->ending = d->writing != NULL;
    d->code = code;
    return !d->ending;
}

/* ---- both ------------------------------------------------------------------------------------ */

bool orr_http_take_files(orr_transfer *t, const orr_http_request *r) {
    if (r->to) {
        int fd = fcntl(r->to, F_DUPFD_CLOEXEC, 3);
        if (fd < 0) return false;
        t->download.fd = fd;
    }
    return !r->n_pieces || take_pieces(t, r);
}

void orr_http_drop_files(orr_transfer *t) {
    orr_http_upload *u = &t->upload;
    orr_http_download *d = &t->download;
    const orr_alloc *alloc = &t->http->alloc;
    abandon(t, u->block);
    abandon(t, d->filling);
    abandon(t, d->writing);
    for (size_t i = 0; i < u->n; i++)
        if (!u->pieces[i].text && u->pieces[i].fd > 0) close(u->pieces[i].fd);
    orr_mem_free(alloc, u->texts, u->texts_size, 1);
    orr_mem_free(alloc, u->pieces, u->n, sizeof *u->pieces);
    if (d->fd) close(d->fd);
    *u = (orr_http_upload){0};
    *d = (orr_http_download){0};
}

static void was_read(orr_transfer *t) {
    bool paused = t->upload.paused;
    t->upload.paused = false;
    if (paused) orr_http_resume(t);
}

static void was_written(orr_transfer *t) {
    orr_http_download *d = &t->download;
    free_block(d->writing);
    d->writing = NULL;
    bool more = d->filling && (d->ending || d->filling->size >= BLOCK);
    if (more && !write_block(t)) orr_http_finish(t, CURLE_WRITE_ERROR);
    else if (d->ending && !d->writing) orr_http_finish(t, d->code);
    else if (d->paused && !orr_http_is_full(t)) orr_http_resume(t);
}

static void done(orr_job *job) {
    orr_http_block *b = (orr_http_block *)job;
    orr_transfer *t = b->t;
    b->busy = false;
    if (!t) {
        free_block(b);
    } else if (b->error) {
        fail(t, b);
        orr_http_finish(t, CURLE_WRITE_ERROR);
    } else if (b->is_read) {
        was_read(t);
    } else {
        was_written(t);
    }
}
