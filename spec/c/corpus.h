/* corpus.h - graphs of real workflows and builds, read from the corpus beside the repository (or
 * where ORR_CORPUS says), each with the figures that others have computed for it. */
#ifndef SPEC_CORPUS_H
#define SPEC_CORPUS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct lua_State lua_State;

typedef struct corpus {
    lua_State *lua; /* reads the files: TSV, JSON by dkjson, which shares no code with ours */
    int row, n_rows;
} corpus;

typedef struct corpus_graph {
    uint32_t n, m;
    char **names;
    uint32_t (*edges)[2]; /* from and to, from 0 */
    int64_t *ns;          /* duration by node, 0 where none was recorded */
} corpus_graph;

/* False, and a line that says so, when there is no corpus or not this part of it. */
bool corpus_open(corpus *c, const char *part, const char *oracle);
void corpus_close(corpus *c);

/* Goes to the next row of the oracle; false after the last. */
bool corpus_next(corpus *c);

/* A field of the present row by its column's name: as text (valid until the next call) and as a
 * number. An unknown column ends the program. */
const char *corpus_text(corpus *c, const char *column);
double corpus_number(corpus *c, const char *column);

/* Reads the graph of the present row; a file that cannot be read ends the program with its name. */
corpus_graph corpus_read(corpus *c);
void corpus_graph_free(corpus_graph *g);

#endif
