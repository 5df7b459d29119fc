/* files.h - work with files that takes long, for a thread (blocking.h). Each function stops soon
 * after *stop is set, with -ECANCELED; its errors are negative, as libuv's are. */
#ifndef ORR_LOOP_FILES_H
#define ORR_LOOP_FILES_H

#include <stdatomic.h>
#include <stdbool.h>

/* Removes a file, a link, or a folder with all that is in it; links are not followed. What may not
 * be written inside a folder of this user's is removed nevertheless. 0 or the first error. */
int orr_remove_tree(const char *path, const atomic_bool *stop);

/* Bytes of the longest digest in hex, its end included. */
enum { ORR_DIGEST_HEX = 129 };

/* Whether there is a digest of that name: sha256, sha512, sha1, md5. */
bool orr_digest_known(const char *algorithm);

/* The digest, in hex, of what is read from where the descriptor stands to the end. 0, or an
 * error. */
int orr_digest_file(int fd, const char *algorithm, char hex[static ORR_DIGEST_HEX], const atomic_bool *stop);

#endif
