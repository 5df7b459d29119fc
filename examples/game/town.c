/* town.c - the runtime: how it is opened, and what it is given of each frame. */
#include "town.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void on_error(void *ud, const orr_error_info *error) {
    (void)ud;
    fprintf(stderr, "town: %s: %s\n", error->code, error->message);
}

/* ---- a frame --------------------------------------------------------------------------------- */

static void arrive(town *t) {
    for (int i = 0; i < PEOPLE; i++) {
        person *p = &t->world.people[i];
        if (!p->walking || p->x != p->to_x || p->y != p->to_y) continue;
        p->walking = false;
        orr_complete_value(t->rt, p->walk, orr_value_object(t->rt));
    }
}

static void deliver(town *t) {
    world *w = &t->world;
    world_sort_mail(w);
    for (unsigned i = 0; i < w->letters; i++) {
        const letter *l = &w->mail[i];
        orr_value data = orr_value_object(t->rt);
        orr_value_set_integer(t->rt, data, "from", l->from);
        orr_value_set_integer(t->rt, data, "gold", l->gold);
        orr_value_set_integer(t->rt, data, "x", l->x);
        orr_value_set_integer(t->rt, data, "y", l->y);
        orr_signal_value(t->rt, w->people[l->to].run, l->what, data);
    }
    w->letters = 0;
}

/* Of this thread only: what else runs on the machine does not count. */
static int64_t cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

bool town_frame(town *t, int64_t us, int64_t budget_us) {
    if (!t->behind && us > 0) {
        orr_advance(t->rt, us * 1000);
        world_move(&t->world, us);
        arrive(t);
        days_begin(t);
        deliver(t);
    }
    int64_t began = cpu_ns();
    t->behind = orr_step(t->rt, budget_us * 1000) == 1;
    t->step_ns = cpu_ns() - began;
    return !t->behind;
}

/* ---- opening --------------------------------------------------------------------------------- */

bool town_reload(town *t, const char *folder) {
    bool good = true;
    for (int kind = 0; kind < KINDS; kind++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s.lua", folder, kind_names[kind]);
        /* a script with a mistake changes nothing: its kind goes on with what it has */
        if (t->days[kind] == NULL) t->days[kind] = orr_load_file(t->rt, path);
        else if (orr_reload(t->days[kind], path) != ORR_OK) good = false;
        good = good && t->days[kind] != NULL;
    }
    if (!good) return false;
    t->folder = folder;
    t->script++;
    return true;
}

town *town_begin(const char *folder, const world *w) {
    town *t = calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->world = *w;
    t->pool = orr_pool_open();
    orr_config config;
    orr_config_init(&config);
    config.alloc = orr_pool_alloc;
    config.alloc_ud = t->pool;
    config.clock = ORR_CLOCK_HOST; /* game time */
    config.gc = ORR_GC_LEFTOVER;
    config.saveable = true;
    config.ud = t;
    config.on_error = on_error;
    config.on_end = days_on_end;
    t->rt = t->pool != NULL ? orr_open(&config) : NULL;
    if (t->rt != NULL && acts_register(t) && town_reload(t, folder)) return t;
    town_close(t);
    return NULL;
}

town *town_open(const char *folder, uint64_t seed) {
    static world w; /* too large for the stack */
    world_make(&w, seed);
    return town_begin(folder, &w);
}

void town_close(town *t) {
    if (t == NULL) return;
    orr_close(t->rt);
    orr_pool_close(t->pool);
    free(t);
}
