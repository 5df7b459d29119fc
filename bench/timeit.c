/* timeit.c - times commands from posix_spawn to the end of the process, in turn, so that drift of
 * the machine hits all.
 *
 * usage: timeit ROUNDS COMMAND [ARG...] [ '|||' COMMAND [ARG...] ]... Prints for each round but the
 * first, which warms up, and each command: its number from 1, seconds, and the most bytes it had
 * resident. Standard output of the commands is dropped. A command that fails ends it.
 */
#include "sample.h"

#include <fcntl.h>
#include <stdbool.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void once(char **command, const posix_spawn_file_actions_t *actions, int number, bool quiet) {
    pid_t child;
    int status;
    struct rusage usage;
    double start = sample_time();
    int rc = posix_spawnp(&child, command[0], actions, NULL, command, environ);
    if (rc != 0) {
        fprintf(stderr, "timeit: %s cannot be started: %s\n", command[0], strerror(rc));
        exit(1);
    }
    if (wait4(child, &status, 0, &usage) != child || status != 0) {
        fprintf(stderr, "timeit: %s failed (status %d)\n", command[0], status);
        exit(1);
    }
    double seconds = sample_time() - start;
    if (!quiet) printf("%d %.9f %ld\n", number, seconds, usage.ru_maxrss * 1024);
}

int main(int argc, char **argv) {
    int rounds = argc > 2 ? atoi(argv[1]) : 0;
    if (rounds < 1) {
        fprintf(stderr, "usage: timeit ROUNDS COMMAND [ARG...] [ '|||' COMMAND [ARG...] ]...\n");
        return 2;
    }
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "|||") == 0)
            argv[i] = NULL; /* each command ends as execvp wants it; argv itself does already */
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    for (int round = 0; round <= rounds; round++) {
        int number = 0;
        for (int i = 2; i < argc; i++)
            if (argv[i] != NULL && (i == 2 || argv[i - 1] == NULL))
                once(argv + i, &actions, ++number, round == 0);
    }
    posix_spawn_file_actions_destroy(&actions);
    return 0;
}
