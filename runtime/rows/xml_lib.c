/* xml_lib.c - opens libexpat once for the process. */
#include "rows/xml_lib.h"
#include "port/port.h"

#include <pthread.h>

static orr_library library = {.name = "libexpat.so.1",
                              .package = "libexpat1",
                              .needed = "XML needs",
                              .least = "2.4"};
static orr_xml_lib functions;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    if (!orr_library_open(&library)) return;
#define FIND(name) functions.name = (__typeof__(functions.name))orr_library_find(&library, "XML_" #name);
    ORR_XML_FUNCTIONS(FIND)
#undef FIND
}

const orr_xml_lib *orr_xml_lib_get(const char **why) {
    pthread_once(&once, load);
    if (!library.reason[0]) return &functions;
    *why = library.reason;
    return NULL;
}
