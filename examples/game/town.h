/* town.h - the world with its workflows: each day of each person is a run. */
#ifndef TOWN_H
#define TOWN_H

#include "world.h"

enum { BUDGET_US = 1000, TALLIES = 64 };

/* How days have ended, by the version of the script that they began with. */
typedef struct tally {
    unsigned script;
    char word[32];
    unsigned count;
} tally;

typedef struct town {
    world world;
    orr_runtime *rt;
    orr_pool *pool;
    orr_workflow *days[KINDS]; /* what each kind does in a day */
    const char *folder;        /* of the scripts */
    unsigned script;           /* how often they were loaded */
    tally tallies[TALLIES];
    unsigned n_tallies;
    bool behind;     /* the tick is not done yet */
    int64_t step_ns; /* processor time of the last orr_step */
} town;

/* Opens a town with `seed`. NULL: it has been said why. */
town *town_open(const char *folder, uint64_t seed);
/* NULL is allowed. */
void town_close(town *t);
/* Loads the scripts anew: days that begin take the new ones, days under way keep
 * theirs. False where a script has a mistake: its kind keeps the old one. */
bool town_reload(town *t, const char *folder);
/* One frame: moves game time on by `us` and works for `budget_us`. What is due in a tick is done
 * before the next one, in as many frames as it takes. Returns whether it is done. */
bool town_frame(town *t, int64_t us, int64_t budget_us);

/* The same for a world that stands somewhere, without its runs. */
town *town_begin(const char *folder, const world *w);

/* saves.c: a town in a file, and a new one out of it; NULL: it has been said why. */
bool town_save(town *t, const char *path);
town *town_load(const char *folder, const char *path);

/* days.c. Begins the day of whoever has none; config.on_end of the runtime. */
void days_begin(town *t);
void days_on_end(void *ud, orr_run_id run, orr_run_state state, void *data);

/* acts.c: the node types town.walk, town.tell, town.give and town.find. */
bool acts_register(town *t);

/* overlay.c: what somebody does and why, lines with an end each. */
void overlay_text(town *t, int who, char *text, size_t room);

#endif
