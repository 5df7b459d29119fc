/* reason.h - why something could not be done, as a sentence for the one who asked.
 *
 * A function whose status does not say enough takes an orr_reason: its last parameter, never NULL,
 * and filled where the status is not ORR_OK. It allocates nothing, so that lack of memory can be
 * reported as well.
 */
#ifndef ORR_CORE_REASON_H
#define ORR_CORE_REASON_H

enum { ORR_REASON_SIZE = 512 }; /* bytes with the NUL */

/* Begin with {""}: a reason that is not set says nothing. */
typedef struct orr_reason {
    char text[ORR_REASON_SIZE];
} orr_reason;

/* Sets the text as printf does; one that is too long is cut. */
__attribute__((format(printf, 2, 3))) void orr_reason_set(orr_reason *reason, const char *format, ...);

#endif
