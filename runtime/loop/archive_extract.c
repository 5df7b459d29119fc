/* archive_extract.c - extracts archives that anybody may have made.
 *
 * All is made in a folder that is new, so what stands there comes from the archive. No name is
 * followed through a link, a folder is never replaced by something else, and a link may only lead
 * down, or up as far as the folder reaches: together no entry can lead outside. */
#include "loop/archive_lib.h"
#include "loop/archive_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLICE = 64 * 1024 };

/* A folder of the archive: what it is to be when all is in it; its name's parts. */
typedef struct folder {
    mode_t mode;
    struct timespec times[2];
    unsigned parts;
    size_t size;
    char text[];
} folder;

typedef struct reader {
    const orr_archive_lib *lib;
    const orr_archive_order *order;
    orr_archive_outcome *out;
    struct archive *archive;
    struct archive_entry *entry;
    int from, root;
    folder **folders;
    size_t n_folders, room;
    orr_archive_name name; /* of the entry at hand */
    int parent;
    char slice[SLICE];
} reader;

static bool is_stopped(reader *r) {
    if (*r->order->stop) orr_archive_fail(r->out, "cancelled", ECANCELED, "it was cancelled");
    return r->out->code != NULL;
}

/* ---- what libarchive reads ------------------------------------------------------------------- */

static la_ssize_t get(struct archive *a, void *ud, const void **data) {
    reader *r = ud;
    (void)a;
    if (is_stopped(r)) return -1;
    ssize_t n;
    do n = read(r->from, r->slice, SLICE);
    while (n < 0 && errno == EINTR);
    if (n < 0) orr_archive_refused(r->out, errno, "read", r->order->file);
    *data = r->slice;
    return (la_ssize_t)n;
}

static la_int64_t seek(struct archive *a, void *ud, la_int64_t offset, int whence) {
    const reader *r = ud;
    (void)a;
    off_t at = lseek(r->from, offset, whence);
    return at < 0 ? ARCHIVE_FATAL : at;
}

/* libarchive would run a program where it was built without a filter: that is left alone. */
static bool open_archive(reader *r) {
    const orr_archive_lib *lib = r->lib;
    int (*const filters[])(struct archive *) = {lib->read_support_filter_gzip, lib->read_support_filter_xz,
                                                lib->read_support_filter_zstd};
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (filters[i](r->archive) != ARCHIVE_OK)
            return orr_archive_fail(r->out, "archive_unavailable", 0, "libarchive was built without %s here",
                                    (const char *[]){"gzip", "xz", "zstd"}[i]);
    lib->read_support_format_tar(r->archive);
    lib->read_support_format_zip(r->archive);
    lib->read_set_callback_data(r->archive, r);
    lib->read_set_read_callback(r->archive, get);
    lib->read_set_seek_callback(r->archive, seek);
    if (lib->read_open1(r->archive) != ARCHIVE_OK) return orr_archive_told(r->out, lib, r->archive);
    return true;
}

/* ---- what is refused ------------------------------------------------------------------------- */

/* Refuses the entry: true where it is left out. */
static bool refuse(reader *r, const char *name, const char *why) {
    if (r->order->skip_refused && !r->out->code) {
        r->out->skipped++;
        return true;
    }
    return orr_archive_fail(r->out, "archive_unsafe", 0, "its entry \"%.300s\" %s", name ? name : "", why);
}

/* What is on the way of a name, or in its place, and is not what it should be. */
static bool refuse_place(reader *r, const char *name) {
    if (errno == ENOTDIR || errno == ELOOP)
        return refuse(r, name, "leads through a link or a file, and is refused");
    if (errno == EEXIST || errno == EISDIR || errno == ENOTEMPTY)
        return refuse(r, name, "would replace a folder of the archive by something else");
    return orr_archive_refused(r->out, errno, "make", name);
}

static bool has_room(reader *r, int64_t more) {
    if (more >= 0 && more <= r->order->limit - r->out->bytes) return true;
    return orr_archive_fail(r->out, "archive_too_large", 0,
                            "its contents are larger than limit = %lld bytes; raise it to extract them",
                            (long long)r->order->limit);
}

/* ---- entries --------------------------------------------------------------------------------- */

static mode_t mode_of(const reader *r) {
    return r->lib->entry_perm(r->entry) & 0777;
}

static void times_of(const reader *r, struct timespec times[2]) {
    times[1] = (struct timespec){r->lib->entry_mtime(r->entry), r->lib->entry_mtime_nsec(r->entry)};
    if (!r->lib->entry_mtime_is_set(r->entry)) times[1].tv_nsec = UTIME_NOW;
    times[0] = times[1];
}

/* A later entry of a name replaces an earlier one, as tar(1) does, but no folder. */
static bool make_way(reader *r) {
    return unlinkat(r->parent, orr_archive_last(&r->name), 0) == 0 || errno == ENOENT;
}

static bool put_blocks(reader *r, const char *name, int fd, int64_t *end) {
    for (;;) {
        const void *data;
        size_t size;
        la_int64_t at;
        if (is_stopped(r)) return false;
        int status = r->lib->read_data_block(r->archive, &data, &size, &at);
        if (status == ARCHIVE_EOF) return true;
        /* a checksum that does not fit is a warning */
        if (status != ARCHIVE_OK) return orr_archive_told(r->out, r->lib, r->archive);
        if (at < 0 || at > INT64_MAX - (int64_t)size)
            return orr_archive_fail(r->out, "archive_error", 0, "a place in \"%.300s\" is impossible", name);
        if (at + (int64_t)size > *end) *end = at + (int64_t)size;
        if (!has_room(r, *end)) return false;
        for (size_t done = 0; done < size;) {
            ssize_t n = pwrite(fd, (const char *)data + done, size - done, at + (off_t)done);
            if (n < 0 && errno != EINTR) return orr_archive_refused(r->out, errno, "write", name);
            if (n > 0) done += (size_t)n;
        }
    }
}

static bool put_contents(reader *r, const char *name, int fd) {
    struct timespec times[2];
    int64_t end = 0;
    if (r->lib->entry_size_is_set(r->entry)) {
        if (!has_room(r, r->lib->entry_size(r->entry))) return false;
    }
    if (!put_blocks(r, name, fd, &end)) return false;
    if (r->lib->entry_size_is_set(r->entry) && r->lib->entry_size(r->entry) > end) { /* ends with a hole */
        end = r->lib->entry_size(r->entry);
        if (ftruncate(fd, end)) return orr_archive_refused(r->out, errno, "write", name);
    }
    r->out->bytes += end;
    times_of(r, times);
    if (fchmod(fd, mode_of(r)) || futimens(fd, times))
        return orr_archive_refused(r->out, errno, "write", name);
    return true;
}

static bool put_file(reader *r, const char *name) {
    if (r->lib->entry_is_encrypted(r->entry))
        return orr_archive_fail(r->out, "archive_error", 0, "\"%.300s\" is encrypted", name);
    if (!make_way(r)) return refuse_place(r, name);
    int fd = openat(r->parent, orr_archive_last(&r->name),
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode_of(r));
    if (fd < 0) return refuse_place(r, name);
    bool ok = put_contents(r, name, fd);
    if (close(fd) && ok) ok = orr_archive_refused(r->out, errno, "write", name);
    return ok;
}

static bool put_link(reader *r, const char *name) {
    const char *target = r->lib->entry_symlink(r->entry), *last = orr_archive_last(&r->name);
    struct timespec times[2];
    if (!target) target = r->lib->entry_symlink_utf8(r->entry);
    if (!target || !orr_archive_link_stays(target, r->name.parts - 1))
        return refuse(r, name, "is a link that leads out of the folder, or may, and is refused");
    if (!make_way(r) || symlinkat(target, r->parent, last)) return refuse_place(r, name);
    times_of(r, times);
    (void)utimensat(r->parent, last, times, AT_SYMLINK_NOFOLLOW);
    return true;
}

/* To a file that came before, and no link. */
static bool put_hard_link(reader *r, const char *name, const char *target) {
    orr_archive_name other;
    struct stat st;
    const char *why = orr_archive_read_name(target, r->order->strip, &other);
    if (why || other.parts == 0) return refuse(r, name, "is a hard link to a name outside, and is refused");
    int from = orr_archive_open_parent(r->root, &other, false);
    if (from < 0 || fstatat(from, orr_archive_last(&other), &st, AT_SYMLINK_NOFOLLOW) ||
        !S_ISREG(st.st_mode)) {
        if (from >= 0) close(from);
        return refuse(r, name, "is a hard link to what is no file of the archive, and is refused");
    }
    const char *last = orr_archive_last(&r->name);
    bool itself = false;
    struct stat own;
    if (fstatat(r->parent, last, &own, AT_SYMLINK_NOFOLLOW) == 0)
        itself = own.st_ino == st.st_ino && own.st_dev == st.st_dev;
    bool ok = itself || (make_way(r) && linkat(from, orr_archive_last(&other), r->parent, last, 0) == 0);
    int error = errno;
    close(from);
    errno = error;
    return ok || refuse_place(r, name);
}

static bool note_folder(reader *r) {
    if (r->n_folders == r->room) {
        size_t room = r->room ? 2 * r->room : 64;
        folder **more = realloc(r->folders, room * sizeof *more);
        if (!more) return orr_archive_fail(r->out, "out_of_memory", 0, "there is no memory for its folders");
        r->folders = more;
        r->room = room;
    }
    const char *last = orr_archive_last(&r->name);
    size_t size = (size_t)(last - r->name.text) + strlen(last) + 1;
    folder *f = malloc(sizeof *f + size);
    if (!f) return orr_archive_fail(r->out, "out_of_memory", 0, "there is no memory for its folders");
    *f = (folder){.mode = mode_of(r), .parts = r->name.parts, .size = size};
    memcpy(f->text, r->name.text, size);
    times_of(r, f->times);
    r->folders[r->n_folders++] = f;
    return true;
}

static bool put_folder(reader *r, const char *name) {
    const char *last = orr_archive_last(&r->name);
    if (mkdirat(r->parent, last, mode_of(r) | 0700)) {
        struct stat st;
        if (errno != EEXIST) return refuse_place(r, name);
        if (fstatat(r->parent, last, &st, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(st.st_mode))
            return refuse(r, name, "is a folder in the place of a link or a file");
    }
    return note_folder(r);
}

static bool put_what(reader *r, const char *name) {
    const char *target = r->lib->entry_hardlink(r->entry);
    if (!target) target = r->lib->entry_hardlink_utf8(r->entry);
    if (target) return put_hard_link(r, name, target);
    switch (r->lib->entry_filetype(r->entry)) {
    case AE_IFREG: return put_file(r, name);
    case AE_IFDIR: return put_folder(r, name);
    case AE_IFLNK: return put_link(r, name);
    default: return refuse(r, name, "is a device, a FIFO or a socket, and is refused");
    }
}

static bool put_entry(reader *r) {
    const char *name = r->lib->entry_pathname(r->entry);
    if (!name) name = r->lib->entry_pathname_utf8(r->entry);
    const char *why = name ? orr_archive_read_name(name, r->order->strip, &r->name) : "is no text";
    if (why) return refuse(r, name, why);
    if (r->name.parts == 0) return true; /* the folder itself, or left out */
    if (r->out->entries == r->order->most_entries)
        return orr_archive_fail(r->out, "archive_too_large", 0,
                                "it has more than max_entries = %lld entries; raise it to extract them",
                                (long long)r->order->most_entries);
    r->parent = orr_archive_open_parent(r->root, &r->name, true);
    if (r->parent < 0) return refuse_place(r, name);
    int64_t skipped = r->out->skipped;
    bool ok = put_what(r, name);
    close(r->parent);
    if (ok && skipped == r->out->skipped) r->out->entries++;
    return ok;
}

static bool put_entries(reader *r) {
    for (;;) {
        if (is_stopped(r)) return false;
        int status = r->lib->read_next_header(r->archive, &r->entry);
        if (status == ARCHIVE_EOF) return true;
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
            return orr_archive_told(r->out, r->lib, r->archive);
        if (r->lib->filter_count(r->archive) > 2)
            return orr_archive_fail(r->out, "archive_error", 0, "it is compressed more than once");
        if (!put_entry(r)) return false;
    }
}

/* What the mode of the process takes away stays away. A time that the file system does not know is
 * no failure. */
static bool finish_folder(reader *r, const folder *f) {
    struct stat st;
    memcpy(r->name.text, f->text, f->size);
    r->name.parts = f->parts;
    const char *last = orr_archive_last(&r->name);
    int parent = orr_archive_open_parent(r->root, &r->name, false);
    int fd = parent < 0 ? -1 : openat(parent, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool ok = fd >= 0 && fstat(fd, &st) == 0;
    if (ok) (void)futimens(fd, f->times);
    ok = ok && fchmod(fd, st.st_mode & f->mode) == 0;
    if (!ok) orr_archive_refused(r->out, errno, "make", last);
    if (fd >= 0) close(fd);
    if (parent >= 0) close(parent);
    return ok;
}

/* The last first: an inner one is changed before the one around it. */
static bool finish_folders(reader *r) {
    for (size_t i = r->n_folders; i-- > 0;)
        if (!finish_folder(r, r->folders[i])) return false;
    return true;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void extract(reader *r) {
    r->archive = r->lib->read_new();
    if (!r->archive) {
        orr_archive_fail(r->out, "out_of_memory", 0, "there is no memory for an archive");
        return;
    }
    if (open_archive(r) && put_entries(r)) finish_folders(r);
    r->lib->read_free(r->archive);
    for (size_t i = 0; i < r->n_folders; i++) free(r->folders[i]);
    free(r->folders);
}

/* A FIFO would keep the thread waiting. */
static bool open_file(reader *r) {
    struct stat st;
    r->from = open(r->order->file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (r->from < 0 || fstat(r->from, &st)) return orr_archive_refused(r->out, errno, "read", r->order->file);
    if (!S_ISREG(st.st_mode)) return orr_archive_fail(r->out, "archive_error", 0, "it is no file");
    return true;
}

static bool make_root(reader *r) {
    if (mkdir(r->order->folder, 0755) == 0)
        r->root = open(r->order->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return r->root >= 0 || orr_archive_refused(r->out, errno, "make", r->order->folder);
}

void orr_archive_extract(const orr_archive_order *o, orr_archive_outcome *out) {
    const char *why = NULL;
    const orr_archive_lib *lib = orr_archive_lib_get(&why);
    reader *r = lib ? calloc(1, sizeof *r) : NULL;
    if (!lib) orr_archive_fail(out, "archive_unavailable", 0, "%s", why);
    else if (!r) orr_archive_fail(out, "out_of_memory", 0, "there is no memory for an archive");
    if (!r) return;
    r->lib = lib;
    r->order = o;
    r->out = out;
    r->from = r->root = -1;
    void *locale = orr_archive_locale_begin();
    if (open_file(r) && make_root(r)) extract(r);
    orr_archive_locale_end(locale);
    if (r->root >= 0) close(r->root);
    if (r->from >= 0) close(r->from);
    free(r);
}
