/* sample.h - what the contestants in C and C++ measure with, and how they print it: lines of "key
 * value" on standard output, times in seconds, memory in bytes. */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static inline double sample_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Bytes resident (proc(5): statm, second field, in pages), after the heap has given back what is
 * free: what is held, not what was needed on the way. Not to be called between warming up and
 * timing: the memory would be cold. */
static inline double sample_rss(void) {
    malloc_trim(0);
    long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lld %lld", &size, &resident) != 2) {
        fprintf(stderr, "bench: /proc/self/statm cannot be read; Linux's proc is needed\n");
        exit(1);
    }
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static inline void sample_say(const char *key, double value) {
    printf("%s %.12g\n", key, value);
}

/* Ends the program where a contestant did not do the whole work: its time would be worth
 * nothing. */
static inline void sample_expect(const char *what, uint64_t got, uint64_t expected) {
    if (got != expected) {
        fprintf(stderr, "bench: %s: %llu, expected %llu\n", what, (unsigned long long)got,
                (unsigned long long)expected);
        exit(1);
    }
}

#endif
