-- What `make install` puts where, and what it says of it.
local command = require "spec.support.command"

local MAKE = "env -u MAKEFLAGS -u MAKELEVEL -u SANITIZE -u OPTIMIZE -u CFLAGS make "

describe("make install", function()
  it("puts the command, the libraries, completions and the manual page where others find them, and "
    .. "says so in a few lines", function()
    if command.sanitized then
      pending "a sanitizer's build is not installed"
      return
    end
    local build = command.path:match "^(.*)/[^/]*$"
    local folder = os.tmpname()
    os.remove(folder)
    finally(function() os.execute("rm -rf " .. folder) end)
    local result = command.shell(('cd "$OLD" && %s install BUILD=%s DESTDIR=%s PREFIX=/usr 2>&1')
      :format(MAKE, command.quote(build), folder))
    assert.equal(0, result.code, result.out)
    for _, path in ipairs { "bin/orrery", "include/orrery.h", "lib/liborrery.a", "lib/liborrery.so",
      "lib/pkgconfig/orrery.pc", "share/man/man1/orrery.1", "share/bash-completion/completions/orrery",
      "share/orrery/definition.schema.json", "share/zsh/site-functions/_orrery",
      "share/fish/vendor_completions.d/orrery.fish",
      "share/lua/5.4/orrery/init.lua", "share/lua/5.4/orrery/stdlib/exec.lua",
      "lib/lua/5.4/orrery/core.so" } do
      assert.equal(0, command.shell(("test -s %s/usr/%s"):format(folder, path)).code, path)
    end
    local lines = 0
    for line in result.out:gmatch "[^\n]+" do
      if not line:find "^  %u+ +build" then lines = lines + 1 end -- what had to be built before
    end
    assert.is_true(lines <= 10, result.out)
    assert.truthy(result.out:find("manual page  " .. folder .. "/usr/share/man/man1/orrery.1", 1, true))
    local installed = command.shell(folder .. "/usr/bin/orrery version")
    assert.equal(0, installed.code, installed.err)
  end)
end)
