/* merge.c - from what was committed to the journals of runs.
 *
 * A commit touches many runs and only a few records of each. Written run by run that would be a row
 * and an entry of an index for each of them, while somebody waits for the disk. So a commit is one
 * row of `commits`, and later, before the tables are brought on, many of those rows are sorted by
 * run: what the same process wrote of a run becomes one row of `journal`. (The idea is that of the
 * log-structured merge tree: O'Neil, Cheng, Gawlick, O'Neil, 1996.) Who reads a journal reads both:
 * what is in `commits` follows what is in `journal`.
 *
 * Most runs are short. One that began a moment ago and goes on would have its rows written now and
 * again soon, so it may be left: what there is of all such runs becomes one row of `commits` in
 * place of those that were moved.
 *
 * The bytes of a commit are groups, one a run: runs.number, the sequence number of its first
 * record, and the size of its records, each as LEB128, then the records as `journal` has them.
 */
#include "store/sqlite/inner.h"

#include "store/record/record.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is moved --------------------------------------------------------------------------- */

typedef struct piece {
    int64_t run, fence;
    /* sequence numbers of its first record, and after its last one; next 0: not known */
    uint64_t first, next;
    size_t at, size; /* its records in `bytes` */
    bool damaged;    /* it is not what was written, so nobody knows whose it is */
} piece;

typedef struct move {
    unsigned char *bytes; /* of all the rows that are moved */
    size_t used, capacity;
    piece *pieces;
    size_t n, room;
    unsigned char *joined; /* of the row that is being put together */
    size_t joined_used, joined_capacity;
    int64_t last;       /* commits.id up to which they are moved */
    int64_t last_fence; /* of that row */
    uint64_t cost;
    unsigned char *left; /* groups that are put back */
    size_t left_used, left_capacity;
} move;

/* Room for more bytes behind those that are used; NULL when out of memory. */
static unsigned char *room_for(unsigned char **bytes, size_t used, size_t more, size_t *capacity) {
    if (*bytes == NULL || more > *capacity - used) {
        size_t wanted = (used + more) * 2 + 64;
        unsigned char *grown = realloc(*bytes, wanted);
        if (grown == NULL) return NULL;
        *bytes = grown;
        *capacity = wanted;
    }
    return *bytes + used;
}

static bool add_piece(move *m, const orr_group *group, int64_t fence) {
    if (m->n == m->room) {
        size_t room = m->room * 2 + 64;
        piece *pieces = realloc(m->pieces, room * sizeof *pieces);
        if (pieces == NULL) return false;
        m->pieces = pieces;
        m->room = room;
    }
    uint64_t records = orr_records_count(group->bytes, group->size);
    m->pieces[m->n++] = (piece){group->run,
                                fence,
                                group->first,
                                records > 0 ? group->first + records : 0,
                                (size_t)(group->bytes - m->bytes),
                                group->size,
                                false};
    m->cost += 1 + records + group->size / ORR_PROJECT_COST_BYTES;
    return true;
}

/* What is damaged or cannot be read is kept as a row of no run: nobody can tell whose it is, and
 * the runs that may miss it will say so (read.c). */
static bool take_row(move *m, sqlite3_stmt *q) {
    enum { ID, FENCE, RECORDS, CHECKSUM };
    int64_t id = sqlite3_column_int64(q, ID), fence = sqlite3_column_int64(q, FENCE);
    const void *bytes = sqlite3_column_blob(q, RECORDS);
    size_t size = (size_t)sqlite3_column_bytes(q, RECORDS);
    bool intact = orr_sql_intact(q, FENCE, CHECKSUM);
    unsigned char *at = room_for(&m->bytes, m->used, size, &m->capacity);
    if (at == NULL) return false;
    const unsigned char *next = at, *end = at + size;
    orr_group group;
    if (size > 0) memcpy(at, bytes, size);
    while (next < end) {
        if (!intact || !orr_group_next(&next, end, &group)) {
            group = (orr_group){.run = 0, .first = (uint64_t)id, .bytes = next, .size = (size_t)(end - next)};
            next = end;
        }
        if (!add_piece(m, &group, fence)) return false;
        m->pieces[m->n - 1].damaged = !intact;
    }
    m->used += size;
    m->last = id;
    m->last_fence = fence;
    return true;
}

/* Rows until they cost enough. */
static int take_rows(orr_connection *c, move *m, orr_merging *how) {
    orr_field last = orr_field_integer(how->until);
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_COMMITS, &last, 1);
    int rc = q != NULL ? SQLITE_OK : sqlite3_extended_errcode(c->db);
    while (rc == SQLITE_OK && m->cost < how->cost && (rc = sqlite3_step(q)) == SQLITE_ROW)
        rc = take_row(m, q) ? SQLITE_OK : SQLITE_NOMEM;
    how->more = rc == SQLITE_OK;
    sqlite3_reset(q);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int in_order(const void *a, const void *b) {
    const piece *x = a, *y = b;
    if (x->run != y->run) return x->run < y->run ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static bool follows(const piece *before, const piece *p) {
    return !before->damaged && p->run == before->run && p->fence == before->fence && p->first == before->next;
}

/* ---- what is left ---------------------------------------------------------------------------- */

/* How old the first record of a piece is (ns); below 0 where it cannot be told, or the clock was
 * set back. */
static int64_t age_of(const move *m, const piece *p, int64_t now) {
    const unsigned char *at = m->bytes + p->at, *record;
    size_t size;
    orr_entry entry;
    orr_error error;
    if (!orr_records_next(&at, at + p->size, &record, &size) ||
        orr_entry_decode(record, size, &entry, &error) != ORR_OK)
        return -1;
    return now - entry.record.time;
}

static bool ends(const move *m, const piece *p) {
    const unsigned char *at = m->bytes + p->at, *end = at + p->size, *record;
    size_t size;
    bool ended = false;
    while (at < end && orr_records_next(&at, end, &record, &size)) ended = orr_record_ends(record, size);
    return ended;
}

/* Whether the n pieces, all there is of a run, are left; then how old they are. */
static bool is_young(const move *m, const piece *p, size_t n, const orr_merging *how, int64_t *age) {
    if (p->run <= 0) return false;
    for (size_t i = 0; i < n; i++)
        if (p[i].fence != m->last_fence || p[i].damaged || (i > 0 && !follows(&p[i - 1], &p[i])))
            return false;
    *age = age_of(m, p, how->now);
    return *age >= 0 && *age < ORR_SQLITE_YOUNG && !ends(m, &p[n - 1]);
}

static bool leave(move *m, const piece *p, size_t n) {
    orr_group group = {.run = p->run, .first = p->first};
    for (size_t i = 0; i < n; i++) group.size += p[i].size;
    unsigned char *to = room_for(&m->left, m->left_used, ORR_GROUP_HEAD + group.size, &m->left_capacity);
    if (to == NULL) return false;
    to = orr_group_put(to, &group);
    for (size_t i = 0; i < n; to += p[i++].size) memcpy(to, m->bytes + p[i].at, p[i].size);
    m->left_used = (size_t)(to - m->left);
    return true;
}

/* Takes runs that are left from the pieces; these are in order. */
static bool leave_young(move *m, orr_merging *how) {
    size_t kept = 0;
    for (size_t i = 0, n; i < m->n; i += n) {
        int64_t age = 0;
        for (n = 1; i + n < m->n && m->pieces[i + n].run == m->pieces[i].run; n++) continue;
        if (m->left_used < ORR_SQLITE_COMMIT_LIMIT && is_young(m, &m->pieces[i], n, how, &age)) {
            if (!leave(m, &m->pieces[i], n)) return false;
            if (age >= how->left) how->left = age + 1;
            continue;
        }
        memmove(m->pieces + kept, m->pieces + i, n * sizeof *m->pieces);
        kept += n;
    }
    m->n = kept;
    return true;
}

static int put_left(orr_connection *c, const move *m) {
    orr_field row[] = {orr_field_integer(m->last),
                       orr_field_integer(m->last_fence),
                       {.type = ORR_FIELD_BLOB, .bytes = m->left, .size = m->left_used},
                       {.type = ORR_FIELD_NULL}};
    if (m->left_used == 0) return SQLITE_OK;
    row[3] = orr_field_integer(orr_row_checksum(row + 1, 2));
    return orr_sql_run(c, ORR_SQL_COMMIT_LEFT, row, 4);
}

/* ---- journals -------------------------------------------------------------------------------- */

/* How many pieces, the first of which is *p, make one row. */
static size_t row_length(const piece *p, size_t left) {
    size_t n = 1, size = p->size;
    while (n < left && follows(&p[n - 1], &p[n]) && (size += p[n].size) < ORR_SQLITE_ROW_LIMIT) n++;
    return n;
}

static int add_row(orr_connection *c, move *m, const piece *p, size_t n, int64_t id) {
    const unsigned char *bytes = m->bytes + p->at;
    size_t size = p->size;
    if (n > 1) {
        m->joined_used = 0;
        for (size_t i = 0; i < n; i++) {
            unsigned char *to = room_for(&m->joined, m->joined_used, p[i].size, &m->joined_capacity);
            if (to == NULL) return SQLITE_NOMEM;
            memcpy(to, m->bytes + p[i].at, p[i].size);
            m->joined_used += p[i].size;
        }
        bytes = m->joined;
        size = m->joined_used;
    }
    orr_field row[] = {orr_field_integer(id),
                       orr_field_integer(p->run),
                       orr_field_integer((int64_t)p->first),
                       orr_field_integer(p->fence),
                       {.type = ORR_FIELD_BLOB, .bytes = bytes, .size = size},
                       orr_field_integer(0)};
    if (p->damaged) row[2] = orr_field_integer(id); /* the number of its commit is given again */
    else row[5] = orr_field_integer(orr_row_checksum(row + 1, 4));
    return orr_sql_run(c, ORR_SQL_JOURNAL_MERGE, row, 6);
}

static int add_rows(orr_connection *c, move *m) {
    int64_t id = 0;
    int rc = orr_sql_number(c, ORR_SQL_JOURNAL_NEXT, NULL, 0, &id);
    const piece *p = m->pieces, *end = p + m->n;
    for (size_t n; p < end && rc == SQLITE_OK; p += n) {
        n = row_length(p, (size_t)(end - p));
        rc = add_row(c, m, p, n, id++);
    }
    /* orr_sqlite_merge frees the pieces; clang does not look so deep */
    return rc; /* NOLINT(clang-analyzer-unix.Malloc) */
}

int orr_sqlite_merge(orr_connection *c, orr_merging *how) {
    move m = {0};
    how->left = 0;
    int rc = take_rows(c, &m, how);
    if (m.n > 1) qsort(m.pieces, m.n, sizeof *m.pieces, in_order);
    if (rc == SQLITE_OK && how->now > 0 && !leave_young(&m, how)) rc = SQLITE_NOMEM;
    if (rc == SQLITE_OK && m.n > 0) rc = add_rows(c, &m);
    orr_field last = orr_field_integer(m.last);
    if (rc == SQLITE_OK && m.last != 0) rc = orr_sql_run(c, ORR_SQL_COMMITS_GONE, &last, 1);
    if (rc == SQLITE_OK) rc = put_left(c, &m);
    free(m.bytes);
    free(m.pieces);
    free(m.joined);
    free(m.left);
    return rc;
}

int orr_sqlite_merge_all(orr_connection *c) {
    orr_merging how = {.cost = ORR_QUEUE_SLICE * ORR_SQLITE_MERGED, .until = INT64_MAX, .more = true};
    int rc = SQLITE_OK;
    while (how.more && rc == SQLITE_OK) rc = orr_sqlite_merge(c, &how);
    return rc;
}
