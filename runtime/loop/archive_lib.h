/* archive_lib.h - the functions of libarchive that we use, opened at run time. Private to
 * runtime/loop/archive*.c. */
#ifndef ORR_LOOP_ARCHIVE_LIB_H
#define ORR_LOOP_ARCHIVE_LIB_H

#include "loop/archive.h"

#include <archive.h>
#include <archive_entry.h>

/* 3.4 (2019) has all that is used here. */
#define ORR_ARCHIVE_FUNCTIONS(X)                                                                             \
    X(error_string)                                                                                          \
    X(filter_count)                                                                                          \
    X(read_new)                                                                                              \
    X(read_free)                                                                                             \
    X(read_support_filter_gzip)                                                                              \
    X(read_support_filter_xz)                                                                                \
    X(read_support_filter_zstd)                                                                              \
    X(read_support_format_tar)                                                                               \
    X(read_support_format_zip)                                                                               \
    X(read_set_callback_data)                                                                                \
    X(read_set_read_callback)                                                                                \
    X(read_set_seek_callback)                                                                                \
    X(read_open1)                                                                                            \
    X(read_next_header)                                                                                      \
    X(read_data_block)                                                                                       \
    X(write_new)                                                                                             \
    X(write_free)                                                                                            \
    X(write_close)                                                                                           \
    X(write_add_filter_none)                                                                                 \
    X(write_add_filter_gzip)                                                                                 \
    X(write_add_filter_xz)                                                                                   \
    X(write_add_filter_zstd)                                                                                 \
    X(write_set_format_pax_restricted)                                                                       \
    X(write_set_format_zip)                                                                                  \
    X(write_set_option)                                                                                      \
    X(write_set_bytes_in_last_block)                                                                         \
    X(write_open)                                                                                            \
    X(write_header)                                                                                          \
    X(write_data)                                                                                            \
    X(entry_new)                                                                                             \
    X(entry_clear)                                                                                           \
    X(entry_free)                                                                                            \
    X(entry_pathname)                                                                                        \
    X(entry_pathname_utf8)                                                                                   \
    X(entry_hardlink)                                                                                        \
    X(entry_hardlink_utf8)                                                                                   \
    X(entry_symlink)                                                                                         \
    X(entry_symlink_utf8)                                                                                    \
    X(entry_filetype)                                                                                        \
    X(entry_perm)                                                                                            \
    X(entry_size)                                                                                            \
    X(entry_size_is_set)                                                                                     \
    X(entry_mtime)                                                                                           \
    X(entry_mtime_nsec)                                                                                      \
    X(entry_mtime_is_set)                                                                                    \
    X(entry_is_encrypted)                                                                                    \
    X(entry_set_pathname)                                                                                    \
    X(entry_set_symlink)                                                                                     \
    X(entry_set_filetype)                                                                                    \
    X(entry_set_perm)                                                                                        \
    X(entry_set_size)                                                                                        \
    X(entry_set_mtime)

#define ORR_ARCHIVE_MEMBER(name) __typeof__(archive_##name) *(name);
typedef struct orr_archive_lib {
    ORR_ARCHIVE_FUNCTIONS(ORR_ARCHIVE_MEMBER)
} orr_archive_lib;
#undef ORR_ARCHIVE_MEMBER

/* The functions; the same at every call and in every thread. NULL with a sentence in *why when the
 * library or one of them is missing. */
const orr_archive_lib *orr_archive_lib_get(const char **why);

/* Names in archives are UTF-8 whatever the process says of itself: sets that for this thread, and
 * back what it was. */
void *orr_archive_locale_begin(void);
void orr_archive_locale_end(void *before);

/* Notes the first failure; its message as printf's. Returns false. */
__attribute__((format(printf, 4, 5))) bool orr_archive_fail(orr_archive_outcome *out, const char *code,
                                                            int error, const char *format, ...);

/* Notes that the system refused something about a file of that name: "cannot WHAT NAME: …". Returns
 * false. */
bool orr_archive_refused(orr_archive_outcome *out, int error, const char *what, const char *name);

/* Notes what libarchive says. Returns false. */
bool orr_archive_told(orr_archive_outcome *out, const orr_archive_lib *lib, struct archive *a);

#endif
