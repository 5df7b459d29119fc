/* trace.h - reports what is done, line by line, to whoever asked for it. Part of core.h.
 *
 * The owner of a runtime gives a function and the topics that it wants. Where no topic is wanted a
 * trace point costs one test. Nothing here knows where the lines go.
 */
#ifndef ORR_CORE_TRACE_H
#define ORR_CORE_TRACE_H

#include <stdbool.h>
#include <stddef.h>

/* X(id, name, what its lines say) */
#define ORR_TRACE_TOPICS(X)                                                                                  \
    X(CORE, "core", "what the core decides: attempts started, resumed, cancelled; runs that end")            \
    X(WAIT, "wait", "fibers that begin to wait, and go on")                                                  \
    X(TURN, "turn", "turns of the loop that did something, and how long the process sleeps")                 \
    X(STORE, "store", "commits with their size and time, runs that are claimed, messages")

enum {
#define ORR_TRACE_NUMBER(id, name, what) ORR_TRACE_NUMBER_##id,
    ORR_TRACE_TOPICS(ORR_TRACE_NUMBER)
#undef ORR_TRACE_NUMBER
#define ORR_TRACE_BIT(id, name, what) ORR_TRACE_##id = 1 << ORR_TRACE_NUMBER_##id,
        ORR_TRACE_TOPICS(ORR_TRACE_BIT)
#undef ORR_TRACE_BIT
};

typedef struct orr_trace {
    unsigned topics; /* ORR_TRACE_...; 0: nothing is reported */
    /* Takes one line without its end, at most 500 bytes. May be called from any thread, two at a
     * time, and must not call back. */
    void (*line)(void *ud, const char *topic, const char *text);
    void *ud;
} orr_trace;

static inline bool orr_traces(const orr_trace *trace, unsigned topic) {
    return (trace->topics & topic) != 0;
}

/* Reports one line of that topic; the format is printf's. */
void orr_trace_line(const orr_trace *trace, unsigned topic, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The topics of a list such as "core,store"; "all" is every one. An unknown one ends it: its place
 * in the text, else NULL. */
const char *orr_trace_parse(const char *text, unsigned *topics);

#endif
