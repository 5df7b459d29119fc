/* xml_parse.c - libexpat's calls into a buffer of events. No Lua runs in between, so that no error
 * of Lua leaves the parser.
 *
 * What a stranger can send is bounded: entities may make the document at most ten times as large
 * (libexpat counts that), attributes that the document type adds count as well, and it declares
 * at most so many. A token that has not ended is looked at again with each piece that comes,
 * so pieces wait until they double it (as libexpat does from 2.6 on).
 */
#include "rows/xml_parse.h"
#include "rows/xml_lib.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MOST_DECLARED 1000
#define AMPLIFIED 10           /* times */
#define FREE ((size_t)1 << 20) /* bytes that are not counted */
#define HELD ((size_t)1 << 16) /* bytes of a token from which on pieces wait */
#define SLICE ((size_t)1 << 30)
#define NONE SIZE_MAX

struct orr_xml {
    const orr_xml_lib *lib;
    XML_Parser parser;
    orr_byte_list events;
    orr_byte_list held;               /* pieces that wait */
    size_t wait;                      /* bytes that are to come before they are parsed */
    uint64_t given;                   /* bytes that libexpat was given */
    size_t ready;                     /* bytes of events of whole values */
    size_t begun;                     /* where the value that is being read begins */
    size_t text;                      /* where the last text stands that may grow, or NONE */
    size_t open[ORR_XML_DEEPEST + 1]; /* where the elements of the value that are open begin */
    int depth;                        /* elements that are open */
    int value_depth;                  /* depth of the value that is being read; 0: none is */
    int matched;                      /* of the elements that are open, those that fit the path */
    char path[512];
    const char *steps[ORR_XML_STEPS];
    int step_count; /* 0: the root is the value */
    bool anywhere;  /* the path is one name, wherever it stands */
    int max_depth, declared;
    size_t max_bytes, max_token, added; /* added: bytes of attributes that the document type adds */
    char problem[320];
    lua_Integer line, column;
};

/* ---- what is wrong --------------------------------------------------------------------------- */

/* Notes the first thing that is wrong, and where the parser is. */
__attribute__((format(printf, 2, 3))) static void note(orr_xml *x, const char *format, ...) {
    if (x->problem[0]) return;
    va_list args;
    va_start(args, format);
    vsnprintf(x->problem, sizeof x->problem, format, args);
    va_end(args);
    x->line = (lua_Integer)x->lib->GetCurrentLineNumber(x->parser);
    x->column = (lua_Integer)x->lib->GetCurrentColumnNumber(x->parser) + 1;
}

static void stop(orr_xml *x) {
    x->lib->StopParser(x->parser, XML_FALSE);
}

static void note_refused(orr_xml *x) {
    enum XML_Error code = x->lib->GetErrorCode(x->parser);
    if (code == XML_ERROR_NO_ELEMENTS && x->depth > 0)
        note(x, "the text ends before all elements are closed");
    else if (code == XML_ERROR_AMPLIFICATION_LIMIT_BREACH)
        note(x, "its entities make it more than %d times as large", AMPLIFIED);
    else if (code == XML_ERROR_EXTERNAL_ENTITY_HANDLING || code == XML_ERROR_ATTRIBUTE_EXTERNAL_ENTITY_REF)
        note(x, "it refers to an external entity, and nothing outside of the document is ever read");
    else note(x, "%s", x->lib->ErrorString(code));
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool add(orr_xml *x, orr_xml_kind kind, const char *name, size_t name_size, const char *value,
                size_t size) {
    orr_xml_event e = {.kind = kind, .size = (uint32_t)name_size, .span = size};
    orr_byte_list *b = &x->events;
    if (b->size - x->begun + name_size + size > x->max_bytes) {
        note(x, "%s is larger than %s = %zu bytes", x->step_count ? "a row" : "the document",
             x->step_count ? "max_row" : "max_size", x->max_bytes);
        return false;
    }
    if (orr_bytes_add(b, (const char *)&e, sizeof e) && orr_bytes_add(b, name, name_size) &&
        orr_bytes_add(b, value, size))
        return true;
    note(x, "not enough memory");
    return false;
}

/* Sets the span of the event at `at`. */
static void set_span(orr_xml *x, size_t at, uint64_t span) {
    memcpy(x->events.data + at + offsetof(orr_xml_event, span), &span, sizeof span);
}

static bool is_step(const char *step, const char *name) {
    return strcmp(step, "*") == 0 || strcmp(step, name) == 0;
}

/* Whether the element that has just been opened is a value. */
static bool begins_value(orr_xml *x, const char *name) {
    if (x->step_count == 0) return x->depth == 1;
    if (x->anywhere) return is_step(x->steps[0], name);
    if (x->matched == x->depth - 1 && x->matched < x->step_count && is_step(x->steps[x->matched], name))
        x->matched++;
    else if (x->depth == 1)
        note(x, "its outermost element is <%.60s>, and the path begins with \"%.60s\"", name, x->steps[0]);
    return x->matched == x->depth && x->matched == x->step_count;
}

/* What the document type adds to an element costs as much as what is written in it. */
static bool count_added(orr_xml *x, const XML_Char **attributes) {
    int i = x->lib->GetSpecifiedAttributeCount(x->parser);
    for (; attributes[i]; i++) x->added += strlen(attributes[i]) + 1;
    XML_Index at = x->lib->GetCurrentByteIndex(x->parser);
    if (x->added <= FREE + AMPLIFIED * (at > 0 ? (size_t)at : 0)) return true;
    note(x, "the attributes that its document type adds make it more than %d times as large", AMPLIFIED);
    return false;
}

static bool add_element(orr_xml *x, const XML_Char *name, const XML_Char **attributes) {
    x->open[x->depth - x->value_depth] = x->events.size;
    x->text = NONE;
    if (!add(x, ORR_XML_ELEMENT, name, strlen(name), "", 0)) return false;
    for (; *attributes; attributes += 2) {
        if (!add(x, ORR_XML_ATTRIBUTE, attributes[0], strlen(attributes[0]), attributes[1],
                 strlen(attributes[1])))
            return false;
    }
    return true;
}

static void XMLCALL on_start(void *ud, const XML_Char *name, const XML_Char **attributes) {
    orr_xml *x = ud;
    if (++x->depth > x->max_depth) {
        note(x, "elements are nested deeper than max_depth = %d", x->max_depth);
        stop(x);
        return;
    }
    if (!x->value_depth && begins_value(x, name)) {
        x->value_depth = x->depth;
        x->begun = x->events.size;
    }
    bool good = !x->problem[0] && count_added(x, attributes);
    if (good && x->value_depth) good = add_element(x, name, attributes);
    if (!good) stop(x);
}

static void XMLCALL on_end(void *ud, const XML_Char *name) {
    orr_xml *x = ud;
    (void)name;
    if (x->problem[0]) return; /* the end of an empty element at which the parser was stopped */
    if (x->value_depth) {
        size_t at = x->open[x->depth - x->value_depth];
        set_span(x, at, x->events.size - at);
        x->text = NONE;
        if (x->depth == x->value_depth) {
            x->value_depth = 0;
            x->ready = x->events.size;
        }
    }
    if (x->matched == x->depth) x->matched--;
    x->depth--;
}

/* libexpat gives a text in parts: at the ends of lines, and around entities. */
static void XMLCALL on_text(void *ud, const XML_Char *text, int length) {
    orr_xml *x = ud;
    if (!x->value_depth || x->problem[0]) return;
    size_t size = (size_t)length, at = x->events.size;
    if (x->text == NONE) {
        if (add(x, ORR_XML_TEXT, "", 0, text, size)) x->text = at;
        else stop(x);
        return;
    }
    if (at - x->begun + size <= x->max_bytes && orr_bytes_add(&x->events, text, size)) {
        set_span(x, x->text, x->events.size - x->text - sizeof(orr_xml_event));
        return;
    }
    x->text = NONE; /* says which of the two it is */
    if (add(x, ORR_XML_TEXT, "", 0, text, size)) note(x, "not enough memory");
    stop(x);
}

/* ---- declarations and encodings -------------------------------------------------------------- */

/* libexpat compares each attribute that an element may have with all others. */
static void XMLCALL on_attlist(void *ud, const XML_Char *element, const XML_Char *name, const XML_Char *type,
                               const XML_Char *value, int required) {
    orr_xml *x = ud;
    (void)element, (void)name, (void)type, (void)value, (void)required;
    if (++x->declared <= MOST_DECLARED) return;
    note(x, "its document type declares more than %d attributes", MOST_DECLARED);
    stop(x);
}

static void XMLCALL on_skipped(void *ud, const XML_Char *name, int parameter) {
    orr_xml *x = ud;
    if (parameter) return; /* declares what may never be used */
    note(x, "the entity &%.60s; is declared outside of the document, and nothing outside is ever read", name);
    stop(x);
}

static int XMLCALL on_external(XML_Parser parser, const XML_Char *context, const XML_Char *base,
                               const XML_Char *system, const XML_Char *public) {
    (void)parser, (void)context, (void)base, (void)system, (void)public;
    return XML_STATUS_ERROR;
}

/* Of windows-1252 what differs from ISO-8859-1, from 0x80 on (WHATWG, Encoding, index
 * windows-1252); -1: no character. */
static const int windows_1252[32] = {
    0x20AC, -1,     0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, -1,     0x017D, -1,     -1,     0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, -1,     0x017E, 0x0178,
};

static int XMLCALL on_encoding(void *ud, const XML_Char *name, XML_Encoding *encoding) {
    orr_xml *x = ud;
    if (strcasecmp(name, "windows-1252") != 0 && strcasecmp(name, "cp1252") != 0) {
        note(x,
             "the encoding %.60s is not known here; known are UTF-8, UTF-16, ISO-8859-1, US-ASCII and "
             "windows-1252",
             name);
        return XML_STATUS_ERROR;
    }
    for (int i = 0; i < 256; i++) encoding->map[i] = i >= 0x80 && i < 0xA0 ? windows_1252[i - 0x80] : i;
    return XML_STATUS_OK;
}

/* ---- the path -------------------------------------------------------------------------------- */

/* NULL, or what is wrong with it. */
static const char *read_path(orr_xml *x, const char *path) {
    x->anywhere = strncmp(path, "//", 2) == 0;
    if (x->anywhere) path += 2;
    else if (*path == '/') path++;
    size_t size = strlen(path) + 1;
    if (size > sizeof x->path) return "it is too long";
    memcpy(x->path, path, size);
    for (char *at = x->path, *slash; at; at = slash) {
        slash = strchr(at, '/');
        if (slash) *slash++ = '\0';
        if (!*at) return "it names elements, \"feed/entry\", \"feed/*\" or \"//entry\"";
        if (x->step_count == ORR_XML_STEPS || (x->anywhere && slash))
            return x->anywhere ? "after // it has one name" : "it has too many names";
        x->steps[x->step_count++] = at;
    }
    return NULL;
}

/* ---- what others call ------------------------------------------------------------------------ */

bool orr_xml_available(const char **why) {
    return orr_xml_lib_get(why) != NULL;
}

size_t orr_xml_size(void) {
    return sizeof(orr_xml);
}

static void set_handlers(orr_xml *x) {
    const orr_xml_lib *lib = x->lib;
    XML_Parser p = x->parser;
    lib->SetUserData(p, x);
    lib->SetElementHandler(p, on_start, on_end);
    lib->SetCharacterDataHandler(p, on_text);
    lib->SetSkippedEntityHandler(p, on_skipped);
    lib->SetExternalEntityRefHandler(p, on_external);
    lib->SetUnknownEncodingHandler(p, on_encoding, x);
    lib->SetAttlistDeclHandler(p, on_attlist);
    lib->SetBillionLaughsAttackProtectionMaximumAmplification(p, (float)AMPLIFIED);
    lib->SetBillionLaughsAttackProtectionActivationThreshold(p, FREE);
}

const char *orr_xml_begin(orr_xml *x, orr_alloc alloc, const orr_xml_options *options) {
    const char *why = NULL;
    x->lib = orr_xml_lib_get(&why);
    if (!x->lib) return why;
    x->events.alloc = x->held.alloc = alloc;
    x->text = NONE;
    x->max_depth = options->max_depth;
    x->max_bytes = options->max_bytes;
    x->max_token = options->max_token;
    if (options->path && (why = read_path(x, options->path))) return why;
    x->parser = x->lib->ParserCreate(options->encoding);
    if (!x->parser) return "not enough memory";
    set_handlers(x);
    return NULL;
}

static bool parse(orr_xml *x, const char *text, size_t size, bool last) {
    do {
        size_t part = size < SLICE ? size : SLICE;
        x->given += part;
        bool final = last && part == size;
        if (x->lib->Parse(x->parser, text, (int)part, final) != XML_STATUS_OK) {
            note_refused(x);
            return false;
        }
        text += part;
        size -= part;
    } while (size > 0);
    return true;
}

/* How much of what was given belongs to a token that has not ended. */
static bool look_at_rest(orr_xml *x) {
    XML_Index at = x->lib->GetCurrentByteIndex(x->parser);
    uint64_t rest = at < 0 ? x->given : x->given - (uint64_t)at;
    x->wait = rest > HELD ? (size_t)rest : 0;
    if (rest <= x->max_token) return true;
    note(x, "a tag, comment or declaration is longer than %zu bytes", x->max_token);
    return false;
}

static bool hold(orr_xml *x, const char *text, size_t size) {
    if (orr_bytes_add(&x->held, text, size)) return true;
    note(x, "not enough memory");
    return false;
}

bool orr_xml_feed(orr_xml *x, const char *text, size_t size, bool last) {
    if (x->problem[0]) return false;
    bool waits = !last && x->held.size + size < x->wait;
    if ((waits || x->held.size > 0) && !hold(x, text, size)) return false;
    if (waits) return true;
    bool from_held = x->held.size > 0;
    bool good = parse(x, from_held ? x->held.data : text, from_held ? x->held.size : size, last);
    x->held.size = 0;
    return good && (last || look_at_rest(x));
}

const char *orr_xml_ready(const orr_xml *x, size_t *size) {
    *size = x->ready;
    return x->events.data;
}

void orr_xml_taken(orr_xml *x) {
    size_t gone = x->ready;
    if (gone == 0) return;
    x->events.size -= gone;
    memmove(x->events.data, x->events.data + gone, x->events.size);
    x->ready = 0;
    if (!x->value_depth) return;
    x->begun -= gone;
    if (x->text != NONE) x->text -= gone;
    for (int i = 0; i <= x->depth - x->value_depth; i++) x->open[i] -= gone;
}

const char *orr_xml_problem(const orr_xml *x, lua_Integer *line, lua_Integer *column) {
    *line = x->line;
    *column = x->column;
    return x->problem;
}

void orr_xml_end(orr_xml *x) {
    if (x->parser) x->lib->ParserFree(x->parser);
    x->parser = NULL;
    if (x->events.alloc.fn) orr_bytes_free(&x->events);
    if (x->held.alloc.fn) orr_bytes_free(&x->held);
}
