/* library.c - shared libraries that are opened at first use. */
#include "port/port.h"

#include <dlfcn.h>
#include <stdio.h>

/* ISO C has no conversion from dlsym's pointer to one of a function; POSIX promises that the
 * bytes are the same. */
typedef union symbol {
    void *data;
    orr_symbol code;
} symbol;

bool orr_library_open(orr_library *l) {
    l->handle = dlopen(l->name, RTLD_NOW | RTLD_LOCAL);
    if (!l->handle)
        snprintf(l->reason, sizeof l->reason, "%s %s (Debian's package %s): %s", l->needed, l->name,
                 l->package, dlerror());
    return l->handle != NULL;
}

orr_symbol orr_library_find(orr_library *l, const char *name) {
    symbol s = {.data = dlsym(l->handle, name)};
    if (s.data || l->reason[0]) return s.code;
    if (l->least)
        snprintf(l->reason, sizeof l->reason, "%s has no %s; version %s or later is needed", l->name, name,
                 l->least);
    else snprintf(l->reason, sizeof l->reason, "%s has no %s", l->name, name);
    return s.code;
}
