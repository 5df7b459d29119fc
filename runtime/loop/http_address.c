/* http_address.c - see http_address.h. */
#include "loop/http_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* The registries of special purpose addresses (RFC 6890), as of 2024: what is not "globally
 * reachable", and groups. */
static const char *const not_public[] = {
    "0.0.0.0/8",     "10.0.0.0/8",   "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",  "172.16.0.0/12",
    "192.0.0.0/24",  "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15",  "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4",   "240.0.0.0/4",  "::/96",          "64:ff9b:1::/48", "100::/64",        "2001::/23",
    "2001:db8::/32", "fc00::/7",     "fe80::/10",      "ff00::/8",
};

/* One address with its length in bits. */
static bool read_net(orr_http_net *net, const char *text) {
    char address[64];
    size_t length = strcspn(text, "/");
    if (length >= sizeof address) return false;
    memcpy(address, text, length);
    address[length] = '\0';
    unsigned most = 128, before = 0;
    memset(net, 0, sizeof *net);
    if (inet_pton(AF_INET, address, net->bytes + sizeof mapped) == 1) {
        memcpy(net->bytes, mapped, sizeof mapped);
        most = 32;
        before = 96;
    } else if (inet_pton(AF_INET6, address, net->bytes) != 1) {
        return false;
    }
    unsigned long bits = most;
    if (text[length]) {
        char *end;
        const char *digits = text + length + 1;
        bits = strtoul(digits, &end, 10);
        if (*digits < '0' || *digits > '9' || *end || bits > most) return false;
    }
    net->bits = before + (unsigned)bits;
    return true;
}

size_t orr_http_add_nets(orr_http_net *nets, size_t n, size_t room, const char *text) {
    size_t count = sizeof not_public / sizeof *not_public;
    bool word = !strcmp(text, "private");
    if (n + (word ? count : 1) > room) return 0;
    if (!word) return read_net(&nets[n], text) ? n + 1 : 0;
    for (size_t i = 0; i < count; i++)
        if (!read_net(&nets[n + i], not_public[i])) return 0;
    return n + count;
}

/* As 16 bytes. What carries an address of IPv4 through IPv6 (RFC 4291, 2.5.5; RFC 6052, 2.1; RFC
 * 3056) is taken for that. */
static bool bytes_of(const struct sockaddr *address, unsigned char *bytes) {
    static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b}, compatible[12] = {0};
    memcpy(bytes, mapped, sizeof mapped);
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address;
        memcpy(bytes + 12, &v4->sin_addr, 4);
        return true;
    }
    if (address->sa_family != AF_INET6) return false;
    const struct sockaddr_in6 *v6 = (const void *)address;
    const unsigned char *at = v6->sin6_addr.s6_addr;
    bool plain_zero = !memcmp(at, compatible, sizeof compatible) && !at[12]; /* :: and ::1 */
    if (at[0] == 0x20 && at[1] == 0x02) memcpy(bytes + 12, at + 2, 4);
    else if (!memcmp(at, nat64, sizeof nat64) || (!memcmp(at, compatible, sizeof compatible) && !plain_zero))
        memcpy(bytes + 12, at + 12, 4);
    else memcpy(bytes, at, 16);
    return true;
}

static bool matches(const orr_http_net *net, const unsigned char *bytes) {
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (net->bits < 96 && !memcmp(bytes, mapped, sizeof mapped)) return false; /* "::/0" is of IPv6 */
    if (memcmp(net->bytes, bytes, whole)) return false;
    return !rest || (net->bytes[whole] ^ bytes[whole]) >> (8 - rest) == 0;
}

static bool is_in(const orr_http_net *nets, size_t n, const unsigned char *bytes) {
    for (size_t i = 0; i < n; i++)
        if (matches(&nets[i], bytes)) return true;
    return false;
}

bool orr_http_may_connect(const orr_http_net *allowed, size_t n_allowed, const orr_http_net *denied,
                          size_t n_denied, const struct sockaddr *address) {
    unsigned char bytes[16];
    if (!n_allowed && !n_denied) return true;
    if (!bytes_of(address, bytes) || is_in(denied, n_denied, bytes)) return false;
    return !n_allowed || is_in(allowed, n_allowed, bytes);
}
