/* mail_body.c - see mail_body.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* F_DUPFD_CLOEXEC */
#endif
#include "loop/mail_body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes of a line in base64, and of it with its end; bytes that are read at a time: whole lines. */
enum { LINE = 57, SENT_LINE = 78, RAW = LINE * 1024, BLOCK = SENT_LINE * 1024 };

static uint64_t sent_size(const orr_mail_piece *p) {
    if (!p->base64) return p->size;
    uint64_t rest = p->size % LINE;
    return p->size / LINE * SENT_LINE + (rest ? (rest + 2) / 3 * 4 + 2 : 0);
}

static char *encode_three(char *out, const unsigned char *in, size_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = (uint32_t)in[0] << 16 | (n > 1 ? (uint32_t)in[1] << 8 : 0) | (n > 2 ? in[2] : 0);
    *out++ = digits[bits >> 18];
    *out++ = digits[bits >> 12 & 63];
    *out++ = n > 1 ? digits[bits >> 6 & 63] : '=';
    *out++ = n > 2 ? digits[bits & 63] : '=';
    return out;
}

/* Gives the number of bytes that were written: base64 of `n`, in lines. */
static size_t encode(char *out, const char *data, size_t n) {
    const unsigned char *in = (const unsigned char *)data;
    char *at = out;
    for (size_t i = 0; i < n; i += 3) {
        at = encode_three(at, in + i, n - i);
        if (i + 3 < n && (i + 3) % LINE) continue;
        *at++ = '\r';
        *at++ = '\n';
    }
    return (size_t)(at - out);
}

static bool copy_piece(orr_mail_piece *to, const orr_mail_piece *from) {
    *to = *from;
    if (!from->text) return (to->fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 3)) >= 0;
    char *text = malloc(from->size + 1);
    to->text = text;
    if (text) memcpy(text, from->text, from->size);
    return text != NULL;
}

bool orr_mail_body_copy(orr_mail_body *b, const orr_mail_piece *pieces, size_t n) {
    b->pieces = calloc(n + 1, sizeof *b->pieces);
    b->raw = malloc(RAW);
    b->block = malloc(BLOCK);
    if (!b->pieces || !b->raw || !b->block) return false;
    for (; b->n < n; b->n++) {
        if (!copy_piece(&b->pieces[b->n], &pieces[b->n])) return false;
        b->total += sent_size(&pieces[b->n]);
    }
    return true;
}

void orr_mail_body_free(orr_mail_body *b) {
    for (size_t i = 0; i < b->n; i++) {
        if (b->pieces[i].text) free((char *)b->pieces[i].text);
        else close(b->pieces[i].fd);
    }
    free(b->pieces);
    free(b->raw);
    free(b->block);
}

/* Of a file; false: error. */
static bool read_raw(orr_mail_body *b, const orr_mail_piece *p, size_t n) {
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(p->fd, b->raw + done, n - done, (off_t)(b->offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            b->error = got < 0 ? errno : ENODATA;
            return false;
        }
        done += (size_t)got;
    }
    return true;
}

/* Fills the block with what comes next of a piece. */
static bool fill(orr_mail_body *b, const orr_mail_piece *p) {
    uint64_t left = p->size - b->offset;
    size_t n = left < RAW ? (size_t)left : RAW;
    const char *from = p->text ? p->text + b->offset : b->raw;
    if (!p->text && !read_raw(b, p, n)) return false;
    if (p->base64) b->size = encode(b->block, from, n);
    else memcpy(b->block, from, b->size = n);
    b->taken = 0;
    b->offset += n;
    return true;
}

bool orr_mail_body_read(orr_mail_body *b, char *out, size_t room, size_t *n) {
    *n = 0;
    while (b->taken == b->size && b->at < b->n) {
        const orr_mail_piece *p = &b->pieces[b->at];
        if (b->offset == p->size) {
            b->at++;
            b->offset = 0;
        } else if (!fill(b, p)) {
            return false;
        }
    }
    *n = b->size - b->taken < room ? b->size - b->taken : room;
    memcpy(out, b->block + b->taken, *n);
    b->taken += *n;
    return true;
}
