/* http_decode.c - see http_decode.h. */
#include "loop/http_decode.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#define LIBRARY "libz.so.1"

/* zlib's interface, which has not changed since 1.0 (zlib.h). */
typedef struct zstream {
    const unsigned char *next_in;
    unsigned avail_in;
    unsigned long total_in;
    unsigned char *next_out;
    unsigned avail_out;
    unsigned long total_out;
    const char *msg;
    void *state;
    void *(*zalloc)(void *ud, unsigned items, unsigned size);
    void (*zfree)(void *ud, void *block);
    void *opaque;
    int data_type;
    unsigned long adler, reserved;
} zstream;

enum { Z_OK = 0, Z_STREAM_END = 1, Z_BUF_ERROR = -5 };
enum { GZIP_OR_ZLIB = 15 + 32, RAW = -15 };

typedef union zlib_symbol {
    void *data;
    int (*init)(zstream *, int window, const char *version, int size);
    int (*call)(zstream *);
    int (*inflate)(zstream *, int flush);
} zlib_symbol;

static zlib_symbol init, inflate, reset, end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    init.data = dlsym(library, "inflateInit2_");
    inflate.data = dlsym(library, "inflate");
    reset.data = dlsym(library, "inflateReset");
    end.data = dlsym(library, "inflateEnd");
}

bool orr_decode_available(void) {
    pthread_once(&once, load);
    return init.data && inflate.data && reset.data && end.data;
}

struct orr_decoder {
    orr_alloc alloc;
    zstream z;
    bool gzip, open, begun, whole;
    unsigned char out[65536];
};

bool orr_decode_knows(const char *encoding) {
    return !strcasecmp(encoding, "gzip") || !strcasecmp(encoding, "x-gzip") ||
           !strcasecmp(encoding, "deflate");
}

static bool begin(orr_decoder *d, int window) {
    if (d->open) end.call(&d->z);
    memset(&d->z, 0, sizeof d->z);
    d->open = init.init(&d->z, window, "1", (int)sizeof d->z) == Z_OK;
    return d->open;
}

orr_decoder *orr_decoder_open(const orr_alloc *alloc, const char *encoding) {
    orr_decoder *d = orr_decode_available() ? orr_mem_new(alloc, 1, sizeof *d) : NULL;
    if (!d) return NULL;
    d->alloc = *alloc;
    d->gzip = strcasecmp(encoding, "deflate") != 0;
    if (begin(d, GZIP_OR_ZLIB)) return d;
    orr_decoder_close(d);
    return NULL;
}

void orr_decoder_close(orr_decoder *d) {
    if (!d) return;
    if (d->open) end.call(&d->z);
    orr_alloc alloc = d->alloc;
    orr_mem_free(&alloc, d, 1, sizeof *d);
}

/* Some servers leave out the two bytes before a deflate stream; they are those whose first byte is
 * none of a zlib header (RFC 1950, section 2.2: method 8, window up to 32 KiB). */
static bool is_raw(const orr_decoder *d, unsigned char first) {
    return !d->gzip && ((first & 15) != 8 || first >> 4 > 7);
}

orr_decode_result orr_decoder_feed(orr_decoder *d, const char *data, size_t size,
                                   bool (*put)(void *ud, const char *data, size_t size), void *ud) {
    if (size && !d->begun && is_raw(d, (unsigned char)*data) && !begin(d, RAW)) return ORR_DECODE_BAD;
    d->begun = d->begun || size > 0;
    d->z.next_in = (const unsigned char *)data;
    d->z.avail_in = (unsigned)size;
    for (bool more = size > 0; more;) {
        /* one stream may follow another (RFC 1952, section 2.2) */
        if (d->whole && (!d->gzip || reset.call(&d->z) != Z_OK)) return ORR_DECODE_BAD;
        d->z.next_out = d->out;
        d->z.avail_out = sizeof d->out;
        int r = inflate.inflate(&d->z, 0);
        size_t n = sizeof d->out - d->z.avail_out;
        if (n && !put(ud, (const char *)d->out, n)) return ORR_DECODE_REFUSED;
        if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR) return ORR_DECODE_BAD;
        d->whole = r == Z_STREAM_END;
        more = d->z.avail_in > 0 || (!d->z.avail_out && !d->whole);
    }
    return ORR_DECODE_OK;
}

bool orr_decoder_is_whole(const orr_decoder *d) {
    return d->whole || !d->begun;
}
