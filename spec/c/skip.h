/* skip.h - leaving a test out, with the reason that `make test` prints. After <cmocka.h>. */
#ifndef SPEC_SKIP_H
#define SPEC_SKIP_H

#include <stdio.h>

#define skip_for(...)                                                                                        \
    do {                                                                                                     \
        printf("skipped %s: ", __func__);                                                                    \
        printf(__VA_ARGS__);                                                                                 \
        printf("\n");                                                                                        \
        skip();                                                                                              \
    } while (0)

#endif
