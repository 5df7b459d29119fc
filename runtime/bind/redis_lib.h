/* redis_lib.h - the functions of hiredis that we use, opened at run time. Private to
 * runtime/bind/redis*.c. */
#ifndef ORR_BIND_REDIS_LIB_H
#define ORR_BIND_REDIS_LIB_H

#include <hiredis/hiredis.h>

typedef struct orr_redis_lib {
    __typeof__(redisReaderCreate) *create;
    __typeof__(redisReaderFree) *free;
    __typeof__(redisReaderFeed) *feed;
    __typeof__(redisReaderGetReply) *get;
    __typeof__(freeReplyObject) *drop;
} orr_redis_lib;

/* The functions; the same at every call and in every thread. NULL with a sentence in *why when the
 * library or one of them is missing. */
const orr_redis_lib *orr_redis_lib_get(const char **why);

#endif
