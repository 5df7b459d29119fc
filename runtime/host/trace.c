/* trace.c - ORRERY_TRACE=core,store,…: what the engine does, a line each on the standard error. */
#include "host/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One write a line, so that lines of two threads do not mix. What cannot be written is lost: this
 * is for looking. */
static void line(void *ud, const char *topic, const char *text) {
    char out[640];
    (void)ud;
    int n = snprintf(out, sizeof out, "%s %s\n", topic, text);
    if (n < 0) return;
    size_t size = (size_t)n < sizeof out ? (size_t)n : sizeof out - 1;
    if (write(STDERR_FILENO, out, size) < 0) return;
}

bool host_trace(orr_trace *trace) {
    const char *text = getenv("ORRERY_TRACE");
    *trace = (orr_trace){.line = line};
    if (text == NULL || *text == '\0') return true;
    const char *wrong = orr_trace_parse(text, &trace->topics);
    if (wrong == NULL) return true;
    fprintf(stderr, HOST_NAME ": ORRERY_TRACE: no topic is called %.*s; expected all",
            (int)strcspn(wrong, ","), wrong);
#define NAME(id, name, what) fputs(", " name, stderr);
    ORR_TRACE_TOPICS(NAME)
#undef NAME
    fputc('\n', stderr);
    return false;
}
