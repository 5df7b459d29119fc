/* workflow.c - loading workflows, and building graphs of C functions. */
#include "api/api.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

/* ---- keeping --------------------------------------------------------------------------------- */

static orr_workflow *keep(orr_runtime *rt, int compiled, const orr_plan *plan) {
    orr_workflow *w = orr_mem_new(&rt->alloc, 1, sizeof *w);
    if (w == NULL) {
        orr_api_fail(rt, ORR_ENOMEM, "out_of_memory", orr_strerror(ORR_ENOMEM));
        luaL_unref(rt->L, LUA_REGISTRYINDEX, compiled);
        return NULL;
    }
    *w = (orr_workflow){.rt = rt, .next = rt->workflows, .compiled = compiled, .plan = plan};
    rt->workflows = w;
    return w;
}

void orr_workflow_free(orr_workflow *workflow) {
    if (workflow == NULL) return;
    orr_runtime *rt = workflow->rt;
    orr_workflow **link = &rt->workflows;
    while (*link != workflow) link = &(*link)->next;
    *link = workflow->next;
    if (rt->L != NULL) luaL_unref(rt->L, LUA_REGISTRYINDEX, workflow->compiled);
    orr_mem_free(&rt->alloc, workflow, 1, sizeof *workflow);
}

uint32_t orr_workflow_size(const orr_workflow *workflow) {
    return workflow != NULL ? workflow->plan->n_nodes : 0;
}

const char *orr_workflow_node(const orr_workflow *workflow, uint32_t node) {
    if (workflow == NULL || node >= workflow->plan->n_nodes) return NULL;
    return orr_plan_name(workflow->plan, node);
}

/* ---- loading --------------------------------------------------------------------------------- */

typedef struct loading {
    orr_runtime *rt;
    const char *path; /* or */
    const char *source, *name;
    const char *allow; /* JSON of what a definition that is data may do */
    bool data;
    int compiled;
    const orr_plan *plan;
} loading;

/* Pushes the table for flow.load: empty, or what is allowed. Raises where that is no object. */
static void push_allowed(lua_State *L, const loading *l) {
    if (l->allow == NULL) {
        lua_createtable(L, 0, 3);
        return;
    }
    orr_api_push_json(L, l->allow, "allow");
    if (!lua_istable(L, -1))
        orr_api_raise_text(L, "orr_load_json: `allow` is a JSON object such as {\"types\": []}");
}

/* As a script does: flow.compile(flow.load(...)). All mistakes are raised at once. */
static int load(lua_State *L) {
    loading *l = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "orrery.definition.prepare");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "compiled");
    if (l->path != NULL) {
        lua_pushstring(L, l->path);
    } else {
        push_allowed(L, l);
        lua_pushstring(L, l->source);
        lua_setfield(L, -2, "source");
        lua_pushstring(L, l->name);
        lua_setfield(L, -2, "name");
        if (l->data) {
            lua_pushliteral(L, "json");
            lua_setfield(L, -2, "format");
        }
    }
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "plan");
    l->plan = orr_check_plan(L, lua_gettop(L))->plan;
    lua_pop(L, 1);
    l->compiled = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static orr_workflow *load_from(orr_runtime *rt, loading *l) {
    l->rt = rt;
    return orr_api_call(rt, load, l) == ORR_OK ? keep(rt, l->compiled, l->plan) : NULL;
}

orr_workflow *orr_load_file(orr_runtime *rt, const char *path) {
    loading l = {.path = path};
    if (path == NULL) {
        orr_api_refuse(rt, "orr_load_file: the path is NULL");
        return NULL;
    }
    return load_from(rt, &l);
}

orr_workflow *orr_load_string(orr_runtime *rt, const char *source, const char *name) {
    loading l = {.source = source, .name = name != NULL ? name : "workflow.lua"};
    if (source == NULL) {
        orr_api_refuse(rt, "orr_load_string: the source is NULL");
        return NULL;
    }
    return load_from(rt, &l);
}

orr_workflow *orr_load_json(orr_runtime *rt, const char *source, const char *name, const char *allow) {
    loading l = {.source = source, .name = name != NULL ? name : "source", .allow = allow, .data = true};
    if (source == NULL) {
        orr_api_refuse(rt, "orr_load_json: the source is NULL");
        return NULL;
    }
    return load_from(rt, &l);
}

typedef struct reloading {
    orr_workflow *workflow;
    const char *name, *source;
    int compiled;
    const orr_plan *plan;
} reloading;

static int reload(lua_State *L) {
    reloading *r = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "orrery.api.reload");
    lua_call(L, 1, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->workflow->compiled);
    lua_pushstring(L, r->name); /* NULL is nil */
    lua_pushstring(L, r->source);
    lua_call(L, 3, 1);
    lua_getfield(L, -1, "plan");
    r->plan = orr_check_plan(L, lua_gettop(L))->plan;
    lua_pop(L, 1);
    r->compiled = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* The handle changes only when everything has gone well. */
static int reload_from(reloading *r) {
    orr_workflow *w = r->workflow;
    int status = orr_api_call(w->rt, reload, r);
    if (status != ORR_OK) return status;
    luaL_unref(w->rt->L, LUA_REGISTRYINDEX, w->compiled);
    w->compiled = r->compiled;
    w->plan = r->plan;
    w->hash[0] = '\0';
    return ORR_OK;
}

int orr_reload(orr_workflow *workflow, const char *path) {
    reloading r = {.workflow = workflow, .name = path};
    return workflow != NULL ? reload_from(&r) : ORR_EINVAL;
}

int orr_reload_string(orr_workflow *workflow, const char *source, const char *name) {
    reloading r = {.workflow = workflow, .source = source, .name = name != NULL ? name : "workflow.lua"};
    if (workflow == NULL) return ORR_EINVAL;
    if (source == NULL) return orr_api_refuse(workflow->rt, "orr_reload_string: the source is NULL");
    return reload_from(&r);
}

/* ---- building -------------------------------------------------------------------------------- */

struct orr_builder {
    orr_runtime *rt;
    orr_builder *next; /* of those of the runtime that are not ended */
    orr_plan_builder *plan;
    orr_native *natives;
    uint32_t n_nodes, cap_nodes;
};

/* The state's: what is built may be needed there after the runtime was closed. */
static const orr_alloc *heap_of(const orr_runtime *rt) {
    return &rt->script->alloc;
}

static int no_memory(orr_runtime *rt) {
    return orr_api_fail(rt, ORR_ENOMEM, "out_of_memory", orr_strerror(ORR_ENOMEM));
}

static void free_builder(orr_builder *b) {
    orr_runtime *rt = b->rt;
    orr_builder **link = &rt->builders;
    while (*link != NULL && *link != b) link = &(*link)->next;
    if (*link != NULL) *link = b->next;
    if (b->plan != NULL) orr_plan_abandon(b->plan);
    orr_mem_free(heap_of(rt), b->natives, b->cap_nodes, sizeof *b->natives);
    orr_mem_free(heap_of(rt), b, 1, sizeof *b);
}

void orr_build_free(orr_builder *b) {
    if (b != NULL) free_builder(b);
}

void orr_api_free_workflows(orr_runtime *rt) {
    while (rt->workflows != NULL) orr_workflow_free(rt->workflows);
    while (rt->builders != NULL) free_builder(rt->builders);
}

orr_builder *orr_build(orr_runtime *rt, const char *name, uint32_t nodes_expected, uint32_t edges_expected) {
    if (rt == NULL) return NULL;
    orr_builder *b = orr_mem_new(heap_of(rt), 1, sizeof *b);
    orr_plan_options options = {.name = name};
    if (b == NULL) {
        no_memory(rt);
        return NULL;
    }
    b->rt = rt;
    b->plan = orr_plan_begin(heap_of(rt), &options);
    b->cap_nodes = nodes_expected > 16 ? nodes_expected : 16;
    b->natives = orr_mem_new(heap_of(rt), b->cap_nodes, sizeof *b->natives);
    if (b->plan == NULL || b->natives == NULL ||
        orr_plan_reserve(b->plan, nodes_expected, edges_expected) != ORR_OK) {
        free_builder(b);
        no_memory(rt);
        return NULL;
    }
    b->next = rt->builders;
    rt->builders = b;
    return b;
}

int64_t orr_build_node(orr_builder *b, const char *name, orr_node_fn fn, void *ud) {
    uint32_t index;
    if (b == NULL) return ORR_EINVAL;
    if (fn == NULL) return orr_api_refuse(b->rt, "orr_build_node: the function is NULL");
    if (b->n_nodes == b->cap_nodes) {
        uint32_t cap = b->cap_nodes * 2;
        orr_native *natives = orr_mem_resize(heap_of(b->rt), b->natives, b->cap_nodes, cap, sizeof *natives);
        if (natives == NULL) return no_memory(b->rt);
        b->natives = natives;
        b->cap_nodes = cap;
    }
    orr_status status = orr_plan_node(b->plan, name, name != NULL ? strlen(name) : 0, 0, &index);
    if (status != ORR_OK) return orr_api_fail(b->rt, status, "invalid_argument", orr_strerror(status));
    b->natives[b->n_nodes++] = (orr_native){fn, ud};
    return index;
}

int orr_build_edge(orr_builder *b, uint32_t from, uint32_t to) {
    if (b == NULL) return ORR_EINVAL;
    orr_status status = orr_plan_edge(b->plan, from, to, ORR_PORT_ANY, false);
    return status == ORR_OK ? ORR_OK : no_memory(b->rt);
}

/* Mistakes as sentences, one a line; those that do not fit are counted. */
typedef struct complaints {
    char text[2048];
    size_t len;
    uint32_t left_out;
} complaints;

static void add_path(complaints *c, const orr_problem *p) {
    for (uint32_t i = 0; i <= p->n_path && c->len < sizeof c->text - 32; i++)
        c->len += (size_t)snprintf(c->text + c->len, sizeof c->text - c->len, "%s%u", i == 0 ? "" : " -> ",
                                   p->path[i % p->n_path]);
}

static void complain(void *ud, const orr_problem *p) {
    static const char *const sentences[] = {
        [ORR_BAD_DUPLICATE_NAME] = "node %u has the same name as node %u; names are unique",
        [ORR_BAD_DUPLICATE_EDGE] = "the edge from node %u to node %u was added twice",
        [ORR_BAD_SELF_EDGE] = "node %u depends on itself",
        [ORR_BAD_UNKNOWN_NODE] = "the edge from node %u to node %u names a node that was not added",
        [ORR_BAD_CYCLE] = "nodes depend on each other in a cycle: ",
        [ORR_BAD_NEED] = "node %u needs more dependencies than it has",
        [ORR_BAD_EMPTY] = "the workflow has no nodes; add one with orr_build_node",
        [ORR_BAD_MIXED_EDGE] = "nodes %u and %u have a plain and an outcome edge between them",
    };
    complaints *c = ud;
    if (c->len > sizeof c->text - 256) {
        c->left_out++;
        return;
    }
    if (c->len > 0) c->text[c->len++] = '\n';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    c->len += (size_t)snprintf(c->text + c->len, sizeof c->text - c->len, sentences[p->kind], p->a, p->b);
#pragma GCC diagnostic pop
    if (p->kind == ORR_BAD_CYCLE) add_path(c, p);
}

typedef struct building {
    orr_builder *b;
    orr_plan *plan;
    int compiled;
} building;

static int wrap_plan(lua_State *L) {
    building *w = lua_touserdata(L, 1);
    orr_planbox *box = orr_plan_push(L, orr_script_of(L), w->plan);
    w->plan = NULL;
    box->natives = w->b->natives;
    box->n_natives = w->b->cap_nodes;
    w->b->natives = NULL;
    lua_createtable(L, 0, 1);
    lua_insert(L, -2);
    lua_setfield(L, -2, "plan");
    w->compiled = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

orr_workflow *orr_build_end(orr_builder *b) {
    if (b == NULL) return NULL;
    orr_runtime *rt = b->rt;
    complaints c = {{0}, 0, 0};
    building w = {.b = b};
    orr_status status = orr_plan_end(b->plan, complain, &c, &w.plan);
    orr_workflow *workflow = NULL;
    b->plan = NULL; /* it was freed */
    if (status != ORR_OK) {
        if (c.left_out > 0) snprintf(c.text + c.len, sizeof c.text - c.len, "\nand %u more", c.left_out);
        orr_api_fail(rt, status == ORR_EINVAL ? ORR_EDEFINITION : status, "definition_error",
                     status == ORR_EINVAL ? c.text : orr_strerror(status));
    } else {
        const orr_plan *plan = w.plan;
        if (orr_api_call(rt, wrap_plan, &w) == ORR_OK) workflow = keep(rt, w.compiled, plan);
        else if (w.plan != NULL) orr_plan_unref(w.plan);
    }
    free_builder(b);
    return workflow;
}
