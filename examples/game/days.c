/* days.c - each day of each person is a run: how it begins, and what is counted where it ends. */
#include "town.h"

#include <stdio.h>
#include <string.h>

static void count_day(town *t, unsigned script, const char *word) {
    for (unsigned i = 0; i < t->n_tallies; i++) {
        if (t->tallies[i].script != script || strcmp(t->tallies[i].word, word) != 0) continue;
        t->tallies[i].count++;
        return;
    }
    if (t->n_tallies == TALLIES) return;
    tally *new = &t->tallies[t->n_tallies++];
    *new = (tally){.script = script, .count = 1};
    snprintf(new->word, sizeof new->word, "%s", word);
}

/* The next day begins with the next tick, see days_begin. */
void days_on_end(void *ud, orr_run_id run, orr_run_state state, void *data) {
    town *t = ud;
    person *p = data;
    if (p == NULL) return;
    const char *word = orr_value_text(t->rt, orr_output_value(t->rt, run), NULL);
    count_day(t, p->script, word != NULL ? word : orr_run_state_name(state));
    p->awake = false;
    if (p->kind == HERO) {
        t->world.quests_done += state == ORR_RUN_COMPLETED;
        t->world.quests_undone += state == ORR_RUN_COMPENSATED;
        t->world.quests_unpaid += state != ORR_RUN_COMPLETED && p->gold != p->dawn_gold;
    }
}

static bool begin_day(town *t, person *p) {
    orr_start_options options;
    orr_start_options_init(&options);
    size_t who = (size_t)(p - t->world.people);
    options.seed = world_mix(t->world.seed, who, ++p->day);
    options.data = p;
    options.input = orr_value_object(t->rt);
    orr_value_set_integer(t->rt, options.input, "who", (int64_t)who);
    orr_value_set_integer(t->rt, options.input, "home_x", p->home_x / UNIT);
    orr_value_set_integer(t->rt, options.input, "home_y", p->home_y / UNIT);
    p->run = orr_start(t->rt, t->days[p->kind], NULL, &options);
    p->script = t->script;
    p->dawn_gold = p->gold;
    p->awake = !orr_run_id_is_none(p->run);
    return p->awake;
}

void days_begin(town *t) {
    for (int i = 0; i < PEOPLE; i++) {
        person *p = &t->world.people[i];
        if (p->awake) continue;
        if (!orr_run_id_is_none(p->run)) orr_forget(t->rt, p->run);
        begin_day(t, p);
    }
}
