/* errands.c - a program whose runs outlive it: it keeps them in a store and finds them again by
 * their keys.
 *
 * Build it against an installed Orrery:
 *     cc errands.c $(pkg-config --cflags --libs orrery) -o errands
 * Run it:
 *     ./errands errands.lua errands.db leave   starts errands, and ends in the middle
 *     ./errands errands.lua errands.db         lets them go on, however the first one ended
 *
 * Both start the same way: where a run has the key already, orr_start gives its id, and a run whose
 * process is gone goes on here.
 */
#include <orrery.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const places[] = {"the baker", "the mill", "the castle"};
enum { ERRANDS = sizeof places / sizeof *places, LAST = ERRANDS - 1 };

static void on_error(void *ud, const orr_error_info *error) {
    (void)ud;
    fprintf(stderr, "errands: %s: %s\n", error->code, error->message);
}

static orr_run_id begin(orr_runtime *rt, orr_workflow *errand, int i) {
    char input[80];
    snprintf(input, sizeof input, "{\"to\": \"%s\", \"ask\": %s}", places[i], i == LAST ? "true" : "false");
    orr_start_options options;
    orr_start_options_init(&options);
    options.key = places[i];
    return orr_start(rt, errand, input, &options);
}

/* Until the step that each begins with is done. */
static void work_a_little(orr_runtime *rt, const orr_run_id *runs) {
    for (int i = 0; i < ERRANDS; i++)
        while (orr_node(rt, runs[i], "go") < ORR_NODE_WAITING) orr_step(rt, 1000000);
}

/* 0 where it completed. */
static int end(orr_runtime *rt, orr_run_id run) {
    if (!orr_run_ended(orr_state(rt, run)) && orr_wait(rt, run) != ORR_OK) return 1;
    bool completed = orr_state(rt, run) == ORR_RUN_COMPLETED;
    printf("%s %s\n", orr_run_state_name(orr_state(rt, run)),
           completed ? orr_output(rt, run) : orr_run_error_json(rt, run));
    return completed ? 0 : 1;
}

static int do_errands(orr_runtime *rt, const char *path, bool leave) {
    orr_run_id runs[ERRANDS];
    orr_workflow *errand = orr_load_file(rt, path);
    if (errand == NULL) return 1;
    for (int i = 0; i < ERRANDS; i++) {
        runs[i] = begin(rt, errand, i);
        if (orr_run_id_is_none(runs[i])) return 1;
    }
    if (leave) {
        work_a_little(rt, runs);
        _exit(9); /* as a crash would: nothing is closed, nothing is flushed */
    }
    if (!orr_run_ended(orr_state(rt, runs[LAST])) &&
        orr_signal(rt, runs[LAST], "word", "\"the king is out\"") != ORR_OK)
        return 1;
    int failed = 0;
    for (int i = 0; i < ERRANDS; i++) failed += end(rt, runs[i]);
    return failed > 0;
}

int main(int argc, char **argv) {
    orr_config config;
    orr_config_init(&config);
    config.store = argc > 2 ? argv[2] : "errands.db";
    config.on_error = on_error;
    orr_runtime *rt = orr_open(&config);
    if (rt == NULL) return 1;
    int code = do_errands(rt, argc > 1 ? argv[1] : "errands.lua", argc > 3 && strcmp(argv[3], "leave") == 0);
    orr_close(rt);
    return code;
}
