/* world.c - who lives in the town, and how they move. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

const char *const kind_names[KINDS] = {"villager", "trader", "guard", "hero"};

/* SplitMix64 (Steele, Lea, Flood 2014), once for each number. */
uint64_t world_mix(uint64_t seed, uint64_t a, uint64_t b) {
    uint64_t z = seed + (a + 1) * UINT64_C(0x9e3779b97f4a7c15) + b * UINT64_C(0xd1b54a32d192ed03);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int chance(uint64_t *state, int from, int to) {
    *state = world_mix(*state, 1, 2);
    return from + (int)(*state % (uint64_t)(to - from + 1));
}

void world_make(world *w, uint64_t seed) {
    static const role of_ten[10] = {VILLAGER, VILLAGER, VILLAGER, VILLAGER, VILLAGER,
                                    VILLAGER, TRADER,   GUARD,    GUARD,    HERO};
    memset(w, 0, sizeof *w);
    w->seed = seed;
    for (int i = 0; i < PEOPLE; i++) {
        person *p = &w->people[i];
        uint64_t state = world_mix(seed, (uint64_t)i, 0);
        p->kind = of_ten[i % 10];
        /* the stalls of the traders are in the middle of the town */
        int edge = p->kind == TRADER ? 4 : 40;
        p->home_x = chance(&state, WIDTH / edge, WIDTH - WIDTH / edge) * UNIT;
        p->home_y = chance(&state, HEIGHT / edge, HEIGHT - HEIGHT / edge) * UNIT;
        p->x = p->to_x = p->home_x;
        p->y = p->to_y = p->home_y;
        p->gold = 10;
        p->goods = p->kind == TRADER ? 20 : 0;
    }
}

static int towards(int at, int to, int step) {
    if (to > at) return to - at > step ? at + step : to;
    return at - to > step ? at - step : to;
}

void world_move(world *w, int64_t us) {
    int step = (int)(SPEED * us / 1000000);
    w->time += us;
    w->ticks++;
    for (int i = 0; i < PEOPLE; i++) {
        person *p = &w->people[i];
        if (!p->walking) continue;
        p->x = towards(p->x, p->to_x, step);
        p->y = towards(p->y, p->to_y, step);
    }
}

int world_find(const world *w, const person *self, role kind) {
    int best = -1, least = 0;
    for (int i = 0; i < PEOPLE; i++) {
        const person *p = &w->people[i];
        if (p->kind != kind || p == self) continue;
        int far = abs(p->x - self->x) + abs(p->y - self->y);
        if (best >= 0 && far >= least) continue;
        best = i;
        least = far;
    }
    return best;
}

bool world_post(world *w, const letter *l) {
    if (w->letters == MAIL) return false;
    w->mail[w->letters++] = *l;
    return true;
}

static int by_receiver(const void *a, const void *b) {
    const letter *x = a, *y = b;
    if (x->to != y->to) return x->to < y->to ? -1 : 1;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

void world_sort_mail(world *w) {
    qsort(w->mail, w->letters, sizeof *w->mail, by_receiver);
}

int world_at(const world *w, int x, int y, int after) {
    int best = -1, least = UNIT;
    for (int i = 0; i < PEOPLE; i++) {
        int far = abs(w->people[i].x - x) + abs(w->people[i].y - y);
        bool next = far == least && best >= 0 && best <= after && i > after;
        if (far >= least && !next) continue;
        best = i;
        least = far;
    }
    return best;
}

/* FNV-1a over 64 bits. */
static void fold(uint64_t *hash, int64_t n) {
    for (int i = 0; i < 64; i += 8) *hash = (*hash ^ ((uint64_t)n >> i & 0xff)) * UINT64_C(0x100000001b3);
}

uint64_t world_hash(const world *w) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const int64_t all[] = {(int64_t)w->ticks, w->time, w->quests_done, w->quests_undone, w->letters};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) fold(&hash, all[i]);
    for (int i = 0; i < PEOPLE; i++) {
        const person *p = &w->people[i];
        const int64_t his[] = {p->x,    p->y,     p->to_x, p->to_y,         p->walking,
                               p->gold, p->goods, p->day,  p->letters_sent, p->awake};
        for (size_t j = 0; j < sizeof his / sizeof *his; j++) fold(&hash, his[j]);
    }
    return hash;
}
