/* record.h - records as the bytes that a durable store keeps, and back.
 *
 * An entry is one record. Its format is ours: a version byte, the kind, a byte that says which
 * parts follow, then the parts. Numbers are LEB128 (DWARF 5, 7.6), signed ones in zigzag; text is
 * its size and its bytes. What a record of its kind does not use is not written. A reader refuses a
 * version and a kind that it does not know.
 *
 * A list of records is what one row of a journal holds: each record as its size and its bytes. A
 * list of groups is what one commit holds: for each run its number, the sequence number of its
 * first record, and the list of its records with the size of that. docs/store.md shows both.
 *
 * Used by the stores and by who makes and reads records (runtime/durable). Uses core.
 */
#ifndef ORR_STORE_RECORD_H
#define ORR_STORE_RECORD_H

#include "core/core.h"

/* ---- one record ------------------------------------------------------------------------------ */

/* A record with the value that its handle stands for, as the caller has encoded it (JSON). */
typedef struct orr_entry {
    orr_record record; /* `value` is not written; `error` is */
    const void *payload;
    size_t payload_size; /* 0: none */
    /* the payload says which row of the table of blobs holds the value: {"$blob": hash, "size":
     * bytes} */
    bool is_blob;
} orr_entry;

/* An upper bound for the size of the encoded entry. */
size_t orr_entry_bound(const orr_entry *entry);

/* Writes the entry to `to`, which has room for orr_entry_bound bytes; the size. */
size_t orr_entry_encode(const orr_entry *entry, unsigned char *to);

/* Reads an entry. Its payload and, with `error` filled and record.error pointing to it, its
 * texts point into `bytes`. ORR_EINVAL for what is no entry; nothing is read beyond `size`. */
orr_status orr_entry_decode(const void *bytes, size_t size, orr_entry *entry, orr_error *error);

/* True for the record that ends a run. */
bool orr_record_ends(const void *bytes, size_t size);

/* ---- lists of records ------------------------------------------------------------------------ */

/* How many bytes a record of that size takes in a list. */
size_t orr_records_size(size_t size);

/* Writes a record to `to`, which has room for orr_records_size bytes; where its bytes end. */
unsigned char *orr_records_put(unsigned char *to, const void *bytes, size_t size);

/* The next record of a list: *record and *size, and *at moves behind it. False where the bytes
 * are none. */
bool orr_records_next(const unsigned char **at, const unsigned char *end, const unsigned char **record,
                      size_t *size);

/* How many records a list has; 0 for bytes that are none. */
uint64_t orr_records_count(const unsigned char *bytes, size_t size);

/* ---- lists of groups ------------------------------------------------------------------------- */

/* What a commit has of one run. */
typedef struct orr_group {
    int64_t run;                /* its number in the store */
    uint64_t first;             /* sequence number of its first record */
    const unsigned char *bytes; /* the list of its records */
    size_t size;
} orr_group;

/* An upper bound for what stands before the records of a group. */
enum { ORR_GROUP_HEAD = 30 };

/* Writes what stands before the records of a group, which has `run`, `first` and `size`, to `to`
 * with room for ORR_GROUP_HEAD bytes; where the records are to be written. */
unsigned char *orr_group_put(unsigned char *to, const orr_group *group);

/* The next group of a commit, and *at moves behind it. False where the bytes are none. */
bool orr_group_next(const unsigned char **at, const unsigned char *end, orr_group *group);

/* ---- checks ---------------------------------------------------------------------------------- */

/* CRC-32C of bytes that follow those `crc` is of, 0: there are none before them. The second one
 * does without the instruction of the processor, for tests. */
uint32_t orr_crc32c(uint32_t crc, const void *bytes, size_t size);
uint32_t orr_crc32c_by_table(uint32_t crc, const void *bytes, size_t size);

/* Whether bytes are those whose SHA-256 (64 lower-case hexadecimal digits) `name` is. True for a
 * name of any other form: it says nothing of the content. */
bool orr_content_is(const char *name, const void *bytes, size_t size);

#endif
