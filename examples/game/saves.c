/* saves.c - a saved game: a mark, the world, and the runs as orr_save writes them. It is of the
 * program that wrote it: the world stands in it as it lies in memory. */
#include "town.h"

#include <stdio.h>
#include <string.h>

typedef struct mark {
    char word[8];
    uint64_t size; /* of the world: another program has another one */
    uint64_t sum;  /* of its bytes; those of the runs have a checksum of their own */
} mark;

static mark mark_of(const world *w) {
    const unsigned char *bytes = (const unsigned char *)w;
    mark m = {"TOWN 1", sizeof *w, 0};
    for (size_t i = 0; i < sizeof *w; i++) m.sum = (m.sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    return m;
}

static int write_all(void *file, const void *bytes, size_t size) {
    return fwrite(bytes, 1, size, file) == size ? 0 : 1;
}

static int64_t read_some(void *file, void *to, size_t room) {
    size_t n = fread(to, 1, room, file);
    return ferror((FILE *)file) ? -1 : (int64_t)n;
}

static bool said(bool good, const char *path, const char *why) {
    if (!good) fprintf(stderr, "town: %s: %s\n", path, why);
    return good;
}

bool town_save(town *t, const char *path) {
    /* a tick that is begun is done first: what is saved is the end of one */
    while (t->behind) town_frame(t, 0, BUDGET_US);
    FILE *file = fopen(path, "wb");
    if (!said(file != NULL, path, "cannot be written")) return false;
    mark m = mark_of(&t->world);
    bool good = write_all(file, &m, sizeof m) == 0 && write_all(file, &t->world, sizeof t->world) == 0 &&
                orr_save(t->rt, write_all, file) == ORR_OK;
    good = fclose(file) == 0 && good;
    return said(good, path, "cannot be written");
}

/* Numbers that index something: those of a file that was changed by hand may be any. */
static bool fits(const world *w) {
    bool good = w->letters <= MAIL;
    for (int i = 0; i < PEOPLE; i++) good = good && (unsigned)w->people[i].kind < KINDS;
    for (unsigned i = 0; good && i < w->letters; i++)
        good = w->mail[i].to >= 0 && w->mail[i].to < PEOPLE &&
               memchr(w->mail[i].what, 0, sizeof w->mail[i].what);
    return good;
}

/* Tokens and pointers of the program that saved mean nothing here. */
static void take_over(town *t) {
    for (int i = 0; i < PEOPLE; i++) {
        person *p = &t->world.people[i];
        p->walk = (orr_token){0};
        p->script = t->script;
        if (p->awake) orr_set_run_data(t->rt, p->run, p);
        else p->run = (orr_run_id){{0}}; /* its day has ended: that run is not in a save */
    }
}

town *town_load(const char *folder, const char *path) {
    static world w; /* too large for the stack */
    mark m = {{0}, 0, 0};
    town *t = NULL;
    FILE *file = fopen(path, "rb");
    if (!said(file != NULL, path, "cannot be read")) return NULL;
    bool good = fread(&m, sizeof m, 1, file) == 1 && fread(&w, sizeof w, 1, file) == 1;
    mark ours = mark_of(&w);
    good = good && memcmp(&m, &ours, sizeof m) == 0 && fits(&w);
    if (said(good, path, "is no saved game of this program")) t = town_begin(folder, &w);
    if (t != NULL && !said(orr_load(t->rt, read_some, file) == ORR_OK, path, "its runs cannot be loaded")) {
        town_close(t);
        t = NULL;
    }
    fclose(file);
    if (t != NULL) take_over(t);
    /* what was under way begins again, without game time: walks go on, and have their tokens */
    while (t != NULL && !town_frame(t, 0, BUDGET_US)) {
    }
    return t;
}
