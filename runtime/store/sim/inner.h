/* inner.h - what the files of this folder share. */
#ifndef ORR_STORE_SIM_INNER_H
#define ORR_STORE_SIM_INNER_H

#include "store/backend.h"
#include "store/sim/sim.h"

/* A fault of a commit that is to come. */
typedef struct orr_disk_planned {
    struct orr_disk_planned *next;
    uint64_t commit;
    orr_disk_fault fault;
    uint32_t turns;
} orr_disk_planned;

struct orr_disk {
    orr_alloc alloc;
    orr_store *kept; /* in memory: what is on the disk */
    orr_store *open; /* the store on it; NULL: none */
    uint64_t number, records, commits, crash_at;
    bool crashed, forgotten;
    orr_disk_planned *faults;
    orr_disk *next; /* of all disks */
};

/* The disk of that number, or NULL. */
orr_disk *orr_disk_find(uint64_t number);
/* Takes out the fault of that commit; false where it has none. */
bool orr_disk_take_fault(orr_disk *disk, uint64_t commit, orr_disk_planned *fault);

/* What was queued and is not on the disk. */
typedef enum { ORR_SIM_CREATE, ORR_SIM_APPEND, ORR_SIM_RELEASE, ORR_SIM_PUT, ORR_SIM_STATE } orr_sim_kind;

typedef struct orr_sim_op orr_sim_op;

/* A block of its own, with copies of all that it says. `size` bytes are at `bytes`. */
struct orr_sim_op {
    orr_sim_op *next;
    size_t block;
    orr_sim_kind kind;
    uint64_t ticket;
    struct orr_sim_journal *journal; /* NULL: of none */
    bool done;                       /* RELEASE */
    orr_row_kind row;                /* PUT */
    size_t n;                        /* values of PUT and STATE */
    orr_new_run run;                 /* CREATE */
    orr_bytes made, refused;         /* APPEND: made alone; STATE */
    orr_field values[];
};

typedef struct orr_sim_journal {
    orr_journal base;
    orr_journal *kept;   /* NULL before its creation is on the disk */
    orr_sim_op *release; /* that which lets it go, so that there is always room for it */
    struct orr_sim_journal *next, *prev;
} orr_sim_journal;

orr_sim_op *orr_sim_op_create(const orr_alloc *alloc, const orr_new_run *run);
orr_sim_op *orr_sim_op_append(const orr_alloc *alloc, const void *bytes, size_t size);
orr_sim_op *orr_sim_op_release(const orr_alloc *alloc);
orr_sim_op *orr_sim_op_put(const orr_alloc *alloc, orr_row_kind row, const orr_field *values, size_t n);
orr_sim_op *orr_sim_op_state(const orr_alloc *alloc, const orr_field *write, orr_bytes made,
                             orr_bytes refused);
void orr_sim_op_free(const orr_alloc *alloc, orr_sim_op *op);

#endif
