/* digest.c - digests of files, by libmd: FIPS 180-4 (SHA-2, SHA-1) and RFC 1321 (MD5). The last two
 * are there to compare with what others have published, and keep out no forger. */
#include "loop/files.h"

#include <errno.h>
#include <md5.h>
#include <sha1.h>
#include <sha256.h>
#include <sha512.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLICE = 256 * 1024 };

typedef union context {
    SHA256_CTX sha256;
    SHA512_CTX sha512;
    SHA1_CTX sha1;
    MD5_CTX md5;
} context;

typedef struct digest {
    const char *name;
    size_t bytes;
    void (*begin)(context *c);
    void (*add)(context *c, const uint8_t *data, size_t size);
    void (*end)(context *c, uint8_t *out);
} digest;

/* clang-format off */
#define DIGEST(name, Name)                                                                                   \
    static void name##_begin(context *c) { Name##Init(&c->name); }                                           \
    static void name##_add(context *c, const uint8_t *data, size_t n) { Name##Update(&c->name, data, n); }   \
    static void name##_end(context *c, uint8_t *out) { Name##Final(out, &c->name); }
DIGEST(sha256, SHA256)
DIGEST(sha512, SHA512)
DIGEST(sha1, SHA1)
DIGEST(md5, MD5)
/* clang-format on */

static const digest digests[] = {
    {"sha256", SHA256_DIGEST_LENGTH, sha256_begin, sha256_add, sha256_end},
    {"sha512", SHA512_DIGEST_LENGTH, sha512_begin, sha512_add, sha512_end},
    {"sha1", SHA1_DIGEST_LENGTH, sha1_begin, sha1_add, sha1_end},
    {"md5", MD5_DIGEST_LENGTH, md5_begin, md5_add, md5_end},
};

static const digest *find(const char *name) {
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++)
        if (strcmp(digests[i].name, name) == 0) return &digests[i];
    return NULL;
}

bool orr_digest_known(const char *algorithm) {
    return find(algorithm) != NULL;
}

static void to_hex(const uint8_t *bytes, size_t n, char *hex) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * n] = '\0';
}

int orr_digest_file(int fd, const char *algorithm, char hex[static ORR_DIGEST_HEX], const atomic_bool *stop) {
    const digest *d = find(algorithm);
    if (!d) return -EINVAL;
    uint8_t *slice = malloc(SLICE), result[SHA512_DIGEST_LENGTH];
    if (!slice) return -ENOMEM;
    context c;
    d->begin(&c);
    ssize_t n = 0;
    do {
        n = *stop ? (errno = ECANCELED, -1) : read(fd, slice, SLICE);
        if (n > 0) d->add(&c, slice, (size_t)n);
    } while (n > 0 || (n < 0 && errno == EINTR));
    int error = n < 0 ? -errno : 0;
    free(slice);
    if (error) return error;
    d->end(&c, result);
    to_hex(result, d->bytes, hex);
    return 0;
}
