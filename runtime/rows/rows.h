/* rows.h - the room `rows`: what is done to every row of a stream, for Lua.
 *
 * csv.c     CSV (RFC 4180) into rows and back      keys.c   sets of keys, compared exactly
 * pack.c    values as bytes, and keys that sort    sorter.c sorting of what is larger than memory
 * spool.c   a file that nobody else sees (inner.h)         unicode.c  forms of Unicode text
 * list.c    rows that are more than an output keeps in memory
 * xml.c     XML into values; xml_parse.c into events, by libexpat (xml_lib.c)
 *
 * Memory is the state's own (lua_getallocf). Files are read and written where the call stands:
 * they are local, have no name, and never outlive the process.
 */
#ifndef ORR_ROWS_ROWS_H
#define ORR_ROWS_ROWS_H

#include <lua.h>

/* lua_CFunction: returns the table of this room's functions. */
int orr_open_rows(lua_State *L);

#endif
