-- openmetrics.lua: reads the text form of OpenMetrics 1.0 strictly, to judge what we write:
-- counters, gauges and histograms without times, units and exemplars; anything else is refused. It
-- is judged itself by the parser cases of the OpenMetrics repository.
--
-- https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
local openmetrics = {}

local TYPES = { unknown = { "" }, gauge = { "" }, counter = { "_total", "_created" },
  histogram = { "_bucket", "_count", "_sum", "_created" } }

local function need(ok, line, why)
  if not ok then error(("%s: %s"):format(why, tostring(line)), 0) end
  return ok
end

local function number(word, line)
  local sign, rest = word:match "^([+-]?)(.*)$"
  local low = rest:lower()
  if low == "inf" or low == "infinity" then return sign == "-" and -math.huge or math.huge end
  if low == "nan" then return 0 / 0 end
  need(rest:find "^%d+%.?%d*[eE]?[+-]?%d*$" or rest:find "^%.%d+[eE]?[+-]?%d*$", line, "no number")
  return need(tonumber(word), line, "no number") + 0.0
end

-- Labels from `at`, which is behind the "{"; returns them and the place behind the "}".
local function labels(text, at, line)
  local found, order = {}, {}
  if text:sub(at, at) == "}" then return found, order, at + 1 end
  while true do
    local name, from = text:match('^([%a_][%w_]*)="()', at)
    need(name and not found[name], line, "a label is wrong")
    local value, i = {}, from
    while true do
      local c = text:sub(i, i)
      need(c ~= "", line, "a label does not end")
      if c == '"' then break end
      if c == "\\" then
        i = i + 1
        local named = ({ ["\\"] = "\\", ['"'] = '"', n = "\n" })[text:sub(i, i)]
        c = named or "\\" .. text:sub(i, i) -- an unknown escape stands for itself
      end
      value[#value + 1], i = c, i + 1
    end
    found[name], order[#order + 1] = table.concat(value), name
    local c = text:sub(i + 1, i + 1)
    if c == "}" then return found, order, i + 2 end
    need(c == ",", line, "labels are wrong")
    at = i + 2
  end
end

local function key_of(found, without)
  local parts = {}
  for name, value in pairs(found) do
    if name ~= without then parts[#parts + 1] = ("%q=%q"):format(name, value) end
  end
  table.sort(parts)
  return table.concat(parts, ",")
end

local function sample(line)
  local name, at = line:match "^([%a_:][%w_:]*)()"
  need(name, line, "a name is wrong")
  local found, order = {}, {}
  if line:sub(at, at) == "{" then found, order, at = labels(line, at + 1, line) end
  local value, rest = line:match("^ ([^ ]+)(.*)$", at)
  need(value and rest == "", line, "one value is expected") -- we write no times and no exemplars
  return { name = name, labels = found, order = order, value = number(value, line), line = line }
end

-- What the samples of one labelled histogram have to be.
local function check_histogram(family, set, line)
  local last, bound, inf = -1, -math.huge, nil
  for _, one in ipairs(set) do
    if one.suffix == "_bucket" then
      local text = need(one.labels.le, one.line, "a bucket without le")
      need(text == "+Inf" or text:find "^[%d.]+e?[+-]?%d*$" and text:find "[.e]", one.line,
        "le is not written as a number is")
      local le = number(text, one.line)
      need(le > bound and one.value >= last, one.line, "buckets are out of order")
      last, bound = one.value, le
      if le == math.huge then inf = one.value end
    end
  end
  need(inf, line, family.name .. " has no bucket +Inf")
  local count, sum
  for _, one in ipairs(set) do
    if one.suffix == "_count" then count = need(one.value == inf, one.line, "it is not that of +Inf") end
    if one.suffix == "_sum" then sum = true end
  end
  need(count and sum, line, family.name .. " lacks its count or sum")
end

--- Reads a text; raises what is wrong with it.
---@param text string
---@return table<string, { name: string, type: string, samples: table[] }> families
function openmetrics.read(text)
  need(utf8.len(text), "", "no UTF-8")
  need(text:find "# EOF\n?$" and not text:find "# EOF\n.", "", "it does not end with # EOF")
  local families, at = {}, nil
  local function open(name, line)
    if at and at.name == name then return at end
    need(not families[name], line, "a family is there twice")
    at = { name = name, samples = {}, sets = {}, order = {} }
    families[name] = at
    return at
  end
  for line in text:gsub("# EOF\n?$", ""):gmatch "([^\n]*)\n" do
    local kind, name, rest = line:match "^# (%u+) ([%a_:][%w_:]*) (.*)$"
    if kind then
      local family = open(name, line)
      need(not family[kind] and #family.samples == 0 and (kind == "HELP" or kind == "TYPE"), line,
        "metadata is wrong")
      family[kind] = rest
      if kind == "TYPE" then need(TYPES[rest], line, "a type that we do not write") end
    else
      local one = sample(line)
      if not at or one.name:sub(1, #at.name) ~= at.name then open(one.name, line) end
      local suffix = one.name:sub(#at.name + 1)
      local fits = false
      for _, allowed in ipairs(TYPES[at.TYPE or "unknown"]) do fits = fits or allowed == suffix end
      need(fits, line, "the name does not fit the type " .. (at.TYPE or "unknown"))
      one.suffix = suffix
      if suffix ~= "" and suffix ~= "_created" then
        need(one.value >= 0, line, "what is counted is negative, or no number")
      end
      local key = key_of(one.labels, suffix == "_bucket" and "le")
      local set = at.sets[key]
      if not set then
        set = { seen = {} }
        at.sets[key], at.order[#at.order + 1] = set, key
      end
      need(at.order[#at.order] == key, line, "samples of one metric are not together")
      local whole = suffix .. key_of(one.labels)
      need(not set.seen[whole], line, "a sample is there twice")
      set.seen[whole] = true
      set[#set + 1], at.samples[#at.samples + 1] = one, one
    end
  end
  for _, family in pairs(families) do
    family.type = family.TYPE or "unknown"
    for _, suffix in ipairs(TYPES[family.type]) do
      need(suffix == "" or not families[family.name .. suffix], family.name, "two families have one name")
    end
    if family.type == "histogram" then
      for _, set in pairs(family.sets) do check_histogram(family, set, family.name) end
    end
  end
  return families
end

return openmetrics
