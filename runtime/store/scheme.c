/* scheme.c - which store a URL means: the schemes that were registered. */
#include "store/backend.h"

#include "port/port.h"

#include <stdio.h>
#include <string.h>

typedef struct known_scheme {
    const char *name;
    orr_store_opener *open;
} known_scheme;

enum { MOST_SCHEMES = 16, EXPECTED_SIZE = 256 };

/* Behind the lock, since engines on several threads may start at once. */
static orr_mutex lock = ORR_MUTEX_INIT;
static known_scheme schemes[MOST_SCHEMES];
static size_t n_schemes;

/* Called with the lock held. The place of the scheme, or where a new one would stand. */
static known_scheme *place_of(const char *name, size_t size) {
    known_scheme *s = schemes;
    while (s < schemes + n_schemes && (strlen(s->name) != size || memcmp(s->name, name, size) != 0)) s++;
    return s;
}

bool orr_store_register(const char *scheme, orr_store_opener *open) {
    orr_mutex_lock(&lock);
    known_scheme *s = place_of(scheme, strlen(scheme));
    bool fits = s < schemes + MOST_SCHEMES;
    if (fits) *s = (known_scheme){scheme, open};
    if (fits && s == schemes + n_schemes) n_schemes++;
    orr_mutex_unlock(&lock);
    return fits;
}

/* The length of the scheme of a URL without its colon; 0 for a path. */
static size_t scheme_length(const char *url) {
    size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyz+");
    return n > 1 && url[n] == ':' ? n : 0;
}

/* NULL where there is no such scheme. */
static orr_store_opener *opener_of(const char *url, size_t length) {
    orr_mutex_lock(&lock);
    const known_scheme *s = length > 0 ? place_of(url, length) : schemes;
    orr_store_opener *open = s < schemes + n_schemes ? s->open : NULL;
    orr_mutex_unlock(&lock);
    return open;
}

/* What a URL may be: "sqlite:PATH, a path, or memory:". */
static void put_expected(char *text) {
    size_t used = 0;
    orr_mutex_lock(&lock);
    for (size_t i = 0; i < n_schemes && used < EXPECTED_SIZE; i++)
        used += (size_t)snprintf(text + used, EXPECTED_SIZE - used, "%s:PATH, ", schemes[i].name);
    if (used < EXPECTED_SIZE)
        snprintf(text + used, EXPECTED_SIZE - used, n_schemes > 0 ? "a path, or memory:" : "memory:");
    orr_mutex_unlock(&lock);
}

static orr_store *open_memory(const orr_store_options *options, orr_reason *reason) {
    orr_store *store = orr_store_memory(options);
    if (store == NULL) orr_reason_set(reason, "there is no memory left for a store");
    return store;
}

orr_store *orr_store_open(const char *url, const orr_store_options *options, orr_reason *reason) {
    size_t length = scheme_length(url);
    orr_store_opener *open = opener_of(url, length);
    char expected[EXPECTED_SIZE];
    if (strcmp(url, "memory:") == 0) return open_memory(options, reason);
    if (open != NULL) return open(url, length > 0 ? url + length + 1 : url, options, reason);
    put_expected(expected);
    orr_reason_set(reason, "the store '%s' is of no known kind: expected %s", url, expected);
    return NULL;
}
