/* messages.c - texts on their way between a worker and the loop, and lists of them. */
#include "worker/inner.h"

#include <string.h>

static message *new_message(orr_workers *p, job *j, message_kind kind, size_t size) {
    message *l = orr_mem_resize(&p->options.alloc, NULL, 0, sizeof *l + size + 1, 1);
    if (!l) return NULL;
    char *text = (char *)(l + 1);
    text[size] = '\0';
    *l = (message){.all = p, .job = j, .kind = kind, .size = size, .text = text};
    return l;
}

static char *text_of(message *l) {
    return (char *)(l + 1);
}

message *orr_message_new(job *j, message_kind kind, const char *text, size_t size) {
    message *l = new_message(j->all, j, kind, size);
    if (l) memcpy(text_of(l), text, size);
    return l;
}

message *orr_message_warning(orr_workers *p, job *j, const char *text, size_t size) {
    message *l = new_message(p, j, MESSAGE_WARNING, size);
    if (l) memcpy(text_of(l), text, size);
    return l;
}

message *orr_message_failed(job *j, const char *code, const char *said) {
    size_t n = strlen(code) + 1, m = strlen(said);
    message *l = new_message(j->all, j, MESSAGE_FAILED, n + m);
    if (!l) return NULL;
    memcpy(text_of(l), code, n);
    memcpy(text_of(l) + n, said, m);
    return l;
}

message *orr_message_last(job *j, const char *text, size_t size) {
    j->last =
        (message){.all = j->all, .job = j, .kind = MESSAGE_FAILED, .part = true, .size = size, .text = text};
    return &j->last;
}

message *orr_message_stop(job *j) {
    j->stop = (message){.all = j->all, .job = j, .kind = MESSAGE_CANCEL, .part = true, .text = ""};
    return &j->stop;
}

void orr_message_free(message *l) {
    if (!l->part) orr_mem_free(&l->all->options.alloc, l, sizeof *l + l->size + 1, 1);
}

void orr_messages_add(messages *list, message *l) {
    l->next = NULL;
    if (list->last) list->last->next = l;
    else list->first = l;
    list->last = l;
}

message *orr_messages_take(messages *list) {
    message *l = list->first;
    if (!l) return NULL;
    list->first = l->next;
    if (!list->first) list->last = NULL;
    return l;
}

void orr_messages_drop(messages *list) {
    for (message *l; (l = orr_messages_take(list));) {
        job *j = l->job;
        orr_message_free(l);
        orr_job_release(j);
    }
}
