-- The example of a nightly backup, against a store of objects that checks every signature: what it
-- stores, what it leaves alone the next night, and that a kill in the middle stores nothing twice.
local flow = require "orrery"
local one_node = require "spec.support.one_node"
local place = require "spec.support.place"
local s3_server = require "spec.support.s3_server"
local uv = require "luv"

local FOLDERS = 30

local here, server
before_each(function()
  here, server = place.new(), s3_server.start { key = "AKIDSPEC", secret = "s3cr3t/key+of:the=spec" }
  for i = 1, FOLDERS do
    assert(os.execute(("mkdir -p %s/data/f%d/sub"):format(here.folder, i)))
    here:write(("data/f%d/a.txt"):format(i), ("%d\n"):format(i):rep(500))
    here:write(("data/f%d/sub/b.txt"):format(i), "b")
  end
end)
after_each(function()
  server.stop()
  here:__close()
end)

local RUN = [[ORRERY run -q backup.lua --input folder=data --input bucket=box --input endpoint=ENDPOINT \
  --store s.db]]

-- Runs shell in the folder, while the server answers.
local function sh(text)
  here:write("backup.lua", io.open("examples/backup.lua"):read "a")
  text = text:gsub("RUN", (RUN:gsub("%%", "%%%%"))):gsub("ENDPOINT", (server.endpoint))
    :gsub("ORRERY", place.orrery_path)
  local out = one_node.output(flow.exec { argv = { "sh", "-c", text }, cwd = here.folder,
    env = { AWS_ACCESS_KEY_ID = "AKIDSPEC", AWS_SECRET_ACCESS_KEY = "s3cr3t/key+of:the=spec",
      TMPDIR = here.folder }, check = false })
  return out.stdout, out.stderr
end

local function stored()
  local n = 0
  for _ in pairs(server.objects) do n = n + 1 end
  return n
end

local function uploads(out)
  local list, new = flow.json.decode(out).stored, 0
  for _, each in ipairs(list) do new = new + (each.new and 1 or 0) end
  return #list, new
end

describe("the example backup.lua", function()
  it("stores each folder once, and the next night only what has changed", function()
    local out, err = sh "RUN"
    assert.same({ FOLDERS, FOLDERS }, { uploads(out) }, err)
    assert.equal(FOLDERS, stored())
    assert.same({ 0, 0 }, { uploads((sh "RUN")) })
    here:write("data/f3/a.txt", "changed")
    assert.same({ 1, 1 }, { uploads((sh "RUN")) })
    assert.equal(FOLDERS + 1, stored())
    local path = next(server.objects)
    here:write("x.tar.gz", server.objects[path].body)
    assert.truthy(sh("tar tzf x.tar.gz"):find(path:match "box/(f%d+)/" .. "/sub/b.txt", 1, true))
  end)

  it("goes on after a kill in the middle of its uploads, and stores nothing twice", function()
    local timer = uv.new_timer() -- tells the shell when enough is stored
    timer:start(1, 1, function()
      if stored() >= 5 then here:write("enough", "") timer:close() end
    end)
    local out = sh [[RUN >first 2>&1 & pid=$!
      until [ -e enough ]; do sleep 0.005; kill -0 $pid 2>/dev/null || break; done
      kill -9 $pid; wait $pid 2>/dev/null; ls -d orrery-* 2>/dev/null | grep -c . >&2
      ORRERY resume -q --store s.db @last; echo "code $?"; ls -d orrery-* 2>/dev/null]]
    assert.truthy(out:find "code 0\n$", out)
    local n = uploads((out:match "^%b{}"))
    assert.equal(FOLDERS, n)
    assert.equal(FOLDERS, stored())
    local puts = 0
    for _, request in ipairs(server.requests or {}) do puts = puts + (request.method == "PUT" and 1 or 0) end
    assert.is_true(puts <= FOLDERS + 2, puts .. " uploads") -- those that were under way
  end)
end)
