/* journal.h - a journal record as bytes, and back.
 *
 * The format is ours: a version byte, the kind, a byte that says which parts follow, then the parts. Numbers are LEB128
 * (DWARF 5, 7.6), signed ones in zigzag; text is its size and its bytes. What a record of its kind does not use is
 * not written. A reader refuses a version and a kind that it does not know.
 */
#ifndef ORR_STORE_JOURNAL_H
#define ORR_STORE_JOURNAL_H

#include "../core/core.h"

/* A record with the value that its handle stands for, as the caller has encoded it (JSON). */
typedef struct orr_entry {
    orr_record record; /* `value` is not written; `error` is */
    const void *payload;
    size_t payload_size; /* 0: none */
    bool is_blob;        /* the payload says which row of the table of blobs holds the value: {"$blob": hash, "size": bytes} */
} orr_entry;

/* An upper bound for the size of the encoded entry. */
size_t orr_entry_bound(const orr_entry *entry);

/* Writes the entry to `to`, which has room for orr_entry_bound bytes; the size. */
size_t orr_entry_encode(const orr_entry *entry, unsigned char *to);

/* Reads an entry. Its payload and, with `error` filled and record.error pointing to it, its texts point into `bytes`.
 * ORR_EINVAL for what is no entry; nothing is read beyond `size`. */
orr_status orr_entry_decode(const void *bytes, size_t size, orr_entry *entry, orr_error *error);

#endif
