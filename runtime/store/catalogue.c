/* catalogue.c - the catalogue as tables; see catalogue.h */
#include "store/catalogue.h"

#include <string.h>

#define ROW_OF_QUERY(id, name, parameters, columns, what) {name, parameters, columns},
const orr_operation orr_queries[ORR_QUERY_COUNT] = {ORR_QUERIES(ROW_OF_QUERY)};
#undef ROW_OF_QUERY

#define ROW_OF_CHANGE(id, name, parameters, what) {name, parameters, ""},
const orr_operation orr_changes[ORR_CHANGE_COUNT] = {ORR_CHANGES(ROW_OF_CHANGE)};
#undef ROW_OF_CHANGE

/* The place of the name, or n. */
static size_t place_of(const orr_operation *all, size_t n, const char *name) {
    size_t i = 0;
    while (i < n && strcmp(all[i].name, name) != 0) i++;
    return i;
}

bool orr_query_find(const char *name, orr_query *query) {
    size_t i = place_of(orr_queries, ORR_QUERY_COUNT, name);
    *query = (orr_query)i;
    return i < ORR_QUERY_COUNT;
}

bool orr_change_find(const char *name, orr_change *change) {
    size_t i = place_of(orr_changes, ORR_CHANGE_COUNT, name);
    *change = (orr_change)i;
    return i < ORR_CHANGE_COUNT;
}

/* ---- parameters ------------------------------------------------------------------------------ */

/* By the first letter of its name in the catalogue. */
static orr_parameter_type type_of(char first) {
    switch (first) {
    case 'i': return ORR_PARAMETER_INTEGER;
    case 'n': return ORR_PARAMETER_NUMBER;
    case 'l': return ORR_PARAMETER_LIST;
    case 'f': return ORR_PARAMETER_FLAG;
    default: return ORR_PARAMETER_TEXT;
    }
}

bool orr_parameter_next(const char **at, orr_parameter *parameter) {
    const char *name = *at;
    if (*name == '\0') return false;
    size_t size = strcspn(name, " ");
    const char *type = name + size + 1, *end = type + strcspn(type, ",");
    *parameter = (orr_parameter){name, size, type_of(*type), end[-1] == '?'};
    *at = end + strspn(end, ", ");
    return true;
}

size_t orr_parameter_count(const orr_operation *operation) {
    orr_parameter p;
    size_t n = 0;
    for (const char *at = operation->parameters; orr_parameter_next(&at, &p);) n++;
    return n;
}

int orr_parameter_find(const orr_operation *operation, const char *name, size_t size) {
    orr_parameter p;
    int i = 0;
    for (const char *at = operation->parameters; orr_parameter_next(&at, &p); i++)
        if (p.size == size && memcmp(p.name, name, size) == 0) return i;
    return -1;
}
