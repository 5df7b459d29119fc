/* sqlite.h - stores in SQLite files: `sqlite:PATH`, or a path alone.
 *
 * Used by who starts the engine, which registers the scheme. Uses port, store, queue, tables,
 * record. docs/store.md describes the file.
 */
#ifndef ORR_STORE_SQLITE_H
#define ORR_STORE_SQLITE_H

#include "store/store.h"

enum { ORR_SQLITE_APPLICATION = 0x4f525259 }; /* "ORRY", in the header of the file of a store */

/* Has orr_store_open know the scheme; as often as one likes, on any thread. */
void orr_sqlite_register(void);

/* For a process of which nobody asks how much memory SQLite has (sqlite3_memory_used): it counts
 * nothing from then on, which takes a lock for each block. Does nothing once SQLite is in use. */
void orr_sqlite_alone(void);

/* Opens the store in the file at `path`; `url` is what the user named it. An orr_store_opener. */
orr_store *orr_sqlite_open(const char *url, const char *path, const orr_store_options *options,
                           orr_reason *reason);

/* Puts the backup in the file `backup` in the place of the store at `path`, once all of it was
 * read. ORR_ESTATE where there is a store, unless `overwrite`, or where any process uses it;
 * ORR_EINVAL for what is no backup; ORR_EIO, also for one that is damaged: then nothing
 * has changed. */
orr_status orr_sqlite_restore(const char *backup, const char *path, bool overwrite, const orr_alloc *alloc,
                              orr_reason *reason);

#endif
