/* game.c - a program that steps a workflow inside its frames.
 *
 * Build it against an installed Orrery:  cc game.c $(pkg-config --cflags --libs orrery) -o
 * game
 * Run it:                                ./game patrol.lua
 *
 * Each frame gives the engine half a millisecond. One node type, guard.walk, is the game's own: its
 * work takes several frames, so it keeps a token and answers when the guard has arrived.
 */
#include <orrery.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { GUARDS = 32, STEPS_A_FRAME = 7 };

typedef struct guard {
    bool walking;
    orr_token token;
    int steps, distance;
} guard;

typedef struct game {
    guard guards[GUARDS];
    unsigned frames;
} game;

/* guard.walk { to = n }: answers { "steps": ... } some frames later. */
static void walk(void *ud, orr_runtime *rt, const orr_call *call) {
    game *g = ud;
    int to = 0;
    sscanf(call->config, "{\"to\":%d", &to);
    for (int i = 0; i < GUARDS; i++) {
        if (g->guards[i].walking) continue;
        g->guards[i] = (guard){true, call->token, 0, 20 * to};
        return;
    }
    orr_fail(rt, call->token, "no_guard", "all guards are under way", true);
}

static void stand_still(void *ud, orr_runtime *rt, orr_token token) {
    game *g = ud;
    for (int i = 0; i < GUARDS; i++)
        if (g->guards[i].walking && g->guards[i].token.a == token.a && g->guards[i].token.b == token.b) {
            g->guards[i].walking = false;
            orr_fail(rt, token, "cancelled", "the guard was called back", false);
        }
}

/* What a game does in a frame besides. */
static void frame(game *g, orr_runtime *rt) {
    g->frames++;
    for (int i = 0; i < GUARDS; i++) {
        guard *one = &g->guards[i];
        if (!one->walking) continue;
        one->steps += STEPS_A_FRAME;
        if (one->steps < one->distance) continue;
        char answer[32];
        snprintf(answer, sizeof answer, "{\"steps\":%d}", one->steps);
        one->walking = false;
        orr_complete(rt, one->token, answer);
    }
    nanosleep(&(struct timespec){.tv_nsec = 4000000}, NULL); /* what is left of it */
}

static void on_error(void *ud, const orr_error_info *error) {
    (void)ud;
    fprintf(stderr, "game: %s: %s\n", error->code, error->message);
}

static int play(orr_runtime *rt, game *g, const char *path) {
    orr_type type = {.size = sizeof type,
                     .name = "guard.walk",
                     .doc = "Walks to a post.",
                     .ud = g,
                     .start = walk,
                     .cancel = stand_still};
    if (orr_register(rt, &type) != ORR_OK) return 1;
    orr_workflow *patrol = orr_load_file(rt, path);
    if (patrol == NULL) return 1;
    orr_run_id run = orr_start(rt, patrol, "{\"posts\": 3, \"alarm\": true}", NULL);
    if (orr_run_id_is_none(run)) return 1;
    while (!orr_run_ended(orr_state(rt, run))) {
        orr_step(rt, 500000); /* at most half a millisecond of this frame */
        frame(g, rt);
    }
    bool completed = orr_state(rt, run) == ORR_RUN_COMPLETED;
    printf("patrol %s after %u frames\n", orr_run_state_name(orr_state(rt, run)), g->frames);
    printf("%s\n", completed ? orr_output(rt, run) : orr_run_error_json(rt, run));
    return completed ? 0 : 1;
}

int main(int argc, char **argv) {
    static game g;
    orr_config config;
    orr_config_init(&config);
    config.on_error = on_error;
    orr_runtime *rt = orr_open(&config);
    if (rt == NULL) return 1;
    int code = play(rt, &g, argc > 1 ? argv[1] : "patrol.lua");
    orr_close(rt);
    return code;
}
