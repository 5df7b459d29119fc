/* lines.h - reads the prompt's lines: with libedit on a terminal, plainly elsewhere. */
#ifndef ORR_HOST_LINES_H
#define ORR_HOST_LINES_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum { LINE_READ, LINE_INTERRUPTED, LINE_END } line_status;

typedef struct lines lines;

/* NULL when out of memory. L is asked for completions of global names. libedit is opened here,
 * where it is installed and both the standard input and output are a terminal. */
lines *lines_open(lua_State *L);
void lines_close(lines *in);

/* Reads a line behind `prompt`. *text is valid until the next call, without its newline. */
line_status lines_read(lines *in, const char *prompt, const char **text, size_t *len);

/* Adds to the history; `text` may have several lines. */
void lines_remember(lines *in, const char *text);

#endif
