/* archive_place.h - where an entry of an archive goes: names are taken apart, and folders opened
 * one after the other without following a link. Private to runtime/loop/archive*.c. */
#ifndef ORR_LOOP_ARCHIVE_PLACE_H
#define ORR_LOOP_ARCHIVE_PLACE_H

#include <limits.h>
#include <stdbool.h>

/* A name inside of a folder, in parts: no empty one, no "." and no "..". */
typedef struct orr_archive_name {
    char text[PATH_MAX]; /* its parts, each with a NUL behind it */
    unsigned parts;
} orr_archive_name;

/* Reads a name without its first `strip` parts; none may be left. NULL, or what is wrong with it,
 * the rest of a sentence. */
const char *orr_archive_read_name(const char *name, int strip, orr_archive_name *into);

/* The last part; the name has one. */
const char *orr_archive_last(const orr_archive_name *name);

/* Opens the folder of the last part; `make`: those that are missing are made. A descriptor, or -1
 * with errno set: ENOTDIR or ELOOP where something that is no folder is on the way. */
int orr_archive_open_parent(int root, const orr_archive_name *name, bool make);

/* Whether a link with that target, which stands `depth` folders below the root, leads to nothing
 * outside, whatever other links of this kind it leads through: ".." stands only at its beginning,
 * where it is counted from a real folder. */
bool orr_archive_link_stays(const char *target, unsigned depth);

#endif
