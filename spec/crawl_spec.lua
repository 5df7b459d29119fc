-- The example of a crawl, on a real web server: what it finds, how it asks, and that a crash in the
-- middle costs no more than the requests that were under way.
local command = require "spec.support.command"
local json = require("orrery.core").json
local nginx = require "spec.support.nginx"

local PAGES = 40

-- A tree of pages: page n leads to 3n + 1, 3n + 2, 3n + 3, back to the first, to other hosts, to a
-- file, and two of them to what is not there and to what fails.
local function site()
  local files = { ["notes.txt"] = 'no page: <a href="/never.html">' }
  for n = 0, PAGES - 1 do
    local links = { "index.html#top", "http://elsewhere.invalid/", "mailto:ada@example.org", "/notes.txt" }
    for child = 3 * n + 1, math.min(3 * n + 3, PAGES - 1) do
      links[#links + 1] = ("page%d.html"):format(child)
    end
    if n == 2 then links[#links + 1] = "gone.html" end
    if n == 5 then links[#links + 1] = "/failing" end
    for i, link in ipairs(links) do links[i] = ('<a class="x" href="%s">%d</a>'):format(link, i) end
    files[n == 0 and "index.html" or ("page%d.html"):format(n)] = "<html>" .. table.concat(links, "\n")
  end
  return files
end

local function requests(server)
  local count = {}
  for path in server.log():gmatch '"GET (%S+) HTTP' do count[path] = (count[path] or 0) + 1 end
  return count
end

describe("the example crawl.lua", function()
  if not nginx.program then return pending "nginx is not installed" end
  local server
  before_each(function()
    server = nginx.start { files = site(), locations = "location /failing { return 503; }\n"
      }
  end)
  after_each(function() server.stop() end)

  local function check(report)
    assert.equal(PAGES + 1, report.pages) -- and the notes
    assert.equal(4, report.levels)
    table.sort(report.broken, function(a, b) return a.url < b.url end)
    assert.equal(server.url "/failing", report.broken[1].url)
    assert.equal(server.url "/page5.html", report.broken[1].linked_from)
    assert.truthy(report.broken[1].error:find("503", 1, true), report.broken[1].error)
    assert.equal(server.url "/gone.html", report.broken[2].url)
    assert.truthy(report.broken[2].error:find("404", 1, true), report.broken[2].error)
    assert.equal(2, #report.broken)
  end

  it("finds every page once, tries failures again and reports what is broken", function()
    local result = command.run { "run", "examples/crawl.lua", "-i", "start=" .. server.url "/index.html" }
    assert.equal(0, result.code, result.err)
    check(json.decode(result.out))
    local asked = requests(server)
    for n = 1, PAGES - 1 do assert.equal(1, asked[("/page%d.html"):format(n)]) end
    assert.equal(1, asked["/index.html"])
    assert.equal(1, asked["/gone.html"])
    assert.equal(4, asked["/failing"])
    assert.is_nil(asked["/never.html"])
  end)

  it("goes on after a kill without asking again for what it has", function()
    local done = command.shell(([[
      dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
      %s run examples/crawl.lua -q -i start=%s --store $dir/s.db >/dev/null 2>&1 & pid=$!
      until [ $(grep -c GET %s/access.log) -ge 20 ]; do sleep 0.01; kill -0 $pid || exit 9; done
      kill -9 $pid; wait $pid 2>/dev/null
      %s resume -q --store $dir/s.db @last; echo "code $?"]]):format(command.quote(command.path),
      command.quote(server.url "/index.html"), server.folder, command.quote(command.path)))
    assert.truthy(done.out:find("code 0\n$"), done.out .. done.err)
    check(json.decode((done.out:match "{.*}")))
    local again = 0
    for path, n in pairs(requests(server)) do
      if path ~= "/failing" then again = again + n - 1 end
    end
    assert.is_true(again <= 4, again .. " requests were made again") -- those of the pool's places
  end)
end)
