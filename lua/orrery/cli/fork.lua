--- `orrery fork RUN`: a new run that takes over what another has completed.
local resume = require "orrery.cli.resume"
local runs = require "orrery.resume"

local fork = {}

-- nodes.x=JSON, or text that is no JSON as it stands; what begins as JSON does is meant as such.
local function outputs_of(words)
  local json, set = require("orrery.core").json, {}
  for _, word in ipairs(words or {}) do
    local name, text = word:match "^nodes%.([%w_%-]+)=(.*)$"
    if not name then return nil, ("--set %s: expected nodes.NAME=VALUE"):format(word) end
    local ok, value = pcall(json.decode, text, { name = "--set nodes." .. name })
    if not ok and text:find '^%s*[%[{"]' then return nil, tostring(value) end
    if ok then set[name] = value else set[name] = text end
  end
  return set
end

local function main(args)
  local rt, store = resume.open("fork", args)
  if not rt then return store end
  local row, problem = require("orrery.cli.filter").one(store, args.run)
  if not row then return resume.fail("fork", problem) end
  local made, why, _, compiled = pcall(runs.code_of, rt, row.id, resume.options_of(args, rt))
  if not made then return resume.fail("fork", why) end
  local set, wrong = outputs_of(args.set)
  if not set then return resume.fail("fork", wrong) end
  local input
  if args.input and #args.input > 0 then
    local ok, value = require("orrery.cli.input").parse(args.input, require("orrery.core").json, compiled.input)
    if not ok then return resume.fail("fork", value) end
    input = value
  end
  local options = resume.options_of(args, rt, nil, compiled)
  options.from, options.input, options.set = args.from, input, set
  return resume.follow("fork", args, rt, compiled, function(on_event)
    options.on_event = on_event
    local run, _, taken = require("orrery.fork").fork(row.id, options)
    if not args.json and not args.quiet then io.stderr:write(("run %s, forked from %s\n"):format(run.id, row.id)) end
    if not args.quiet and not args.json and input ~= nil and not args.from and taken > 0 then
      io.stderr:write(("the new input is not seen by the %s that %s taken over; run them again with --from NODE\n"):format(
        require("orrery.cli.term").plural(taken, "node"), taken == 1 and "is" or "are"))
    end
    return run, taken
  end)
end

function fork.main(args) return require("orrery.cli.history").guard("fork", main, args) end

return fork
