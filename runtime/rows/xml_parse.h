/* xml_parse.h - XML as a buffer of what is in it, by libexpat, which is opened at first use.
 * Private to runtime/rows/xml*.c.
 *
 * An element is an event, then its attributes, then its texts and the elements in it, each in its
 * place. `span` of an element is where it ends, so that what is in it can be passed over at once.
 * Nothing outside of the document is ever read, and whatever the document declares is bounded.
 */
#ifndef ORR_ROWS_XML_PARSE_H
#define ORR_ROWS_XML_PARSE_H

#include "rows/inner.h"

#define ORR_XML_DEEPEST 400 /* levels that may be asked for */
#define ORR_XML_STEPS 32    /* names in a path */

typedef enum { ORR_XML_ELEMENT, ORR_XML_ATTRIBUTE, ORR_XML_TEXT } orr_xml_kind;

/* What stands before the bytes of each event; not aligned in the buffer. */
typedef struct orr_xml_event {
    uint32_t kind;
    uint32_t size; /* bytes of the name, which follows; 0 of a text */
    uint64_t span; /* ELEMENT: from the event's beginning to the element's end; else bytes of the
                    * value, which follows the name */
} orr_xml_event;

typedef struct orr_xml_options {
    const char *encoding; /* in the place of the document's own; NULL: its own */
    const char *path;     /* "a/b": these elements are wanted; "//b": those anywhere; NULL: all */
    int max_depth;
    size_t max_bytes; /* of the events of one value */
    size_t max_token; /* of a tag, comment or declaration that has not ended yet */
} orr_xml_options;

typedef struct orr_xml orr_xml;

/* Whether libexpat is there; else a sentence in *why. */
bool orr_xml_available(const char **why);

/* The bytes of a parser, which its owner has. */
size_t orr_xml_size(void);

/* Makes a parser in zeroed memory that does not move. NULL where it can begin; else what is wrong:
 * with the path, or "not enough memory". To be ended in both cases. */
const char *orr_xml_begin(orr_xml *x, orr_alloc alloc, const orr_xml_options *options);

/* Parses a piece; `last`: it is the last one. False where it is no XML, or too much, or there is no
 * memory, with orr_xml_problem set; nothing may be fed then. */
bool orr_xml_feed(orr_xml *x, const char *text, size_t size, bool last);

/* The events of elements that are whole, one after the other, and their bytes. */
const char *orr_xml_ready(const orr_xml *x, size_t *size);

/* Drops them. */
void orr_xml_taken(orr_xml *x);

/* What is wrong, and where: from 1; columns count characters. */
const char *orr_xml_problem(const orr_xml *x, lua_Integer *line, lua_Integer *column);

/* Frees what the parser has. A second time does nothing. */
void orr_xml_end(orr_xml *x);

#endif
