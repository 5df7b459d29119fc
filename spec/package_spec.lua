-- The ways into programs of others, as they find them once all is installed: the libraries with Lua
-- inside, the header of C++, CMake, ctypes of Python.

local command = require "spec.support.command"

local BUILD = command.path:match("^(.*)/[^/]+$")
local HOST = [[
#include <orrery.h>
#include <stdio.h>
int main(void) {
    orr_runtime *rt = orr_open(NULL);
    orr_workflow *w = orr_load_string(rt, "local flow = require 'orrery'\n"
        "local w = flow.workflow { name = 'w', output = '${nodes.a}' }\n"
        "w.a = { run = function() io.stdout:write 'said ' io.stdout:flush()\n"
        "  return require 'lpeg'.type(require 'lpeg'.P 'x') .. type(require 'luv'.hrtime()) end }\n"
        "return w\n", "w.lua");
    orr_run_id run = orr_start(rt, w, NULL, NULL);
    orr_wait(rt, run);
    puts(orr_output(rt, run));
    return orr_close(rt);
}
]]
-- Functions of the host that have the names of Lua's, and are no part of one.
local OTHER_LUA = [[
#include <stdio.h>
void lua_settop(void) { puts("another Lua was called"); }
void lua_pcallk(void) { puts("another Lua was called"); }
void *luaL_newstate(void) { puts("another Lua was called"); return 0; }
]]
local CPP = [[
#include <orrery.hpp>
#include <cstring>
#include <iostream>
static const char *const source =
    "local flow = require 'orrery'\n"
    "local w = flow.workflow { name = 'w', output = '${nodes.double.n}' }\n"
    "w.double = flow.my.double { n = '${input.n}' }\n"
    "w.later = flow.my.later {}\n"
    "w.wait = { after = 'later', run = function(ctx) return ctx:wait 'go' end }\n"
    "return w\n";
static const char *const throwing =
    "local flow = require 'orrery'\nlocal w = flow.workflow { name = 'b' }\nw.a = flow.my.throws {}\nreturn w\n";
struct Host {
    orrery::Runtime rt;
    std::vector<orrery::Attempt> kept;
    explicit Host(const orr_config &config) : rt(config) {
        rt.define("my.double", [](orrery::Call &call) {
            call.complete(call.object().set("n", call.config()["n"].integer() * 2).set("list",
                call.array().append(true).append(1.5).append("x").append(nullptr)));
        });
        rt.define("my.throws", [](orrery::Call &) { throw std::runtime_error("thrown"); });
        rt.define("my.later", [this](orrery::Call &call) { kept.push_back(call); });
    }
};
template <typename F> static void say_error(F f) {
    try { f(); std::cout << "no error\n"; }
    catch (const orrery::Error &e) { std::cout << e.status() << ' ' << e.what() << '\n'; }
}
int main() {
    orr_config config = orrery::config();
    config.saveable = true;
    Host host(config);
    orrery::Workflow w = host.rt.load_string(source, "w.lua");
    orrery::Run run = host.rt.start(w, host.rt.object().set("n", 21));
    while (host.kept.empty()) host.rt.step();
    host.kept[0].complete_json("[1]");
    while (host.rt.step()) {}
    std::string save = host.rt.save();
    run.signal("go", "{\"x\": [1, 2]}");
    std::cout << orr_run_state_name(run.wait()) << ' ' << run.output().integer() << ' '
              << run.output("double")["list"].json() << ' ' << run.output("wait")["x"][1].integer() << ' '
              << run.output("wait")["y"]["z"].text("none") << '\n';
    say_error([&] { host.kept[0].complete(); });
    orrery::Workflow throws = host.rt.load_string(throwing, "b.lua");
    orrery::Run failed = host.rt.start(throws);
    failed.wait();
    std::cout << failed.error() << '\n';
    say_error([&] { host.rt.load_file("nowhere.lua"); });
    say_error([&] { failed.why("nobody"); });
    std::unique_ptr<Host> again(new Host(config));
    orrery::Workflow same = again->rt.load_string(source, "w.lua");
    again->rt.load(save);
    orrery::Run back = again->rt.runs().at(0);
    std::cout << (back.text() == run.text()) << ' ' << back.ended() << '\n';
    again.reset();
    say_error([&] { back.state(); });
    say_error([&] { save[20] ^= 1; host.rt.load(save); });
    config.store = "/nowhere/at/all/x.db";
    say_error([&] { orrery::Runtime rt(config); });
    return 0;
}
]]
local CPP_SAYS = [[
completed 42 [true,1.5,"x",null] 2 none
-3 the attempt that this token names is over
{"code":"handler_error","message":"thrown","node":"a","retryable":false}
-5 cannot read the workflow nowhere.lua: No such file or directory; give the path of a Lua or JSON file
-4 no node is called nobody
1 0
-3 the runtime is closed
]]
local CMAKE = [[
cmake_minimum_required(VERSION 3.13)
project(host C)
find_package(Orrery 0.1 REQUIRED)
foreach(name orrery static full full_static)
  add_executable(host_${name} host.c)
  target_link_libraries(host_${name} Orrery::${name})
endforeach()
]]

describe("a program of others", function()
  local dir

  local function write(name, text)
    local file <close> = assert(io.open(dir .. "/" .. name, "wb"))
    file:write(text)
  end

  local function prints(script)
    local done = command.shell(([[
      set -e; dir=%s; export PKG_CONFIG_PATH=$dir/usr/lib/pkgconfig LD_LIBRARY_PATH=$dir/usr/lib
      ]]):format(dir) .. script)
    assert.equal(0, done.code, done.err .. done.out)
    return done.out
  end

  setup(function()
    if command.sanitized then return end -- as all that is tested here
    dir = command.shell("mktemp -d").out:match "%S+"
    local done = command.shell(([[
      make --no-print-directory -o %s/built-with BUILD=%s DESTDIR=%s PREFIX=/usr install-library amalgamation >/dev/null
      sed -i "s|^prefix=.*|prefix=%s/usr|" %s/usr/lib/pkgconfig/*.pc]]):format(BUILD, BUILD, dir, dir, dir))
    assert.equal(0, done.code, done.err)
    write("host.c", HOST)
    write("other_lua.c", OTHER_LUA)
    write("host.cpp", CPP)
    write("CMakeLists.txt", CMAKE)
  end)

  teardown(function()
    if dir then command.shell("rm -rf " .. dir) end
  end)

  local function no_sanitizer()
    if command.sanitized then pending "a plain program cannot load a library with a sanitizer in it" end
  end

  local SAYS = 'said "patternnumber"\n'

  it("has the library with Lua inside, which shows nothing of it", function()
    no_sanitizer()
    assert.equal("", prints [[
      nm -D --defined-only $dir/usr/lib/liborrery-full.so | awk '$3 !~ /^orr_/'
      nm -D --undefined-only $dir/usr/lib/liborrery-full.so | grep -E ' lua|lpeg|luv' || true
      nm -g --defined-only $dir/usr/lib/liborrery-full.a | awk 'NF == 3 && $3 !~ /^orr_/']])
    assert.equal(SAYS:rep(2), prints [[
      cc -Wall $dir/host.c $dir/other_lua.c -rdynamic $(pkg-config --cflags --libs orrery-full) -o $dir/full
      $dir/full
      mkdir $dir/archive; cp $dir/usr/lib/liborrery-full.a $dir/archive
      libs=$(pkg-config --libs --static orrery-full | sed "s|-L$dir/usr/lib|-L$dir/archive|")
      cc -Wall $dir/host.c $dir/other_lua.c -rdynamic $(pkg-config --cflags orrery-full) $libs -o $dir/full-archive
      $dir/full-archive]])
  end)

  it("takes the library as one file of C, compiled by one call", function()
    no_sanitizer()
    assert.equal(SAYS, prints(([[
      cc -O0 -w -c %s/amalgamation/orrery.c $(pkg-config --cflags lua5.4 lua5.4-luv libuv libcurl libpq) \
        -o $dir/orrery.o
      cc -w $dir/host.c $dir/orrery.o -I%s/amalgamation $(pkg-config --cflags lua5.4) -llua5.4-luv \
        -llua5.4-lpeg -llua5.4 -luv -lsqlite3 -lmd -lz -lm -o $dir/one
      $dir/one]]):format(BUILD, BUILD)))
  end)

  it("finds all libraries by CMake, wherever they lie", function()
    no_sanitizer()
    assert.equal(SAYS:rep(4), prints [[
      mv $dir/usr $dir/moved; mkdir $dir/made; export LD_LIBRARY_PATH=$dir/moved/lib
      cmake -S $dir -B $dir/made -DCMAKE_PREFIX_PATH=$dir/moved >/dev/null
      cmake --build $dir/made >/dev/null
      mv $dir/moved $dir/usr; export LD_LIBRARY_PATH=$dir/usr/lib
      for name in orrery static full full_static; do $dir/made/host_$name; done]])
    local other = command.shell(([[sed -i 's/Orrery 0.1/Orrery 0.2/' %s/CMakeLists.txt
      cmake -S %s -B %s/other -DCMAKE_PREFIX_PATH=%s/usr]]):format(dir, dir, dir, dir))
    assert.equal(1, other.code)
    assert(other.err:find "0.1.0", other.err)
  end)

  it("is written in any C++ from 2011 on", function()
    no_sanitizer()
    local compilers = 0
    for _, compiler in ipairs { "g++", "clang++" } do
      if command.shell("command -v " .. compiler).code == 0 then
        compilers = compilers + 1
        for _, std in ipairs { "c++11", "c++20" } do
          assert.equal("", prints(([[%s -std=%s -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wold-style-cast \
            -Werror -fsyntax-only -I$dir/usr/include $dir/host.cpp 2>&1]]):format(compiler, std)))
        end
      end
    end
    assert(compilers > 0)
  end)

  it("says in C++ what it says in C, and throws what fails", function()
    no_sanitizer()
    local said = prints [[
      g++ -std=c++11 $dir/host.cpp $(pkg-config --cflags --libs orrery-full) -o $dir/host-cpp
      cd $dir; ./host-cpp]]
    assert.equal(CPP_SAYS, said:sub(1, #CPP_SAYS))
    assert(said:sub(#CPP_SAYS + 1):find "^%-2 the save is damaged[^\n]*\n%-8 store_error: [^\n]*\n$", said)
  end)

  it("is Debian's package manager, which finds a package with all of it", function()
    no_sanitizer()
    local said = prints(([[
      make --no-print-directory -o %s/built-with BUILD=%s deb >/dev/null
      deb=$(echo %s/orrery_*.deb); rm -rf $dir/root; dpkg -x $deb $dir/root
      dpkg-deb -f $deb Depends | grep -o 'libc6\|libuv1\|libsqlite3-0\|lua-luv\|lua-lpeg\|liblua5.4-0' | sort -u
      dpkg-deb -f $deb Recommends | grep -o libmicrohttpd
      $dir/root/usr/bin/orrery --version
      LUA_PATH="$dir/root/usr/share/lua/5.4/?.lua;$dir/root/usr/share/lua/5.4/?/init.lua;;" \
      LUA_CPATH="$dir/root/usr/lib/lua/5.4/?.so;;" lua5.4 -e 'print(type(require("orrery").workflow))'
      zcat $dir/root/usr/share/man/man1/orrery.1.gz | head -1
      if command -v systemd-analyze >/dev/null; then
        sed "s|/usr/bin/orrery|$dir/root&|" $dir/root/lib/systemd/system/orrery.service >$dir/orrery.service
        systemd-analyze --man=no verify $dir/orrery.service 2>&1 | grep orrery.service || true
      fi]]):format(BUILD, BUILD, BUILD))
    assert.match("^libc6\nliblua5.4%-0\nlibsqlite3%-0\nlibuv1\nlua%-lpeg\nlua%-luv\nlibmicrohttpd\n"
      .. "orrery %d.-\nfunction\n%.TH[^\n]*\n$", said)
  end)

  it("is written in Python", function()
    no_sanitizer()
    assert.equal([[{"bill": 6, "note": "paid 6, thank you"}]] .. "\n'caviar'\n",
      prints "/usr/bin/python3 examples/python/errands.py $dir/usr/lib/liborrery-full.so")
  end)
end)
