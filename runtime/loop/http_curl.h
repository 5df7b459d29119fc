/* http_curl.h - the functions of libcurl that we use, opened at run time. Private to
 * runtime/loop/http*.c and mail*.c. */
#ifndef ORR_LOOP_HTTP_CURL_H
#define ORR_LOOP_HTTP_CURL_H

#include <curl/curl.h>

/* 7.85 (2022) has all that is used here: protocols by name, and the check before a request. */
#define ORR_CURL_FUNCTIONS(X)                                                                                \
    X(global_init)                                                                                           \
    X(version)                                                                                               \
    X(slist_append)                                                                                          \
    X(slist_free_all)                                                                                        \
    X(easy_init)                                                                                             \
    X(easy_perform)                                                                                          \
    X(easy_setopt)                                                                                           \
    X(easy_getinfo)                                                                                          \
    X(easy_pause)                                                                                            \
    X(easy_cleanup)                                                                                          \
    X(easy_strerror)                                                                                         \
    X(multi_init)                                                                                            \
    X(multi_setopt)                                                                                          \
    X(multi_add_handle)                                                                                      \
    X(multi_remove_handle)                                                                                   \
    X(multi_socket_action)                                                                                   \
    X(multi_info_read)                                                                                       \
    X(multi_assign)                                                                                          \
    X(multi_cleanup)                                                                                         \
    X(url)                                                                                                   \
    X(url_get)                                                                                               \
    X(url_set)                                                                                               \
    X(url_cleanup)                                                                                           \
    X(free)

/* libcurl's headers make macros of three names that take variable arguments; their types are
 * wanted, not those. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define ORR_CURL_MEMBER(name) __typeof__(curl_##name) *(name);
typedef struct orr_curl {
    ORR_CURL_FUNCTIONS(ORR_CURL_MEMBER)
} orr_curl;
#undef ORR_CURL_MEMBER

/* The functions, after libcurl's own global initialisation; the same at every call and in every
 * thread. NULL with a sentence in *why when the library or one of them is missing. */
const orr_curl *orr_curl_get(const char **why);

#endif
