/* main.c - the loop of frames. */
#include "options.h"
#include "screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct game {
    town *town;
    screen screen;
    wishes wish;
    int64_t *steps; /* ns of each orr_step */
    size_t n_steps, room;
    unsigned long frame, held;
    uint64_t due; /* when the next frame is shown, µs */
} game;

/* ---- a frame --------------------------------------------------------------------------------- */

static void print_why(game *g, int who) {
    char text[2048];
    overlay_text(g->town, who, text, sizeof text);
    printf("-- frame %lu\n%s", g->frame, text);
}

static bool do_deeds(game *g, const options *o) {
    for (int i = 0; i < o->n_deeds; i++) {
        const deed *d = &o->deeds[i];
        if (d->frame != g->frame) continue;
        if (d->how == 'p' && !input_press(d->what)) return false;
        if (d->how == 'c' && !input_click(g->town, atoi(d->what))) return false;
        for (int who = 0; d->how == 'l' && who < PEOPLE; who++) print_why(g, who);
    }
    return true;
}

/* Where that fails the town goes on as it is. */
static void load(game *g, const options *o) {
    town *loaded = town_load(g->town->folder, o->save);
    if (loaded == NULL) return;
    town_close(g->town);
    g->town = loaded;
}

static void grant(game *g, const options *o) {
    wishes *wish = &g->wish;
    int before = wish->selected;
    input_take(wish, g->town);
    if (wish->selected >= 0 && wish->selected != before) print_why(g, wish->selected);
    if (wish->save) town_save(g->town, o->save);
    if (wish->load) load(g, o);
    if (wish->reload) town_reload(g->town, o->mod != NULL ? o->mod : o->scripts);
    wish->save = wish->load = wish->reload = false;
}

static bool keep_time(game *g, int64_t ns) {
    if (g->n_steps == g->room) {
        size_t room = g->room * 2 + 1024;
        int64_t *steps = realloc(g->steps, room * sizeof *steps);
        if (steps == NULL) return false;
        g->steps = steps;
        g->room = room;
    }
    g->steps[g->n_steps++] = ns;
    return true;
}

/* Waits for the time of the next frame. Frames that came too late are not made up for. */
static void pace(game *g) {
    uint64_t now = SDL_GetTicks64() * 1000;
    g->due += TICK_US;
    if (g->due < now) g->due = now;
    SDL_Delay((Uint32)((g->due - now) / 1000));
}

/* One turn of the loop: a frame, or a part of one that the budget has cut. */
static bool turn(game *g, const options *o) {
    if (!g->town->behind && !do_deeds(g, o)) return false;
    grant(g, o);
    int64_t us = g->wish.paused ? 0 : TICK_US * g->wish.percent / 100;
    if (town_frame(g->town, us, g->wish.budget)) g->frame++;
    else g->held++;
    if (!keep_time(g, g->town->step_ns)) return false;
    screen_draw(&g->screen, g->town, &g->wish, (double)g->town->step_ns / 1e6);
    if (!o->headless) pace(g);
    return true;
}

/* ---- the report ------------------------------------------------------------------------------ */

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double step_ms(const game *g, double part) {
    return g->n_steps == 0 ? 0 : (double)g->steps[(size_t)(part * (double)(g->n_steps - 1))] / 1e6;
}

static void report(game *g) {
    const world *w = &g->town->world;
    qsort(g->steps, g->n_steps, sizeof *g->steps, ascending);
    printf("frames %lu, held %lu, game time %.3f s\n", g->frame, g->held, (double)w->time / 1e6);
    printf("orr_step p50 %.3f ms, p99 %.3f ms, worst %.3f ms, budget %.3f ms\n", step_ms(g, 0.5),
           step_ms(g, 0.99), step_ms(g, 1), g->wish.budget / 1e3);
    printf("quests %u done, %u undone, %u unpaid\n", w->quests_done, w->quests_undone, w->quests_unpaid);
    for (unsigned i = 0; i < g->town->n_tallies; i++) {
        const tally *t = &g->town->tallies[i];
        printf("script %u: %u %s\n", t->script, t->count, t->word);
    }
    printf("world %016" PRIx64 "\n", world_hash(w));
}

int main(int argc, char **argv) {
    static game g;
    options o;
    if (!read_options(&o, argc, argv)) return 2;
    g.wish = (wishes){.percent = 100, .budget = (int)o.budget, .selected = -1};
    bool good = screen_open(&g.screen, o.headless);
    if (good) g.town = o.load != NULL ? town_load(o.scripts, o.load) : town_open(o.scripts, o.seed);
    good = good && g.town != NULL;
    while (good && !g.wish.quit && (o.frames == 0 || g.frame < o.frames)) good = turn(&g, &o);
    if (good && o.picture != NULL) good = screen_picture(&g.screen, o.picture);
    if (good) report(&g);
    town_close(g.town);
    screen_close(&g.screen);
    free(g.steps);
    return good ? 0 : 1;
}
