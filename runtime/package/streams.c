/* streams.c - the standard streams for the Lua inside liborrery-full.so.
 *
 * Debian's archives of Lua and luv are compiled for programs: they reach the C library's variables
 * directly, which code in a shared object cannot. So in copies of them these variables have other
 * names (package.mk), and are here. A host that puts other streams into `stdout` or `stderr`
 * before it opens the library is followed; one that does so later is not.
 */
#include <stdio.h>

FILE *orr_full_stdin, *orr_full_stdout, *orr_full_stderr;

__attribute__((constructor)) static void take_streams(void) {
    orr_full_stdin = stdin;
    orr_full_stdout = stdout;
    orr_full_stderr = stderr;
}
