/* screen.h - what SDL shows and hears. */
#ifndef TOWN_SCREEN_H
#define TOWN_SCREEN_H

#include "town.h"

#include <SDL2/SDL.h>

enum { TILE = 6, PANEL = 330, POINTS_X = WIDTH * TILE + PANEL, POINTS_Y = HEIGHT * TILE };

typedef struct screen {
    SDL_Window *window;
    SDL_Renderer *renderer;
} screen;

/* What the player has asked for. */
typedef struct wishes {
    bool quit, paused, save, load, reload;
    int percent;  /* of the speed of time */
    int budget;   /* µs of a frame that are the engine's */
    int selected; /* who was clicked; -1: nobody */
} wishes;

/* draw.c */
bool screen_open(screen *s, bool hidden);
void screen_close(screen *s);
void screen_draw(screen *s, town *t, const wishes *wish, double step_ms);
/* Writes what is shown as BMP. False: it has been said why. */
bool screen_picture(screen *s, const char *path);

/* font.c: draws text in capitals, a line for each end of a line. */
void font_draw(SDL_Renderer *renderer, const char *text, int x, int y);

/* input.c: takes what SDL has heard. */
void input_take(wishes *wish, const town *t);
/* Presses a key by its name ("P", "F5"), or clicks on a person: as if the player had. */
bool input_press(const char *key);
bool input_click(const town *t, int who);

#endif
