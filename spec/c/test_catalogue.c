/* test_catalogue.c - the named queries and changes: their SQL gives the columns that the catalogue
 * says, takes the parameters that it says and no others, and never holds a value; and docs/store.md
 * has them as they are. UPDATE_GOLDEN=1 writes the lists there anew. */
#include "place.h"
#include "store/sqlite/queries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_PARAMETERS = 16 };

/* ---- their SQL ------------------------------------------------------------------------------- */

static orr_field value_of(const orr_parameter *p) {
    switch (p->type) {
    case ORR_PARAMETER_TEXT: return orr_field_text("'; DROP TABLE runs; --");
    case ORR_PARAMETER_LIST: return orr_field_text("[1]");
    default: return orr_field_integer(1);
    }
}

/* Values for all parameters, or for those alone that must have one. */
static void fill(const orr_operation *operation, bool all, orr_field values[MOST_PARAMETERS]) {
    orr_parameter p;
    size_t n = 0;
    for (const char *at = operation->parameters; orr_parameter_next(&at, &p); n++) {
        assert_true(n < MOST_PARAMETERS);
        values[n] = all || !p.may_be_null ? value_of(&p) : (orr_field){.type = ORR_FIELD_NULL};
    }
}

/* As a value, or as a condition of a part. */
static bool names_it(sqlite3_stmt *q, const char *text, const orr_parameter *p) {
    char value[64], part[80];
    snprintf(value, sizeof value, ":%.*s", (int)p->size, p->name);
    snprintf(part, sizeof part, "[%s ", value);
    return sqlite3_bind_parameter_index(q, value) > 0 || strstr(text, part) != NULL;
}

/* Prepares each statement of a text with every value; which parameters the text used. */
static void prepare_all(sqlite3 *db, const char *text, const orr_operation *operation, bool all,
                        bool used[MOST_PARAMETERS]) {
    orr_field values[MOST_PARAMETERS];
    orr_parameter p;
    fill(operation, all, values);
    char *sql = orr_sqlite_expand(text, operation, values);
    assert_non_null(sql);
    assert_null(strstr(sql, "DROP"));
    for (const char *rest = sql; *rest != '\0';) {
        sqlite3_stmt *q = NULL;
        if (sqlite3_prepare_v2(db, rest, -1, &q, &rest) != SQLITE_OK)
            fail_msg("%s: %s in %s", operation->name, sqlite3_errmsg(db), sql);
        if (orr_sqlite_bind_named(q, operation, values) != SQLITE_OK)
            fail_msg("%s names a parameter that the catalogue does not have: %s", operation->name, sql);
        size_t i = 0;
        for (const char *at = operation->parameters; orr_parameter_next(&at, &p); i++)
            used[i] = used[i] || names_it(q, text, &p);
        sqlite3_finalize(q);
    }
    free(sql);
}

static void check_text(sqlite3 *db, const char *text, const orr_operation *operation) {
    bool used[MOST_PARAMETERS] = {false};
    orr_parameter p;
    size_t i = 0;
    if (text == NULL) {
        fail_msg("%s has no SQL", operation->name);
        return;
    }
    prepare_all(db, text, operation, false, used);
    prepare_all(db, text, operation, true, used);
    for (const char *at = operation->parameters; orr_parameter_next(&at, &p); i++)
        if (!used[i]) fail_msg("%s does not use %.*s", operation->name, (int)p.size, p.name);
}

static void texts_fit(void **state) {
    sqlite3 *db;
    (void)state;
    orr_store_close(place_open(ORR_STORE_OWN));
    assert_int_equal(sqlite3_open(place_path, &db), SQLITE_OK);
    for (int i = 0; i < ORR_QUERY_COUNT; i++) check_text(db, orr_sqlite_queries[i], &orr_queries[i]);
    for (int i = 0; i < ORR_CHANGE_COUNT; i++) check_text(db, orr_sqlite_changes[i], &orr_changes[i]);
    sqlite3_close(db);
}

/* ---- asking ---------------------------------------------------------------------------------- */

typedef struct answer {
    char columns[512];
    size_t rows;
} answer;

static void note_names(void *ud, const char *const *columns, size_t n) {
    answer *a = ud;
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(a->columns + used, sizeof a->columns - used, "%s%s", i > 0 ? ", " : "",
                                 columns[i]);
}

static bool note_row(void *ud, const orr_field *values, size_t n) {
    (void)values, (void)n;
    ((answer *)ud)->rows++;
    return true;
}

static orr_status ask(orr_store *s, orr_query query, const orr_field *values, answer *a, orr_reason *reason) {
    orr_store_reader reader = {note_names, note_row, a};
    *a = (answer){0};
    return orr_store_query(s, query, values, &reader, reason);
}

static void columns_fit(void **state) {
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    for (int i = 0; i < ORR_QUERY_COUNT; i++)
        for (int all = 0; all < 2; all++) {
            orr_field values[MOST_PARAMETERS];
            orr_reason reason;
            answer a;
            fill(&orr_queries[i], all, values);
            int labels = orr_parameter_find(&orr_queries[i], "labels", strlen("labels"));
            if (labels >= 0 && all) values[labels] = orr_field_text("[{\"name\":\"'\"}]");
            if (ask(s, (orr_query)i, values, &a, &reason) != ORR_OK)
                fail_msg("%s: %s", orr_queries[i].name, reason.text);
            assert_string_equal(a.columns, orr_queries[i].columns);
        }
    assert_int_equal(place_number(s, "SELECT count(*) FROM runs"), 0);
    orr_store_close(s);
}

/* Each label has to be there, and with its value where one is asked for; a text of a user's is a
 * value, whatever stands in it. */
static void labels_are_values(void **state) {
    static const struct {
        const char *labels;
        size_t rows;
    } cases[] = {
        {"[{\"name\":\"team\"}]", 1},
        {"[{\"name\":\"team\",\"value\":\"a' OR 1 --\"}]", 1},
        {"[{\"name\":\"team\",\"value\":\"a\"}]", 0},
        {"[{\"name\":\"team\"},{\"name\":\"hot\",\"value\":\"true\"},{\"name\":\"n\",\"value\":\"7\"}]", 1},
        {"[{\"name\":\"team\"},{\"name\":\"cold\"}]", 0},
    };
    enum { LABELS = 8, LIMIT = 12, PARAMETERS };
    orr_field values[PARAMETERS] = {[LIMIT] = orr_field_integer(9)};
    orr_new_run run = {.workflow = "w",
                       .labels = "{\"team\":\"a' OR 1 --\",\"hot\":true,\"n\":7}",
                       .created = 1};
    orr_reason reason;
    answer a;
    (void)state;
    orr_store *s = place_open(ORR_STORE_OWN);
    place_id(run.id, 1);
    orr_journal *j = orr_store_create(s, &run);
    orr_store_submit(s, true);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        values[LABELS] = orr_field_text(cases[i].labels);
        assert_int_equal(ask(s, ORR_QUERY_RUNS_NEW, values, &a, &reason), ORR_OK);
        assert_int_equal(a.rows, cases[i].rows);
    }
    orr_store_release(j, true);
    orr_store_close(s);
}

/* A value of another type is refused before any store sees it, and one that must be there too. */
static void values_are_checked(void **state) {
    orr_field number = orr_field_integer(1), text = orr_field_text("1"), null = {.type = ORR_FIELD_NULL};
    orr_store_options options = {.alloc = orr_queue_heap};
    orr_reason reason;
    int64_t changed = 7;
    answer a;
    (void)state;
    orr_store *s = orr_store_memory(&options);
    assert_int_equal(ask(s, ORR_QUERY_RUN, &number, &a, &reason), ORR_EINVAL);
    assert_string_equal(reason.text, "run: the value of id is of another type: expected id text");
    assert_int_equal(ask(s, ORR_QUERY_RUN, &null, &a, &reason), ORR_EINVAL);
    assert_int_equal(ask(s, ORR_QUERY_NODES_OF_RUN, &text, &a, &reason), ORR_EINVAL);
    assert_int_equal(orr_store_change(s, ORR_CHANGE_POOL_PAUSE, &null, &changed, &reason), ORR_EINVAL);
    assert_int_equal(changed, 0);
    assert_int_equal(ask(s, ORR_QUERY_RUN, &text, &a, &reason), ORR_ESTATE);
    assert_int_equal(orr_store_change(s, ORR_CHANGE_POOL_PAUSE, &text, &changed, &reason), ORR_ESTATE);
    orr_store_close(s);
}

static void names_are_found(void **state) {
    orr_query query;
    orr_change change;
    (void)state;
    for (int i = 0; i < ORR_QUERY_COUNT; i++) {
        assert_true(orr_query_find(orr_queries[i].name, &query));
        assert_int_equal(query, i);
    }
    for (int i = 0; i < ORR_CHANGE_COUNT; i++) {
        assert_true(orr_change_find(orr_changes[i].name, &change));
        assert_int_equal(change, i);
    }
    assert_false(orr_query_find("pool_pause", &query) || orr_change_find("run", &change));
}

/* ---- the manual ------------------------------------------------------------------------------ */

static const char PAGE[] = "docs/store.md", BEGINS[] = "<!-- catalogue -->\n",
                  ENDS[] = "<!-- end of the catalogue -->";

#define DOC_QUERY(id, name, parameters, columns, what)                                                       \
    fprintf(f, "| `%s` | %s | %s | %s |\n", name, parameters, columns, what);
#define DOC_CHANGE(id, name, parameters, what) fprintf(f, "| `%s` | %s | %s |\n", name, parameters, what);

/* The lists as the page is to have them, from libc's heap. */
static char *lists(void) {
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    fprintf(f, "\n| query | parameters | columns | rows |\n|---|---|---|---|\n");
    ORR_QUERIES(DOC_QUERY)
    fprintf(f, "\n| change | parameters | |\n|---|---|---|\n");
    ORR_CHANGES(DOC_CHANGE)
    fprintf(f, "\n");
    fclose(f);
    return text;
}

static char *read_page(void) {
    enum { MOST = 1 << 20 };
    FILE *f = fopen(PAGE, "rb");
    char *text = calloc(MOST, 1);
    assert_non_null(f);
    assert_non_null(text);
    assert_true(fread(text, 1, MOST - 1, f) > 0);
    fclose(f);
    return text;
}

static bool may_write(void) {
    const char *update = getenv("UPDATE_GOLDEN");
    return update != NULL && strcmp(update, "1") == 0 && getenv("CI") == NULL;
}

static void the_manual_has_them(void **state) {
    (void)state;
    char *page = read_page(), *wanted = lists(), *from = strstr(page, BEGINS);
    assert_non_null(from);
    from += strlen(BEGINS);
    char *to = strstr(from, ENDS);
    assert_non_null(to);
    bool same = (size_t)(to - from) == strlen(wanted) && memcmp(from, wanted, strlen(wanted)) == 0;
    if (!same && may_write()) {
        FILE *f = fopen(PAGE, "wb");
        assert_non_null(f);
        fprintf(f, "%.*s%s%s", (int)(from - page), page, wanted, to);
        fclose(f);
    } else if (!same) {
        fail_msg("%s does not list the queries and changes of runtime/store/catalogue.h as they are: write "
                 "it anew with UPDATE_GOLDEN=1",
                 PAGE);
    }
    free(page);
    free(wanted);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)
    const struct CMUnitTest tests[] = {TEST(texts_fit),         TEST(columns_fit),
                                       TEST(labels_are_values), TEST(values_are_checked),
                                       TEST(names_are_found),   TEST(the_manual_has_them)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
