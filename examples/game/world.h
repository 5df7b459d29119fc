/* world.h - the town: a thousand people on a map, and the letters between them. Plain data without
 * pointers, so that a saved game is these bytes, and whole numbers only, so that equal games are
 * equal to the bit. It knows nothing of workflows but the ids that stand in it. */
#ifndef WORLD_H
#define WORLD_H

#include <orrery.h>

enum {
    PEOPLE = 1000,
    WIDTH = 160, /* tiles */
    HEIGHT = 120,
    UNIT = 1000,    /* a tile */
    SPEED = 4000,   /* units a second */
    TICK_US = 16667 /* 60 ticks a second */
};

typedef enum role { VILLAGER, TRADER, GUARD, HERO, KINDS } role;
extern const char *const kind_names[KINDS];

typedef struct person {
    role kind;
    int x, y, to_x, to_y, home_x, home_y; /* units */
    bool walking;
    orr_token walk; /* the attempt that waits for the end of the walk */
    int gold, goods;
    int dawn_gold; /* what the day began with */
    unsigned letters_sent;
    unsigned day;    /* each day is a run; from 1 */
    unsigned script; /* the version of the script that the day began with; from 1 */
    bool awake;      /* the day's run has not ended */
    orr_run_id run;
} person;

/* Letters are delivered between two ticks, in the order of the receivers and senders: so the order
 * in which the scripts of a tick run is of no effect. */
typedef struct letter {
    int to, from;
    unsigned number; /* of the sender */
    char what[16];   /* the signal */
    int gold, x, y;  /* x, y: the sender's tile */
} letter;

enum { MAIL = 4096 };

typedef struct world {
    uint64_t seed, ticks;
    int64_t time; /* µs */
    unsigned quests_done, quests_undone, quests_unpaid;
    person people[PEOPLE];
    letter mail[MAIL];
    unsigned letters;
} world;

void world_make(world *w, uint64_t seed);
/* Moves whoever walks on by `us`. */
void world_move(world *w, int64_t us);
/* The nearest person of a kind, but not `self`; -1: there is none. */
int world_find(const world *w, const person *self, role kind);
/* Takes a letter; false where the post is full. */
bool world_post(world *w, const letter *l);
void world_sort_mail(world *w);
/* Whoever is at a place of the map, in units; of several the one who follows on `after`, or else the
 * first. -1: nobody. */
int world_at(const world *w, int x, int y, int after);
/* Of all that scripts have done. */
uint64_t world_hash(const world *w);
/* Chance that depends on the seed only. */
uint64_t world_mix(uint64_t seed, uint64_t a, uint64_t b);

#endif
