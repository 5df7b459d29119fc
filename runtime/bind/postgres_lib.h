/* postgres_lib.h - the functions of libpq that we use, opened at run time. Private to
 * runtime/bind/postgres*.c. */
#ifndef ORR_BIND_POSTGRES_LIB_H
#define ORR_BIND_POSTGRES_LIB_H

#include <libpq-fe.h>

/* 9.2 (2012) has all that is used here. */
#define ORR_PQ_FUNCTIONS(X)                                                                                  \
    X(connectStartParams)                                                                                    \
    X(connectPoll)                                                                                           \
    X(finish)                                                                                                \
    X(socket)                                                                                                \
    X(status)                                                                                                \
    X(errorMessage)                                                                                          \
    X(parameterStatus)                                                                                       \
    X(transactionStatus)                                                                                     \
    X(setnonblocking)                                                                                        \
    X(setNoticeReceiver)                                                                                     \
    X(consumeInput)                                                                                          \
    X(isBusy)                                                                                                \
    X(flush)                                                                                                 \
    X(sendQuery)                                                                                             \
    X(sendPrepare)                                                                                           \
    X(sendDescribePrepared)                                                                                  \
    X(sendQueryPrepared)                                                                                     \
    X(setSingleRowMode)                                                                                      \
    X(getResult)                                                                                             \
    X(clear)                                                                                                 \
    X(resultStatus)                                                                                          \
    X(resultErrorField)                                                                                      \
    X(resultErrorMessage)                                                                                    \
    X(nfields)                                                                                               \
    X(fname)                                                                                                 \
    X(ftype)                                                                                                 \
    X(getvalue)                                                                                              \
    X(getlength)                                                                                             \
    X(getisnull)                                                                                             \
    X(nparams)                                                                                               \
    X(paramtype)                                                                                             \
    X(cmdStatus)                                                                                             \
    X(cmdTuples)                                                                                             \
    X(putCopyData)                                                                                           \
    X(putCopyEnd)                                                                                            \
    X(getCancel)                                                                                             \
    X(cancel)                                                                                                \
    X(freeCancel)

#define ORR_PQ_MEMBER(name) __typeof__(PQ##name) *(name);
typedef struct orr_pq_lib {
    ORR_PQ_FUNCTIONS(ORR_PQ_MEMBER)
} orr_pq_lib;
#undef ORR_PQ_MEMBER

/* The functions; the same at every call and in every thread. NULL with a sentence in *why when the
 * library or one of them is missing. */
const orr_pq_lib *orr_pq_lib_get(const char **why);

#endif
