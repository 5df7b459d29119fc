/* http_curl.c - opens libcurl once for the process. */
#include "http_curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#define LIBRARY "libcurl.so.4"

static orr_curl functions;
static char reason[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ISO C has no conversion from dlsym's pointer to one of a function; POSIX promises that the bytes are the same. */
typedef union symbol {
    void *data;
    void (*code)(void);
} symbol;

static symbol find(void *library, const char *name) {
    symbol s = {.data = dlsym(library, name)};
    if (!s.data && !reason[0])
        snprintf(reason, sizeof reason, LIBRARY " has no %s; version 7.85 or later is needed", name);
    return s;
}

/* Not closed again: libcurl and its TLS library leave handlers behind that run when the process exits. */
static void load(void) {
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(reason, sizeof reason, "HTTP needs " LIBRARY " (Debian's package libcurl4): %s", dlerror());
        return;
    }
#define FIND(name) functions.name = (__typeof__(functions.name))find(library, "curl_" #name).code;
    ORR_CURL_FUNCTIONS(FIND)
#undef FIND
    if (!reason[0] && functions.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(reason, sizeof reason, "libcurl could not be initialised");
}

const orr_curl *orr_curl_get(const char **why) {
    pthread_once(&once, load);
    if (!reason[0]) return &functions;
    if (why) *why = reason;
    return NULL;
}
