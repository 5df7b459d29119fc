/* test_xml.c - the XML parser when memory runs out at any moment: it says so, keeps nothing, and
 * never gives half of a value. libexpat's own memory is the C library's. */
#include "rows/xml_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_heap.h"
#include "skip.h"

enum { ROWS = 300, PIECE = 997, COMMENT = 100000, TEXT = 300000 };

/* Rows with attributes, texts in parts, elements in elements; and a comment so long that pieces
 * wait for its end. */
static char *document(size_t *size) {
    char *text = malloc(TEXT), *at = text;
    assert_non_null(text);
    at += sprintf(at, "<?xml version=\"1.0\"?>\n<feed>");
    for (int i = 0; i < ROWS; i++) {
        at += sprintf(at,
                      "<row id=\"%d\" kind=\"plain\">one\ntwo &amp; three<deep><er>%d</er></deep></row>\n", i,
                      i * i);
        if (i != ROWS / 2) continue;
        at += sprintf(at, "<!--");
        memset(at, '.', COMMENT);
        at += COMMENT;
        at += sprintf(at, "-->");
    }
    at += sprintf(at, "</feed>\n");
    *size = (size_t)(at - text);
    return text;
}

typedef struct reading {
    char problem[320];
    size_t rows; /* whole ones that came */
    size_t bytes;
} reading;

/* Whether `size` bytes are whole elements. */
static void count_rows(reading *r, const char *events, size_t size) {
    for (size_t at = 0; at < size; r->rows++) {
        orr_xml_event e;
        assert_true(size - at >= sizeof e);
        memcpy(&e, events + at, sizeof e);
        assert_int_equal(e.kind, ORR_XML_ELEMENT);
        assert_true(e.span >= sizeof e && e.span <= size - at);
        at += e.span;
    }
    r->bytes += size;
}

static void feed_all(orr_xml *x, reading *r, const char *text, size_t size) {
    for (size_t at = 0; at < size;) {
        size_t part = size - at < PIECE ? size - at : PIECE, ready;
        if (!orr_xml_feed(x, text + at, part, at + part == size)) {
            lua_Integer line, column;
            snprintf(r->problem, sizeof r->problem, "%s", orr_xml_problem(x, &line, &column));
            assert_true(line >= 1 && column >= 1);
            return;
        }
        const char *events = orr_xml_ready(x, &ready);
        count_rows(r, events, ready);
        orr_xml_taken(x);
        at += part;
    }
}

static reading read_with(failing_heap *heap, const char *text, size_t size) {
    reading r = {0};
    orr_xml_options options = {.path = "feed/row",
                               .max_depth = 10,
                               .max_bytes = (size_t)1 << 20,
                               .max_token = (size_t)1 << 20};
    orr_xml *x = calloc(1, orr_xml_size());
    assert_non_null(x);
    const char *why = orr_xml_begin(x, (orr_alloc){failing_heap_fn, heap}, &options);
    assert_null(why);
    feed_all(x, &r, text, size);
    orr_xml_end(x);
    orr_xml_end(x);
    free(x);
    assert_int_equal(heap->bytes, 0);
    return r;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    const char *why = NULL;
    size_t size;
    if (!orr_xml_available(&why)) skip_for("%s", why);
    char *text = document(&size);
    failing_heap heap = {0};
    reading whole = read_with(&heap, text, size);
    assert_string_equal(whole.problem, "");
    assert_int_equal(whole.rows, ROWS);
    long calls = heap.calls;
    assert_true(calls > 3);
    for (long from = 1; from <= calls; from++) {
        heap = (failing_heap){.fail_from = from, .fail_for = 1};
        reading r = read_with(&heap, text, size);
        if (strcmp(r.problem, "not enough memory") != 0)
            print_message("allocation %ld: %s\n", from, r.problem);
        assert_true(heap.failed);
        assert_string_equal(r.problem, "not enough memory");
        assert_true(r.rows < ROWS && r.bytes < whole.bytes);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests_name("xml", tests, NULL, NULL);
}
