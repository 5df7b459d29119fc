/* options.c - reads the command line. */
#include "options.h"
#include "town.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: town [SCRIPTS] [--seed N] [--budget US] [--frames N] [--headless] [--save FILE] [--load FILE]\n"
    "            [--mod FOLDER] [--picture FILE] [--press FRAME:KEY]... [--click FRAME:WHO]... [--list "
    "FRAME]...\n"
    "SCRIPTS: the folder of the scripts; examples/game/scripts\n"
    "--frames N: ends after so many, and prints times, quests and a hash of the world\n"
    "--budget US: how long the engine may work in a frame; 1000\n"
    "--headless: no window, and no waiting between frames\n"
    "--save FILE: what F5 writes and F9 reads; town.save\n"
    "--load FILE: begins with a saved game\n"
    "--picture FILE: what is shown at the end, as BMP\n"
    "--mod FOLDER: from where R loads the scripts\n"
    "--press, --click, --list: before that frame, presses a key, clicks on a person, or prints what\n"
    "  everybody does and why\n";

static bool add_deed(options *o, char how, const char *value) {
    char *end;
    if (o->n_deeds == DEEDS) return false;
    deed *d = &o->deeds[o->n_deeds++];
    *d = (deed){how, strtoul(value, &end, 10), NULL};
    if (*end == ':') d->what = end + 1;
    return end != value && (how == 'l' ? *end == 0 : d->what != NULL);
}

static bool read_number(const char *text, uint64_t *n) {
    char *end;
    *n = strtoull(text, &end, 10);
    return end != text && *end == 0 && *n <= INT32_MAX;
}

static bool read_option(options *o, const char *name, const char *value) {
    if (strcmp(name, "--seed") == 0) return read_number(value, &o->seed);
    else if (strcmp(name, "--budget") == 0) return read_number(value, &o->budget);
    else if (strcmp(name, "--frames") == 0) return read_number(value, &o->frames);
    else if (strcmp(name, "--save") == 0) o->save = value;
    else if (strcmp(name, "--load") == 0) o->load = value;
    else if (strcmp(name, "--mod") == 0) o->mod = value;
    else if (strcmp(name, "--picture") == 0) o->picture = value;
    else if (strcmp(name, "--press") == 0) return add_deed(o, 'p', value);
    else if (strcmp(name, "--click") == 0) return add_deed(o, 'c', value);
    else if (strcmp(name, "--list") == 0) return add_deed(o, 'l', value);
    else return false;
    return true;
}

static bool read_all(options *o, int argc, char **argv) {
    *o = (options){.scripts = "examples/game/scripts", .save = "town.save", .seed = 1, .budget = BUDGET_US};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--headless") == 0) o->headless = true;
        else if (argv[i][0] != '-') o->scripts = argv[i];
        else if (i + 1 == argc || !read_option(o, argv[i], argv[i + 1])) return false;
        else i++;
    }
    return true;
}

bool read_options(options *o, int argc, char **argv) {
    if (read_all(o, argc, argv)) return true;
    fputs(usage, stderr);
    return false;
}
