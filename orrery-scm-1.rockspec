rockspec_format = "3.0"
package = "orrery"
version = "scm-1"

-- Built where it stands: `luarocks --lua-version 5.4 make`, or `make rock`, which needs no network.
source = { url = "git+file://." }

description = {
  summary = "Workflow engine that fits inside your program",
  detailed = "Workflows and node handlers in Lua; a small C runtime decides what runs when.",
  license = "MIT",
}

-- libuv, luv and LPeg are not listed: luarocks would fetch and build second copies, and the module
-- has to share one luv, and with it one event loop, with the program that loads it. They are the
-- system's (Debian: lua-luv, lua-lpeg); the build installs what is missing.
dependencies = { "lua >= 5.4, < 5.5" }

build = {
  type = "make",
  build_target = "lib",
  build_variables = { CFLAGS = "$(CFLAGS)" },
  install_target = "install-module",
  install_variables = { LUADIR = "$(LUADIR)", LIBDIR = "$(LIBDIR)" },
  build_pass = true,
}
