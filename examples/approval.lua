-- Waiting for somebody: a release goes out when it has been approved, and only then. A run that is
-- kept in a store waits for days and through restarts; nothing is held meanwhile. Here the script
-- itself sends the decision.
--   orrery examples/approval.lua            what a person would send is sent at once
--   orrery examples/approval.lua no         a rejection
-- With `orrery run` the decision comes from another terminal:
--   orrery signal RUN go --approve --by ada --why done
local flow = require "orrery"

local w = flow.workflow { name = "release",
  output = { by = "${nodes.go.by}", released = "${nodes.publish}" } }

w.build = { run = function() return "app-1.4.tar.gz" end }

w.go = flow.wait { after = "build",
  approval = { message = "Publish ${nodes.build}?", by = { "ada", "grace" } }, timeout = "3d",
  on_reject = "output" }

w.publish = { when = "nodes.go.approved", run = function(_, inputs)
  return ("published, as %s wished: %s"):format(inputs.go.by, inputs.go.why)
end }

-- loaded as a workflow, and not run as a script
if not arg or not (arg[0] or ""):find "approval%.lua$" then return w end

local run = flow.start(w, { on_event = function(event)
  if event.event == "approval_requested" then print("asked:", event.data.message) end
end })
run:signal("go", { approved = arg[1] ~= "no", by = "ada",
  why = arg[1] == "no" and "tests are red" or "tests are green" })
flow.runtime():wait(run)
print(run.state .. ":", flow.json.encode(run:outputs().publish or run:outputs().go, { sort = true }))
