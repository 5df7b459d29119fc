/* failure.c - errors that outlive the call that brought them. */
#include "core/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const orr_error orr_no_memory = {"out_of_memory", "out of memory", true, -1, 0};

/* What is kept when there is no memory to keep more; never freed, never written to. */
static orr_failure no_memory = {{"out_of_memory", "out of memory", true, -1, 0}, 0};

static orr_failure *failure_of(orr_core *core, const char *code, const char *message, size_t message_len,
                               const orr_error *like) {
    size_t code_len = strlen(code) + 1;
    size_t bytes = sizeof(orr_failure) + code_len + message_len + 1;
    orr_failure *f = orr_mem_new(&core->alloc, 1, bytes);
    if (f == NULL) return &no_memory;
    char *text = (char *)(f + 1);
    memcpy(text, code, code_len);
    memcpy(text + code_len, message, message_len);
    f->error = *like;
    f->error.code = text;
    f->error.message = text + code_len;
    f->bytes = bytes;
    return f;
}

orr_failure *orr_failure_new(orr_core *core, const orr_error *error) {
    const char *code = error->code != NULL ? error->code : "error";
    const char *message = error->message != NULL ? error->message : code;
    return failure_of(core, code, message, strlen(message), error);
}

/* The error of a node whose fallback failed as well: it is the first one, and says both. */
orr_failure *orr_failure_join(orr_core *core, const orr_error *first, const orr_error *second) {
    static const char between[] = "; then its fallback failed: ";
    size_t size = strlen(first->message) + sizeof between + strlen(second->message);
    char *text = orr_mem_new(&core->alloc, 1, size);
    if (text == NULL) return &no_memory;
    int len = snprintf(text, size, "%s%s%s", first->message, between, second->message);
    orr_failure *f = failure_of(core, first->code, text, len > 0 ? (size_t)len : 0, second);
    orr_mem_free(&core->alloc, text, 1, size);
    return f;
}

void orr_failure_free(orr_core *core, orr_failure *failure) {
    if (failure != NULL && failure->bytes != 0) orr_mem_free(&core->alloc, failure, 1, failure->bytes);
}

#ifdef ORR_CHECK
void orr_broken(orr_run *run, const char *what) {
    (void)run;
    fprintf(stderr, "orrery: %s\n", what);
    abort();
}
#else
void orr_broken(orr_run *run, const char *what) {
    if (!run->illegal) run->broken = what;
    run->illegal = true;
}
#endif
