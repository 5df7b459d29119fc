/* template.c - from a text of the catalogue to a statement; see queries.h */
#include "store/sqlite/inner.h"
#include "store/sqlite/queries.h"

#include <stdlib.h>
#include <string.h>

static bool is_null(const orr_operation *operation, const orr_field *values, const char *name, size_t size) {
    int at = orr_parameter_find(operation, name, size);
    return at < 0 || values[at].type == ORR_FIELD_NULL;
}

/* After the ] of what begins behind its [. */
static const char *skip_part(const char *text) {
    for (int open = 1; open > 0; text++) {
        if (text[0] == '[' && text[1] == ':') open++;
        else if (text[0] == ']') open--;
    }
    return text;
}

char *orr_sqlite_expand(const char *text, const orr_operation *operation, const orr_field *values) {
    size_t columns = strlen(operation->columns);
    char *sql = malloc(strlen(text) + columns + 1), *to = sql;
    int open = 0;
    if (sql == NULL) return NULL;
    while (*text != '\0') {
        if (text[0] == '[' && text[1] == ':') {
            size_t size = strcspn(text + 2, " ");
            bool out = is_null(operation, values, text + 2, size);
            if (!out) open++;
            text = out ? skip_part(text + 2) : text + 2 + size;
        } else if (*text == ']' && open > 0) {
            open--;
            text++;
        } else if (*text == '@') {
            memcpy(to, operation->columns, columns);
            to += columns;
            text++;
        } else {
            *to++ = *text++;
        }
    }
    *to = '\0';
    return sql;
}

int orr_sqlite_bind_named(sqlite3_stmt *s, const orr_operation *operation, const orr_field *values) {
    int rc = SQLITE_OK, n = sqlite3_bind_parameter_count(s);
    for (int i = 1; i <= n && rc == SQLITE_OK; i++) {
        const char *name = sqlite3_bind_parameter_name(s, i);
        int at = name != NULL ? orr_parameter_find(operation, name + 1, strlen(name + 1)) : -1;
        rc = at < 0 ? SQLITE_RANGE : orr_sql_bind_one(s, i, &values[at]);
    }
    return rc;
}
