/* archive_lib.c - opens libarchive once for the process, and says what went wrong. */
#include "loop/archive_lib.h"
#include "port/port.h"

#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static orr_library library = {.name = "libarchive.so.13",
                              .package = "libarchive13",
                              .needed = "archives need",
                              .least = "3.4"};
static orr_archive_lib functions;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    if (!orr_library_open(&library)) return;
#define FIND(name) functions.name = (__typeof__(functions.name))orr_library_find(&library, "archive_" #name);
    ORR_ARCHIVE_FUNCTIONS(FIND)
#undef FIND
}

const orr_archive_lib *orr_archive_lib_get(const char **why) {
    pthread_once(&once, load);
    if (!library.reason[0]) return &functions;
    *why = library.reason;
    return NULL;
}

/* ---- names ----------------------------------------------------------------------------------- */

void *orr_archive_locale_begin(void) {
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    return utf8 ? (void *)uselocale(utf8) : NULL;
}

void orr_archive_locale_end(void *before) {
    if (before) freelocale(uselocale((locale_t)before));
}

/* ---- failures -------------------------------------------------------------------------------- */

bool orr_archive_fail(orr_archive_outcome *out, const char *code, int error, const char *format, ...) {
    if (out->code) return false;
    va_list args;
    va_start(args, format);
    out->code = code;
    out->error = error;
    vsnprintf(out->message, sizeof out->message, format, args);
    va_end(args);
    return false;
}

bool orr_archive_refused(orr_archive_outcome *out, int error, const char *what, const char *name) {
    return orr_archive_fail(out, "file_error", error, "cannot %s %.300s: %s", what, name, strerror(error));
}

bool orr_archive_told(orr_archive_outcome *out, const orr_archive_lib *lib, struct archive *a) {
    const char *said = lib->error_string(a);
    return orr_archive_fail(out, "archive_error", 0, "%.500s", said ? said : "it is no archive, or damaged");
}
