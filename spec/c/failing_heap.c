#include "failing_heap.h"

#include <stdlib.h>

void *failing_heap_fn(void *ud, void *ptr, size_t osize, size_t nsize) {
    failing_heap *h = ud;
    if (!ptr) osize = 0; /* Lua says there what kind of object it is */
    if (nsize == 0) {
        free(ptr);
        h->bytes -= osize;
        return NULL;
    }
    if (nsize > osize) {
        h->calls++;
        if (h->fail_from && h->calls >= h->fail_from && h->calls - h->fail_from < h->fail_for) {
            h->failed = true;
            return NULL;
        }
    }
    void *block = realloc(ptr, nsize);
    if (block) h->bytes += nsize - osize;
    return block;
}
