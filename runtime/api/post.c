/* post.c - answers and signals from any thread: a list that threads push onto, and that the
 * thread of the runtime takes whole; and a handle on the loop that wakes it.
 *
 * What is posted lies in the C library's heap: the host's allocator and Lua's state belong to the
 * runtime's thread.
 */
#include "api/api.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef enum { POST_COMPLETE, POST_FAIL, POST_SIGNAL } post_kind;

typedef struct post {
    struct post *next;
    post_kind kind;
    bool retryable;
    orr_token token;
    orr_run_id run;
    const char *texts[2]; /* in what follows; NULL where none was given */
    char text[];
} post;

struct orr_posts {
    uv_async_t wakeup;
    orr_alloc alloc;
    orr_runtime *rt;
    _Atomic(post *) last; /* what was posted, the latest first */
};

/* ---- on the runtime's thread ----------------------------------------------------------------- */

static void deliver(orr_runtime *rt, const post *p) {
    switch (p->kind) {
    case POST_COMPLETE: orr_complete(rt, p->token, p->texts[0]); break;
    case POST_FAIL: orr_fail(rt, p->token, p->texts[0], p->texts[1], p->retryable); break;
    case POST_SIGNAL: orr_signal(rt, p->run, p->texts[0], p->texts[1]); break;
    }
}

/* In the order in which they were posted. */
static post *take_all(struct orr_posts *posts) {
    post *first = NULL;
    for (post *p = atomic_exchange(&posts->last, NULL), *next; p != NULL; p = next) {
        next = p->next;
        p->next = first;
        first = p;
    }
    return first;
}

void orr_api_take_posts(orr_runtime *rt) {
    if (!orr_api_has_posts(rt)) return;
    for (post *p = take_all(rt->posts), *next; p != NULL; p = next) {
        next = p->next;
        deliver(rt, p);
        free(p);
    }
}

bool orr_api_has_posts(const orr_runtime *rt) {
    return rt->posts != NULL && atomic_load_explicit(&rt->posts->last, memory_order_relaxed) != NULL;
}

static void woken(uv_async_t *wakeup) {
    struct orr_posts *posts = wakeup->data;
    if (posts->rt != NULL) orr_api_take_posts(posts->rt);
}

static void closed(uv_handle_t *handle) {
    struct orr_posts *posts = handle->data;
    orr_alloc alloc = posts->alloc;
    orr_mem_free(&alloc, posts, 1, sizeof *posts);
}

int orr_api_open_posts(orr_runtime *rt) {
    struct orr_posts *posts = orr_mem_new(&rt->alloc, 1, sizeof *posts);
    if (posts == NULL) return orr_api_fail(rt, ORR_ENOMEM, "out_of_memory", orr_strerror(ORR_ENOMEM));
    if (uv_async_init(rt->loop, &posts->wakeup, woken) != 0) {
        orr_mem_free(&rt->alloc, posts, 1, sizeof *posts);
        return orr_api_fail(rt, ORR_ESYSTEM, "system_error", "the loop takes no handle to be woken by");
    }
    posts->alloc = rt->alloc;
    posts->rt = rt;
    posts->wakeup.data = posts;
    orr_fibers_of(rt->script)->posted = woken;
    if (!rt->config.posts) uv_unref((uv_handle_t *)&posts->wakeup);
    rt->posts = posts;
    return ORR_OK;
}

void orr_api_close_posts(orr_runtime *rt) {
    struct orr_posts *posts = rt->posts;
    if (posts == NULL) return;
    for (post *p = take_all(posts), *next; p != NULL; p = next) {
        next = p->next;
        free(p);
    }
    posts->rt = NULL;
    rt->posts = NULL;
    uv_close((uv_handle_t *)&posts->wakeup, closed);
}

/* ---- on any thread --------------------------------------------------------------------------- */

static const char *copy(char **at, const char *text) {
    if (text == NULL) return NULL;
    size_t size = strlen(text) + 1;
    const char *start = memcpy(*at, text, size);
    *at += size;
    return start;
}

static size_t size_of(const char *text) {
    return text != NULL ? strlen(text) + 1 : 0;
}

static int push(const orr_runtime *rt, const post *what) {
    if (rt == NULL || rt->posts == NULL) return ORR_EINVAL;
    post *p = malloc(sizeof *p + size_of(what->texts[0]) + size_of(what->texts[1]));
    if (p == NULL) return ORR_ENOMEM;
    *p = *what;
    char *at = p->text;
    for (int i = 0; i < 2; i++) p->texts[i] = copy(&at, what->texts[i]);
    p->next = atomic_load(&rt->posts->last);
    while (!atomic_compare_exchange_weak(&rt->posts->last, &p->next, p)) {
    }
    return orr_post_wake((orr_runtime *)(uintptr_t)rt);
}

int orr_post_complete(orr_runtime *rt, orr_token token, const char *output_json) {
    return push(rt, &(post){.kind = POST_COMPLETE, .token = token, .texts = {output_json, NULL}});
}

int orr_post_fail(orr_runtime *rt, orr_token token, const char *code, const char *message, bool retryable) {
    return push(rt,
                &(post){.kind = POST_FAIL, .token = token, .texts = {code, message}, .retryable = retryable});
}

int orr_post_signal(orr_runtime *rt, orr_run_id run, const char *name, const char *data_json) {
    if (name == NULL) return ORR_EINVAL;
    return push(rt, &(post){.kind = POST_SIGNAL, .run = run, .texts = {name, data_json}});
}

int orr_post_wake(orr_runtime *rt) {
    if (rt == NULL || rt->posts == NULL) return ORR_EINVAL;
    return uv_async_send(&rt->posts->wakeup) == 0 ? ORR_OK : ORR_ESYSTEM;
}
