--- `orrery fork RUN`: a new run that takes over what another has completed.
local out = require "orrery.cli.shared.out"
local resume = require "orrery.cli.resume"

local fork = {}

-- nodes.x=JSON, or plain text. What begins like JSON must be JSON.
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
  local row, problem = require("orrery.history.find").one(store, args.run)
  if not row then return resume.fail("fork", problem) end
  resume.go_there(args, rt, row.id)
  local made, why, _, compiled =
    pcall(require("orrery.store.run_code").of, rt, row.id, resume.options_of(args, rt))
  if not made then return resume.fail("fork", why) end
  local set, wrong = outputs_of(args.set)
  if not set then return resume.fail("fork", wrong) end
  local input
  if args.input and #args.input > 0 then
    local ok, value = require("orrery.cli.shared.input").parse(args.input, require("orrery.core").json,
      compiled.input)
    if not ok then return resume.fail("fork", value) end
    input = value
  end
  local options = resume.options_of(args, rt, nil, compiled)
  options.from, options.input, options.set = args.from, input, set
  return resume.follow("fork", args, rt, compiled, function(on_event)
    options.on_event = on_event
    local run, _, taken = require("orrery.store.fork").fork(row.id, options)
    if run.skipped then return run end
    if not args.json and not args.quiet then
      out.err(("run %s, forked from %s\n"):format(run.id, row.id))
    end
    if not args.quiet and not args.json and input ~= nil and not args.from and taken > 0 then
      out.err(("the new input is not seen by the %s that %s taken over; run them again with --from "
        .. "NODE\n"):format(
        require("orrery.cli.display.term").plural(taken, "node"), taken == 1 and "is" or "are"))
    end
    return run, taken
  end)
end

function fork.main(args) return require("orrery.cli.shared.session").guard("fork", main, args) end

return fork
