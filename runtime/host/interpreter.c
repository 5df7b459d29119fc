/* interpreter.c - runs scripts and the options that a Lua interpreter has: -e -i -l -v -E -W - and
 * --.
 *
 * The behaviour is that of section 7 of the Lua 5.4 manual, with one thing more: code may wait, and
 * what it has left on the loop when it ends is run to its end.
 */
#include "host/host.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 2

static const char usage[] =
    "usage: " HOST_NAME " COMMAND [ARGUMENT...]      a command; `" HOST_NAME " help` lists them\n"
    "       " HOST_NAME " [OPTION...] [SCRIPT [ARGUMENT...]]\n"
    "  -e CODE    run the code\n"
    "  -l NAME    require the module into a global of its name; NAME=MODULE chooses the global\n"
    "  -i         prompt once the script has run\n"
    "  -v         print the version\n"
    "  -E         ignore the environment's variables\n"
    "  -W         turn warnings on\n"
    "  --         end of the options\n"
    "  -          run the standard input\n";

typedef struct invocation {
    char **argv;
    int argc;
    int script; /* index in argv; argc when there is none */
    bool prompt, version, code, no_env;
} invocation;

/* Reads the options up to the script. Returns false at one that is none, having said so. */
static bool read_options(invocation *in) {
    int i = 1;
    for (; i < in->argc && in->argv[i][0] == '-' && in->argv[i][1]; i++) {
        const char *option = in->argv[i];
        char letter = option[1];
        bool takes_value = letter == 'e' || letter == 'l';
        if (strcmp(option, "--") == 0) {
            i++;
            break;
        }
        if (!strchr("eilvEW", letter) || (option[2] && !takes_value)) {
            fprintf(stderr, HOST_NAME ": '%s' is not an option\n%s", option, usage);
            return false;
        }
        if (takes_value && !option[2] && (++i == in->argc || in->argv[i][0] == '-')) {
            fprintf(stderr, HOST_NAME ": '%s' needs %s after it\n%s", option,
                    letter == 'e' ? "code" : "a module's name", usage);
            return false;
        }
        in->prompt |= letter == 'i';
        in->version |= letter == 'v' || letter == 'i';
        in->code |= letter == 'e';
        in->no_env |= letter == 'E';
    }
    in->script = i;
    return true;
}

/* The global `arg`: the script is 0, its arguments follow, what stood before has negative
 * numbers. */
static void set_arg(lua_State *L, const invocation *in) {
    int script = in->script < in->argc ? in->script : 0;
    lua_createtable(L, in->argc - script, script + 1);
    for (int i = 0; i < in->argc; i++) {
        lua_pushstring(L, in->argv[i]);
        lua_rawseti(L, -2, i - script);
    }
    lua_setglobal(L, "arg");
}

/* Runs the chunk, or reports the loading's error, that is on top. */
static bool run_chunk(lua_State *L, int loaded, int nargs) {
    if (loaded == LUA_OK && host_call(L, nargs, 0) == LUA_OK) return true;
    host_report(L);
    return false;
}

/* The same, and what it has left on the loop. */
static bool run_loaded(lua_State *L, int loaded, int nargs) {
    if (!run_chunk(L, loaded, nargs)) return false;
    if (host_drain(L) == LUA_OK) return true;
    host_report(L);
    return false;
}

static bool run_code(lua_State *L, const char *code, const char *name) {
    return run_loaded(L, luaL_loadbuffer(L, code, strlen(code), name), 0);
}

/* NAME or NAME=MODULE */
static bool require_global(lua_State *L, const char *name) {
    const char *equals = strchr(name, '=');
    lua_getglobal(L, "require");
    lua_pushstring(L, equals ? equals + 1 : name);
    if (host_call(L, 1, 1) != LUA_OK) {
        host_report(L);
        return false;
    }
    if (equals) lua_pushlstring(L, name, (size_t)(equals - name));
    else lua_pushstring(L, name);
    lua_insert(L, -2);
    lua_pushglobaltable(L);
    lua_insert(L, -3);
    lua_settable(L, -3);
    lua_pop(L, 1);
    return true;
}

/* -e, -l and -W, in their order */
static bool run_options(lua_State *L, const invocation *in) {
    for (int i = 1; i < in->script; i++) {
        const char *option = in->argv[i];
        if (option[0] != '-') continue;
        bool takes_value = option[1] == 'e' || option[1] == 'l';
        const char *value = !takes_value ? NULL : option[2] ? option + 2 : in->argv[++i];
        if (option[1] == 'e' && !run_code(L, value, "=(command line)")) return false;
        if (option[1] == 'l' && !require_global(L, value)) return false;
        if (option[1] == 'W') lua_warning(L, "@on", 0);
    }
    return true;
}

/* LUA_INIT_5_4, or else LUA_INIT: code, or @file. */
static bool run_init(lua_State *L) {
    const char *name = "LUA_INIT_5_4";
    const char *init = getenv(name);
    if (!init) init = getenv(name = "LUA_INIT");
    if (!init) return true;
    if (init[0] == '@') return run_loaded(L, luaL_loadfile(L, init + 1), 0);
    lua_pushfstring(L, "=%s", name);
    bool ok = run_code(L, init, lua_tostring(L, -1));
    lua_pop(L, 1);
    return ok;
}

static int load_script(lua_State *L, const char *path) {
    int status = luaL_loadfile(L, path);
    if (status == LUA_ERRFILE && errno == ENOENT) {
        lua_pop(L, 1);
        lua_pushfstring(L, "no such file: %s", path);
    }
    return status;
}

static bool run_script(lua_State *L, const invocation *in) {
    const char *path = in->argv[in->script];
    bool from_stdin = strcmp(path, "-") == 0 && strcmp(in->argv[in->script - 1], "--") != 0;
    int loaded = load_script(L, from_stdin ? NULL : path);
    int nargs = in->argc - in->script - 1;
    if (loaded == LUA_OK) {
        luaL_checkstack(L, nargs, "too many arguments for the script");
        for (int i = 1; i <= nargs; i++) lua_pushstring(L, in->argv[in->script + i]);
    }
    /* with a prompt to come, that is where the rest goes on */
    return in->prompt ? run_chunk(L, loaded, nargs) : run_loaded(L, loaded, nargs);
}

int host_interpret(lua_State *L, int argc, char **argv) {
    invocation in = {.argv = argv, .argc = argc};
    if (!read_options(&in)) return EXIT_USAGE;
    bool has_script = in.script < argc;
    bool nothing_else = !has_script && !in.code && !in.version;
    bool on_terminal = isatty(STDIN_FILENO);
    if (in.version || (nothing_else && on_terminal)) puts(host_version());
    set_arg(L, &in);
    if (!in.no_env && !run_init(L)) return EXIT_FAILURE;
    if (!run_options(L, &in)) return EXIT_FAILURE;
    if (has_script && !run_script(L, &in)) return EXIT_FAILURE;
    if (in.prompt || (nothing_else && on_terminal)) host_prompt(L);
    else if (nothing_else && !run_loaded(L, luaL_loadfile(L, NULL), 0)) return EXIT_FAILURE;
    return EXIT_SUCCESS;
}
