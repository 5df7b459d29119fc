/* disk.c - disks of simulations: what is on them, and which faults they are to have. */
#include "store/sim/inner.h"

#include "port/port.h"
#include "store/record/record.h"

/* Behind the lock, since simulations may run on several threads. */
static orr_mutex lock = ORR_MUTEX_INIT;
static orr_disk *disks;
static uint64_t last_number;

/* The store in memory says that it has news: they are for the store that is open. */
static void wake_open(void *ud) {
    const orr_disk *disk = ud;
    if (disk->open != NULL && disk->open->wake != NULL) disk->open->wake(disk->open->ud);
}

orr_disk *orr_disk_new(const orr_alloc *alloc) {
    orr_disk *disk = orr_mem_new(alloc, 1, sizeof *disk);
    if (disk == NULL) return NULL;
    orr_store_options options = {.alloc = *alloc, .mode = ORR_STORE_OWN, .wake = wake_open, .ud = disk};
    disk->alloc = *alloc;
    disk->kept = orr_store_memory(&options);
    if (disk->kept == NULL) {
        orr_mem_free(alloc, disk, 1, sizeof *disk);
        return NULL;
    }
    orr_mutex_lock(&lock);
    disk->number = ++last_number;
    disk->next = disks;
    disks = disk;
    orr_mutex_unlock(&lock);
    return disk;
}

void orr_disk_free(orr_disk *disk) {
    orr_alloc alloc = disk->alloc;
    disk->forgotten = true;
    if (disk->open != NULL) return; /* its store frees it */
    orr_mutex_lock(&lock);
    orr_disk **link = &disks;
    while (*link != disk) link = &(*link)->next;
    *link = disk->next;
    orr_mutex_unlock(&lock);
    for (orr_disk_planned *f; (f = disk->faults) != NULL;) {
        disk->faults = f->next;
        orr_mem_free(&alloc, f, 1, sizeof *f);
    }
    orr_store_close(disk->kept);
    orr_mem_free(&alloc, disk, 1, sizeof *disk);
}

orr_disk *orr_disk_find(uint64_t number) {
    orr_mutex_lock(&lock);
    orr_disk *disk = disks;
    while (disk != NULL && disk->number != number) disk = disk->next;
    orr_mutex_unlock(&lock);
    return disk;
}

uint64_t orr_disk_number(const orr_disk *disk) {
    return disk->number;
}

void orr_disk_crash_at(orr_disk *disk, uint64_t records) {
    disk->crash_at = records;
}

void orr_disk_crash(orr_disk *disk) {
    disk->crashed = true;
    disk->crash_at = 0;
    wake_open(disk);
}

bool orr_disk_crashed(const orr_disk *disk) {
    return disk->crashed;
}

orr_status orr_disk_fault_at(orr_disk *disk, uint64_t commit, orr_disk_fault fault, uint32_t turns) {
    orr_disk_planned *f = orr_mem_new(&disk->alloc, 1, sizeof *f);
    if (f == NULL) return ORR_ENOMEM;
    *f = (orr_disk_planned){.next = disk->faults, .commit = commit, .fault = fault, .turns = turns};
    disk->faults = f;
    return ORR_OK;
}

bool orr_disk_take_fault(orr_disk *disk, uint64_t commit, orr_disk_planned *fault) {
    orr_disk_planned **link = &disk->faults;
    while (*link != NULL && (*link)->commit != commit) link = &(*link)->next;
    orr_disk_planned *f = *link;
    if (f == NULL) return false;
    *link = f->next;
    *fault = *f;
    orr_mem_free(&disk->alloc, f, 1, sizeof *f);
    return true;
}

uint64_t orr_disk_records(const orr_disk *disk) {
    return disk->records;
}

uint64_t orr_disk_commits(const orr_disk *disk) {
    return disk->commits;
}

typedef struct last_record {
    uint64_t seq;
    bool ended;
} last_record;

static bool take_record(void *ud, uint64_t seq, const void *bytes, size_t size) {
    *(last_record *)ud = (last_record){seq, orr_record_ends(bytes, size)};
    return true;
}

uint64_t orr_disk_last(const orr_disk *disk, const uint8_t run[16], bool *ended) {
    last_record last = {0, false};
    orr_reason reason;
    orr_store_read(disk->kept, run, 0, take_record, &last, &reason);
    *ended = last.ended;
    return last.seq;
}

orr_store *orr_disk_kept(const orr_disk *disk) {
    return disk->kept;
}

orr_status orr_disk_send(orr_disk *disk, const uint8_t run[16], const char *name, const char *text,
                         orr_reason *reason) {
    return orr_store_send(disk->kept, run, name, text, NULL, reason);
}
