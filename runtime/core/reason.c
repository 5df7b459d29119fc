/* reason.c - see reason.h */
#include "core/reason.h"

#include <stdarg.h>
#include <stdio.h>

void orr_reason_set(orr_reason *reason, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(reason->text, sizeof reason->text, format, values);
    va_end(values);
}
