/* sqlite_settle.c - from what was committed to the journals of runs.
 *
 * A commit touches many runs and only a few records of each. Written run by run that would be a row and an entry of an index for each
 * of them, while somebody waits for the disk. So a commit is one row of `commits`, and later, before the tables are brought on, many
 * of those rows are sorted by run: what the same process wrote of a run becomes one row of `journal`. (The idea is that of the
 * log-structured merge tree: O'Neil, Cheng, Gawlick, O'Neil, 1996.) Who reads a journal reads both: what is in `commits`
 * follows what is in `journal`.
 *
 * The bytes of a commit are groups, one a run: runs.number, the sequence number of its first record, and the size of its records, each as LEB128,
 * then the records as `journal` has them.
 */
#include "leb128.h"
#include "sqlite.h"

#include <stdlib.h>
#include <string.h>

/* ---- groups ------------------------------------------------------------------------------------------------------------------- */

bool orr_sqlite_group(const unsigned char **at, const unsigned char *end, orr_group *group)
{
    const unsigned char *next = *at;
    uint64_t run;
    if (!orr_leb_get(&next, end, &run) || !orr_leb_get(&next, end, &group->first) || !orr_leb_block(&next, end, &group->bytes, &group->size))
        return false;
    group->run = (int64_t)run;
    *at = next;
    return true;
}

/* How many records it has; 0 for bytes that are none. */
static uint64_t count_records(const orr_group *group)
{
    const unsigned char *at = group->bytes, *end = at + group->size, *record;
    uint64_t n = 0;
    for (size_t size; at < end; n++)
        if (!orr_leb_block(&at, end, &record, &size))
            return 0;
    return n;
}

/* ---- what is moved ------------------------------------------------------------------------------------------------------------ */

typedef struct piece {
    int64_t run, fence;
    uint64_t first, next; /* sequence numbers of its first record, and after its last one; next 0: not known */
    size_t at, size;      /* its records in `bytes` */
} piece;

typedef struct move {
    unsigned char *bytes; /* of all the rows that are moved */
    size_t used, capacity;
    piece *pieces;
    size_t n, room;
    unsigned char *joined; /* of the row that is being put together */
    size_t joined_used, joined_capacity;
    int64_t last;          /* commits.id up to which they are moved */
    uint64_t cost;
} move;

/* Room for more bytes behind those that are used; NULL when out of memory. */
static unsigned char *room_for(unsigned char **bytes, size_t used, size_t more, size_t *capacity)
{
    if (*bytes == NULL || more > *capacity - used) {
        size_t wanted = (used + more) * 2 + 64;
        unsigned char *grown = realloc(*bytes, wanted);
        if (grown == NULL)
            return NULL;
        *bytes = grown;
        *capacity = wanted;
    }
    return *bytes + used;
}

static bool add_piece(move *m, const orr_group *group, int64_t fence)
{
    if (m->n == m->room) {
        size_t room = m->room * 2 + 64;
        piece *pieces = realloc(m->pieces, room * sizeof *pieces);
        if (pieces == NULL)
            return false;
        m->pieces = pieces;
        m->room = room;
    }
    uint64_t records = count_records(group);
    m->pieces[m->n++] = (piece){group->run, fence, group->first, records > 0 ? group->first + records : 0,
                                (size_t)(group->bytes - m->bytes), group->size};
    m->cost += 1 + records + group->size / ORR_PROJECT_COST_BYTES;
    return true;
}

/* What cannot be read is kept as a row of no run: nobody can tell whose it is, and the runs that miss it will say so. */
static bool take_row(move *m, int64_t id, int64_t fence, const void *bytes, size_t size)
{
    unsigned char *at = room_for(&m->bytes, m->used, size, &m->capacity);
    if (at == NULL)
        return false;
    const unsigned char *next = at, *end = at + size;
    orr_group group;
    if (size > 0)
        memcpy(at, bytes, size);
    while (next < end) {
        if (!orr_sqlite_group(&next, end, &group)) {
            group = (orr_group){.run = 0, .first = (uint64_t)id, .bytes = next, .size = (size_t)(end - next)};
            next = end;
        }
        if (!add_piece(m, &group, fence))
            return false;
    }
    m->used += size;
    m->last = id;
    return true;
}

/* Rows until they cost enough; *more: there may be others. */
static int take_rows(orr_connection *c, move *m, uint64_t cost, int64_t until, bool *more)
{
    orr_value last = orr_value_integer(until);
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_COMMITS, &last, 1);
    int rc = q != NULL ? SQLITE_OK : sqlite3_extended_errcode(c->db);
    while (rc == SQLITE_OK && m->cost < cost && (rc = sqlite3_step(q)) == SQLITE_ROW)
        rc = take_row(m, sqlite3_column_int64(q, 0), sqlite3_column_int64(q, 1), sqlite3_column_blob(q, 2),
                      (size_t)sqlite3_column_bytes(q, 2)) ? SQLITE_OK : SQLITE_NOMEM;
    *more = rc == SQLITE_OK;
    sqlite3_reset(q);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- journals ------------------------------------------------------------------------------------------------------------------ */

static int in_order(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    if (x->run != y->run)
        return x->run < y->run ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static bool follows(const piece *before, const piece *p)
{
    return p->run == before->run && p->fence == before->fence && p->first == before->next;
}

/* How many pieces, the first of which is *p, make one row. */
static size_t row_length(const piece *p, size_t left)
{
    size_t n = 1, size = p->size;
    while (n < left && follows(&p[n - 1], &p[n]) && (size += p[n].size) < ORR_SQLITE_ROW_LIMIT)
        n++;
    return n;
}

static int add_row(orr_connection *c, move *m, const piece *p, size_t n, int64_t id)
{
    const unsigned char *bytes = m->bytes + p->at;
    size_t size = p->size;
    if (n > 1) {
        m->joined_used = 0;
        for (size_t i = 0; i < n; i++) {
            unsigned char *to = room_for(&m->joined, m->joined_used, p[i].size, &m->joined_capacity);
            if (to == NULL)
                return SQLITE_NOMEM;
            memcpy(to, m->bytes + p[i].at, p[i].size);
            m->joined_used += p[i].size;
        }
        bytes = m->joined;
        size = m->joined_used;
    }
    orr_value row[] = {orr_value_integer(id), orr_value_integer(p->run), orr_value_integer((int64_t)p->first),
                       orr_value_integer(p->fence), {.type = ORR_VALUE_BLOB, .bytes = bytes, .size = size}};
    return orr_sql_run(c, ORR_SQL_JOURNAL_SETTLE, row, 5);
}

static int add_rows(orr_connection *c, move *m)
{
    int64_t id = 0;
    if (m->pieces == NULL)
        return SQLITE_OK; /* nothing was taken */
    int rc = orr_sql_number(c, ORR_SQL_JOURNAL_NEXT, NULL, 0, &id);
    qsort(m->pieces, m->n, sizeof *m->pieces, in_order);
    for (size_t i = 0, n; i < m->n && rc == SQLITE_OK; i += n) {
        n = row_length(&m->pieces[i], m->n - i);
        rc = add_row(c, m, &m->pieces[i], n, id++);
    }
    return rc;
}

int orr_sqlite_settle(orr_connection *c, uint64_t cost, int64_t until, bool *more)
{
    move m = {0};
    int rc = take_rows(c, &m, cost, until, more);
    if (rc == SQLITE_OK)
        rc = add_rows(c, &m);
    orr_value last = orr_value_integer(m.last);
    if (rc == SQLITE_OK && m.last != 0)
        rc = orr_sql_run(c, ORR_SQL_COMMITS_GONE, &last, 1);
    free(m.bytes);
    free(m.pieces);
    free(m.joined);
    return rc;
}

/* Settling is cheap beside projecting, and puts together what belongs to a run: the more at once, the fewer rows are written twice. */
enum { SETTLED_AT_ONCE = 32 };

int orr_sqlite_settle_all(orr_connection *c)
{
    int rc = SQLITE_OK;
    for (bool more = true; more && rc == SQLITE_OK;)
        rc = orr_sqlite_settle(c, ORR_SQLITE_SLICE * SETTLED_AT_ONCE, INT64_MAX, &more);
    return rc;
}

/* ---- the tables ----------------------------------------------------------------------------------------------------------------- */

orr_status orr_sqlite_bring(orr_connection *c, uint64_t cost, int64_t *until, bool *more, char *message, size_t size)
{
    bool unsettled = false, unprojected = false;
    if (c->projector == NULL && (c->projector = orr_projector_new(c->db)) == NULL)
        return ORR_ENOMEM;
    int rc = *until < 0 ? orr_sql_number(c, ORR_SQL_COMMITS_LAST, NULL, 0, until) : SQLITE_OK;
    if (rc == SQLITE_OK)
        rc = orr_sqlite_settle(c, cost * SETTLED_AT_ONCE, *until, &unsettled);
    orr_status status = rc == SQLITE_OK ? orr_sqlite_project(c->projector, cost, &unprojected) : ORR_EIO;
    if (status != ORR_OK)
        return orr_sqlite_explain(c->db, rc != SQLITE_OK ? rc : sqlite3_extended_errcode(c->db), "bring its tables up to date", message, size);
    *more = unsettled || unprojected;
    *until = *more ? *until : -1;
    return ORR_OK;
}
