/* store.c - the interface's side of every store. */
#include "store.h"

orr_status orr_store_append(orr_store *store, const uint8_t run[16], uint64_t seq, const void *bytes, size_t size)
{
    return store->class->append(store, run, seq, bytes, size);
}

uint64_t orr_store_durable(orr_store *store, const uint8_t run[16])
{
    return store->class->durable(store, run);
}

orr_status orr_store_read(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit, void *ud)
{
    return store->class->read(store, run, after, visit, ud);
}

orr_status orr_store_drop(orr_store *store, const uint8_t run[16])
{
    return store->class->drop(store, run);
}

void orr_store_close(orr_store *store)
{
    if (store != NULL)
        store->class->close(store);
}
