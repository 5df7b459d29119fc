/* test_core_properties.c - what must hold of every run, tried on thousands of random workflows.
 *
 * The rules are in judge.c, the workflows in wild.c. A rule that is broken prints the seed and the
 * size: `ORR_WILD=seed,runs,nodes, flags,meddles` runs that case alone.
 */
#include "chance.h"
#include "judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t once(uint64_t seed, uint32_t runs, uint32_t nodes, uint32_t flags, bool meddles) {
    static judge j;
    judge_begin(&j, seed, runs, nodes, flags, meddles);
    judge_finish(&j);
    return judge_end(&j);
}

/* Twice, since equal inputs must give the equal history. */
static void twice(uint64_t seed, uint32_t runs, uint32_t nodes, uint32_t flags, bool meddles) {
    uint64_t first = once(seed, runs, nodes, flags, meddles);
    if (once(seed, runs, nodes, flags, meddles) != first)
        fail_msg("ORR_WILD=%llu,%u,%u,%u,%d: the second history differs", (unsigned long long)seed, runs,
                 nodes, flags, meddles);
}

static void one_case(void **state) {
    unsigned long long seed = 0;
    unsigned runs = 0, nodes = 0, flags = 0, meddles = 0;
    const char *wanted = getenv("ORR_WILD");
    (void)state;
    if (wanted == NULL || sscanf(wanted, "%llu,%u,%u,%u,%u", &seed, &runs, &nodes, &flags, &meddles) != 5)
        fail_msg("ORR_WILD is not 'seed,runs,nodes,flags,meddles'");
    twice(seed, runs, nodes, flags, meddles != 0);
}

static void small(void **state) {
    chance c = chance_begin("small workflows");
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(6000); i++)
        twice(chance_next(&c), 1, 1 + chance_below(&c, 60), chance_below(&c, WILD_ALL + 1), false);
}

static void meddled_with(void **state) {
    chance c = chance_begin("cancelled, paused and resumed");
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(4000); i++)
        twice(~chance_next(&c), 1, 1 + chance_below(&c, 60), chance_below(&c, WILD_ALL + 1), true);
}

static void several(void **state) {
    chance c = chance_begin("several runs at a time");
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(1500); i++)
        twice(chance_next(&c), 2 + chance_below(&c, JUDGE_RUNS - 1), 1 + chance_below(&c, 40),
              chance_below(&c, WILD_ALL + 1), chance_of(&c, 50));
}

static void large(void **state) {
    chance c = chance_begin("large workflows");
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(6); i++)
        twice(chance_next(&c), 1 + chance_below(&c, 2), 2000, chance_below(&c, WILD_ALL + 1),
              chance_of(&c, 30));
}

int main(void) {
    const struct CMUnitTest every[] = {cmocka_unit_test(small), cmocka_unit_test(meddled_with),
                                       cmocka_unit_test(several), cmocka_unit_test(large)};
    const struct CMUnitTest one[] = {cmocka_unit_test(one_case)};
    if (getenv("ORR_WILD") != NULL) return cmocka_run_group_tests(one, NULL, NULL);
    return cmocka_run_group_tests(every, NULL, NULL);
}
