/* sim.h - a store for simulations: a disk in memory that survives the simulated death of the
 * process, and does what disks do at the wrong moment.
 *
 * A disk holds what was committed. The store on it (`sim:N`, one at a time) queues what it is
 * given, as durable stores do, and commits it in transactions when it is submitted. Without faults
 * a commit is done at once. With them it takes turns of the loop, fails and is tried again, or is
 * made though its caller is told that it failed. A crash comes with the commit of a record: what
 * stands behind that record is lost, and the store says that its owner is displaced, so that
 * nothing more is done in its name. Another store can then be opened on the disk.
 *
 * Everything happens in calls of the store and in its order: equal calls give an equal disk. Used
 * by simulations only, on one thread for each disk. Uses port, core, store, record.
 */
#ifndef ORR_STORE_SIM_H
#define ORR_STORE_SIM_H

#include "store/store.h"

typedef struct orr_disk orr_disk;

typedef enum {
    ORR_DISK_SLOW,  /* the commit takes turns of the loop */
    ORR_DISK_FAILS, /* it fails, and is made that many turns later */
    ORR_DISK_UNSURE /* it is made, and said to have failed for that many turns */
} orr_disk_fault;

/* A disk with nothing on it. NULL when out of memory. */
orr_disk *orr_disk_new(const orr_alloc *alloc);
/* Where a store is open on it, it is freed with that. */
void orr_disk_free(orr_disk *disk);

/* Stores on it are opened with "sim:" and this number (orr_store_open). */
uint64_t orr_disk_number(const orr_disk *disk);

/* The process dies when so many records of all runs are on the disk, 0: it does not. No other
 * record of their transaction is kept, as far as what stands between them lets it be split. */
void orr_disk_crash_at(orr_disk *disk, uint64_t records);
/* It dies now: what is not committed is lost. */
void orr_disk_crash(orr_disk *disk);
/* Whether the process of the present store has died. A store that is opened is one of another. */
bool orr_disk_crashed(const orr_disk *disk);

/* The commit of that number, from 1 on, has this fault for so many turns. ORR_ENOMEM. */
orr_status orr_disk_fault_at(orr_disk *disk, uint64_t commit, orr_disk_fault fault, uint32_t turns);

/* Records and commits that were made, of all runs. */
uint64_t orr_disk_records(const orr_disk *disk);
uint64_t orr_disk_commits(const orr_disk *disk);
/* The number of the last record of a run that is on the disk, 0 for none; whether it ends the
 * run. */
uint64_t orr_disk_last(const orr_disk *disk, const uint8_t run[16], bool *ended);

/* What is on the disk, to be read. Valid as long as the disk. */
orr_store *orr_disk_kept(const orr_disk *disk);

/* Leaves a message for a run on the disk, as another process would; see orr_store_send. */
orr_status orr_disk_send(orr_disk *disk, const uint8_t run[16], const char *name, const char *text,
                         orr_reason *reason);

/* Has orr_store_open know the scheme `sim`; as often as one likes, on any thread. */
void orr_sim_register(void);

#endif
