/* store.c - the interface's side of every store. */
#include "impl.h"

#include <stdio.h>
#include <string.h>

/* ---- opening --------------------------------------------------------------------------------------------------------------- */

/* The length of the scheme of a URL with its colon; 0 for a path. */
static size_t scheme_of(const char *url)
{
    size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyz+");
    return n > 1 && url[n] == ':' ? n + 1 : 0;
}

orr_store *orr_store_open(const char *url, const orr_store_options *options, char *message, size_t size)
{
    size_t scheme = scheme_of(url);
    const char *path = url + scheme;
    if (strcmp(url, "memory:") == 0) {
        orr_store *store = orr_store_memory(options);
        if (store == NULL)
            snprintf(message, size, "there is no memory left for a store");
        return store;
    }
    if (scheme > 0 && strncmp(url, "sqlite:", scheme) != 0)
        snprintf(message, size, "the store '%s' is of no known kind: expected sqlite:PATH, a path, or memory:", url);
    else if (*path == '\0' || strcmp(path, ":memory:") == 0)
        snprintf(message, size, "the store '%s' names no file: expected sqlite:PATH, a path, or memory:", url);
    else
        return orr_sqlite_open(path, options, message, size);
    return NULL;
}

void orr_store_close(orr_store *store)
{
    if (store != NULL)
        store->class->close(store);
}

const char *orr_store_kind(const orr_store *store)
{
    return store->class->kind;
}

/* ---- journals --------------------------------------------------------------------------------------------------------------- */

orr_journal *orr_store_create(orr_store *store, const orr_new_run *run)
{
    return store->class->create(store, run);
}

orr_journal *orr_store_claim(orr_store *store, const uint8_t run[16], bool force, orr_status *status, char *message,
                             size_t size)
{
    char unwanted[1];
    if (size > 0)
        message[0] = '\0';
    return store->class->claim(store, run, force, status, size > 0 ? message : unwanted, size > 0 ? size : sizeof unwanted);
}

orr_status orr_store_append(orr_journal *journal, uint64_t seq, const void *bytes, size_t size)
{
    if (seq != journal->last + 1)
        return ORR_EINVAL;
    orr_status status = journal->store->class->append(journal, bytes, size);
    if (status == ORR_OK)
        journal->last = seq;
    return status;
}

void orr_store_release(orr_journal *journal, bool done)
{
    journal->store->class->release(journal, done);
}

orr_status orr_store_read(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit, void *ud)
{
    return store->class->read(store, run, after, visit, ud);
}

orr_status orr_store_drop(orr_store *store, const uint8_t run[16])
{
    return store->class->drop(store, run);
}

/* ---- what is kept beside them --------------------------------------------------------------------------------------------- */

/* What the values of a kind have to be: t text, i integer, v text or blob, 1 a run's id. Or NULL: T, I, R (a number), and ! (a
 * run's id). */
static const char *const shapes[ORR_ROW_COUNT] = {
    [ORR_ROW_BUNDLE] = "tTTTTTR", [ORR_ROW_MODULE] = "ttTT",      [ORR_ROW_BLOB] = "tv", [ORR_ROW_CACHE] = "tTTT!TRR",
    [ORR_ROW_LOG] = "1TIIIRTTT",  [ORR_ROW_WHY] = "1tIT",         [ORR_ROW_TAKEN] = "i"};

static bool fits(const orr_value *v, char shape)
{
    if (v->type == ORR_VALUE_NULL)
        return strchr("TIR!", shape) != NULL;
    switch (shape) {
    case 't':
    case 'T': return v->type == ORR_VALUE_TEXT;
    case 'i':
    case 'I': return v->type == ORR_VALUE_INTEGER;
    case 'R': return v->type == ORR_VALUE_REAL || v->type == ORR_VALUE_INTEGER;
    case 'v': return v->type == ORR_VALUE_TEXT || v->type == ORR_VALUE_BLOB;
    default: return v->type == ORR_VALUE_BLOB && v->size == 16;
    }
}

orr_status orr_store_put(orr_store *store, orr_row_kind kind, const orr_value *values, size_t n)
{
    if ((unsigned)kind >= ORR_ROW_COUNT || n != orr_row_columns(kind))
        return ORR_EINVAL;
    for (size_t i = 0; i < n; i++)
        if (!fits(&values[i], shapes[kind][i]))
            return ORR_EINVAL;
    return store->class->put(store, kind, values, n);
}

orr_status orr_store_get(orr_store *store, orr_row_kind kind, const char *key, orr_store_row visit, void *ud)
{
    if (kind != ORR_ROW_BUNDLE && kind != ORR_ROW_MODULE && kind != ORR_ROW_BLOB && kind != ORR_ROW_CACHE)
        return ORR_EINVAL;
    return store->class->get(store, kind, key, visit, ud);
}

/* ---- commits ------------------------------------------------------------------------------------------------------------------ */

uint64_t orr_store_ticket(const orr_store *store)
{
    return store->ticket;
}

uint64_t orr_store_durable(const orr_store *store)
{
    return store->class->durable(store);
}

void orr_store_submit(orr_store *store, bool soon)
{
    store->class->submit(store, soon);
}

orr_status orr_store_sync(orr_store *store)
{
    return store->class->sync(store);
}

bool orr_store_notice(orr_store *store, orr_notice *notice)
{
    return store->class->notice(store, notice);
}

orr_status orr_store_send(orr_store *store, const uint8_t run[16], const char *name, const char *text, const char *dedup,
                          char *message, size_t size)
{
    if (size > 0)
        message[0] = '\0';
    return store->class->send(store, run, name, text, dedup, message, size);
}

/* ---- history ------------------------------------------------------------------------------------------------------------------ */

orr_status orr_store_project(orr_store *store, char *message, size_t size)
{
    if (size > 0)
        message[0] = '\0';
    return store->class->project(store, message, size);
}

orr_status orr_store_query(orr_store *store, const char *sql, const orr_value *parameters, size_t n,
                           void (*names)(void *ud, const char *const *columns, size_t n), orr_store_row visit, void *ud,
                           char *message, size_t size)
{
    if (size > 0)
        message[0] = '\0';
    return store->class->query(store, sql, parameters, n, names, visit, ud, message, size);
}

orr_status orr_store_change(orr_store *store, const orr_change *changes, size_t n, int64_t *changed, char *message,
                            size_t size)
{
    *changed = 0;
    if (size > 0)
        message[0] = '\0';
    return store->class->change(store, changes, n, changed, message, size);
}

orr_status orr_store_backup(orr_store *store, const char *path, char *message, size_t size)
{
    if (size > 0)
        message[0] = '\0';
    return store->class->backup(store, path, message, size);
}
