-- A nightly backup: of each folder in which something has changed since the last run an archive is
-- made, several at a time, verified, and stored under a key from its content, so that nothing is
-- stored twice, also where the run is killed in the middle and goes on.
--   orrery run examples/backup.lua -i folder=/srv -i bucket=backups --store sqlite:backup.db
-- The keys of the store of objects are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
local flow = require "orrery"
local file = flow.file

local w = flow.workflow {
  name = "backup",
  input = flow.schema { folder = "string", bucket = "string", endpoint = "string?" },
  output = { stored = "${nodes.upload}", folders = "${#nodes.folders}" },
  singleton = "${input.folder}",
}

w.before = flow.state.get { key = "${input.folder}", default = {} } -- folder -> what it looked like

w.folders = file.find { "*", path = "${input.folder}", kind = "directory" }

-- What a folder looks like: its files, their sizes, and the newest change.
local function look_of(path)
  local files, size, newest = file.find { "**", path = path }, 0, 0
  for _, each in ipairs(files) do size, newest = size + each.size, math.max(newest, each.modified) end
  return ("%d files, %d bytes, %.6f"):format(#files, size, newest), #files, size
end

w.changed = { after = { "before", "folders" }, run = function(_, inputs)
  local list = {}
  for _, folder in ipairs(inputs.folders) do
    local look, files, size = look_of(folder.path)
    if inputs.before.value[folder.name] ~= look then
      list[#list + 1] = { name = folder.name, path = folder.path, look = look, files = files, size = size }
    end
  end
  return flow.json.array(list)
end }

w.temp = file.temp {}

w.archive = file.archive { each = "${nodes.changed}", each_parallel = 4, from = "${item.path}",
  to = "${nodes.temp.path}/${item.name}.tar.gz", prefix = "${item.name}" }

-- What comes out of the archive is what went in.
w.verify = { after = { "archive", "temp" }, each = "${nodes.changed}", each_parallel = 4, run = function(ctx,
  inputs)
  local at = inputs.temp.path .. "/check"
  file.extract { path = inputs.archive[ctx.index].path, to = at .. "/" .. ctx.item.name, mkdirs = true }
  local _, files, size = look_of(at .. "/" .. ctx.item.name)
  file.remove { path = at .. "/" .. ctx.item.name, recursive = true }
  if files ~= ctx.item.files or size ~= ctx.item.size then
    flow.error { code = "backup_changed", retryable = true,
      message = ("%s changed while it was read: %d files of %d bytes, and %d of %d in the archive"):format(
        ctx.item.path, ctx.item.files, ctx.item.size, files, size) }
  end
end }

w.hash = file.hash { each = "${nodes.archive}", path = "${item.path}" }

w.upload = { after = { "archive", "hash", "verify" }, each = "${nodes.changed}", each_parallel = 2,
  retry = "standard",
  run = function(ctx, inputs)
    local key = ("%s/%s.tar.gz"):format(ctx.item.name, inputs.hash[ctx.index].hash)
    local ok, problem = pcall(flow.s3.put, { bucket = ctx.input.bucket, endpoint = ctx.input.endpoint,
      key = key,
      from = inputs.archive[ctx.index].path, if_absent = true })
    local there = not ok and problem.details and problem.details.code == "PreconditionFailed"
    if not ok and not there then error(problem, 0) end
    return { key = key, new = ok }
  end }

-- Only what is stored counts as seen.
w.remember = { after = { "changed", "upload" }, run = function(ctx, inputs)
  ctx:state():update(ctx.input.folder, function(seen)
    seen = seen or {}
    for _, folder in ipairs(inputs.changed) do seen[folder.name] = folder.look end
    return seen
  end)
end }

return w
