/* http_address.h - lists of addresses that may be connected to, or may not. Private to
 * runtime/loop/http*.c. */
#ifndef ORR_LOOP_HTTP_ADDRESS_H
#define ORR_LOOP_HTTP_ADDRESS_H

#include "loop/http.h"

#include <sys/socket.h>

/* The addresses whose first `bits` are those of `bytes`. One of IPv4 is ::ffff:a.b.c.d. */
typedef struct orr_http_net {
    unsigned char bytes[16];
    unsigned bits;
} orr_http_net;

/* Appends what a text names: "10.0.0.0/8", "::1", or the word "private" for all that does not lead
 * to the public Internet. Gives the new count, 0 where it is none of these or there is no room. */
size_t orr_http_add_nets(orr_http_net *nets, size_t n, size_t room, const char *text);

/* Most nets that a text names. */
enum { ORR_HTTP_NETS_OF_A_TEXT = 24 };

/* Whether an address is in none of `denied` and, where there are any, in one of `allowed`. Where
 * there are lists, what is neither IPv4 nor IPv6 is refused. */
bool orr_http_may_connect(const orr_http_net *allowed, size_t n_allowed, const orr_http_net *denied,
                          size_t n_denied, const struct sockaddr *address);

#endif
