/* redis_lib.c - opens hiredis once for the process. */
#include "bind/redis_lib.h"
#include "port/port.h"

#include <pthread.h>

/* Its structs differ between versions, so the library is the one of the headers. */
static orr_library library = {.name = "libhiredis.so.0.14",
                              .package = "libhiredis0.14",
                              .needed = "Redis needs"};
static orr_redis_lib functions;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    if (!orr_library_open(&library)) return;
#define FIND(member, name) functions.member = (__typeof__(functions.member))orr_library_find(&library, name)
    FIND(create, "redisReaderCreate");
    FIND(free, "redisReaderFree");
    FIND(feed, "redisReaderFeed");
    FIND(get, "redisReaderGetReply");
    FIND(drop, "freeReplyObject");
#undef FIND
}

const orr_redis_lib *orr_redis_lib_get(const char **why) {
    pthread_once(&once, load);
    if (!library.reason[0]) return &functions;
    *why = library.reason;
    return NULL;
}
