/* input.c - keys and clicks become wishes. */
#include "screen.h"

static void press(wishes *wish, SDL_Keycode key) {
    switch (key) {
    case SDLK_ESCAPE: wish->quit = true; break;
    case SDLK_p: wish->paused = !wish->paused; break;
    case SDLK_s: wish->percent = wish->percent == 100 ? 25 : 100; break;
    case SDLK_r: wish->reload = true; break;
    case SDLK_F5: wish->save = true; break;
    case SDLK_F9: wish->load = true; break;
    default: break;
    }
}

/* From points of the screen to units of the map, and back. */
static int to_units(int point) {
    return (point - TILE / 2) * UNIT / TILE;
}

static int to_point(int units) {
    return units * TILE / UNIT + TILE / 2;
}

void input_take(wishes *wish, const town *t) {
    SDL_Event event;
    while (SDL_PollEvent(&event)) switch (event.type) {
        case SDL_QUIT: wish->quit = true; break;
        case SDL_KEYDOWN: press(wish, event.key.keysym.sym); break;
        case SDL_MOUSEBUTTONDOWN:
            wish->selected = world_at(&t->world, to_units(event.button.x), to_units(event.button.y),
                                      wish->selected);
            break;
        default: break;
        }
}

bool input_press(const char *key) {
    SDL_Event event = {.type = SDL_KEYDOWN};
    event.key.keysym.sym = SDL_GetKeyFromName(key);
    return event.key.keysym.sym != SDLK_UNKNOWN && SDL_PushEvent(&event) == 1;
}

bool input_click(const town *t, int who) {
    SDL_Event event = {.type = SDL_MOUSEBUTTONDOWN};
    if (who < 0 || who >= PEOPLE) return false;
    event.button.x = to_point(t->world.people[who].x);
    event.button.y = to_point(t->world.people[who].y);
    return SDL_PushEvent(&event) == 1;
}
