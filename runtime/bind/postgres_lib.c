/* postgres_lib.c - opens libpq once for the process. */
#include "bind/postgres_lib.h"
#include "port/port.h"

#include <pthread.h>

static orr_library library = {.name = "libpq.so.5",
                              .package = "libpq5",
                              .needed = "PostgreSQL needs",
                              .least = "9.2"};
static orr_pq_lib functions;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    if (!orr_library_open(&library)) return;
#define FIND(name) functions.name = (__typeof__(functions.name))orr_library_find(&library, "PQ" #name);
    ORR_PQ_FUNCTIONS(FIND)
#undef FIND
}

const orr_pq_lib *orr_pq_lib_get(const char **why) {
    pthread_once(&once, load);
    if (!library.reason[0]) return &functions;
    *why = library.reason;
    return NULL;
}
