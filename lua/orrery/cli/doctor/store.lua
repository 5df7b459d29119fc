--- What `orrery doctor` says of the store that commands would use: where it is, whether it is
--- corrupt, and what waits in it. As with the machine, the checks get all they know from a probe.
local doctor_store = {}

local function ok(name, text, remedy) return { name = name, status = "ok", text = text, remedy = remedy } end
local function warn(name, text, remedy)
  return { name = name, status = "warn", text = text, remedy = remedy }
end

local MIB, GIB = 1024 ^ 2, 1024 ^ 3
local LARGE_WAL = 64 * MIB -- it is written back at 4 MiB; more means that a reader is slow
local LITTLE_ROOM = 0.1 * GIB
local CHECKED = 200 * MIB -- a file up to this size is read whole, which takes about a second

local function size_of(bytes)
  if bytes < MIB then return ("%.0f KiB"):format(bytes / 1024) end
  return bytes < GIB and ("%.1f MiB"):format(bytes / MIB) or ("%.1f GiB"):format(bytes / GIB)
end

local function plural(n, word) return ("%d %s%s"):format(n, word, n == 1 and "" or "s") end

-- File systems by their number in statfs(2).
local KINDS = {
  [0xef53] = "ext4", [0x58465342] = "xfs", [0x9123683e] = "btrfs", [0x01021994] = "tmpfs",
  [0x794c7630] = "overlayfs",
  [0x2fc12fc1] = "zfs", [0xf2f52010] = "f2fs",
}

local function place(p)
  if not p.path then
    return warn("store", p.url .. ": runs end with their process", "name a file: --store sqlite:PATH")
  end
  if not p.exists then return ok("store", p.path .. " is not there yet; `orrery run FILE` makes it") end
  if p.problem then
    return warn("store", p.path .. ": " .. p.problem,
      "name another with --store, or go back to a copy of `orrery backup`")
  end
  return ok("store", ("%s, %s, schema %d, SQLite %s"):format(p.path, size_of(p.size), p.schema, p.sqlite))
end

local function room(p)
  if not p.path then return nil end
  local kind = KINDS[p.kind]
  local text = ("%s free%s"):format(size_of(p.free), kind and " on " .. kind or "")
  if p.free < LITTLE_ROOM then
    return warn("store disk", text, "free some space: where there is none, runs wait")
  end
  if kind == "tmpfs" then
    return warn("store disk", text .. ", which is memory: gone when the machine restarts",
      "name a file on a disk: --store sqlite:PATH")
  end
  return ok("store disk", text)
end

local function log(p)
  if p.wal < LARGE_WAL then return ok("store log", size_of(p.wal) .. " in the write-ahead log") end
  return warn("store log", size_of(p.wal) .. " in the write-ahead log: a program has read the store for long",
    "end programs that keep " .. p.path .. " open")
end

local function whole(p)
  if not p.check then
    return ok("store whole", "not looked at: it has more than " .. size_of(CHECKED),
      ("sqlite3 %s 'PRAGMA quick_check'"):format(p.path))
  end
  if p.check == "ok" then return ok("store whole", "yes") end
  return warn("store whole", "damaged: " .. p.check,
    "go back to a copy of `orrery backup`; `orrery show` may still read runs")
end

local function unfinished(p)
  local text = ("%s under way in %s")
    :format(plural(p.owned, "run"), p.owners == 1 and "1 process" or p.owners .. " processes")
  if p.unowned == 0 then return ok("store runs", text) end
  return warn("store runs",
    ("%s, %s left by a process that is gone"):format(text, plural(p.unowned, "unfinished run")),
    "orrery resume")
end

local function paused(p)
  if #p.paused == 0 then return ok("store pauses", "none") end
  return warn("store pauses", "paused: " .. table.concat(p.paused, ", "),
    "orrery resume --workflow NAME, or --pool NAME")
end

local function kept(p)
  if not p.retention then
    return ok("store keeps", "ended runs for ever; `orrery prune --keep 30d` sets a bound")
  end
  local days = p.retention.older / 86400
  return ok("store keeps",
    ("ended runs for %s"):format(days >= 1 and ("%.4g d"):format(days)
    or ("%.4g s"):format(p.retention.older)))
end

--- The findings.
---@param p table of `doctor_store.probe`
---@return orrery.cli.Finding[]
function doctor_store.examine(p)
  local findings = {}
  local function add(finding) findings[#findings + 1] = finding end
  add(place(p))
  add(room(p))
  if not p.exists or p.problem then return findings end
  for _, check in ipairs { log, whole, unfinished, paused, kept } do add(check(p)) end
  return findings
end

-- ---- the real store -----------------------------------------------------------------------------

-- The folder of the file, or the nearest one above it that exists.
local function folder_of(uv, path)
  local folder = path
  repeat
    folder = folder:match "^(.*)/[^/]*$" or "."
    if folder == "" then folder = "/" end
  until folder == "/" or folder == "." or uv.fs_stat(folder)
  return folder
end

--- Facts of the store that a command with these arguments would use.
---@param args { store?: string }
---@return table
function doctor_store.probe(args)
  local uv, stores = require "luv", require "orrery.store.open"
  local url = stores.nearest(args)
  local p = { url = url, path = url ~= "memory:" and stores.path(url) or nil }
  if not p.path then return p end
  local stat, wal, disk = uv.fs_stat(p.path), uv.fs_stat(p.path .. "-wal"),
    uv.fs_statfs(folder_of(uv, p.path))
  p.exists, p.size, p.wal = stat ~= nil, stat and stat.size or 0, wal and wal.size or 0
  p.free, p.kind = disk and disk.bavail * disk.bsize or 0, disk and disk.type
  if not p.exists then return p end
  local db, problem = stores.look(url)
  if not db then
    p.problem = problem.message
    return p
  end
  local fine, why = pcall(require("orrery.store.health").look_into, p, db, CHECKED)
  if not fine then p.problem = tostring(why) end
  db:close()
  return p
end

return doctor_store
