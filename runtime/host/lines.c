/* lines.c - reads the prompt's lines; see lines.h.
 *
 * libedit is opened with dlopen, so that a start that shows no prompt does not pay for it and a
 * machine without it still has a prompt. The declarations follow its editline(3) manual; its
 * library's name ends in the number of the interface they belong to.
 */
#include "host/lines.h"

#include "host/host.h"
#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#define EDIT_LIBRARY "libedit.so.2"
#define HISTORY_LINES 1000

typedef struct edit_line edit_line;
typedef struct edit_history edit_history;
typedef struct edit_event {
    int number;
    const char *text;
} edit_event;
typedef struct edit_text {
    const char *first, *cursor, *end;
} edit_text;

enum {
    EL_PROMPT = 0,
    EL_EDITOR = 2,
    EL_BIND = 4,
    EL_ADDFN = 9,
    EL_HIST = 10,
    EL_GETCFN = 13,
    EL_CLIENTDATA = 14
};
enum { H_SETSIZE = 1, H_ENTER = 10 };
enum { CC_REFRESH = 4, CC_ERROR = 6 };

/* The library is the process's, and its callbacks get nothing but the line: this is how they
 * reach the rest. */
static struct {
    void *handle; /* NULL: plain lines */
    edit_line *(*init)(const char *, FILE *, FILE *, FILE *);
    void (*end)(edit_line *);
    const char *(*gets)(edit_line *, int *);
    int (*set)(edit_line *, int, ...);
    int (*get)(edit_line *, int, ...);
    void (*resize)(edit_line *);
    const edit_text *(*line)(edit_line *);
    int (*insert)(edit_line *, const char *);
    edit_history *(*history_init)(void);
    void (*history_end)(edit_history *);
    int (*history)(edit_history *, edit_event *, int, ...);
} lib;

static const struct {
    const char *name;
    void *into;
} symbols[] = {
    {"el_init", &lib.init},
    {"el_end", &lib.end},
    {"el_gets", &lib.gets},
    {"el_set", &lib.set},
    {"el_get", &lib.get},
    {"el_resize", &lib.resize},
    {"el_line", &lib.line},
    {"el_insertstr", &lib.insert},
    {"history_init", &lib.history_init},
    {"history_end", &lib.history_end},
    {"history", &lib.history},
};

struct lines {
    lua_State *L;
    char *text; /* getline's */
    size_t room;
    edit_line *edit; /* NULL: plain lines */
    edit_history *history;
    const char *prompt;
    mbstate_t decoding;
};

static bool open_library(void) {
    if (lib.handle) return true;
    void *handle = dlopen(EDIT_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!handle) return false;
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(handle, symbols[i].name);
        if (!symbol) {
            dlclose(handle);
            return false;
        }
        memcpy(symbols[i].into, &symbol, sizeof symbol);
    }
    lib.handle = handle;
    return true;
}

/* ---- what libedit calls ---------------------------------------------------------------------- */

static lines *owner(edit_line *edit) {
    void *in = NULL;
    lib.get(edit, EL_CLIENTDATA, &in);
    return in;
}

static const char *show_prompt(edit_line *edit) {
    return owner(edit)->prompt;
}

/* One character of the input; 1, 0 at its end, -1 with EINTR after Ctrl-C, on which libedit
 * gives the line up. */
static int next_char(edit_line *edit, wchar_t *c) {
    lines *in = owner(edit);
    for (;;) {
        char byte;
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n == 0) return 0;
        if (n < 0) {
            if (errno != EINTR || host_interrupt_pending()) return -1;
            lib.resize(edit); /* any other signal: most likely the window has another size */
            continue;
        }
        size_t used = mbrtowc(c, &byte, 1, &in->decoding);
        if (used == (size_t)-1) memset(&in->decoding, 0, sizeof in->decoding);
        if (used <= 1) return 1;
    }
}

static bool in_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Pushes the table that "a.b." before a name stands for; false, with nothing pushed, where there
 * is none. Fields are read raw: asking for a completion must not run code. */
static bool push_table(lua_State *L, const char *path, const char *end) {
    lua_pushglobaltable(L);
    while (path < end) {
        const char *stop = path;
        while (stop < end && in_name(*stop)) stop++;
        lua_pushlstring(L, path, (size_t)(stop - path));
        lua_rawget(L, -2);
        lua_remove(L, -2);
        if (!lua_istable(L, -1)) {
            lua_pop(L, 1);
            return false;
        }
        path = stop + 1;
    }
    return true;
}

/* What all keys of the table on top that begin with `stem` go on with, as far as they agree;
 * pops the table. */
static size_t common_rest(lua_State *L, const char *stem, size_t len, char *rest, size_t room) {
    size_t agreed = 0;
    bool found = false;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) continue;
        const char *key = lua_tostring(L, -2);
        if (strncmp(key, stem, len) != 0) continue;
        const char *more = key + len;
        if (!found) {
            agreed = strnlen(more, room - 1);
            memcpy(rest, more, agreed);
            found = true;
        }
        size_t same = 0;
        while (same < agreed && rest[same] == more[same]) same++;
        agreed = same;
    }
    lua_pop(L, 1);
    rest[agreed] = '\0';
    return agreed;
}

/* Completes the name of a global, or of a field of one, before the cursor. */
static unsigned char complete(edit_line *edit, int key) {
    (void)key;
    lua_State *L = owner(edit)->L;
    const edit_text *text = lib.line(edit);
    const char *stem = text->cursor;
    while (stem > text->first && in_name(stem[-1])) stem--;
    const char *path = stem;
    while (path > text->first && (in_name(path[-1]) || path[-1] == '.' || path[-1] == ':')) path--;
    char rest[128];
    if (!lua_checkstack(L, 4) || !push_table(L, path, stem)) return CC_ERROR;
    if (common_rest(L, stem, (size_t)(text->cursor - stem), rest, sizeof rest) == 0) return CC_ERROR;
    return lib.insert(edit, rest) == 0 ? CC_REFRESH : CC_ERROR;
}

/* ---- lines.h --------------------------------------------------------------------------------- */

static void open_edit(lines *in) {
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !open_library()) return;
    /* Only how bytes make characters: numbers and sorting stay those of the C locale, as scripts
     * expect. */
    setlocale(LC_CTYPE, "");
    in->edit = lib.init(HOST_NAME, stdin, stdout, stderr);
    if (!in->edit) return;
    lib.set(in->edit, EL_CLIENTDATA, in);
    lib.set(in->edit, EL_PROMPT, show_prompt);
    lib.set(in->edit, EL_GETCFN, next_char);
    lib.set(in->edit, EL_EDITOR, "emacs");
    lib.set(in->edit, EL_ADDFN, "complete-name", "completes a global's name", complete);
    lib.set(in->edit, EL_BIND, "^I", "complete-name", (char *)NULL);
    in->history = lib.history_init();
    if (!in->history) return;
    edit_event event;
    lib.history(in->history, &event, H_SETSIZE, HISTORY_LINES);
    lib.set(in->edit, EL_HIST, lib.history, in->history);
}

lines *lines_open(lua_State *L) {
    lines *in = calloc(1, sizeof *in);
    if (!in) return NULL;
    in->L = L;
    open_edit(in);
    return in;
}

void lines_close(lines *in) {
    if (in->history) lib.history_end(in->history);
    if (in->edit) lib.end(in->edit);
    free(in->text);
    free(in);
}

/* Reads with getline or libedit; NULL at the end or when interrupted. */
static const char *read_any(lines *in, ssize_t *len) {
    if (in->edit) {
        int n = 0;
        const char *text = lib.gets(in->edit, &n);
        *len = n;
        return n > 0 ? text : NULL;
    }
    fputs(in->prompt, stdout);
    fflush(stdout);
    *len = getline(&in->text, &in->room, stdin);
    return *len >= 0 ? in->text : NULL;
}

line_status lines_read(lines *in, const char *prompt, const char **text, size_t *len) {
    in->prompt = prompt;
    ssize_t n = 0;
    const char *line = read_any(in, &n);
    if (host_interrupted()) {
        clearerr(stdin);
        putchar('\n');
        return LINE_INTERRUPTED;
    }
    if (!line) return LINE_END;
    while (n > 0 && line[n - 1] == '\n') n--;
    *text = line;
    *len = (size_t)n;
    return LINE_READ;
}

void lines_remember(lines *in, const char *text) {
    edit_event event;
    if (in->history && text[0]) lib.history(in->history, &event, H_ENTER, text);
}
