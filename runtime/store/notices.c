/* notices.c - the list of notices; see backend.h */
#include "store/backend.h"

#include <string.h>

orr_note *orr_note_new(const orr_alloc *alloc, orr_notice_kind kind, const uint8_t *run, int64_t message,
                       const char *name, const char *text) {
    size_t name_size = name != NULL ? strlen(name) + 1 : 0, text_size = text != NULL ? strlen(text) + 1 : 0;
    size_t size = sizeof(orr_note) + name_size + text_size;
    orr_note *note = orr_mem_new(alloc, size, 1);
    if (note == NULL) return NULL;
    note->size = size;
    note->notice.kind = kind;
    note->notice.message = message;
    if (run != NULL) memcpy(note->notice.run, run, 16);
    if (name != NULL) note->notice.name = memcpy(note->texts, name, name_size);
    if (text != NULL) note->notice.text = memcpy(note->texts + name_size, text, text_size);
    return note;
}

void orr_notes_add(orr_notes *notes, orr_note *note) {
    note->next = NULL;
    if (notes->first == NULL) notes->end = &notes->first;
    *notes->end = note;
    notes->end = &note->next;
}

orr_note *orr_notes_take(orr_notes *notes) {
    orr_note *note = notes->first;
    if (note != NULL) notes->first = note->next;
    return note;
}

static void free_note(const orr_alloc *alloc, orr_note *note) {
    if (note != NULL) orr_mem_free(alloc, note, note->size, 1);
}

void orr_notes_show(orr_notes *notes, const orr_alloc *alloc, orr_note *note, orr_notice *notice) {
    free_note(alloc, notes->shown);
    notes->shown = note;
    if (note != NULL) *notice = note->notice;
}

void orr_notes_forget(orr_notes *notes, const orr_alloc *alloc, const uint8_t run[16]) {
    orr_notes kept = {.shown = notes->shown};
    for (orr_note *note = notes->first, *next; note != NULL; note = next) {
        next = note->next;
        if (note->notice.kind == ORR_NOTICE_MESSAGE && memcmp(note->notice.run, run, 16) == 0)
            free_note(alloc, note);
        else orr_notes_add(&kept, note);
    }
    notes->first = kept.first;
    notes->end = kept.first != NULL ? kept.end : &notes->first;
}

void orr_notes_free(orr_notes *notes, const orr_alloc *alloc) {
    for (orr_note *note; (note = orr_notes_take(notes)) != NULL;) free_note(alloc, note);
    free_note(alloc, notes->shown);
    *notes = (orr_notes){0};
}
