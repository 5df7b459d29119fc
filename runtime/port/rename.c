/* rename.c - see port.h. Linux has renameat2 (since 3.15). */
#include "port/port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int orr_port_rename(const char *from, const char *to, orr_rename how) {
    if (how == ORR_RENAME_OVER) return rename(from, to) ? errno : 0;
#ifdef RENAME_EXCHANGE
    unsigned flags = how == ORR_RENAME_NEW ? RENAME_NOREPLACE : RENAME_EXCHANGE;
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags) ? errno : 0;
#else
    return ENOSYS;
#endif
}
