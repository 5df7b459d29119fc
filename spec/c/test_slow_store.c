/* test_slow_store.c - a store that answers late: a back end of this test, which keeps its runs
 * in a store in memory and takes its time, as one over a network would. The loop goes on
 * meanwhile. And what the interface says of work that comes, for the stores that answer at once. */
#include "port/port.h"
#include "store/backend.h"
#include "store/record/record.h"
#include "store/sqlite/sqlite.h"
#include "place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

/* ---- a store that is slow -------------------------------------------------------------------- */

static const int64_t DELAY = 50000000; /* ns */

typedef struct asked {
    struct asked *next;
    orr_store_request request;
    int64_t due;
    char *name, *text, *dedup;
} asked;

typedef struct slow_store {
    orr_store base;
    orr_store *kept; /* in memory */
    asked *first;    /* by the time they are due */
    orr_thread thread;
    orr_mutex mutex;
    orr_condition news;
    int64_t due; /* when the next answer is there, INT64_MAX: none is asked for */
    bool stopping;
} slow_store;

static void *wake_when_due(void *ud) {
    slow_store *s = ud;
    orr_mutex_lock(&s->mutex);
    while (!s->stopping) {
        bool due = s->due <= orr_port_now();
        if (due) {
            s->due = INT64_MAX;
            s->base.wake(s->base.ud);
        } else {
            orr_condition_wait(&s->news, &s->mutex, s->due);
        }
    }
    orr_mutex_unlock(&s->mutex);
    return NULL;
}

static void next_due(slow_store *s) {
    orr_mutex_lock(&s->mutex);
    s->due = s->first != NULL ? s->first->due : INT64_MAX;
    orr_condition_wake(&s->news);
    orr_mutex_unlock(&s->mutex);
}

static char *copy_of(const char *text) {
    return text != NULL ? strdup(text) : NULL;
}

static orr_status ask(orr_store *store, const orr_store_request *request) {
    slow_store *s = (slow_store *)store;
    asked *a = calloc(1, sizeof *a), **link = &s->first;
    assert_non_null(a);
    a->request = *request;
    a->request.name = a->name = copy_of(request->name);
    a->request.text = a->text = copy_of(request->text);
    a->request.dedup = a->dedup = copy_of(request->dedup);
    a->due = orr_port_now() + DELAY;
    while (*link != NULL) link = &(*link)->next;
    *link = a;
    next_due(s);
    return ORR_OK;
}

/* Answers one, from the store in memory or as one that is closed. */
static void answer(slow_store *s, asked *a, bool closed) {
    orr_reason reason = {"the store was closed"};
    orr_store_answer none = {.status = ORR_EIO, .reason = &reason};
    s->first = a->next;
    if (closed) a->request.done(a->request.ud, &none);
    else assert_int_equal(orr_store_ask(s->kept, &a->request), ORR_OK);
    free(a->name);
    free(a->text);
    free(a->dedup);
    free(a);
}

static bool answers(orr_store *store) {
    slow_store *s = (slow_store *)store;
    bool any = false;
    while (s->first != NULL && s->first->due <= orr_port_now()) {
        answer(s, s->first, false);
        any = true;
    }
    next_due(s);
    return any;
}

static bool notice_of(orr_store *store, orr_notice *notice) {
    return orr_store_notice(((slow_store *)store)->kept, notice);
}

static orr_journal *create(orr_store *store, const orr_new_run *run) {
    return orr_store_create(((slow_store *)store)->kept, run);
}

static void close_store(orr_store *store) {
    slow_store *s = (slow_store *)store;
    while (s->first != NULL) answer(s, s->first, true);
    orr_mutex_lock(&s->mutex);
    s->stopping = true;
    orr_condition_wake(&s->news);
    orr_mutex_unlock(&s->mutex);
    orr_thread_join(s->thread);
    orr_condition_destroy(&s->news);
    orr_mutex_destroy(&s->mutex);
    orr_store_close(s->kept);
    free(s);
}

static orr_store *open_slow(const char *url, const char *rest, const orr_store_options *options,
                            orr_reason *reason) {
    static const orr_store_class class = {.kind = "slow",
                                          .close = close_store,
                                          .create = create,
                                          .notice = notice_of,
                                          .ask = ask,
                                          .answers = answers};
    (void)url;
    if (strcmp(rest, "near") != 0) {
        orr_reason_set(reason, "there is no slow store '%s': name one that is near", rest);
        return NULL;
    }
    slow_store *s = calloc(1, sizeof *s);
    orr_store_options kept = *options;
    assert_non_null(s);
    kept.wake = NULL;
    s->base = (orr_store){.class = &class, .alloc = options->alloc, .wake = options->wake, .ud = options->ud};
    s->kept = orr_store_memory(&kept);
    assert_non_null(s->kept);
    s->due = INT64_MAX;
    orr_mutex_init(&s->mutex);
    orr_condition_init(&s->news);
    assert_true(orr_thread_start(&s->thread, wake_when_due, s));
    return &s->base;
}

/* ---- a loop ---------------------------------------------------------------------------------- */

typedef struct world {
    uv_loop_t loop;
    uv_async_t news;
    uv_timer_t timer;
    orr_store *store;
    int ticks, ticks_at_answer, answered;
    orr_status status;
    orr_journal *journal;
    uint64_t records;
    char reason[ORR_REASON_SIZE];
} world;

static void on_news(uv_async_t *handle) {
    world *w = handle->data;
    orr_store_answers(w->store);
}

static void on_tick(uv_timer_t *timer) {
    world *w = timer->data;
    w->ticks++;
}

static void wake(void *ud) {
    world *w = ud;
    uv_async_send(&w->news);
}

static void begin(world *w, const char *url) {
    orr_reason reason = {""};
    orr_store_options options = {.alloc = {orr_alloc_libc, NULL},
                                 .mode = ORR_STORE_OWN,
                                 .wake = wake,
                                 .ud = w};
    *w = (world){0};
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(uv_async_init(&w->loop, &w->news, on_news), 0);
    assert_int_equal(uv_timer_init(&w->loop, &w->timer), 0);
    w->news.data = w->timer.data = w;
    assert_int_equal(uv_timer_start(&w->timer, on_tick, 1, 1), 0);
    w->store = orr_store_open(url, &options, &reason);
    if (w->store == NULL) fail_msg("%s", reason.text);
}

static void end(world *w) {
    orr_store_close(w->store);
    uv_close((uv_handle_t *)&w->news, NULL);
    uv_close((uv_handle_t *)&w->timer, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void done(void *ud, const orr_store_answer *answer) {
    world *w = ud;
    w->answered++;
    w->ticks_at_answer = w->ticks;
    w->status = answer->status;
    w->journal = answer->journal;
    snprintf(w->reason, sizeof w->reason, "%s", answer->reason->text);
}

static bool count_record(void *ud, uint64_t seq, const void *bytes, size_t size) {
    world *w = ud;
    (void)bytes, (void)size;
    assert_int_equal(w->answered, 0); /* before the answer */
    w->records = seq;
    return true;
}

/* Asks, and lets the loop turn until there is an answer. How often the timer went off meanwhile. */
static int ask_for(world *w, orr_store_request_kind kind, uint32_t run) {
    char name[] = "signal", text[] = "{}";
    orr_store_request r =
        {.kind = kind, .visit = count_record, .name = name, .text = text, .done = done, .ud = w};
    int before = w->ticks;
    place_id(r.run, run);
    w->answered = 0;
    w->records = 0;
    assert_int_equal(orr_store_ask(w->store, &r), ORR_OK);
    memset(name, 'x', sizeof name - 1); /* they were copied */
    memset(text, 'x', sizeof text - 1);
    while (w->answered == 0) uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(w->answered, 1);
    return w->ticks_at_answer - before;
}

static void append(orr_journal *j, uint64_t from, uint64_t to) {
    for (uint64_t seq = from; seq <= to; seq++) assert_int_equal(place_append(j, seq), ORR_OK);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void the_loop_goes_on(void **state) {
    orr_notice notice;
    world w;
    (void)state;
    begin(&w, "slow:near");
    orr_journal *j = place_create(w.store, 1);
    append(j, 1, 4);
    orr_store_release(j, false);
    assert_true(ask_for(&w, ORR_REQUEST_CLAIM, 1) > 0);
    assert_int_equal(w.status, ORR_OK);
    assert_non_null(w.journal);
    j = w.journal;
    append(j, 5, 5);
    assert_true(ask_for(&w, ORR_REQUEST_READ, 1) > 0);
    assert_int_equal(w.status, ORR_OK);
    assert_int_equal(w.records, 5);
    assert_true(ask_for(&w, ORR_REQUEST_SEND, 1) > 0);
    assert_int_equal(w.status, ORR_OK);
    assert_true(orr_store_notice(w.store, &notice));
    assert_int_equal(notice.kind, ORR_NOTICE_MESSAGE);
    assert_string_equal(notice.name, "signal");
    assert_string_equal(notice.text, "{}");
    assert_true(ask_for(&w, ORR_REQUEST_CLAIM, 2) > 0);
    assert_int_equal(w.status, ORR_ENOTFOUND);
    assert_null(w.journal);
    assert_non_null(strstr(w.reason, "there is no run "));
    orr_store_release(j, true);
    end(&w);
}

/* Several can be asked for before the first has been answered. */
static void together(void **state) {
    enum { N = 20 };
    world w;
    (void)state;
    begin(&w, "slow:near");
    for (uint32_t n = 1; n <= N; n++) orr_store_release(place_create(w.store, n), false);
    for (uint32_t n = 1; n <= N; n++) {
        orr_store_request r = {.kind = ORR_REQUEST_READ, .visit = count_record, .done = done, .ud = &w};
        place_id(r.run, n);
        assert_int_equal(orr_store_ask(w.store, &r), ORR_OK);
    }
    assert_int_equal(w.answered, 0);
    while (w.answered < N) uv_run(&w.loop, UV_RUN_ONCE);
    end(&w);
}

static void closed_meanwhile(void **state) {
    world w;
    orr_store_request r = {.kind = ORR_REQUEST_CLAIM, .done = done, .ud = &w};
    (void)state;
    begin(&w, "slow:near");
    assert_int_equal(orr_store_ask(w.store, &r), ORR_OK);
    end(&w);
    assert_int_equal(w.answered, 1);
    assert_int_equal(w.status, ORR_EIO);
}

static void answers_at_once(const char *url) {
    world w;
    begin(&w, url);
    orr_journal *j = place_create(w.store, 1);
    append(j, 1, 3);
    orr_store_release(j, false);
    assert_int_equal(orr_store_sync(w.store), ORR_OK);
    assert_int_equal(ask_for(&w, ORR_REQUEST_CLAIM, 1), 0);
    assert_int_equal(w.status, ORR_OK);
    assert_non_null(w.journal);
    j = w.journal;
    assert_int_equal(ask_for(&w, ORR_REQUEST_READ, 1), 0);
    assert_int_equal(w.records, 3);
    assert_int_equal(ask_for(&w, ORR_REQUEST_SEND, 1), 0);
    assert_int_equal(w.status, ORR_OK);
    assert_int_equal(ask_for(&w, ORR_REQUEST_SEND, 9), 0);
    assert_int_equal(w.status, ORR_ENOTFOUND);
    assert_false(orr_store_answers(w.store));
    ask_for(&w, ORR_REQUEST_CLAIM, 1);
    assert_int_equal(w.status, ORR_ESTATE);
    orr_store_release(j, true);
    end(&w);
}

static void memory_at_once(void **state) {
    (void)state;
    answers_at_once("memory:");
}

static void sqlite_at_once(void **state) {
    (void)state;
    answers_at_once(place_path);
}

/* The next notice within half a minute; false: there was none. */
static bool next_notice(orr_store *s, orr_notice *notice) {
    for (int64_t until = orr_port_now() + INT64_C(30000000000); orr_port_now() < until;) {
        if (orr_store_notice(s, notice)) return true;
        uv_sleep(1);
    }
    return false;
}

/* A message for a run that nobody owns is work, once; who claims the run is told the message. */
static void work_comes_to(const char *url) {
    orr_store_options options = {.alloc = {orr_alloc_libc, NULL}, .mode = ORR_STORE_OWN, .wants_work = true};
    orr_reason reason;
    orr_notice notice;
    orr_status status;
    uint8_t id[16];
    orr_store *s = orr_store_open(url, &options, &reason);
    assert_non_null(s);
    orr_journal *j = place_create(s, 1);
    append(j, 1, 2);
    orr_store_release(j, true);
    assert_int_equal(orr_store_sync(s), ORR_OK);
    assert_false(orr_store_notice(s, &notice));
    place_id(id, 1);
    assert_int_equal(orr_store_send(s, id, "go", "1", NULL, &reason), ORR_OK);
    assert_true(next_notice(s, &notice));
    assert_int_equal(notice.kind, ORR_NOTICE_WORK);
    assert_memory_equal(notice.run, id, 16);
    assert_false(orr_store_notice(s, &notice));
    j = orr_store_claim(s, id, false, &status, &reason);
    assert_non_null(j);
    assert_true(next_notice(s, &notice));
    assert_int_equal(notice.kind, ORR_NOTICE_MESSAGE);
    assert_string_equal(notice.name, "go");
    orr_store_release(j, true);
    orr_store_close(s);
}

static void work_in_memory(void **state) {
    (void)state;
    work_comes_to("memory:");
}

static void work_in_sqlite(void **state) {
    (void)state;
    work_comes_to(place_path);
}

static void schemes(void **state) {
    orr_store_options options = {.alloc = {orr_alloc_libc, NULL}, .mode = ORR_STORE_OWN};
    orr_reason reason = {""};
    (void)state;
    assert_null(orr_store_open("slow:far", &options, &reason));
    assert_non_null(strstr(reason.text, "name one that is near"));
    assert_null(orr_store_open("none:x", &options, &reason));
    assert_string_equal(reason.text,
                        "the store 'none:x' is of no known kind: expected sqlite:PATH, slow:PATH, a path, "
                        "or memory:");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loop_goes_on),
        cmocka_unit_test(together),
        cmocka_unit_test(closed_meanwhile),
        cmocka_unit_test(memory_at_once),
        TEST(sqlite_at_once),
        cmocka_unit_test(work_in_memory),
        TEST(work_in_sqlite),
        cmocka_unit_test(schemes),
    };
    orr_sqlite_register();
    if (!orr_store_register("slow", open_slow)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
