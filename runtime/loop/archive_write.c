/* archive_write.c - writes archives. */
#include "loop/archive_lib.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLICE = 256 * 1024 };

typedef struct writer {
    const orr_archive_lib *lib;
    const orr_archive_order *order;
    orr_archive_outcome *out;
    struct archive *archive;
    struct archive_entry *entry;
    int folder, to;
    char *slice;
} writer;

static bool is_stopped(writer *w) {
    if (*w->order->stop) orr_archive_fail(w->out, "cancelled", ECANCELED, "it was cancelled");
    return w->out->code != NULL;
}

/* What libarchive hands on to the file. */
static la_ssize_t put(struct archive *a, void *ud, const void *data, size_t size) {
    writer *w = ud;
    (void)a;
    size_t done = 0;
    while (done < size) {
        if (is_stopped(w)) return -1;
        ssize_t n = write(w->to, (const char *)data + done, size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            orr_archive_refused(w->out, errno, "write", w->order->file);
            return -1;
        }
        done += (size_t)n;
    }
    return (la_ssize_t)size;
}

/* ---- the format ------------------------------------------------------------------------------ */

/* libarchive would run a program where it was built without a filter: that is refused. */
static bool add_filter(writer *w) {
    const char *name = w->order->filter;
    int (*add)(struct archive *) = w->lib->write_add_filter_none;
    if (strcmp(name, "gzip") == 0) add = w->lib->write_add_filter_gzip;
    if (strcmp(name, "xz") == 0) add = w->lib->write_add_filter_xz;
    if (strcmp(name, "zstd") == 0) add = w->lib->write_add_filter_zstd;
    if (add(w->archive) == ARCHIVE_OK) return true;
    return orr_archive_fail(w->out, "archive_unavailable", 0, "libarchive was built without %s here", name);
}

/* A time in the header of gzip would make each archive another one. */
static bool set_format(writer *w) {
    const orr_archive_lib *lib = w->lib;
    bool zip = strcmp(w->order->format, "zip") == 0;
    const char *module = zip ? "zip" : w->order->filter;
    char level[16];
    int status = zip ? lib->write_set_format_zip(w->archive)
                     : lib->write_set_format_pax_restricted(w->archive);
    if (status != ARCHIVE_OK) return orr_archive_told(w->out, lib, w->archive);
    if (!zip && !add_filter(w)) return false;
    if (strcmp(module, "gzip") == 0) lib->write_set_option(w->archive, "gzip", "timestamp", NULL);
    snprintf(level, sizeof level, "%d", w->order->level);
    if (w->order->level && *module &&
        lib->write_set_option(w->archive, module, "compression-level", level) != ARCHIVE_OK)
        return orr_archive_told(w->out, lib, w->archive);
    lib->write_set_bytes_in_last_block(w->archive, 1);
    return true;
}

/* ---- entries --------------------------------------------------------------------------------- */

/* libarchive writes names of a zip as UTF-8 whatever they are, and reads no others then. */
static bool is_sayable(const writer *w, const char *name) {
    return strcmp(w->order->format, "zip") != 0 || mbstowcs(NULL, name, 0) != (size_t)-1;
}

static bool set_name(writer *w, const char *name) {
    const char *prefix = w->order->prefix;
    char *whole = NULL;
    if (!is_sayable(w, name))
        return orr_archive_fail(
            w->out, "archive_error", 0,
            "the name %.300s is no UTF-8, and a zip archive holds no other; make it a tar", name);
    if (asprintf(&whole, "%s%s%s", prefix, *prefix ? "/" : "", name) < 0)
        return orr_archive_fail(w->out, "out_of_memory", 0, "there is no memory for a name");
    w->lib->entry_set_pathname(w->entry, whole);
    free(whole);
    return true;
}

static bool begin_entry(writer *w, const char *name, const struct stat *st) {
    const orr_archive_lib *lib = w->lib;
    lib->entry_clear(w->entry);
    if (!set_name(w, name)) return false;
    lib->entry_set_filetype(w->entry, st->st_mode & S_IFMT);
    lib->entry_set_perm(w->entry, st->st_mode & 0777);
    lib->entry_set_mtime(w->entry, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    lib->entry_set_size(w->entry, S_ISREG(st->st_mode) ? st->st_size : 0);
    return true;
}

/* A name that cannot be said in the format's own way is warned of, and kept as it is. */
static bool put_header(writer *w) {
    int status = w->lib->write_header(w->archive, w->entry);
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return orr_archive_told(w->out, w->lib, w->archive);
    w->out->entries++;
    return true;
}

static bool put_link(writer *w, const char *name, const struct stat *st) {
    char target[PATH_MAX + 1];
    ssize_t n = readlinkat(w->folder, name, target, PATH_MAX);
    if (n < 0) return orr_archive_refused(w->out, errno, "read", name);
    target[n] = '\0';
    if (!begin_entry(w, name, st)) return false;
    w->lib->entry_set_symlink(w->entry, target);
    return put_header(w);
}

/* As many bytes as the header says. */
static bool put_contents(writer *w, const char *name, int fd, off_t left) {
    while (left > 0) {
        if (is_stopped(w)) return false;
        ssize_t n = read(fd, w->slice, left < SLICE ? (size_t)left : SLICE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return orr_archive_refused(w->out, errno, "read", name);
        if (n == 0)
            return orr_archive_fail(w->out, "file_error", 0, "%.300s became shorter while it was read", name);
        if (w->lib->write_data(w->archive, w->slice, (size_t)n) < 0)
            return orr_archive_told(w->out, w->lib, w->archive);
        left -= n;
        w->out->bytes += n;
    }
    return true;
}

static bool put_open_file(writer *w, const char *name, int fd) {
    struct stat st;
    if (fstat(fd, &st)) return orr_archive_refused(w->out, errno, "read", name);
    if (!S_ISREG(st.st_mode))
        return orr_archive_fail(w->out, "file_error", 0, "%.300s is another file than it was", name);
    return begin_entry(w, name, &st) && put_header(w) && put_contents(w, name, fd, st.st_size);
}

static bool put_file(writer *w, const char *name) {
    int fd = openat(w->folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) return orr_archive_refused(w->out, errno, "read", name);
    bool ok = put_open_file(w, name, fd);
    close(fd);
    return ok;
}

static bool put_name(writer *w, const char *name) {
    struct stat st;
    if (is_stopped(w)) return false;
    if (fstatat(w->folder, name, &st, AT_SYMLINK_NOFOLLOW))
        return orr_archive_refused(w->out, errno, "read", name);
    if (S_ISREG(st.st_mode)) return put_file(w, name);
    if (S_ISLNK(st.st_mode)) return put_link(w, name, &st);
    if (S_ISDIR(st.st_mode)) return begin_entry(w, name, &st) && put_header(w);
    return orr_archive_fail(w->out, "file_error", 0,
                            "%.300s is a FIFO, a socket or a device, and an archive holds none; leave it out",
                            name);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool put_all(writer *w) {
    if (!set_format(w)) return false;
    if (w->lib->write_open(w->archive, w, NULL, put, NULL) != ARCHIVE_OK)
        return orr_archive_told(w->out, w->lib, w->archive);
    for (size_t i = 0; i < w->order->count; i++)
        if (!put_name(w, w->order->names[i])) return false;
    if (w->lib->write_close(w->archive) != ARCHIVE_OK) return orr_archive_told(w->out, w->lib, w->archive);
    if (fsync(w->to)) return orr_archive_refused(w->out, errno, "write", w->order->file);
    return true;
}

static void write_open(writer *w) {
    w->archive = w->lib->write_new();
    w->entry = w->lib->entry_new();
    w->slice = malloc(SLICE);
    if (!w->archive || !w->entry || !w->slice)
        orr_archive_fail(w->out, "out_of_memory", 0, "there is no memory for an archive");
    else put_all(w);
    free(w->slice);
    if (w->entry) w->lib->entry_free(w->entry);
    /* Closes it first: else what its filters have is lost. After a failure `put` takes nothing. */
    if (w->archive) w->lib->write_free(w->archive);
}

void orr_archive_write(const orr_archive_order *o, orr_archive_outcome *out) {
    const char *why = NULL;
    writer w = {.lib = orr_archive_lib_get(&why), .order = o, .out = out};
    if (!w.lib) {
        orr_archive_fail(out, "archive_unavailable", 0, "%s", why);
        return;
    }
    w.folder = open(o->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    w.to = w.folder < 0 ? -1 : open(o->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (w.folder < 0) orr_archive_refused(out, errno, "read", o->folder);
    else if (w.to < 0) orr_archive_refused(out, errno, "write", o->file);
    void *locale = orr_archive_locale_begin();
    if (!out->code) write_open(&w);
    orr_archive_locale_end(locale);
    if (w.to >= 0) close(w.to);
    if (w.folder >= 0) close(w.folder);
}
