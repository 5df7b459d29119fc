/* test_core_saga.c - compensation: what is undone and in which order, by what ended the run and how nodes ended. */
#include "saga.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- order ------------------------------------------------------------------------------------------------------- */

static void order(void **state)
{
    static const saga sagas[] = {
        {"a chain", {{.is = "c"}, {.is = "c a"}, {.is = "f b"}}, .history = "(<b-b<a-a)", .end = ORR_RUN_COMPENSATED},
        {"by end, not by start", {{.is = "C"}, {.is = "c"}, {.is = "F ab"}},
         .history = "(<a-a<b-b)", .end = ORR_RUN_COMPENSATED},
        {"at an equal time", {{.is = "c"}, {.is = "c"}, {.is = "c"}, {.is = "f abc"}},
         .history = "(<c-c<b-b<a-a)", .end = ORR_RUN_COMPENSATED},
        {"what has none is passed by", {{.is = "c"}, {.is = "c a", .how = PLAIN_NODE}, {.is = "f b"}},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"nothing to undo", {{.is = "c", .how = PLAIN_NODE}, {.is = "f a"}}, .history = "", .end = ORR_RUN_FAILED},
        {"nothing went wrong", {{.is = "c"}, {.is = "c a"}}, .history = "", .end = ORR_RUN_COMPLETED},
        {"cancelled", {{.is = "c"}, {.is = "c a"}, {.is = "x b", .how = PLAIN_NODE}}, .cancel_at = {5},
         .history = "(<b-b<a-a)", .end = ORR_RUN_COMPENSATED},
        {"timed out", {{.is = "c"}, {.is = "x a", .how = PLAIN_NODE}}, .timeout = 5,
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"one cannot be undone", {{.is = "c"}, {.is = "c a f"}, {.is = "c b"}, {.is = "f c"}},
         .history = "(<c-c<b!b<a-a)", .end = ORR_RUN_COMPENSATION_FAILED},
        {"cancelled, and nothing else had run", {{.is = "x"}}, .cancel_at = {1},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
    };
    (void)state;
    SAGA_PLAY(sagas);
}

/* ---- which ones -------------------------------------------------------------------------------------------------- */

static void uncertain(void **state)
{
    static const saga sagas[] = {
        {"its own error", {{.is = "f"}}, .history = "", .end = ORR_RUN_FAILED},
        {"attempt timeout", {{.is = "x", .policy = {.timeout = 2 * SECOND}}},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"abandoned after its timeout", {{.is = "X", .policy = {.timeout = 2 * SECOND}}},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"heartbeat", {{.is = "x", .policy = {.heartbeat = 2 * SECOND}}},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"deadline while it ran", {{.is = "x", .policy = {.deadline = 2 * SECOND}}},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"deadline after its own error",
         {{.is = "f", .policy = {.deadline = 5 * SECOND, .retry = {.max = 9, .delay = 2 * SECOND}}}},
         .history = "", .end = ORR_RUN_FAILED},
        {"deadline after a timeout",
         {{.is = "x", .policy = {.timeout = SECOND, .deadline = 5 * SECOND, .retry = {.max = 9, .delay = 9 * SECOND}}}},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"a timeout, then its own error", {{.is = "xf", .policy = {.timeout = 2 * SECOND, .retry = {.max = 1}}}},
         .history = "", .end = ORR_RUN_FAILED},
        {"its own error, then a timeout", {{.is = "fx", .policy = {.timeout = 2 * SECOND, .retry = {.max = 1}}}},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"a timeout, and the fallback failed", {{.is = "x", .policy = {.timeout = 2 * SECOND, .has_fallback = true}}},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"cancelled while it ran", {{.is = "x"}}, .cancel_at = {5}, .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"cancelled and abandoned", {{.is = "X"}}, .cancel_at = {5}, .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"cancelled while it waited", {{.is = "w"}}, .cancel_at = {5}, .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"cancelled in its backoff",
         {{.is = "f", .policy = {.retry = {.max = 1, .delay = 9 * SECOND}}}}, .cancel_at = {5},
         .history = "", .end = ORR_RUN_CANCELLED},
        {"cancelled in the backoff after a timeout",
         {{.is = "x", .policy = {.timeout = SECOND, .retry = {.max = 1, .delay = 9 * SECOND}}}}, .cancel_at = {5},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"cancelled before it ran", {{.is = "x", .how = PLAIN_NODE}, {.is = "c a"}}, .cancel_at = {5},
         .history = "", .end = ORR_RUN_CANCELLED},
        {"cancelled between two iterations",
         {{.is = "c", .policy = {.has_loop = true, .loop_max = 9, .loop_delay = 9 * SECOND}}}, .cancel_at = {5},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"ends cancelled of itself", {{.is = "q"}, {.is = "F", .how = PLAIN_NODE}},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"cancelled because another failed", {{.is = "x"}, {.is = "f", .how = PLAIN_NODE}},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"a failure that is ignored", {{.is = "x", .how = IGNORES, .policy = {.timeout = SECOND}}, {.is = "f a"}},
         .history = "", .end = ORR_RUN_FAILED},
        {"one that ignores failures and completed", {{.is = "c", .how = IGNORES}, {.is = "f a"}},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"from a cache", {{.is = "k"}, {.is = "c a"}, {.is = "f b"}}, .history = "(<b-b)", .end = ORR_RUN_COMPENSATED},
        {"completed by its fallback", {{.is = "f", .policy = {.has_fallback = true}}, {.is = "f a"}},
         .history = "", .end = ORR_RUN_FAILED},
        {"a loop that completed", {{.is = "c", .policy = {.has_loop = true, .loop_max = 9}}, {.is = "f a"}},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
    };
    (void)state;
    SAGA_PLAY(sagas);
}

/* ---- with cleanup nodes, by on_error ----------------------------------------------------------------------------- */

static void cleanup(void **state)
{
    enum { DONE = ORR_JOIN_DONE | PLAIN_NODE };
    static const saga sagas[] = {
        {"stop", {{.is = "c"}, {.is = "f a"}, {.is = "c b", .how = DONE}},
         .history = "(<a-a|*c=c)", .end = ORR_RUN_COMPENSATED},
        {"a cleanup node that fails", {{.is = "c"}, {.is = "f a"}, {.is = "f b", .how = DONE}},
         .history = "(<a-a|*c)", .end = ORR_RUN_COMPENSATED},
        {"one after the other", {{.is = "c"}, {.is = "f a"}, {.is = "c b", .how = DONE}, {.is = "c c", .how = DONE}},
         .history = "(<a-a|*c=c*d=d)", .end = ORR_RUN_COMPENSATED},
        {"what cleans up is not undone", {{.is = "c"}, {.is = "f a"}, {.is = "c b", .how = ORR_JOIN_DONE}},
         .history = "(<a-a|*c=c)", .end = ORR_RUN_COMPENSATED},
        {"nor where there was nothing else", {{.is = "f"}, {.is = "c a", .how = ORR_JOIN_DONE}},
         .history = "|*b=b)", .end = ORR_RUN_FAILED},
        {"one that cleaned up before is",
         {{.is = "c"}, {.is = "c a", .how = ORR_JOIN_DONE}, {.is = "F a"}, {.is = "c c", .how = DONE}},
         .history = "(<b-b<a-a|*d=d)", .end = ORR_RUN_COMPENSATED},
        {"one that runs meanwhile goes on", {{.is = "c"}, {.is = "C a", .how = DONE}, {.is = "f a"}},
         .history = "(<a-a|=b)", .end = ORR_RUN_COMPENSATED},
        {"drain",
         {{.is = "c"}, {.is = "f a"}, {.is = "C a"}, {.is = "c b", .how = DONE}}, .on_error = ORR_ON_ERROR_DRAIN,
         .history = "(<c-c<a-a)", .end = ORR_RUN_COMPENSATED},
        {"continue",
         {{.is = "c"}, {.is = "f a"}, {.is = "C a"}, {.is = "c c"},
          {.is = "c b", .how = DONE}}, .on_error = ORR_ON_ERROR_CONTINUE,
         .history = "(<d-d<c-c<a-a)", .end = ORR_RUN_COMPENSATED},
        {"continue, with a cleanup node that is undone",
         {{.is = "f"}, {.is = "c a", .how = ORR_JOIN_DONE}}, .on_error = ORR_ON_ERROR_CONTINUE,
         .history = "(<b-b)", .end = ORR_RUN_COMPENSATED},
        {"cancelled", {{.is = "c"}, {.is = "x a", .how = PLAIN_NODE}, {.is = "c b", .how = DONE}}, .cancel_at = {5},
         .history = "(<a-a|*c=c)", .end = ORR_RUN_COMPENSATED},
        {"cancelled again while it is undone",
         {{.is = "c - C"}, {.is = "x a", .how = PLAIN_NODE}, {.is = "c b", .how = DONE}}, .cancel_at = {5, 7},
         .history = "(<a/-a)", .end = ORR_RUN_COMPENSATED},
        {"cancelled again before that",
         {{.is = "c"}, {.is = "X a", .how = PLAIN_NODE}, {.is = "c b", .how = DONE}}, .cancel_at = {5, 7},
         .history = "/(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"cancelled again after that",
         {{.is = "c"}, {.is = "x a", .how = PLAIN_NODE}, {.is = "x b", .how = DONE}}, .cancel_at = {5, 9},
         .history = "(<a-a|*c/)", .end = ORR_RUN_COMPENSATED},
        {"cancelled while a failed run is undone",
         {{.is = "c - C"}, {.is = "f a"}, {.is = "c b", .how = DONE}}, .cancel_at = {3},
         .history = "(<a-a|*c=c)", .end = ORR_RUN_COMPENSATED},
        {"cancelled twice while a failed run is undone",
         {{.is = "c - C"}, {.is = "f a"}, {.is = "c b", .how = DONE}}, .cancel_at = {3, 4},
         .history = "(<a/-a)", .end = ORR_RUN_COMPENSATED},
        {"cancelled while one that continued is undone",
         {{.is = "c - C"}, {.is = "f a"}}, .on_error = ORR_ON_ERROR_CONTINUE, .cancel_at = {3, 4},
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"the run's timeout does not bound it",
         {{.is = "c - C"}, {.is = "f a"}}, .on_error = ORR_ON_ERROR_CONTINUE, .timeout = 3,
         .history = "(<a-a)", .end = ORR_RUN_COMPENSATED},
        {"nor that of the cleanup", {{.is = "c - C"}, {.is = "f a"}, {.is = "x b", .how = DONE}}, .cleanup_timeout = 1,
         .history = "(<a-a|*c/)", .end = ORR_RUN_COMPENSATED},
    };
    (void)state;
    SAGA_PLAY(sagas);
}

/* ---- items ------------------------------------------------------------------------------------------------------- */

static void items(void **state)
{
    static const saga sagas[] = {
        {"each on its own", {{.is = "Ccc", .policy = {.has_each = true}}, {.is = "f a"}}, .items = 3,
         .history = "(<a1-a1<a3-a3<a2-a2-a)", .end = ORR_RUN_COMPENSATED},
        {"those that completed, of a node that failed",
         {{.is = "cfc", .policy = {.has_each = true, .each_failures = 0}}}, .items = 3,
         .history = "(<a3-a3<a1-a1-a)", .end = ORR_RUN_COMPENSATED},
        {"those that ended uncertain", {{.is = "cx", .policy = {.has_each = true, .timeout = 5 * SECOND}}}, .items = 2,
         .history = "(<a2-a2<a1-a1-a)", .end = ORR_RUN_COMPENSATED},
        {"one cannot be undone", {{.is = "cc - f", .policy = {.has_each = true}}, {.is = "f a"}}, .items = 2,
         .history = "(<a2!a2<a1!a1!a)", .end = ORR_RUN_COMPENSATION_FAILED},
        {"a node that failed and ignores it",
         {{.is = "cf", .how = IGNORES, .policy = {.has_each = true}}, {.is = "f a"}}, .items = 2,
         .history = "", .end = ORR_RUN_FAILED},
        {"no items", {{.is = "c", .policy = {.has_each = true}}, {.is = "f a"}}, .items = 0,
         .history = "", .end = ORR_RUN_FAILED},
        {"between others", {{.is = "Cc", .policy = {.has_each = true}}, {.is = "w"}, {.is = "f ab"}}, .items = 2,
         .history = "(<b-b<a1-a1<a2-a2-a)", .end = ORR_RUN_COMPENSATED},
        {"of a cleanup node under way none",
         {{.is = "c"}, {.is = "cX a", .how = ORR_JOIN_DONE, .policy = {.has_each = true}},
          {.is = "F a"}}, .items = 2, .cancel_at = {20, 21},
         .history = "(<a-a|/)", .end = ORR_RUN_COMPENSATED},
    };
    (void)state;
    SAGA_PLAY(sagas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(order), cmocka_unit_test(uncertain), cmocka_unit_test(cleanup),
                                       cmocka_unit_test(items)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
