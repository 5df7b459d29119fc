/* archive.h - archives (tar, zip) are written and extracted by libarchive, which is opened at first
 * use. Both take long and are for a thread (blocking.h). */
#ifndef ORR_LOOP_ARCHIVE_H
#define ORR_LOOP_ARCHIVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is to be done. Texts are the caller's and stay as they are meanwhile. */
typedef struct orr_archive_order {
    const char *file;   /* the archive; it is written anew and must not be there */
    const char *folder; /* what names are relative to; it is made, and must not be there, to extract */
    const atomic_bool *stop;
    /* To write: "tar" or "zip"; "", "gzip", "xz" or "zstd"; 0 or how hard to compress; what stands
     * before the names, or ""; the names, in their order. A folder's name brings nothing else. */
    const char *format, *filter;
    int level;
    const char *prefix;
    const char *const *names;
    size_t count;
    /* To extract: how many bytes and entries at most; how many folders at the beginning of names
     * are left out; whether entries that are refused are left out, in place of an error. */
    int64_t limit, most_entries;
    int strip;
    bool skip_refused;
} orr_archive_order;

/* How it ended. `code` is NULL where all is well, or a code of an error with its sentence, of which
 * the file's name is no part, and the number that errno had, or 0. */
typedef struct orr_archive_outcome {
    const char *code;
    int error;
    char message[600];
    int64_t bytes, entries, skipped; /* of contents */
} orr_archive_outcome;

/* Writes files, folders and links (not what they lead to) of a folder into an archive, and flushes
 * it. Owners are left out, so that equal files give an equal archive. What it began stays where it
 * fails. */
void orr_archive_write(const orr_archive_order *o, orr_archive_outcome *out);

/* Extracts an archive: files, folders and links, no owners, no special bits of modes. What would
 * leave the folder is refused: names that are absolute or have "..", that lead through a link,
 * links that lead out, devices and the like. What it began stays where it fails. */
void orr_archive_extract(const orr_archive_order *o, orr_archive_outcome *out);

#endif
