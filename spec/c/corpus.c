/* corpus.c - reads graphs of the corpus with a Lua state of its own. */
#include "corpus.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Gets the corpus's folder, a part of it and the oracle's file; returns the oracle's rows as
 * tables by column and a function from a row to its graph: node names, edges as a flat list of
 * indices from 0, seconds by node. Nothing when the oracle is not there. */
static const char READER[] =
    "local root, part, oracle = ...\n"
    "local dir = root .. '/' .. part .. '/'\n"
    "local function slurp(path)\n"
    "  local file <close> = assert(io.open(path, 'rb'))\n"
    "  return assert(file:read('a'))\n"
    "end\n"
    "local function json(path)\n"
    "  local value, _, message = require('dkjson').decode(slurp(path))\n"
    "  return assert(value, message)\n"
    "end\n"
    "local function fields(line)\n"
    "  local list = {}\n"
    "  for field in (line .. '\\t'):gmatch('([^\\t]*)\\t') do list[#list + 1] = field end\n"
    "  return list\n"
    "end\n"
    "local readers = {}\n"
    "function readers.wfinstances(row)\n"
    "  local workflow = json(dir .. row.file).workflow\n"
    "  local names, edges, seconds, index = {}, {}, {}, {}\n"
    "  for i, task in ipairs(workflow.specification.tasks) do names[i], index[task.id] = task.id, i end\n"
    "  for i, task in ipairs(workflow.specification.tasks) do\n"
    "    for _, parent in ipairs(task.parents) do\n"
    "      edges[#edges + 1], edges[#edges + 2] = assert(index[parent], parent) - 1, i - 1\n"
    "    end\n"
    "  end\n"
    "  for _, task in ipairs(workflow.execution.tasks) do seconds[index[task.id]] = task.runtimeInSeconds "
    "end\n"
    "  return names, edges, seconds\n"
    "end\n"
    "readers['task-bench'] = function(row)\n"
    "  local names, edges, index = {}, {}, {}\n"
    "  local pipe <close> = assert(io.popen('gzip -dc \"' .. dir .. 'graphs/' .. row.graph .. '.tsv.gz\"'))\n"
    "  for line in pipe:lines() do\n"
    "    local kind, from, to = table.unpack(fields(line))\n"
    "    if kind == 'N' then\n"
    "      names[#names + 1], index[from] = from, #names\n"
    "    else\n"
    "      edges[#edges + 1], edges[#edges + 2] = assert(index[from], from), assert(index[to], to)\n"
    "    end\n"
    "  end\n"
    "  return names, edges, {}\n"
    "end\n"
    "readers['build-graphs'] = function(row)\n"
    "  local graph = json(dir .. row.name .. '.json')\n"
    "  local names, edges, seconds = {}, {}, {}\n"
    "  for i, node in ipairs(graph.nodes) do\n"
    "    assert(node.id == i - 1)\n"
    "    names[i], seconds[i] = node.outputs[1], (node.ms_j1 or 0) / 1000\n"
    "  end\n"
    "  for _, edge in ipairs(graph.edges) do edges[#edges + 1], edges[#edges + 2] = edge[1], edge[2] end\n"
    "  return names, edges, seconds\n"
    "end\n"
    "local file = io.open(dir .. oracle)\n"
    "if not file then return end\n"
    "local columns, rows = fields(file:read()), {}\n"
    "for line in file:lines() do\n"
    "  local row = {}\n"
    "  for i, field in ipairs(fields(line)) do row[columns[i]] = field end\n"
    "  rows[#rows + 1] = row\n"
    "end\n"
    "file:close()\n"
    "return rows, readers[part]\n";

enum { ROWS = 1, READ = 2, ROW = 3 }; /* what stays on the stack */

static void give_up(corpus *c) {
    fprintf(stderr, "corpus: %s\n", lua_tostring(c->lua, -1));
    exit(1);
}

bool corpus_open(corpus *c, const char *part, const char *oracle) {
    const char *root = getenv("ORR_CORPUS");
    if (!root || !*root) root = "../shared/corpus";
    *c = (corpus){.lua = luaL_newstate()};
    if (!c->lua) abort();
    luaL_openlibs(c->lua);
    if (luaL_loadstring(c->lua, READER) != LUA_OK) give_up(c);
    lua_pushstring(c->lua, root);
    lua_pushstring(c->lua, part);
    lua_pushstring(c->lua, oracle);
    if (lua_pcall(c->lua, 3, LUA_MULTRET, 0) != LUA_OK) give_up(c);
    if (lua_gettop(c->lua) == 0) {
        printf("no %s/%s/%s: skipped (ORR_CORPUS names the corpus's folder)\n", root, part, oracle);
        corpus_close(c);
        return false;
    }
    c->n_rows = (int)lua_rawlen(c->lua, ROWS);
    lua_pushnil(c->lua); /* the place of the row */
    return true;
}

void corpus_close(corpus *c) {
    lua_close(c->lua);
    c->lua = NULL;
}

bool corpus_next(corpus *c) {
    if (c->row == c->n_rows) return false;
    lua_settop(c->lua, READ);
    lua_rawgeti(c->lua, ROWS, ++c->row);
    return true;
}

const char *corpus_text(corpus *c, const char *column) {
    lua_settop(c->lua, ROW);
    if (lua_getfield(c->lua, ROW, column) == LUA_TSTRING) return lua_tostring(c->lua, -1);
    lua_pushfstring(c->lua, "there is no column '%s'", column);
    give_up(c);
    return NULL;
}

double corpus_number(corpus *c, const char *column) {
    const char *text = corpus_text(c, column);
    char *end;
    double number = strtod(text, &end);
    if (end != text && *end == 0) return number;
    lua_pushfstring(c->lua, "column '%s' holds '%s' where a number was expected", column, text);
    give_up(c);
    return 0;
}

static void *block(size_t n, size_t size) {
    void *p = calloc(n ? n : 1, size);
    if (!p) abort();
    return p;
}

corpus_graph corpus_read(corpus *c) {
    lua_State *L = c->lua;
    corpus_graph g = {0};
    lua_settop(L, ROW);
    lua_pushvalue(L, READ);
    lua_pushvalue(L, ROW);
    if (lua_pcall(L, 1, 3, 0) != LUA_OK) give_up(c);
    const int names = ROW + 1, edges = ROW + 2, seconds = ROW + 3;
    g.n = (uint32_t)lua_rawlen(L, names);
    g.m = (uint32_t)lua_rawlen(L, edges) / 2;
    g.names = block(g.n, sizeof *g.names);
    g.ns = block(g.n, sizeof *g.ns);
    g.edges = block(g.m, sizeof *g.edges);
    for (uint32_t i = 0; i < g.n; i++) {
        lua_rawgeti(L, names, i + 1);
        g.names[i] = strdup(lua_tostring(L, -1));
        lua_rawgeti(L, seconds, i + 1);
        g.ns[i] = (int64_t)(lua_tonumber(L, -1) * 1e9 + 0.5);
        lua_pop(L, 2);
    }
    for (uint32_t e = 0; e < 2 * g.m; e++) {
        lua_rawgeti(L, edges, e + 1);
        g.edges[e / 2][e % 2] = (uint32_t)lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    lua_settop(L, ROW);
    return g;
}

void corpus_graph_free(corpus_graph *g) {
    for (uint32_t i = 0; i < g->n; i++) free(g->names[i]);
    free(g->names);
    free(g->edges);
    free(g->ns);
    *g = (corpus_graph){0};
}
