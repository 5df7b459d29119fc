--- `orrery new NAME`: a starting point that runs.
local out = require "orrery.cli.shared.out"
local new = {}

local LUA = [[
-- Run it:    orrery run %FILE%
-- Look:      orrery graph %FILE%      Check: orrery check %FILE%
local flow = require "orrery"

local w = flow.workflow {
  name = "%NAME%",
  input = flow.schema { folder = "string?" },
  output = "${nodes.report}",
}

-- A node of a type from the library: `orrery types` lists them.
w.list = flow.file.list { path = "${input.folder or '.'}" }

-- A Lua node. Its dependencies' outputs are in `inputs`; what it returns is its own output.
w.count = { after = "list", retry = 2, timeout = "10s", run = function(ctx, inputs)
  ctx:progress(0.5, "counting")
  return #inputs.list
end }

w.report = { after = "count", run = function(ctx, inputs)
  return { folder = ctx.input.folder or ".", files = inputs.count }
end }

return w
]]

local JSON = [[
{
  "name": "%NAME%",
  "output": "${nodes.report}",
  "nodes": [
    { "id": "list", "type": "file.list", "with": { "path": "." } },
    { "id": "report", "type": "const", "after": ["list"], "with": { "value": { "files": "${#nodes.list}" } } },
    { "id": "say", "type": "log", "when": "nodes.report.files > 0", "with": { "message": "${nodes.report.files} files" } }
  ]
}
]]

local function refuse(text)
  out.err("orrery new: ", text, "\n")
  return 2
end

-- Makes the folders that are missing on the way to a file: the outermost one that was made, or nil
-- and why one cannot be.
local function make_folders(uv, path)
  local made
  for at in path:gmatch("()/") do
    local folder = path:sub(1, at - 1)
    if folder ~= "" then
      local ok, why, code = uv.fs_mkdir(folder, tonumber("755", 8))
      if not ok and code ~= "EEXIST" then return nil, why end
      made = made or ok and folder
    end
  end
  return made
end

function new.main(args)
  local ending = args.json and ".json" or ".lua"
  local path = args.name
  if path:sub(-#ending) ~= ending then path = path .. ending end
  local name = path:match("([^/]*)$"):sub(1, -#ending - 1)
  if not name:match("^[%a_][%w_-]*$") then
    return refuse(("'%s' is no name for a workflow: letters, digits, _ and - after a letter or _")
      :format(name))
  end
  local uv = require "luv"
  local folder, problem = make_folders(uv, path)
  if problem then return refuse("cannot make the folder: " .. problem) end
  -- "wx" makes the file or fails, so that no file is ever overwritten, not even one made meanwhile.
  local fd, why, code = uv.fs_open(path, "wx", tonumber("644", 8))
  if not fd then
    if code == "EEXIST" then return refuse(path .. " exists and is left as it is; choose another name") end
    return refuse(("cannot write %s: %s"):format(path, why))
  end
  local text = (args.json and JSON or LUA):gsub("%%(%u+)%%", { NAME = name, FILE = path })
  local written
  written, problem = uv.fs_write(fd, text)
  uv.fs_close(fd)
  if not written then return refuse(("cannot write %s: %s"):format(path, problem)) end
  if folder then out.write(folder, "/ made.\n") end
  out.write(("%s written. Run it: orrery run %s\n")
    :format(path, path:find "^[%w_./-]+$" and path or "'" .. path:gsub("'", [['\'']]) .. "'"))
  return 0
end

return new
