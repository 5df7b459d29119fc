/* draw.c - the map, its people, and the panel beside it. */
#include "screen.h"

#include <stdio.h>

bool screen_open(screen *s, bool hidden) {
    *s = (screen){NULL, NULL};
    if (hidden) SDL_SetHint(SDL_HINT_VIDEODRIVER, "dummy");
    if (SDL_Init(SDL_INIT_VIDEO) == 0)
        s->window = SDL_CreateWindow("town", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, POINTS_X,
                                     POINTS_Y, hidden ? SDL_WINDOW_HIDDEN : SDL_WINDOW_SHOWN);
    if (s->window != NULL)
        s->renderer = SDL_CreateRenderer(s->window, -1, hidden ? SDL_RENDERER_SOFTWARE : 0);
    if (s->renderer == NULL) fprintf(stderr, "town: no window: %s\n", SDL_GetError());
    return s->renderer != NULL;
}

void screen_close(screen *s) {
    if (s->renderer != NULL) SDL_DestroyRenderer(s->renderer);
    if (s->window != NULL) SDL_DestroyWindow(s->window);
    SDL_Quit();
}

typedef struct color {
    Uint8 red, green, blue;
} color;

static const color of_kind[KINDS] = {{222, 214, 196}, {240, 190, 70}, {90, 150, 235}, {225, 85, 85}};

static void fill(SDL_Renderer *r, color c, SDL_Rect box) {
    SDL_SetRenderDrawColor(r, c.red, c.green, c.blue, 255);
    SDL_RenderFillRect(r, &box);
}

static SDL_Rect around(int x, int y, int size) {
    return (SDL_Rect){x * TILE / UNIT - size / 2 + TILE / 2, y * TILE / UNIT - size / 2 + TILE / 2, size,
                      size};
}

static void draw_map(SDL_Renderer *r, const world *w) {
    fill(r, (color){54, 78, 52}, (SDL_Rect){0, 0, WIDTH * TILE, HEIGHT * TILE});
    fill(r, (color){84, 74, 74}, (SDL_Rect){0, 0, 22 * TILE, 22 * TILE}); /* the ruins */
    for (int i = 0; i < PEOPLE; i++) {
        const person *p = &w->people[i];
        color roof = p->kind == TRADER ? (color){150, 110, 60} : (color){74, 98, 68};
        fill(r, roof, around(p->home_x, p->home_y, TILE + 2));
    }
}

static void draw_people(SDL_Renderer *r, const world *w, int selected) {
    for (int i = 0; i < PEOPLE; i++) {
        const person *p = &w->people[i];
        if (i == selected) fill(r, (color){255, 255, 255}, around(p->x, p->y, TILE + 6));
        fill(r, of_kind[p->kind], around(p->x, p->y, TILE - 1));
    }
}

static const char keys[] =
    "P pause  S slow motion\nR reload the scripts\nF5 save  F9 load\nclick: who, and why";

static void draw_panel(SDL_Renderer *r, town *t, const wishes *wish, double step_ms) {
    char text[4096];
    const world *w = &t->world;
    int left = WIDTH * TILE;
    fill(r, (color){28, 30, 34}, (SDL_Rect){left, 0, PANEL, POINTS_Y});
    SDL_SetRenderDrawColor(r, 235, 235, 235, 255);
    snprintf(text, sizeof text, "time %.1f s  %s\nsteps %.2f ms of %.1f ms\nquests %u done, %u undone\n\n%s",
             (double)w->time / 1e6,
             wish->paused          ? "(paused)"
             : wish->percent < 100 ? "(slow)"
                                   : "",
             step_ms, wish->budget / 1e3, w->quests_done, w->quests_undone, keys);
    font_draw(r, text, left + 12, 12);
    if (wish->selected < 0) return;
    overlay_text(t, wish->selected, text, sizeof text);
    font_draw(r, text, left + 12, 180);
}

void screen_draw(screen *s, town *t, const wishes *wish, double step_ms) {
    draw_map(s->renderer, &t->world);
    draw_people(s->renderer, &t->world, wish->selected);
    draw_panel(s->renderer, t, wish, step_ms);
    SDL_RenderPresent(s->renderer);
}

bool screen_picture(screen *s, const char *path) {
    SDL_Surface *picture = SDL_CreateRGBSurfaceWithFormat(0, POINTS_X, POINTS_Y, 24, SDL_PIXELFORMAT_BGR24);
    bool good = picture != NULL &&
                SDL_RenderReadPixels(s->renderer, NULL, SDL_PIXELFORMAT_BGR24, picture->pixels,
                                     picture->pitch) == 0 &&
                SDL_SaveBMP(picture, path) == 0;
    if (!good) fprintf(stderr, "town: %s: %s\n", path, SDL_GetError());
    SDL_FreeSurface(picture);
    return good;
}
