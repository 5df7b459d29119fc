/* policy.c - policies and outcome names, each kept once. Nodes carry an index, so a million
 * nodes with the same retries share one policy. */
#include "core/plan/inner.h"

#include <math.h>
#include <string.h>

/* as many different policies or ports as a uint16_t names, ORR_PORT_ANY apart */
enum { MAX_INDICES = UINT16_MAX };

void orr_policy_init(orr_policy *policy) {
    *policy = (orr_policy){.join = ORR_JOIN_ALL,
                           .priority = ORR_PRIO_NORMAL,
                           .retry.factor = 2,
                           .compensate_retry.factor = 2};
}

/* ---- what may be in a policy ----------------------------------------------------------------- */

static bool codes_ok(const char *const *codes, uint32_t n) {
    if (n && !codes) return false;
    for (uint32_t i = 0; i < n; i++)
        if (!codes[i]) return false;
    return true;
}

static bool retry_ok(const orr_retry *r) {
    return r->delay >= 0 && r->max_delay >= 0 && r->after_max >= 0 && r->strategy <= ORR_BACKOFF_RANDOM &&
           r->jitter <= ORR_JITTER_EQUAL && r->factor >= 0 && !isinf(r->factor) && codes_ok(r->on, r->n_on) &&
           codes_ok(r->unless, r->n_unless);
}

static bool retries_ok(const orr_retry *retries, uint32_t n) {
    if (n >= ORR_RETRY_POLICIES || (n > 0 && !retries)) return false;
    for (uint32_t i = 0; i < n; i++)
        if (!retry_ok(&retries[i])) return false;
    return true;
}

static bool policy_ok(const orr_policy *p) {
    const int64_t durations[] = {p->loop_delay, p->timeout,  p->deadline,
                                 p->heartbeat,  p->estimate, p->compensate_timeout};
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++)
        if (durations[i] < 0) return false;
    return p->join <= ORR_JOIN_NEED && p->priority < ORR_PRIO_COUNT && p->each_failures >= 0 &&
           p->each_on_failure <= ORR_EACH_CONTINUE && retry_ok(&p->retry) &&
           retries_ok(p->retries, p->n_retries) && retry_ok(&p->compensate_retry) &&
           retries_ok(p->compensate_retries, p->n_compensate_retries);
}

/* ---- equality by value ----------------------------------------------------------------------- */

/* Everything in a policy that is not a string, without the padding between its fields. */
typedef struct policy_words {
    uint64_t w[28];
} policy_words;

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static policy_words words_of(const orr_policy *p) {
    const orr_retry *r = &p->retry, *c = &p->compensate_retry;
    const uint8_t small[] = {
        p->join,     p->priority, p->cancel_rest,      p->ignore_errors,  p->has_when,
        p->has_each, p->has_loop, p->has_fallback,     p->has_compensate, p->pool_is_dynamic,
        r->strategy, r->jitter,   p->failures_percent, c->strategy,       c->jitter,
        p->watches,  p->instant,  p->each_on_failure,  p->pool_hold,      p->stops,
    };
    policy_words words = {{0}};
    _Static_assert(sizeof small <= 3 * sizeof *words.w, "three words hold them");
    memcpy(words.w, small, sizeof small);
    const uint64_t rest[] = {
        p->need,
        p->each_parallel,
        bits_of(p->each_failures),
        p->loop_max,
        p->loop_times,
        (uint64_t)p->loop_delay,
        (uint64_t)p->timeout,
        (uint64_t)p->deadline,
        (uint64_t)p->heartbeat,
        (uint64_t)p->estimate,
        r->max,
        (uint64_t)r->delay,
        (uint64_t)r->max_delay,
        bits_of(r->factor),
        (uint64_t)r->n_on << 32 | r->n_unless,
        (uint64_t)p->compensate_timeout,
        p->n_retries,
        (uint64_t)r->after_max,
        (uint64_t)c->after_max,
        c->max,
        (uint64_t)c->delay,
        (uint64_t)c->max_delay,
        bits_of(c->factor),
        (uint64_t)c->n_on << 32 | c->n_unless,
        p->n_compensate_retries,
    };
    _Static_assert(sizeof rest + 3 * sizeof *words.w == sizeof words, "every word is used");
    memcpy(words.w + 3, rest, sizeof rest);
    return words;
}

static uint64_t hash_text(uint64_t h, const char *s) {
    return s ? orr_hash_bytes(h, s, strlen(s) + 1) : h + 1;
}

static uint64_t hash_codes(uint64_t h, const orr_retry *r) {
    for (uint32_t i = 0; i < r->n_on; i++) h = hash_text(h, r->on[i]);
    for (uint32_t i = 0; i < r->n_unless; i++) h = hash_text(h, r->unless[i]);
    return h;
}

/* The numbers of a further retry policy, without padding. */
typedef struct retry_words {
    uint64_t w[7];
} retry_words;

static retry_words words_of_retry(const orr_retry *r) {
    return (retry_words){{(uint64_t)r->max << 16 | (uint64_t)r->strategy << 8 | r->jitter, (uint64_t)r->delay,
                          (uint64_t)r->max_delay, (uint64_t)r->after_max, bits_of(r->factor), r->n_on,
                          r->n_unless}};
}

static uint64_t hash_retries(uint64_t h, const orr_retry *retries, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        retry_words words = words_of_retry(&retries[i]);
        h = hash_codes(orr_hash_bytes(h, &words, sizeof words), &retries[i]);
    }
    return h;
}

static uint32_t hash_policy(uint64_t seed, const orr_policy *p) {
    policy_words words = words_of(p);
    uint64_t h = orr_hash_bytes(seed, &words, sizeof words);
    h = hash_text(hash_text(h, p->pool), p->breaker);
    h = hash_retries(h, p->retries, p->n_retries);
    h = hash_retries(h, p->compensate_retries, p->n_compensate_retries);
    return orr_hash_fold(hash_codes(hash_codes(h, &p->retry), &p->compensate_retry));
}

static bool same_text(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_codes(const char *const *a, const char *const *b, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(a[i], b[i]) != 0) return false;
    return true;
}

static bool same_retry_codes(const orr_retry *a, const orr_retry *b) {
    return same_codes(a->on, b->on, a->n_on) && same_codes(a->unless, b->unless, a->n_unless);
}

/* Of two lists of the same length. */
static bool same_retries(const orr_retry *a, const orr_retry *b, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        retry_words wa = words_of_retry(&a[i]), wb = words_of_retry(&b[i]);
        if (memcmp(&wa, &wb, sizeof wa) != 0 || !same_retry_codes(&a[i], &b[i])) return false;
    }
    return true;
}

static bool same_policy(const orr_policy *a, const orr_policy *b) {
    policy_words wa = words_of(a), wb = words_of(b); /* they hold the numbers of codes */
    return memcmp(&wa, &wb, sizeof wa) == 0 && same_text(a->pool, b->pool) &&
           same_text(a->breaker, b->breaker) && same_retry_codes(&a->retry, &b->retry) &&
           same_retries(a->retries, b->retries, a->n_retries) &&
           same_retry_codes(&a->compensate_retry, &b->compensate_retry) &&
           same_retries(a->compensate_retries, b->compensate_retries, a->n_compensate_retries);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static size_t text_size(const char *s) {
    return s ? strlen(s) + 1 : 0;
}

static const char *copy_text(char **at, const char *s) {
    if (!s) return NULL;
    size_t size = strlen(s) + 1;
    char *copy = memcpy(*at, s, size);
    *at += size;
    return copy;
}

static const char *const *copy_codes(const char ***slot, char **at, const char *const *codes, uint32_t n) {
    if (n == 0) return NULL;
    const char **copy = *slot;
    for (uint32_t i = 0; i < n; i++) copy[i] = copy_text(at, codes[i]);
    *slot += n;
    return copy;
}

static size_t codes_size(const orr_retry *r) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < r->n_on; i++) bytes += text_size(r->on[i]);
    for (uint32_t i = 0; i < r->n_unless; i++) bytes += text_size(r->unless[i]);
    return bytes;
}

/* Replaces the strings of `p` by copies in one block: first the pointers of all code lists, then
 * the bytes. */
static orr_status own_strings(orr_plan_builder *b, orr_policy *p) {
    orr_retry *r = &p->retry, *c = &p->compensate_retry;
    size_t n_codes = (size_t)r->n_on + r->n_unless + c->n_on + c->n_unless;
    size_t bytes = n_codes * sizeof(char *) + text_size(p->pool) + text_size(p->breaker) + codes_size(r) +
                   codes_size(c);
    if (bytes == 0) return ORR_OK;
    const char **slot = orr_chunk_take(&b->alloc, &b->strings, bytes);
    if (!slot) return ORR_ENOMEM;
    char *at = (char *)(slot + n_codes);
    r->on = copy_codes(&slot, &at, r->on, r->n_on);
    r->unless = copy_codes(&slot, &at, r->unless, r->n_unless);
    c->on = copy_codes(&slot, &at, c->on, c->n_on);
    c->unless = copy_codes(&slot, &at, c->unless, c->n_unless);
    p->pool = copy_text(&at, p->pool);
    p->breaker = copy_text(&at, p->breaker);
    return ORR_OK;
}

/* Copies the further retry policies, and the codes of each. */
static orr_status own_retries(orr_plan_builder *b, const orr_retry **retries, uint32_t n) {
    if (n == 0) return ORR_OK;
    orr_retry *copies = orr_chunk_take(&b->alloc, &b->strings, n * sizeof *copies);
    if (!copies) return ORR_ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        orr_retry *r = &copies[i];
        *r = (*retries)[i];
        size_t n_codes = (size_t)r->n_on + r->n_unless;
        if (n_codes == 0) continue;
        const char **slot = orr_chunk_take(&b->alloc, &b->strings, n_codes * sizeof *slot + codes_size(r));
        if (!slot) return ORR_ENOMEM;
        char *at = (char *)(slot + n_codes);
        r->on = copy_codes(&slot, &at, r->on, r->n_on);
        r->unless = copy_codes(&slot, &at, r->unless, r->n_unless);
    }
    *retries = copies;
    return ORR_OK;
}

/* ---- policies -------------------------------------------------------------------------------- */

static orr_status add_policy(orr_plan_builder *b, orr_policy *p, uint32_t hash, uint16_t *index) {
    if (b->policies.count >= MAX_INDICES) return ORR_EINVAL;
    if (orr_vec_reserve(&b->alloc, &b->policies, 1) != ORR_OK) return ORR_ENOMEM;
    if (orr_table_reserve(&b->alloc, &b->policy_index, b->policies.count + 1) != ORR_OK) return ORR_ENOMEM;
    if (own_retries(b, &p->retries, p->n_retries) != ORR_OK ||
        own_retries(b, &p->compensate_retries, p->n_compensate_retries) != ORR_OK ||
        own_strings(b, p) != ORR_OK)
        return ORR_ENOMEM;
    size_t at = orr_table_start(&b->policy_index, hash);
    while (orr_table_next(&b->policy_index, hash, &at) != ORR_NONE) {
    } /* the walk ends where a new entry goes */
    *index = (uint16_t)b->policies.count++;
    ((orr_policy *)b->policies.data)[*index] = *p;
    orr_table_put(&b->policy_index, at, hash, *index);
    if (p->join == ORR_JOIN_NEED) b->counts_need = true;
    return ORR_OK;
}

static void own_defaults(orr_retry *r) {
    if (r->factor == 0) r->factor = 2;
    if (r->n_on == 0) r->on = NULL;
    if (r->n_unless == 0) r->unless = NULL;
}

orr_status orr_plan_policy(orr_plan_builder *b, const orr_policy *policy, uint16_t *index) {
    if (!policy_ok(policy)) return ORR_EINVAL;
    orr_policy p = *policy;
    own_defaults(&p.retry);
    own_defaults(&p.compensate_retry);
    uint32_t hash = hash_policy(b->hash_seed, &p);
    const orr_policy *policies = b->policies.data;
    if (b->policy_index.room) {
        size_t at = orr_table_start(&b->policy_index, hash);
        for (uint32_t i; (i = orr_table_next(&b->policy_index, hash, &at)) != ORR_NONE;) {
            if (!same_policy(&p, &policies[i])) continue;
            *index = (uint16_t)i;
            return ORR_OK;
        }
    }
    return add_policy(b, &p, hash, index);
}

orr_status orr_policies_begin(orr_plan_builder *b) {
    orr_policy policy;
    uint16_t index;
    orr_policy_init(&policy);
    return orr_plan_policy(b, &policy, &index);
}

/* ---- ports ----------------------------------------------------------------------------------- */

orr_status orr_plan_port(orr_plan_builder *b, const char *name, size_t len, uint16_t *port) {
    if (len == 0 || memchr(name, 0, len)) return ORR_EINVAL;
    if (orr_table_reserve(&b->alloc, &b->port_index, b->ports.count + 1) != ORR_OK) return ORR_ENOMEM;
    uint32_t hash = orr_hash_fold(orr_hash_bytes(b->hash_seed, name, len));
    char **ports = b->ports.data;
    size_t at = orr_table_start(&b->port_index, hash);
    for (uint32_t i; (i = orr_table_next(&b->port_index, hash, &at)) != ORR_NONE;) {
        if (strncmp(ports[i], name, len) != 0 || ports[i][len] != 0) continue;
        *port = (uint16_t)i;
        return ORR_OK;
    }
    if (b->ports.count >= MAX_INDICES) return ORR_EINVAL;
    if (orr_vec_reserve(&b->alloc, &b->ports, 1) != ORR_OK) return ORR_ENOMEM;
    char *copy = orr_chunk_take(&b->alloc, &b->strings, len + 1);
    if (!copy) return ORR_ENOMEM;
    memcpy(copy, name, len);
    copy[len] = 0;
    *port = (uint16_t)b->ports.count++;
    ((char **)b->ports.data)[*port] = copy;
    orr_table_put(&b->port_index, at, hash, *port);
    return ORR_OK;
}
