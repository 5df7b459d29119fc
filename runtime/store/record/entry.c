/* entry.c - one record; see record.h */
#include "store/record/record.h"

#include "store/record/leb128.h"

#include <string.h>

enum { VERSION = 1 };

/* Which parts follow. */
enum {
    HAS_TASK = 1,
    HAS_DUE = 2,
    HAS_COUNT = 4,
    HAS_PORT = 8,
    HAS_REASON = 16,
    HAS_PAYLOAD = 32,
    HAS_ERROR = 64,
    PAYLOAD_IS_BLOB = 128
};

/* ---- writing --------------------------------------------------------------------------------- */

static unsigned char *put_signed(unsigned char *to, int64_t n) {
    return orr_leb_put(to, (uint64_t)n << 1 ^ (uint64_t)(n >> 63));
}

/* Texts keep their NUL, so that a reader can hand them on as they stand. */
static unsigned char *put_text(unsigned char *to, const char *text) {
    size_t size = strlen(text) + 1;
    to = orr_leb_put(to, size);
    memcpy(to, text, size);
    return to + size;
}

static unsigned parts_of(const orr_entry *e) {
    const orr_record *r = &e->record;
    unsigned parts = 0;
    if (r->task.node != ORR_NONE) parts |= HAS_TASK;
    if (r->due != 0) parts |= HAS_DUE;
    if (r->count != 0) parts |= HAS_COUNT;
    if (r->port != ORR_PORT_ANY) parts |= HAS_PORT;
    if (r->reason != 0 || r->phase != 0) parts |= HAS_REASON;
    if (e->payload_size > 0) parts |= e->is_blob ? HAS_PAYLOAD | PAYLOAD_IS_BLOB : HAS_PAYLOAD;
    if (r->error != NULL) parts |= HAS_ERROR;
    return parts;
}

size_t orr_entry_bound(const orr_entry *e) {
    size_t texts = e->record.error != NULL
                       ? strlen(e->record.error->code) + strlen(e->record.error->message) + 2
                       : 0;
    return 3 + 16 * ORR_LEB_LONGEST + texts + e->payload_size;
}

size_t orr_entry_encode(const orr_entry *e, unsigned char *to) {
    const orr_record *r = &e->record;
    unsigned char *start = to;
    unsigned parts = parts_of(e);
    *to++ = VERSION;
    *to++ = (unsigned char)r->kind;
    *to++ = (unsigned char)parts;
    to = orr_leb_put(to, r->seq);
    to = put_signed(to, r->time);
    if ((parts & HAS_TASK) != 0) {
        to = orr_leb_put(to, r->task.node);
        to = orr_leb_put(to, r->task.item == ORR_NONE ? 0 : (uint64_t)r->task.item + 1); /* 0: no item */
        to = orr_leb_put(to, r->task.iteration);
        to = orr_leb_put(to, r->task.attempt);
    }
    if ((parts & HAS_DUE) != 0) to = put_signed(to, r->due);
    if ((parts & HAS_COUNT) != 0) to = orr_leb_put(to, r->count);
    if ((parts & HAS_PORT) != 0) to = orr_leb_put(to, r->port);
    if ((parts & HAS_REASON) != 0) {
        *to++ = r->reason;
        *to++ = r->phase;
    }
    if ((parts & HAS_ERROR) != 0) {
        *to++ = r->error->not_retryable;
        to = put_signed(to, r->error->retry_after);
        to = put_text(to, r->error->code);
        to = put_text(to, r->error->message);
    }
    if ((parts & HAS_PAYLOAD) != 0) {
        to = orr_leb_put(to, e->payload_size);
        memcpy(to, e->payload, e->payload_size);
        to += e->payload_size;
    }
    return (size_t)(to - start);
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct reader {
    const unsigned char *at, *end;
    bool bad;
} reader;

static uint64_t get(reader *r) {
    if (r->at < r->end && *r->at < 0x80) return *r->at++; /* most are small */
    uint64_t n = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->at == r->end) break;
        unsigned char byte = *r->at++;
        if (shift == 63 && byte > 1) break;
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return n;
    }
    r->bad = true;
    return 0;
}

static int64_t get_signed(reader *r) {
    uint64_t n = get(r);
    return (int64_t)(n >> 1 ^ (0 - (n & 1)));
}

static uint32_t get_below(reader *r, uint64_t limit) {
    uint64_t n = get(r);
    if (n > limit) {
        r->bad = true;
        return 0;
    }
    return (uint32_t)n;
}

static uint8_t get_byte(reader *r) {
    if (r->at == r->end) {
        r->bad = true;
        return 0;
    }
    return *r->at++;
}

static const unsigned char *get_bytes(reader *r, size_t *size) {
    uint64_t n = get(r);
    const unsigned char *bytes = r->at;
    if (r->bad || n > (uint64_t)(r->end - r->at)) {
        r->bad = true;
        *size = 0;
        return NULL;
    }
    r->at += n;
    *size = (size_t)n;
    return bytes;
}

static const char *get_text(reader *r) {
    size_t size;
    const unsigned char *text = get_bytes(r, &size);
    if (r->bad || size == 0 || memchr(text, 0, size) != text + size - 1) {
        r->bad = true;
        return "";
    }
    return (const char *)text;
}

static void get_task(reader *r, orr_task *task) {
    task->node = get_below(r, UINT32_MAX - 1);
    task->item = get_below(r, UINT32_MAX) - 1; /* 0 becomes ORR_NONE */
    task->iteration = get_below(r, UINT32_MAX);
    task->attempt = get_below(r, UINT16_MAX);
}

static void get_error(reader *r, orr_error *error) {
    error->not_retryable = get_byte(r) != 0;
    error->retry_after = get_signed(r);
    error->code = get_text(r);
    error->message = get_text(r);
    error->value = 0;
}

orr_status orr_entry_decode(const void *bytes, size_t size, orr_entry *e, orr_error *error) {
    reader r = {bytes, (const unsigned char *)bytes + size, false};
    orr_record *rec = &e->record;
    *e = (orr_entry){.record = {.task = {ORR_NONE, ORR_NONE, 0, 0}, .port = ORR_PORT_ANY}};
    uint8_t version = get_byte(&r), kind = get_byte(&r), parts = get_byte(&r);
    if (version != VERSION || kind >= ORR_RECORD_COUNT ||
        (parts & (HAS_PAYLOAD | PAYLOAD_IS_BLOB)) == PAYLOAD_IS_BLOB)
        return ORR_EINVAL;
    e->is_blob = (parts & PAYLOAD_IS_BLOB) != 0;
    rec->kind = (orr_record_kind)kind;
    rec->seq = get(&r);
    rec->time = get_signed(&r);
    if ((parts & HAS_TASK) != 0) get_task(&r, &rec->task);
    if ((parts & HAS_DUE) != 0) rec->due = get_signed(&r);
    if ((parts & HAS_COUNT) != 0) rec->count = get_below(&r, UINT32_MAX);
    if ((parts & HAS_PORT) != 0) rec->port = (uint16_t)get_below(&r, UINT16_MAX);
    if ((parts & HAS_REASON) != 0) {
        rec->reason = get_byte(&r);
        rec->phase = get_byte(&r);
    }
    if ((parts & HAS_ERROR) != 0) {
        get_error(&r, error);
        rec->error = error;
    }
    if ((parts & HAS_PAYLOAD) != 0) e->payload = get_bytes(&r, &e->payload_size);
    return r.bad || r.at != r.end ? ORR_EINVAL : ORR_OK;
}

/* Asked of each record that is written: most are told by their second byte. */
bool orr_record_ends(const void *bytes, size_t size) {
    orr_entry entry;
    orr_error error;
    if (size < 2 || ((const unsigned char *)bytes)[1] != ORR_REC_RUN_ENDED) return false;
    return orr_entry_decode(bytes, size, &entry, &error) == ORR_OK;
}
