/* options.h - what the command line asks for. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { DEEDS = 64 };

typedef struct deed {
    char how; /* 'p', 'c', 'l' */
    unsigned long frame;
    const char *what;
} deed;

typedef struct options {
    const char *scripts, *save, *load, *mod, *picture;
    uint64_t seed, budget; /* µs a frame */
    uint64_t frames;       /* 0: no end */
    bool headless;
    deed deeds[DEEDS];
    int n_deeds;
} options;

/* False: that is no command line of this program, and how one looks has been said. */
bool read_options(options *o, int argc, char **argv);

#endif
