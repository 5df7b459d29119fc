-- A tour: what a workflow can do, on files that every Debian machine has. It reads the package
-- database, measures three compressors on it side by side, counts the words of every licence text
-- four at a time, waits for a file that another node leaves (with retries), chooses a branch, and
-- writes a report. Watch it on a terminal; it takes a few seconds.
--   orrery run examples/tour.lua
--   orrery run examples/tour.lua --json | tail -1
--   orrery graph examples/tour.lua
local flow = require "orrery"

local STATUS = "/var/lib/dpkg/status"

flow.pool("texts", { max = 4, rate = "5/s" })

local w = flow.workflow {
  name = "tour",
  input = flow.schema { report = "string?" },
  output = "${nodes.report}",
  timeout = "1m",
}

w.folder = { run = function()
  local uv = require "luv"
  return assert(uv.fs_mkdtemp(uv.os_tmpdir() .. "/orrery-tour-XXXXXX"))
end }

-- Lua that works for a while yields now and then, so that other nodes go on, and reports its
-- progress.
w.packages = { doc = "Parses the package database.", run = function(ctx)
  local text = flow.file.read { path = STATUS }
  local installed, kib, at = 0, 0, 1
  while at < #text do
    local stop = text:find("\n\n", at, true) or #text
    local paragraph = text:sub(at, stop)
    if paragraph:find("\nStatus: install ok installed", 1, true) then
      installed = installed + 1
      kib = kib + (math.tointeger(tonumber(paragraph:match("\nInstalled%-Size: (%d+)"))) or 0)
    end
    at = stop + 2
    if installed % 50 == 0 then
      ctx:progress(at / #text, installed .. " packages")
      ctx:sleep("10ms")
    end
  end
  return { installed = installed, mib = kib // 1024 }
end }

-- Three programs at the same time; each writes the size of what it made.
w.compress = flow.parallel {
  after = "folder",
  gzip = flow.exec { shell = "gzip -9 <" .. STATUS .. " | wc -c" },
  bzip2 = flow.exec { shell = "bzip2 -9 <" .. STATUS .. " | wc -c", on_error = "ignore" },
  xz = flow.exec { shell = "xz -9 <" .. STATUS .. " | wc -c", on_error = "ignore" },
}

w.list = flow.file.list { path = "/usr/share/common-licenses" }

w.licences = { each = "${nodes.list}", pool = "texts", run = function(ctx)
  local text = flow.file.read { path = ctx.item.path }
  return { name = ctx.item.name, words = select(2, text:gsub("%S+", "")) }
end }

-- One node leaves a file after a while, another looks for it and tries again until it is there.
w.leave = { after = "folder", run = function(ctx, inputs)
  ctx:sleep("1500ms")
  return flow.file.write { path = inputs.folder .. "/letter", content = "from leave to look_for" }
end }

w.look_for = {
  after = "folder",
  retry = { max = 8, strategy = "exponential", delay = "100ms", jitter = "none" },
  run = function(_, inputs) return flow.file.read { path = inputs.folder .. "/letter" } end,
}

w.size = flow.switch {
  cases = { { large = "nodes.packages.installed > 1000" }, { small = "nodes.packages.installed > 0" } },
}
w.large = { after = "size:large", run = function() return "a machine for everything" end }
w.small = { after = "size:small", run = function() return "a lean machine" end }

w.report = {
  after = { "packages", "compress", "licences", "look_for", "large", "small" },
  run = function(_, inputs)
    local bytes = {}
    for name, result in pairs(inputs.compress) do bytes[name] = math.tointeger(tonumber(result.stdout)) end
    return {
      packages = inputs.packages, kind = inputs.large or inputs.small,
      compressed = bytes, licences = inputs.licences, letter = inputs.look_for,
    }
  end,
}

w.save = flow.file.write {
  when = "input.report ~= nil", path = "${input.report}", content = "${nodes.report}", mkdirs = true,
}

w.clean = { after = { "folder", "leave", "look_for", "compress" }, join = "done", run = function(_, inputs)
  if not inputs.folder then return end
  os.remove(inputs.folder .. "/letter")
  assert(os.remove(inputs.folder))
end }

return w
