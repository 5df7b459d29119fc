/* httpd_lib.h - the functions of libmicrohttpd that we use, opened at run time. Private to
 * runtime/loop/httpd*.c. */
#ifndef ORR_LOOP_HTTPD_LIB_H
#define ORR_LOOP_HTTPD_LIB_H

#include <microhttpd.h>
#include <stdbool.h>

/* 0.9.64 (2019) has all that is used here. */
#define ORR_MHD_FUNCTIONS(X)                                                                                 \
    X(add_connection)                                                                                        \
    X(add_response_header)                                                                                   \
    X(create_response_from_buffer)                                                                           \
    X(create_response_from_callback)                                                                         \
    X(create_response_from_fd_at_offset64)                                                                   \
    X(destroy_response)                                                                                      \
    X(get_connection_info)                                                                                   \
    X(get_connection_values_n)                                                                               \
    X(get_daemon_info)                                                                                       \
    X(get_timeout)                                                                                           \
    X(get_version)                                                                                           \
    X(is_feature_supported)                                                                                  \
    X(lookup_connection_value)                                                                               \
    X(queue_response)                                                                                        \
    X(resume_connection)                                                                                     \
    X(run)                                                                                                   \
    X(start_daemon)                                                                                          \
    X(stop_daemon)                                                                                           \
    X(suspend_connection)

#define ORR_MHD_MEMBER(name) __typeof__(MHD_##name) *(name);
typedef struct orr_mhd {
    ORR_MHD_FUNCTIONS(ORR_MHD_MEMBER)
    /* of GnuTLS, which the library has opened; NULL: it has not */
    ssize_t (*record_send)(void *session, const void *data, size_t size);
    bool leaves_head; /* see orr_httpd_head_is_plain */
} orr_mhd;
#undef ORR_MHD_MEMBER

/* The functions; the same at every call and in every thread. NULL with a sentence in *why when the
 * library or one of them is missing. */
const orr_mhd *orr_mhd_get(const char **why);

#endif
