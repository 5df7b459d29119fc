-- The builder of examples/site: what it makes, and what it does not make again.

local command = require "spec.support.command"

local BUILD = command.path:match("^(.*)/[^/]+$")

--- Runs lines of shell in which `site` builds "$dir/pages" into "$dir/out".
local function shell(lines)
  return command.shell(([[
    dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
    cp -r examples/site/pages "$dir/pages"
    site() { timeout 100 %s/examples/site/site "$dir/pages" "$dir/out/" | sed "s|$dir/||"; }
    site
    %s]]):format(BUILD, lines))
end

local FIRST = "wrote out/hello.html\nwrote out/notes/second.html\nwrote out/index.html\n"
  .. "made 3, kept 0, written 3\n"

--- What a second build prints.
local function after(lines)
  local done = shell(lines)
  assert.equal("", done.err)
  assert.equal(FIRST, done.out:sub(1, #FIRST))
  return done.out:sub(#FIRST + 1)
end

describe("the builder of a site", function()
  it("makes pages and an index, and does nothing where nothing has changed", function()
    assert.equal("made 0, kept 3, written 0\n", after "site")
    local out = after 'cat "$dir/out/hello.html" "$dir/out/notes/second.html" "$dir/out/index.html"'
    assert.truthy(out:find("<title>Hello</title>", 1, true), out)
    assert.truthy(out:find('<nav><a href="../index.html">', 1, true), out)
    assert.truthy(out:find("<p>This page was <em>made</em> by a workflow. It is <strong>kept", 1, true), out)
    assert.truthy(out:find("<li>two, with <code>code</code> &amp; a <a href=", 1, true), out)
    assert.truthy(out:find("<pre>print &quot;1 &lt; 2&quot;\n\nprint", 1, true), out)
    assert.truthy(out:find('<li><a href="notes/second.html">A second page</a></li>', 1, true), out)
  end)

  it("makes the page that has changed again, and the index", function()
    assert.equal("wrote out/hello.html\nwrote out/index.html\nmade 2, kept 1, written 2\n",
      after [[sed -i 's/^# Hello/# Good morning/' "$dir/pages/hello.md"; site]])
    -- a new time is no change
    assert.equal("made 0, kept 3, written 0\n", after 'touch "$dir"/pages/*.md; site')
  end)

  it("makes all where the template has changed", function()
    assert.equal(FIRST, after [[sed -i 's/<nav>/<nav class="top">/' "$dir/pages/template.html"; site]])
  end)

  it("writes a file that was removed out of what it has kept", function()
    assert.equal("wrote out/hello.html\nmade 0, kept 3, written 1\n", after 'rm "$dir/out/hello.html"; site')
  end)

  it("removes a page whose source has gone, and nothing else", function()
    assert.equal("wrote out/index.html\nmade 1, kept 1, written 1\nindex.html\nmine.html\n",
      after 'rm -r "$dir/pages/hello.md"; echo >"$dir/out/mine.html"; site; ls "$dir/out" | grep html')
  end)

  it("says what is wrong", function()
    local done = shell 'rm "$dir/pages/template.html"; site'
    assert.truthy(done.err:find("template.html", 1, true), done.err)
    done = shell 'rm "$dir/out/hello.html"; mkdir "$dir/out/hello.html"; site'
    assert.truthy(done.err:find("hello.html: Is a directory", 1, true), done.err)
    done = command.shell(BUILD .. "/examples/site/site")
    assert.equal(2, done.code)
    assert.equal("usage: site FROM TO [SCRIPT]\n", done.err)
  end)
end)
