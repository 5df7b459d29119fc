/* op.c - what was queued for a simulated disk: one block each, with copies of what it says. */
#include "store/sim/inner.h"

#include <string.h>

/* A block with room for `n` values and `extra` bytes behind them, which begin at *at. */
static orr_sim_op *new_op(const orr_alloc *alloc, orr_sim_kind kind, size_t n, size_t extra, char **at) {
    size_t block = sizeof(orr_sim_op) + n * sizeof(orr_field) + extra;
    orr_sim_op *op = orr_mem_new(alloc, block, 1);
    if (op == NULL) return NULL;
    op->block = block;
    op->kind = kind;
    op->n = n;
    *at = (char *)&op->values[n];
    return op;
}

static const void *copy(char **at, const void *bytes, size_t size) {
    char *to = *at;
    if (size > 0) memcpy(to, bytes, size);
    *at += size;
    return to;
}

static size_t text_size(const char *text) {
    return text != NULL ? strlen(text) + 1 : 0;
}

static const char *copy_text(char **at, const char *text) {
    return text != NULL ? copy(at, text, strlen(text) + 1) : NULL;
}

static size_t values_size(const orr_field *values, size_t n) {
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
        if (values[i].type >= ORR_FIELD_TEXT) size += values[i].size;
    return size;
}

static void copy_values(orr_sim_op *op, const orr_field *values, char **at) {
    for (size_t i = 0; i < op->n; i++) {
        op->values[i] = values[i];
        if (values[i].type >= ORR_FIELD_TEXT) op->values[i].bytes = copy(at, values[i].bytes, values[i].size);
    }
}

static orr_bytes copy_bytes(char **at, orr_bytes from) {
    return (orr_bytes){copy(at, from.bytes, from.size), from.size};
}

orr_sim_op *orr_sim_op_create(const orr_alloc *alloc, const orr_new_run *run) {
    const char *const texts[] = {run->workflow, run->bundle, run->key, run->labels, run->context, run->lock};
    size_t size = run->parent != NULL ? 16 : 0;
    char *at;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) size += text_size(texts[i]);
    orr_sim_op *op = new_op(alloc, ORR_SIM_CREATE, 0, size, &at);
    if (op == NULL) return NULL;
    op->run = *run;
    if (run->parent != NULL) op->run.parent = copy(&at, run->parent, 16);
    op->run.workflow = copy_text(&at, run->workflow);
    op->run.bundle = copy_text(&at, run->bundle);
    op->run.key = copy_text(&at, run->key);
    op->run.labels = copy_text(&at, run->labels);
    op->run.context = copy_text(&at, run->context);
    op->run.lock = copy_text(&at, run->lock);
    return op;
}

orr_sim_op *orr_sim_op_append(const orr_alloc *alloc, const void *bytes, size_t size) {
    char *at;
    orr_sim_op *op = new_op(alloc, ORR_SIM_APPEND, 0, size, &at);
    if (op != NULL) op->made = copy_bytes(&at, (orr_bytes){bytes, size});
    return op;
}

orr_sim_op *orr_sim_op_release(const orr_alloc *alloc) {
    char *at;
    return new_op(alloc, ORR_SIM_RELEASE, 0, 0, &at);
}

orr_sim_op *orr_sim_op_put(const orr_alloc *alloc, orr_row_kind row, const orr_field *values, size_t n) {
    char *at;
    orr_sim_op *op = new_op(alloc, ORR_SIM_PUT, n, values_size(values, n), &at);
    if (op == NULL) return NULL;
    op->row = row;
    copy_values(op, values, &at);
    return op;
}

orr_sim_op *orr_sim_op_state(const orr_alloc *alloc, const orr_field *write, orr_bytes made,
                             orr_bytes refused) {
    char *at;
    size_t size = values_size(write, ORR_STATE_COLUMNS) + made.size + refused.size;
    orr_sim_op *op = new_op(alloc, ORR_SIM_STATE, ORR_STATE_COLUMNS, size, &at);
    if (op == NULL) return NULL;
    copy_values(op, write, &at);
    op->made = copy_bytes(&at, made);
    op->refused = copy_bytes(&at, refused);
    return op;
}

void orr_sim_op_free(const orr_alloc *alloc, orr_sim_op *op) {
    if (op != NULL) orr_mem_free(alloc, op, op->block, 1);
}
