--- The common calls, `run` of one file with these options, need neither the table of options nor a
--- parser: loading both takes longer than starting a small workflow. Whatever is not as plain as
--- this is left to `orrery.cli.shared.options`.

local FLAGS = { ["--json"] = "json", ["--dry"] = "dry", ["--quiet"] = "quiet", ["-q"] = "quiet" }
local VALUES = { ["--store"] = "store", ["--key"] = "key", ["--id"] = "id" }

--- The arguments as the parser would give them, nil where it is to be asked.
---@param name string of the subcommand
---@param argv string[] without the subcommand
---@return table|nil args by the names of arguments and options
return function(name, argv)
  if name ~= "run" then return nil end
  local args, key = {}, nil -- key: of the value that comes next
  for _, word in ipairs(argv) do
    local is_option = word:sub(1, 1) == "-"
    if key then
      if is_option or args[key] then return nil end
      args[key], key = word, nil
    elseif FLAGS[word] then
      args[FLAGS[word]] = true
    elseif VALUES[word] then
      key = VALUES[word]
    elseif is_option or args.file then
      return nil
    else
      args.file = word
    end
  end
  return not key and args.file and args or nil
end
