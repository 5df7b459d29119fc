/* loop.h - the room `loop`, which acts: the clock, libuv, child processes, HTTP. It stands above
 * the core and below everything that has coroutines, and those rooms may use it.
 *
 * clock.h    wall and monotonic time    engine.h   the core with a clock, the wake-up
 * process.h  child processes            http.h     HTTP by libcurl
 * blocking.h calls that may never return  files.h  long work with files, for a thread
 * archive.h  tar and zip by libarchive  mail.h   mails by libcurl
 * httpd.h    HTTP servers by libmicrohttpd
 */
#ifndef ORR_LOOP_H
#define ORR_LOOP_H

#include "loop/archive.h"
#include "loop/blocking.h"
#include "loop/clock.h"
#include "loop/engine.h"
#include "loop/files.h"
#include "loop/http.h"
#include "loop/httpd.h"
#include "loop/mail.h"
#include "loop/process.h"

#endif
