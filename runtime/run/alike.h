/* alike.h - nodes that differ in nothing but their name, their handler and their dependencies.
 *
 * A large workflow has few different nodes: most have `run` and `after`, and perhaps the same
 * `retry` as thousands of others. One of each kind is built and checked in Lua; those that are like
 * it are only looked at, and stand here with twelve bytes and four for each dependency. Nodes of a
 * type are alike where all but their config is equal; of that, each is checked.
 */
#ifndef ORR_RUN_ALIKE_H
#define ORR_RUN_ALIKE_H

#include "run/inner.h"

/* Bytes that tell a kind from the others; what needs more is built by itself. */
enum { ALIKE_MARK = 200 };

/* Nodes with the same keys and equal values. */
typedef struct orr_alike_kind {
    uint32_t first; /* the node that was built in Lua */
    uint32_t hash;
    uint32_t how;    /* bits of a node's `how` that follow from its policy; see orr_core_plan */
    uint16_t policy; /* of the plan; the same */
    uint16_t fields; /* of the config of one of its nodes */
    uint8_t len;
    bool typed; /* each of its nodes has a handler of its own, made from its config */
    unsigned char mark[ALIKE_MARK];
} orr_alike_kind;

/* User values. */
enum { ALIKE_NAMES = 1, ALIKE_SPECS, ALIKE_RUNS, ALIKE_VALUES = ALIKE_RUNS };

typedef struct orr_alike {
    orr_owned owned;
    uint32_t n; /* nodes */
    /* by node: the number of its kind, from 1; 0: it is like no other */
    uint32_t *kind;
    /* by node, and one more: where its dependencies begin among `from`. Nodes that were built in
     * Lua have none here. */
    uint32_t *begin;
    uint32_t *from;
    size_t n_from, room;
    orr_alike_kind *kinds;
    uint32_t n_kinds, kinds_room;
} orr_alike;

/* The kind of node i (from 0), where it is one of those that were not built in Lua; else NULL. */
static inline orr_alike_kind *orr_alike_kind_of(const orr_alike *a, uint32_t i) {
    orr_alike_kind *kind = a->kind[i] ? &a->kinds[a->kind[i] - 1] : NULL;
    return kind && kind->first != i ? kind : NULL;
}
/* The kind of which node i is the one that was built in Lua, or NULL. */
static inline orr_alike_kind *orr_alike_kind_by(const orr_alike *a, uint32_t i) {
    orr_alike_kind *kind = a->kind[i] ? &a->kinds[a->kind[i] - 1] : NULL;
    return kind && kind->first == i ? kind : NULL;
}
/* Pushes the handler of node i (from 0) of the kind; `idx` is the result of core.alike. */
void orr_alike_push_run(lua_State *L, int idx, const orr_alike_kind *kind, uint32_t i);
/* What is behind core.alike's result at idx; NULL where that is nil. */
orr_alike *orr_check_alike(lua_State *L, int idx);
/* Pushes the function core.alike. */
void orr_open_alike(lua_State *L, orr_script *s);

#endif
