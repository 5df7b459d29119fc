/* trace.c - see trace.h */
#include "core/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned topic;
} topics_known[] = {
#define TOPIC(id, name, what) {name, ORR_TRACE_##id},
    ORR_TRACE_TOPICS(TOPIC)
#undef TOPIC
        {"all", ~0u},
};
enum { KNOWN = sizeof topics_known / sizeof *topics_known };

static const char *name_of(unsigned topic) {
    for (int i = 0; i < KNOWN; i++)
        if (topics_known[i].topic == topic) return topics_known[i].name;
    return "?";
}

void orr_trace_line(const orr_trace *trace, unsigned topic, const char *format, ...) {
    char text[501];
    va_list args;
    if (!orr_traces(trace, topic)) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    trace->line(trace->ud, name_of(topic), text);
}

const char *orr_trace_parse(const char *text, unsigned *topics) {
    *topics = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        int i = 0;
        while (i < KNOWN &&
               (strlen(topics_known[i].name) != len || strncmp(topics_known[i].name, text, len) != 0))
            i++;
        if (i == KNOWN) return text;
        *topics |= topics_known[i].topic;
        text += len;
        if (*text == ',') text++;
    }
    return NULL;
}
