--- `orrery doctor`: one line per fact about this machine and the store, each with what to do where
--- something is wrong.
local out = require "orrery.cli.shared.out"
local machine = require "orrery.cli.doctor.machine"
local term = require "orrery.cli.display.term"

local doctor = {}

local STYLES = { ok = "green", warn = "yellow", missing = "red" }

--- The findings for people.
---@param findings orrery.cli.Finding[]
---@param paint function
---@return string
function doctor.text(findings, paint)
  local lines, counts = {}, { ok = 0, warn = 0, missing = 0 }
  for _, f in ipairs(findings) do
    counts[f.status] = counts[f.status] + 1
    lines[#lines + 1] = ("%s  %s  %s")
      :format(paint(STYLES[f.status], term.fit(f.status, 7)), term.fit(f.name, 15), f.text)
    if f.remedy then lines[#lines + 1] = (" "):rep(26) .. "→ " .. f.remedy end
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = counts.warn + counts.missing == 0 and "All is well."
    or ("%d ok, %d to look at, %d missing."):format(counts.ok, counts.warn, counts.missing)
  return table.concat(lines, "\n") .. "\n"
end

function doctor.main(args)
  local findings = machine.examine(machine.probe())
  local store = require "orrery.cli.doctor.store"
  for _, finding in ipairs(store.examine(store.probe(args))) do findings[#findings + 1] = finding end
  local code = 0
  for _, f in ipairs(findings) do
    if f.status == "missing" then code = 1 end
  end
  if args.json then
    require("orrery.cli.shared.files").json(findings)
  else
    local tty = require("orrery.cli.display.term").is_tty(out.fd)
    out.write(doctor.text(findings, term.painter(term.wants_colour(tty))))
  end
  return code
end

return doctor
