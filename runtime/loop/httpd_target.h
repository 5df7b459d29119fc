/* httpd_target.h - what a head may have in it. Pure: no socket, no library. */
#ifndef ORR_LOOP_HTTPD_TARGET_H
#define ORR_LOOP_HTTPD_TARGET_H

#include <stdbool.h>
#include <stddef.h>

/* A character of a token (RFC 9110): a method's or a header's name. */
bool orr_httpd_is_token(const char *text, size_t size);

typedef struct orr_httpd_target {
    const char *path; /* in the buffer, with a NUL behind it */
    size_t path_size;
    const char *query; /* in the target */
} orr_httpd_target;

/* Takes the target of a request apart: "/path?query", "http://host/path?query" or "*". The path is
 * decoded once, into a buffer of strlen(target) + 2 bytes. NULL, or what is wrong with it. */
const char *orr_httpd_read_target(const char *target, char *buffer, orr_httpd_target *to);

/* Whether the fields of a head, as libmicrohttpd 0.9 leaves them in memory, are what it took them
 * for. It puts a NUL in place of a colon and of each byte that ends a line, takes a line's end
 * without its CR, blanks before the colon and NULs in values, and adds a folded line to the name
 * that it continues: with a proxy before us that reads all that in another way, one request would
 * be two. `at` is behind the first line, `end` behind the empty one. */
bool orr_httpd_head_is_plain(const char *at, const char *end);

#endif
