/* status.c - what a status means, in words. */
#include "orrery.h"

const char *orr_strerror(int status) {
    switch (status) {
#define TEXT(id, value, text)                                                                                \
    case value: return text;
        ORR_STATUSES(TEXT)
#undef TEXT
    default: return "unknown status";
    }
}
