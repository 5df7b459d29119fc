/* httpd_lib.c - opens libmicrohttpd once for the process. */
#include "loop/httpd_lib.h"
#include "port/port.h"

#include <pthread.h>
#include <string.h>

static orr_library library = {.name = "libmicrohttpd.so.12",
                              .package = "libmicrohttpd12",
                              .needed = "an HTTP server needs",
                              .least = "0.9.64"};
static orr_mhd functions;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    if (!orr_library_open(&library)) return;
#define FIND(name) functions.name = (__typeof__(functions.name))orr_library_find(&library, "MHD_" #name);
    ORR_MHD_FUNCTIONS(FIND)
#undef FIND
    if (library.reason[0]) return;
    orr_library tls = library; /* that it has none is no reason to do without the rest */
    functions.record_send = (__typeof__(functions.record_send))orr_library_find(&tls, "gnutls_record_send");
    functions.leaves_head = !strncmp(functions.get_version(), "0.", 2);
}

const orr_mhd *orr_mhd_get(const char **why) {
    pthread_once(&once, load);
    if (!library.reason[0]) return &functions;
    *why = library.reason;
    return NULL;
}
