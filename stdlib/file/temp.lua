--- `file.temp`: a folder or a file for the time of a run.
local flow = require "orrery"
local paths = require "orrery.stdlib.file.shared.paths"
local requests = require "orrery.stdlib.file.shared.requests"
local uv = require "luv"

local OWNER_ONLY = 448 -- 0700

-- Where a node keeps what it makes: every attempt finds it, and what cleans up does, in whatever
-- process.
local function root_of(ctx, config, node)
  local folder = config.dir or os.getenv "TMPDIR" or "/tmp"
  return paths.join(folder, ("orrery-%s-%s"):format(ctx.run.id, node))
end

-- Nobody else can have made it, or may look into it.
local function make_root(root)
  local err = requests.fs("mkdir", root, OWNER_ONLY)
  if not err then return end
  local stat = requests.perform("make", root, "lstat", root)
  if not err:find "^EEXIST" then requests.fail("make", root, err) end
  if stat.type ~= "directory" or stat.uid ~= uv.getuid() or stat.mode & 63 ~= 0 then -- 077
    requests.fail("make", root, "EEXIST: somebody else has made it")
  end
end

-- What an attempt or iteration before this one has left is removed.
local function make_folder(path)
  local err = requests.fs("remove", path)
  if not requests.is_absent(err) then requests.must("remove", path, err) end
  requests.perform("make", path, "mkdir", path, OWNER_ONLY)
end

local function make(ctx, config)
  local root = root_of(ctx, config, ctx.node)
  local folder = root
  make_root(root)
  if ctx.index then folder = paths.join(root, tostring(ctx.index)) end
  make_folder(folder)
  if not config.name then return folder end
  local path = paths.join(folder, config.name)
  local fd = requests.perform("make", path, "open", path,
    uv.constants.O_WRONLY | uv.constants.O_CREAT | uv.constants.O_EXCL, 384) -- 0600
  requests.perform("make", path, "close", fd)
  return path
end

local function remove(ctx, root)
  local err = requests.fs("remove", root)
  if not err or requests.is_absent(err) then return end
  ctx:log("warn", ("%s cannot be removed: %s"):format(root, err))
end

-- The process that ends the run may have another folder for temporary files than the one that began
-- it.
local function roots(ctx, config, node)
  local root, found = root_of(ctx, config, node), {}
  local mark = root:match "[^/]*$"
  local function add(output)
    local path = type(output) == "table" and output.path
    local from, to = (type(path) == "string" and path or ""):find("/" .. mark, 1, true)
    if from then found[path:sub(1, to)] = true end
  end
  local output = ctx.nodes[node]
  add(output)
  for _, one in ipairs(type(output) == "table" and output or {}) do add(one) end
  found[root] = true
  return found
end

local function check_name(config)
  local name = config.name
  if name and (name == "" or name == "." or name == ".." or name:find "[/%z]") then
    return ('name: "%s" is no name of a file'):format(name), "name"
  end
end

return flow.type {
  name = "file.temp",
  errors = { "file_error" },
  doc = [[Makes a folder for the time of the run, or with `name` an empty file in one, for this user alone,
and outputs { path }. It is removed when the run ends, however it does, by a node NAME.cleanup that runs
after all others; where the process is killed, when the run is resumed and ends. A further attempt or
iteration begins with an empty one, and each item has its own. `dir` is where it is made: TMPDIR, or
/tmp.]],
  config = flow.schema {
    name = { type = "string", optional = true, doc = "of a file: the output is its path" },
    dir = { type = "string", optional = true, doc = "the folder that it is made in" },
  },
  output = { path = "string" },
  examples = { [[flow.file.temp {}]], [[flow.file.temp { name = "rows.csv", dir = "/var/tmp" }]] },
  check = check_name,
  run = function(ctx, config)
    return { path = make(ctx, config) }
  end,
  cleanup = function(ctx, config, node)
    for root in pairs(roots(ctx, config, node)) do remove(ctx, root) end
  end,
}
