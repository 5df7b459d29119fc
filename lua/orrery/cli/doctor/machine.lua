--- What `orrery doctor` looks at: one small function per fact, each answering ok, warn or missing
--- with a remedy. All they know comes from a probe (see `machine.probe`), so that every finding can
--- be tested.
local machine = {}

---@class orrery.cli.Finding
---@field name string
---@field status "ok"|"warn"|"missing"
---@field text string
---@field remedy string|nil

local function ok(name, text) return { name = name, status = "ok", text = text } end
local function warn(name, text, remedy)
  return { name = name, status = "warn", text = text, remedy = remedy }
end
local function missing(name, text, remedy)
  return { name = name, status = "missing", text = text, remedy = remedy }
end

local function at_least(version, major, minor)
  local a, b = version:match("(%d+)%.(%d+)")
  a, b = tonumber(a), tonumber(b)
  return a and (a > major or a == major and b >= minor)
end

-- A part that was linked into the command, or loaded beside it, with the oldest version that is
-- known to work.
local function part(name, version, major, minor, package)
  if not version then
    return missing(name, "not found", "install the package " .. package)
  end
  if not at_least(version, major, minor) then
    return warn(name, ("%s is older than %d.%d"):format(version, major, minor),
      "upgrade the package " .. package)
  end
  return ok(name, version)
end

local function library(probe, name, file, package, use)
  local found = probe.library(file)
  if found then return ok(name, found) end
  return warn(name, ("%s not found: %s"):format(file, use), "apt-get install " .. package)
end

local GIB = 1024 ^ 3

---@type (fun(probe: table): orrery.cli.Finding)[]
machine.checks = {
  function(p) return ok("orrery", p.version) end,
  function(p) return part("lua", p.lua, 5, 4, "lua5.4") end,
  function(p) return part("libuv", p.libuv, 1, 42, "libuv1") end,
  function(p) return part("luv", p.luv, 1, 42, "lua-luv") end,
  function(p) return part("lpeg", p.lpeg, 1, 0, "lua-lpeg") end,
  function(p) return library(p, "libcurl", "libcurl.so.4", "libcurl4", "http nodes cannot run") end,
  function(p)
    return library(p, "libarchive", "libarchive.so.13", "libarchive13",
      "archives cannot be written or extracted")
  end,
  function(p)
    return library(p, "libexpat", "libexpat.so.1", "libexpat1", "XML cannot be read")
  end,
  function(p)
    return library(p, "libpq", "libpq.so.5", "libpq5", "postgres nodes cannot run")
  end,
  function(p)
    return library(p, "hiredis", "libhiredis.so.0.14", "libhiredis0.14",
      "redis nodes and a bus on Redis cannot run")
  end,
  function(p)
    return library(p, "utf8proc", "libutf8proc.so.2", "libutf8proc2",
      "data.normalize knows no letters but those of ASCII")
  end,
  function(p)
    return library(p, "sqlite", "libsqlite3.so.0", "libsqlite3-0",
      "other programs cannot look into stored runs")
  end,
  function(p)
    local path = p.certificates()
    if path then return ok("certificates", path) end
    return warn("certificates", "no TLS certificates found: https addresses will be refused",
      "apt-get install ca-certificates")
  end,
  function(p)
    if not p.tty then return ok("terminal", "none: progress is printed as lines") end
    if p.term == nil or p.term == "dumb" then
      return warn("terminal", "TERM is " .. (p.term or "not set") .. ": no live progress",
        "export TERM=xterm-256color")
    end
    return ok("terminal", ("%s, %d × %d"):format(p.term, p.columns, p.lines))
  end,
  function(p)
    if p.locale:upper():find("UTF%-?8") then return ok("locale", p.locale) end
    local shown = p.locale == "" and "no locale is set" or p.locale .. " is not UTF-8"
    return warn("locale", shown .. ": bars and boxes may look broken", "export LANG=C.UTF-8")
  end,
  function(p)
    if p.cores < 1 then return warn("cores", "unknown", "mount /proc") end
    return ok("cores", ("%d, so %d exec nodes at a time by default"):format(p.cores, p.cores))
  end,
  function(p)
    local text = ("%.1f GiB of %.1f GiB free"):format(p.free_memory / GIB, p.memory / GIB)
    if p.free_memory < 0.064 * GIB then
      return warn("memory", text, "end other programs, or lower --concurrency")
    end
    return ok("memory", text)
  end,
  function(p)
    local text = ("%.1f GiB free here"):format(p.free_disk / GIB)
    if p.free_disk < 0.1 * GIB then return warn("disk", text, "free some space on this file system") end
    return ok("disk", text)
  end,
  function(p)
    if not p.files then return warn("open files", "the limit is unknown", "mount /proc") end
    if p.files < 1024 then
      return warn("open files", ("limit %d: wide runs of exec or http nodes may fail"):format(p.files),
        "ulimit -n 4096")
    end
    return ok("open files", "limit " .. (p.files == math.huge and "none" or ("%d"):format(p.files)))
  end,
  function(p)
    local date = os.date("!%Y-%m-%d %H:%M:%S UTC", math.floor(p.now))
    -- 2024-01-01 and 2100-01-01
    if p.now < 1704067200 or p.now > 4102444800 then
      return warn("clock", date .. " cannot be right: times in records and TLS will be wrong",
        "set the clock, for instance with timedatectl")
    end
    if not p.monotonic then
      return warn("clock", "the monotonic clock does not advance", "restart the virtual machine")
    end
    return ok("clock", date)
  end,
  function(p)
    if p.writable(".") then return ok("this folder", "may be written") end
    return warn("this folder", "may not be written: results cannot be kept here",
      "go to a folder of your own")
  end,
  function(p)
    if p.writable(p.temporary) then return ok("temporary files", p.temporary) end
    return warn("temporary files", p.temporary .. " may not be written",
      "export TMPDIR to a folder of your own")
  end,
}

--- Runs all checks; one that raises an error is itself a finding.
---@param probe table
---@return orrery.cli.Finding[]
function machine.examine(probe)
  local findings = {}
  for i, check in ipairs(machine.checks) do
    local fine, finding = pcall(check, probe)
    findings[i] = fine and finding
      or warn("check " .. i, "could not be made: " .. tostring(finding), "report this with the text above")
  end
  return findings
end

-- ---- the real machine ---------------------------------------------------------------------------

local LIBRARY_DIRS = { "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib",
  "/lib", "/usr/local/lib" }

local CERTIFICATES = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/cert.pem" }

local function version_of(name)
  local fine, module = pcall(require, name)
  if not fine then return nil end
  local version = module.version
  if type(version) == "function" then
    fine, version = pcall(version)
    if not fine then return nil end
  end
  if type(version) == "number" then
    return ("%d.%d.%d"):format(version >> 16, version >> 8 & 255, version & 255)
  end
  return version and tostring(version):match("[%d%.]+") or nil
end

local function file_limit(uv)
  local fd = uv.fs_open("/proc/self/limits", "r", 0)
  if not fd then return nil end
  local text = uv.fs_read(fd, 4096, 0) or ""
  uv.fs_close(fd)
  local limit = text:match("Max open files%s+(%S+)")
  return limit == "unlimited" and math.huge or tonumber(limit)
end

local function winsize(uv)
  local fine, tty = pcall(uv.new_tty, 2, false)
  if not (fine and tty) then return 80, 24 end
  local columns, lines = tty:get_winsize()
  tty:close()
  return columns or 80, lines or 24
end

--- Facts of this machine.
---@return table
function machine.probe()
  local uv = require "luv"
  local tty = uv.guess_handle(2) == "tty"
  local columns, lines = 0, 0
  if tty then columns, lines = winsize(uv) end
  local before = uv.hrtime()
  local seconds, micros = uv.gettimeofday()
  local disk = uv.fs_statfs(".")
  local function exists(path) return uv.fs_access(path, "R") and path or nil end
  return {
    version = require("orrery").version,
    lua = _VERSION:match("[%d%.]+"), libuv = uv.version_string(), luv = version_of "luv",
    lpeg = version_of "lpeg",
    library = function(file)
      for _, dir in ipairs(LIBRARY_DIRS) do
        local path = uv.fs_realpath(dir .. "/" .. file)
        if path then return path end
      end
    end,
    certificates = function()
      local chosen = os.getenv "SSL_CERT_FILE"
      if chosen then return exists(chosen) end
      for _, path in ipairs(CERTIFICATES) do
        if exists(path) then return path end
      end
    end,
    tty = tty, term = os.getenv "TERM", columns = columns, lines = lines,
    locale = os.getenv "LC_ALL" or os.getenv "LC_CTYPE" or os.getenv "LANG" or "",
    cores = #(uv.cpu_info() or {}), memory = uv.get_total_memory(), free_memory = uv.get_free_memory(),
    free_disk = disk and disk.bavail * disk.bsize or 0,
    files = file_limit(uv), now = seconds + micros / 1e6, monotonic = uv.hrtime() > before,
    writable = function(path) return uv.fs_access(path, "W") == true end,
    temporary = uv.os_tmpdir(),
  }
end

return machine
