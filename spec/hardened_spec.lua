-- How the command is built: hardened, and the same from any folder.
local command = require "spec.support.command"

local function output(line) return (command.shell(line).out) end

-- make without what the make that runs the tests was called with.
local MAKE = "env -u MAKEFLAGS -u MAKELEVEL -u BUILD -u SANITIZE -u OPTIMIZE -u CFLAGS make "

local path = command.path:match "^/" and command.quote(command.path) or '"$OLD"/' .. command.path

describe("the command", function()
  local headers

  setup(function() headers = output("readelf -hlWd " .. path .. " 2>/dev/null") end)

  local function shows(pattern)
    if command.sanitized or headers == "" then
      pending "a sanitizer's build is another one, and readelf is needed"
      return
    end
    assert.matches(pattern, headers)
  end

  it("is position independent", function() shows "Type: +DYN" end)
  it("has its tables of calls made at the start, and read-only", function()
    shows "GNU_RELRO"
    shows "BIND_NOW"
  end)
  it("has a stack that is not code", function() shows "GNU_STACK +%S+ %S+ %S+ %S+ %S+ +RW +" end)
end)

describe("the flags", function()
  -- In a tree of the same files: `make -n` prints what would be done.
  local function flags(more)
    return output("cd \"$OLD\" && " .. MAKE .. "-n V=1 " .. more
      .. " BUILD=build/flags build/flags/obj/runtime/core/reason.o build/flags/orrery 2>/dev/null")
  end

  it("check the stack, the C library's arguments and calls", function()
    local text = flags ""
    for _, flag in ipairs { "-fstack-protector-strong", "-fstack-clash-protection", "-D_FORTIFY_SOURCE=2",
      "-Wl,-z,relro,-z,now", "-pie" } do
      assert.is_true(text:find(flag, 1, true) ~= nil, flag)
    end
  end)

  it("build anew what was built with others, ccache aside", function()
    local text = output([[cd "$OLD"; dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
      for more in CC=gcc CC=gcc 'CC=ccache gcc' OPTIMIZE=-O1 OPTIMIZE=-O1 CC=gcc; do
        ]] .. MAKE .. [[ -n V=1 BUILD=$dir "$more" $dir/obj/runtime/core/reason.o | grep -c -e ' -c -o '
        ]] .. MAKE .. [[ -s BUILD=$dir "$more" $dir/built-with
        mkdir -p $dir/obj/runtime/core; touch $dir/obj/runtime/core/reason.o
      done]])
    assert.equal("1\n0\n0\n1\n0\n1\n", text)
  end)

  it("ask for nothing that a build without optimization cannot have", function()
    assert.is_nil(flags("OPTIMIZE=-O0"):find("-D_FORTIFY_SOURCE=2", 1, true))
  end)
end)

describe("what is built", function()
  it("is the same from two folders", function()
    local text = output([[
      for name in one a/longer/two; do
        dir=$(mktemp -d)/$name; mkdir -p $dir/spec; cd "$OLD"
        cp -r Makefile vendor runtime lua stdlib examples $dir; cp -r spec/support spec/c $dir/spec; cd $dir
        ]] .. MAKE .. [[ build/obj/runtime/core/reason.o build/obj/runtime/lua/json_decode.o \
          build/obj/embedded.o >/dev/null 2>&1
        sha256sum build/obj/runtime/core/reason.o build/obj/runtime/lua/json_decode.o build/obj/embedded.o
        echo; cd /; rm -rf ${dir%/$name}
      done]])
    local first, second = text:match "^(.-)\n\n(.-)\n\n$"
    assert.is_true(first ~= nil and #first > 3 * 64, text)
    assert.equal(first, second)
  end)
end)
