/* http_curl.c - opens libcurl once for the process. */
#include "loop/http_curl.h"
#include "port/port.h"

#include <pthread.h>
#include <stdio.h>

static orr_library library = {.name = "libcurl.so.4",
                              .package = "libcurl4",
                              .needed = "HTTP needs",
                              .least = "7.85"};
static orr_curl functions;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    if (!orr_library_open(&library)) return;
#define FIND(name) functions.name = (__typeof__(functions.name))orr_library_find(&library, "curl_" #name);
    ORR_CURL_FUNCTIONS(FIND)
#undef FIND
    if (!library.reason[0] && functions.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(library.reason, sizeof library.reason, "libcurl could not be initialised");
}

const orr_curl *orr_curl_get(const char **why) {
    pthread_once(&once, load);
    if (!library.reason[0]) return &functions;
    if (why) *why = library.reason;
    return NULL;
}
