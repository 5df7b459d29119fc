-- The header and the library as a program finds them once they are installed: the header compiles
-- alone, the library exports what it says and nothing else, and a program that names nothing but
-- orrery is linked with it, statically and not, or opens it while it runs.

local command = require "spec.support.command"

local BUILD = command.path:match("^(.*)/[^/]+$")
local SOURCE = [[
#include <orrery.h>
#include <stdio.h>
int main(void) {
    orr_runtime *rt = orr_open(NULL);
    orr_workflow *w = orr_load_string(rt, "local flow = require 'orrery'\n"
        "local w = flow.workflow { name = 'w', input = { n = 'integer' }, output = '${nodes.a.n + 1}' }\n"
        "w.a = { run = function(ctx) ctx:sleep(0.01) return { n = ctx.input.n } end }\nreturn w\n", "w.lua");
    orr_run_id run = orr_start(rt, w, "{\"n\": 41}", NULL);
    int status = orr_wait(rt, run);
    printf("%d %s %s\n", status, orr_run_state_name(orr_state(rt, run)), orr_output(rt, run));
    return orr_close(rt);
}
]]
local OPENS = [[
#include <orrery.h>
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv) {
    void *lib = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
    if (!lib) return puts(dlerror()), 1;
    __typeof__(orr_open) *open_it = dlsym(lib, "orr_open");
    __typeof__(orr_load_string) *load = dlsym(lib, "orr_load_string");
    __typeof__(orr_start) *start = dlsym(lib, "orr_start");
    __typeof__(orr_wait) *wait_for = dlsym(lib, "orr_wait");
    __typeof__(orr_output) *output = dlsym(lib, "orr_output");
    __typeof__(orr_last_error) *last_error = dlsym(lib, "orr_last_error");
    __typeof__(orr_close) *close_it = dlsym(lib, "orr_close");
    orr_runtime *rt = open_it(NULL);
    orr_workflow *w = load(rt, "local flow = require 'orrery'\n"
        "local w = flow.workflow { name = 'w', output = '${nodes.a.n + 1}' }\n"
        "w.a = flow.const { value = { n = 41 } }\nreturn w\n", "w.lua");
    if (!w) return puts(last_error(rt)), 1;
    orr_run_id run = start(rt, w, NULL, NULL);
    wait_for(rt, run);
    puts(output(rt, run));
    return close_it(rt);
}
]]

describe("the C library", function()
  local dir

  local function write(name, text)
    local file <close> = assert(io.open(dir .. "/" .. name, "wb"))
    file:write(text)
  end

  -- In a shell in which $dir is the folder, and pkg-config finds what was installed there.
  local function shell(script)
    return command.shell(([[
      set -e; dir=%s; export PKG_CONFIG_PATH=$dir/usr/lib/pkgconfig
      ]]):format(dir) .. script)
  end

  local function assert_prints(expected, script)
    local done = shell(script)
    assert.equal(expected, done.out, done.err)
    assert.equal(0, done.code, done.err)
  end

  setup(function()
    dir = command.shell("mktemp -d").out:match "%S+"
    local done = shell(([[
      make --no-print-directory -o %s/built-with BUILD=%s DESTDIR=$dir PREFIX=/usr install >/dev/null
      sed -i "s|^prefix=.*|prefix=$dir/usr|" $dir/usr/lib/pkgconfig/orrery.pc]]):format(BUILD, BUILD))
    assert.equal(0, done.code, done.err)
    write("hello.c", SOURCE)
    write("opens.c", OPENS)
    write("alone.c", "#include <orrery.h>\n"
      .. "int main(void) { orr_config c; orr_config_init(&c); return c.clock; }\n")
  end)

  teardown(function() command.shell("rm -rf " .. dir) end)

  local WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-qual -Wundef -Werror"

  local function assert_compiles(compiler, flags)
    if command.shell("command -v " .. compiler).code ~= 0 then return end
    local done = shell(("%s %s -fsyntax-only -Iruntime/include $dir/alone.c"):format(compiler, flags))
    assert.equal("", done.err, compiler .. " " .. flags)
    assert.equal(0, done.code)
  end

  it("has a header that compiles alone in every standard without a warning", function()
    for _, std in ipairs { "c99", "gnu99", "c11", "c17", "c2x" } do
      for _, compiler in ipairs { "gcc", "clang" } do
        assert_compiles(compiler, ("-std=%s %s -Wstrict-prototypes"):format(std, WARNINGS))
      end
    end
    for _, std in ipairs { "c++11", "c++14", "c++17", "c++20" } do
      for _, compiler in ipairs { "g++", "clang++" } do
        assert_compiles(compiler, ("-x c++ -std=%s %s -Wold-style-cast"):format(std, WARNINGS))
      end
    end
  end)

  it("exports what the header declares, and nothing else", function()
    local declared, exported = {}, {}
    local header = assert(io.open("runtime/include/orrery.h")):read "a"
    for name in header:gmatch "ORR_API [^;]-%f[%w_](orr_[%w_]+)%(" do declared[#declared + 1] = name end
    for name in shell("nm -D --defined-only $dir/usr/lib/liborrery.so").out:gmatch "%S+ %u (%S+)" do
      exported[#exported + 1] = name
    end
    table.sort(declared)
    table.sort(exported)
    assert(#declared > 40)
    assert.same(declared, exported)
    -- the archive's other names are hidden from whoever is linked with it as a shared object
    local hidden = shell([[
      cc -shared -o $dir/all.so -Wl,--whole-archive $dir/usr/lib/liborrery.a -Wl,--no-whole-archive
      nm -D --defined-only $dir/all.so | awk '$3 !~ /^orr_/ && $3 != "luaopen_orrery_core" { print $3 }']])
    assert.equal("", hidden.out)
  end)

  it("is all that a program names to be linked", function()
    if command.sanitized then pending "a plain program cannot load a library with a sanitizer in it" end
    assert_prints("0 completed 42\n", [[
      cc -Wall -Werror $dir/hello.c $(pkg-config --cflags --libs orrery) -o $dir/hello
      cd /; LD_LIBRARY_PATH=$dir/usr/lib $dir/hello]])
  end)

  it("is linked as an archive with what pkg-config says", function()
    if command.sanitized then pending "a plain program cannot load a library with a sanitizer in it" end
    assert_prints("0 completed 42\n", [[
      mkdir $dir/static; cp $dir/usr/lib/liborrery.a $dir/static
      libs=$(pkg-config --libs --static orrery | sed "s|-L$dir/usr/lib|-L$dir/static|")
      cc -Wall -Werror $dir/hello.c $(pkg-config --cflags orrery) $libs -o $dir/hello-archive
      $dir/hello-archive
      ldd $dir/hello-archive | grep libuv || true]])
  end)

  it("is linked into a program that is static as a whole", function()
    if command.sanitized then pending "a plain program cannot load a library with a sanitizer in it" end
    assert_prints("0 completed 42\nstatic\n", [[
      # of what is opened at its first use (libcurl and others) the linker warns
      cc -static $dir/hello.c $(pkg-config --static --cflags --libs orrery) -o $dir/hello-static 2>$dir/said
      $dir/hello-static
      ldd $dir/hello-static >/dev/null 2>&1 || echo static]])
  end)

  it("can be opened by a program that knows nothing of Lua", function()
    if command.sanitized then pending "a plain program cannot load a library with a sanitizer in it" end
    assert_prints("42\n42\n", [[
      cc -Wall $dir/opens.c -Iruntime/include -ldl -o $dir/opens
      $dir/opens $dir/usr/lib/liborrery.so.0
      cd /; $dir/opens $dir/usr/lib/liborrery.so]])
  end)
end)
