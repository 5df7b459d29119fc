--- Metrics as text: the classic form of Prometheus (version 0.0.4), and OpenMetrics 1.0
--- (https://prometheus.io/docs/specs/om/open_metrics_spec/). They differ in where a counter has
--- its `_total`, in how numbers of buckets are written, and in the end.
local text = {}

text.CLASSIC = "text/plain; version=0.0.4; charset=utf-8"
text.OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"

--- Whether a header Accept asks for OpenMetrics rather than for anything else. Both forms say the
--- same, so the order of its parts decides nothing: it is enough that OpenMetrics is not refused.
---@param accept string|nil
---@return boolean
function text.wants_open(accept)
  for part in (accept or ""):gmatch "[^,]+" do
    local name, rest = part:match "^%s*([^;%s]+)(.*)$"
    local quality = rest and rest:match ";%s*[qQ]=([%d.]+)"
    if name and name:lower() == "application/openmetrics-text" and tonumber(quality or 1) ~= 0 then
      return true
    end
  end
  return false
end

local function escaped(value)
  return (value:gsub('[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }))
end

local function number(value)
  if value == true then return "1" end
  if value == false then return "0" end
  if math.type(value) == "integer" then return ("%d"):format(value) end
  return ("%.17g"):format(value)
end

-- {a="x",le="0.5"}; what is not UTF-8 cannot be in a label.
local function labelled(family, values, le)
  local parts = {}
  for i, name in ipairs(family.labels) do
    local value = tostring(values[i])
    parts[i] = ('%s="%s"'):format(name, escaped(utf8.len(value) and value or "?"))
  end
  if le then parts[#parts + 1] = ('le="%s"'):format(le) end
  return #parts > 0 and "{" .. table.concat(parts, ",") .. "}" or ""
end

local function bound_text(bound)
  return math.tointeger(bound) and ("%d.0"):format(bound) or ("%.14g"):format(bound)
end

local function add_histogram(lines, family, values, counts, bounds)
  local total = 0
  for i, bound in ipairs(bounds) do
    total = total + counts[i]
    lines[#lines + 1] = ("%s_bucket%s %d"):format(family.name,
      labelled(family, values, bound_text(bound)), total)
  end
  total = total + counts[#bounds + 1]
  lines[#lines + 1] = ("%s_bucket%s %d"):format(family.name, labelled(family, values, "+Inf"), total)
  lines[#lines + 1] = ("%s_count%s %d"):format(family.name, labelled(family, values), total)
  lines[#lines + 1] = ("%s_sum%s %s"):format(family.name, labelled(family, values), number(counts.sum))
end

local function add_family(lines, family, seen, open)
  local counter = family.type == "counter"
  local sample = family.name .. (counter and "_total" or "")
  local shown = open and family.name or sample
  lines[#lines + 1] = ("# HELP %s %s"):format(shown, family.words)
  lines[#lines + 1] = ("# TYPE %s %s"):format(shown, family.type)
  family.of(seen, function(value, ...)
    if family.type == "histogram" then
      add_histogram(lines, family, { ... }, value, seen.bounds)
    else
      lines[#lines + 1] = ("%s%s %s"):format(sample, labelled(family, { ... }), number(value))
    end
  end)
end

--- Writes families.
---@param families orrery.serve.Family[]
---@param seen orrery.serve.Gathered
---@param open boolean OpenMetrics
---@return string
function text.write(families, seen, open)
  local lines = {}
  for _, family in ipairs(families) do add_family(lines, family, seen, open) end
  if open then lines[#lines + 1] = "# EOF" end
  return table.concat(lines, "\n") .. "\n"
end

return text
