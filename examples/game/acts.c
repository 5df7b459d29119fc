/* acts.c - what a script can do in the world: node types in C that read and write values. */
#include "town.h"

#include <stdio.h>
#include <string.h>

static int number(orr_runtime *rt, const orr_call *call, const char *field) {
    return (int)orr_value_integer(rt, orr_value_field(rt, call->config_value, field), 0);
}

static bool refused(orr_runtime *rt, const orr_call *call, bool wrong, const char *why) {
    if (wrong) orr_fail(rt, call->token, "town_refused", why, false);
    return wrong;
}

/* town.walk { x, y }: completes when the person has arrived, many frames later. After a load it
 * begins again: from where the person stands then. */
static void walk(void *ud, orr_runtime *rt, const orr_call *call) {
    (void)ud;
    person *p = call->run_data;
    int x = number(rt, call, "x"), y = number(rt, call, "y");
    bool outside = x < 0 || y < 0 || x >= WIDTH || y >= HEIGHT;
    if (refused(rt, call, outside, "that is outside of the map")) return;
    p->to_x = x * UNIT;
    p->to_y = y * UNIT;
    p->walking = true;
    p->walk = call->token;
}

static void stand_still(void *ud, orr_runtime *rt, orr_token token) {
    town *t = ud;
    for (int i = 0; i < PEOPLE; i++) {
        person *p = &t->world.people[i];
        if (p->walking && p->walk.a == token.a && p->walk.b == token.b) p->walking = false;
    }
    orr_fail(rt, token, "cancelled", "the walk was given up", false);
}

/* town.tell { to, what, gold }: a letter, which is the signal `what` of the other's day. */
static void tell(void *ud, orr_runtime *rt, const orr_call *call) {
    town *t = ud;
    person *p = call->run_data;
    const char *what = orr_value_text(rt, orr_value_field(rt, call->config_value, "what"), NULL);
    letter l = {.to = number(rt, call, "to"), .gold = number(rt, call, "gold")};
    if (refused(rt, call, what == NULL || l.to < 0 || l.to >= PEOPLE, "it needs somebody and a word")) return;
    snprintf(l.what, sizeof l.what, "%s", what);
    l.from = (int)(p - t->world.people);
    l.number = p->letters_sent++;
    l.x = p->x / UNIT;
    l.y = p->y / UNIT;
    if (refused(rt, call, !world_post(&t->world, &l), "the post is full")) return;
    orr_complete(rt, call->token, NULL);
}

/* town.give { gold, goods }: into the person's own purse, or out of it where below 0. */
static void give(void *ud, orr_runtime *rt, const orr_call *call) {
    (void)ud;
    person *p = call->run_data;
    int gold = p->gold + number(rt, call, "gold"), goods = p->goods + number(rt, call, "goods");
    if (refused(rt, call, gold < 0 || goods < 0, "there is not so much in the purse")) return;
    p->gold = gold;
    p->goods = goods;
    orr_complete(rt, call->token, NULL);
}

/* town.find { kind }: the nearest of that kind, { who, x, y }. */
static void find(void *ud, orr_runtime *rt, const orr_call *call) {
    town *t = ud;
    const char *name = orr_value_text(rt, orr_value_field(rt, call->config_value, "kind"), NULL);
    int kind = 0;
    while (kind < KINDS && (name == NULL || strcmp(name, kind_names[kind]) != 0)) kind++;
    int who = kind < KINDS ? world_find(&t->world, call->run_data, (role)kind) : -1;
    if (refused(rt, call, who < 0, "there is nobody of that kind")) return;
    orr_value found = orr_value_object(rt);
    orr_value_set_integer(rt, found, "who", who);
    orr_value_set_integer(rt, found, "x", t->world.people[who].x / UNIT);
    orr_value_set_integer(rt, found, "y", t->world.people[who].y / UNIT);
    orr_complete_value(rt, call->token, found);
}

bool acts_register(town *t) {
    const orr_type types[] = {
        {.name = "town.walk", .doc = "Walks to a tile.", .start = walk, .cancel = stand_still},
        {.name = "town.tell", .doc = "Sends a letter, which is a signal.", .start = tell},
        {.name = "town.give", .doc = "Puts gold and goods into the own purse.", .start = give},
        {.name = "town.find", .doc = "Finds the nearest of a kind.", .start = find},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        orr_type type = types[i];
        type.size = sizeof type;
        type.ud = t;
        type.values = true;
        if (orr_register(t->rt, &type) != ORR_OK) return false;
    }
    return true;
}
