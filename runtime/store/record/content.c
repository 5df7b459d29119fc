/* content.c - what is named by its content; see record.h */
#include "store/record/record.h"

#include <sha256.h>
#include <string.h>

bool orr_content_is(const char *name, const void *bytes, size_t size) {
    enum { DIGITS = SHA256_DIGEST_STRING_LENGTH - 1 };
    char hex[SHA256_DIGEST_STRING_LENGTH];
    SHA256_CTX context;
    if (strlen(name) != DIGITS || strspn(name, "0123456789abcdef") != DIGITS) return true;
    SHA256Init(&context);
    SHA256Update(&context, bytes, size);
    SHA256End(&context, hex);
    return memcmp(hex, name, DIGITS) == 0;
}
