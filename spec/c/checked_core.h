/* checked_core.h - what the harnesses do after every call of the core: prove that it agrees with
 * itself. */
#ifndef SPEC_CHECKED_CORE_H
#define SPEC_CHECKED_CORE_H

#include "core/core.h"

/* Fails the test with the sentence of orr_core_check. The proof reads the whole core, so where
 * there are more than 256 tasks only every 2^k-th call makes it: one in so many that a call pays
 * for some eight tasks. Tests of smaller graphs have every call checked. */
void checked_core(const orr_core *core);

/* The same, whatever the size. */
void checked_core_now(const orr_core *core);

#endif
