/* overlay.c - what a person does, and why: orr_explain in the words of the town. */
#include "town.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct page {
    char *text;
    size_t room, used;
} page;

__attribute__((format(printf, 2, 3))) static void say(page *p, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(p->text + p->used, p->room - p->used, format, arguments);
    va_end(arguments);
    if (n > 0) p->used = p->used + (size_t)n < p->room ? p->used + (size_t)n : p->room - 1;
}

static void say_why(page *out, town *t, const person *p, const orr_explanation *why) {
    double left = (double)(why->due - orr_time(t->rt)) / 1e9;
    switch (why->kind) {
    case ORR_WHY_TIMER: say(out, "sleeps, %.1f s left", left); break;
    case ORR_WHY_SIGNAL:
        say(out, "waits for '%s'", why->name != NULL ? why->name : "?");
        if (why->due > 0) say(out, ", %.1f s left", left);
        break;
    case ORR_WHY_RUNNING:
        if (p->walking) say(out, "walks to %d, %d", p->to_x / UNIT, p->to_y / UNIT);
        else say(out, "acts");
        break;
    case ORR_WHY_DEPENDENCY: say(out, "after %s", why->by != NULL ? why->by : "?"); break;
    case ORR_WHY_COMPENSATION: say(out, "is undone"); break;
    case ORR_WHY_SETTLED:
        say(out, "%s", orr_node_state_name(why->state));
        if (why->skip != NULL) say(out, " (%s)", why->skip);
        break;
    default: say(out, "%s", why->word);
    }
}

void overlay_text(town *t, int who, char *text, size_t room) {
    const person *p = &t->world.people[who];
    page out = {text, room, 0};
    orr_run_info run = {.size = sizeof run};
    text[0] = 0;
    say(&out, "%s %d, day %u, script %u\n", kind_names[p->kind], who, p->day, p->script);
    say(&out, "gold %d, goods %d, at %d, %d\n", p->gold, p->goods, p->x / UNIT, p->y / UNIT);
    if (orr_run_id_is_none(p->run) || orr_get_run(t->rt, p->run, &run) != ORR_OK) return;
    uint32_t nodes = run.nodes;
    for (uint32_t i = 0; i < nodes; i++) {
        orr_node_info node = {.size = sizeof node};
        orr_explanation why = {.size = sizeof why};
        if (orr_get_node(t->rt, p->run, i, 0, &node) != ORR_OK) continue;
        if (orr_explain(t->rt, p->run, node.name, 0, &why) != ORR_OK) continue;
        say(&out, "%s: ", node.name);
        say_why(&out, t, p, &why);
        say(&out, "\n");
    }
}
