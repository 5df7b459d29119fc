-- The library as a program uses it: built here against the archive, and against an installed copy
-- with pkg-config.

local command = require "spec.support.command"

local BUILD = command.path:match("^(.*)/[^/]+$")
local PATROL = 'patrol completed after (%d+) frames\n{"said":"Halt!","steps":126}\n'

describe("a program that embeds the engine", function()
  it("steps a workflow in its frames", function()
    local done = command.shell(BUILD .. "/examples/embed/game examples/embed/patrol.lua")
    assert.equal("", done.err)
    assert.equal(0, done.code)
    local frames = tonumber(done.out:match("^" .. PATROL .. "$"))
    -- the furthest post is nine frames away, and then it looks around for 50 ms
    assert.truthy(frames and frames > 9, done.out)
  end)

  it("says what is wrong with a workflow", function()
    local done = command.shell(BUILD .. "/examples/embed/game examples/hello.luax")
    assert.equal(1, done.code)
    assert.truthy(done.err:find("examples/hello.luax", 1, true), done.err)
  end)

  it("finds its runs again after it ended in the middle, and lets them go on", function()
    local done = command.shell(([[
      dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
      errands() { %s/examples/embed/errands examples/embed/errands.lua "$dir/errands.db" "$@"; echo "code $?"; }
      errands leave; errands leave; errands; errands]]):format(BUILD))
    local all = 'completed "left for the baker, and is back"\ncompleted "left for the mill, and is back"\n'
      .. 'completed "left for the castle, and was told: the king is out, and is back"\ncode 0\n'
    assert.equal("", done.err)
    assert.equal("code 9\ncode 9\n" .. all .. all, done.out)
  end)

  it("is built against an installed copy with pkg-config alone", function()
    if command.sanitized then pending("a plain program cannot load a library with a sanitizer in it") end
    local done = command.shell(([[
      set -e
      dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
      # with whatever flags it was built
      make --no-print-directory -o %s/built-with BUILD=%s DESTDIR=$dir PREFIX=/usr install >/dev/null
      export PKG_CONFIG_PATH=$dir/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=
      sed -i "s|^prefix=.*|prefix=$dir/usr|" $dir/usr/lib/pkgconfig/orrery.pc
      cc -Wall -Werror examples/embed/game.c $(pkg-config --cflags --libs orrery) -o $dir/game
      LD_LIBRARY_PATH=$dir/usr/lib $dir/game examples/embed/patrol.lua]]):format(BUILD, BUILD))
    assert.equal("", done.err)
    assert.truthy(done.out:find(PATROL), done.out)
  end)
end)
