--- What `format` asserts where it is wanted: one function a format, of a string. A format that is
--- not here is a remark.
local regex = require "orrery.schema.regex"

local formats = {}

-- An expression in which {{name}} stands for a part below; compiled when it is first asked.
local parts = {}

local function expanded(text)
  return (text:gsub("{{(%w+)}}", function(name) return expanded(parts[name]) end))
end

local function expression(text)
  local match
  return function(value)
    if not match then
      local mistake
      match, mistake = regex.compile(expanded(text))
      if not match then error(mistake.message) end
    end
    return match(value)
  end
end

-- ---- dates and times: RFC 3339 ------------------------------------------------------------------

local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

function formats.date(value)
  local year, month, day = value:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)$"
  if not year then return false end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  local days = DAYS[month]
  return days ~= nil and day >= 1 and day <= (month == 2 and leap and 29 or days)
end

-- Minutes that a place is before UTC; nil where that is no offset.
local function offset_of(text)
  if text == "Z" or text == "z" then return 0 end
  local sign, hours, minutes = text:match "^([+-])(%d%d):(%d%d)$"
  if not sign or tonumber(hours) > 23 or tonumber(minutes) > 59 then return nil end
  return (sign == "+" and 1 or -1) * (tonumber(hours) * 60 + tonumber(minutes))
end

formats.time = function(value)
  local hour, minute, second, rest = value:match "^(%d%d):(%d%d):(%d%d)(.*)$"
  if not hour then return false end
  local offset = offset_of(rest:match "^%.%d+(.*)$" or rest)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  if not offset or hour > 23 or minute > 59 or second > 60 then return false end
  -- a leap second ends a day of UTC
  return second < 60 or (hour * 60 + minute - offset) % 1440 == 1439
end

formats["date-time"] = function(value)
  local date, time = value:match "^(.-)[Tt](.*)$"
  return date ~= nil and formats.date(date) and formats.time(time)
end

parts.dtime = "T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S)"
parts.ddate = "(?:\\d+Y(?:\\d+M(?:\\d+D)?)?|\\d+M(?:\\d+D)?|\\d+D)"
formats.duration = expression "^P(?:\\d+W|{{ddate}}(?:{{dtime}})?|{{dtime}})$"

-- ---- addresses: RFC 2673, 4291, 1123, 5321 ------------------------------------------------------

parts.octet = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
formats.ipv4 = expression "^{{octet}}(?:\\.{{octet}}){3}$"

-- How many groups of 16 bits a part of an address has; nil where it is none.
local function groups_of(text, may_end_in_ipv4)
  local count, at = 0, 1
  while at <= #text do
    local group, behind = text:match("^(%x+)()", at)
    local rest = text:sub(at)
    if may_end_in_ipv4 and formats.ipv4(rest) then return count + 2 end
    if not group or #group > 4 then return nil end
    count = count + 1
    if behind > #text then return count end
    if text:sub(behind, behind) ~= ":" or behind == #text then return nil end
    at = behind + 1
  end
  return count
end

formats.ipv6 = function(value)
  local left, right = value:match "^(.-)::(.*)$"
  if not left then return value ~= "" and groups_of(value, true) == 8 end
  local before, behind = groups_of(left, false), groups_of(right, true)
  return before ~= nil and behind ~= nil and before + behind <= 7
end

parts.label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
local is_hostname = expression "^{{label}}(?:\\.{{label}})*$"

-- A label that begins with xn-- stands for one with other letters.
local function labels_fit(value)
  for label in value:gmatch "[^.]+" do
    local encoded = label:find "^[Xx][Nn]%-%-"
    if encoded and not require "orrery.schema.json.idn".is_encoded_label(label) then return false end
  end
  return true
end

formats.hostname = function(value) return #value <= 253 and is_hostname(value) and labels_fit(value) end
formats["idn-hostname"] = function(value) return require "orrery.schema.json.idn".is_name(value) end

parts.atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
parts.quoted = '"(?:[ !#-\\[\\]-~]|\\\\[ -~])*"'
local local_part = expression "^(?:{{atom}}(?:\\.{{atom}})*|{{quoted}})$"
parts.iatom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\u{80}-\\u{10ffff}-]+"
parts.iquoted = '"(?:[ !#-\\[\\]-~\\u{80}-\\u{10ffff}]|\\\\[ -~])*"'
local wide_local_part = expression "^(?:{{iatom}}(?:\\.{{iatom}})*|{{iquoted}})$"
local wide_domain = expression
  "^[A-Za-z0-9\\u{80}-\\u{10ffff}-]+(?:\\.[A-Za-z0-9\\u{80}-\\u{10ffff}-]+)*$"

local function mailbox(is_local, is_domain)
  return function(value)
    local name, domain = value:match "^(.*)@([^@]*)$"
    if not name or #name > 64 or not is_local(name) then return false end
    local literal = domain:match "^%[(.*)%]$"
    if not literal then return is_domain(domain) end
    local six = literal:match "^[Ii][Pp][Vv]6:(.*)$"
    if six then return formats.ipv6(six) end
    return formats.ipv4(literal)
  end
end

formats.email = mailbox(local_part, formats.hostname)
formats["idn-email"] = mailbox(wide_local_part, wide_domain)

-- ---- URIs: RFC 3986, 3987, 6570 -----------------------------------------------------------------

parts.pct = "%[0-9A-Fa-f]{2}"
parts.iwide = "\\u{a0}-\\u{d7ff}\\u{f900}-\\u{fdcf}\\u{fdf0}-\\u{ffef}\\u{10000}-\\u{efffd}"
parts.iprivate = "\\u{e000}-\\u{f8ff}\\u{f0000}-\\u{10fffd}"

-- The expressions of an address; `wide` are the characters beside those of ASCII.
local function address(wide, private)
  local plain = "A-Za-z0-9._~!$&'()*+,;=" .. wide .. "-"
  local char = ("(?:[:@%s]|{{pct}})"):format(plain)
  local in_brackets = ("\\[[0-9A-Fa-f:.]+\\]|\\[[vV][0-9A-Fa-f]+\\.[:%s]+\\]"):format(plain)
  local authority = ("//(?:(?:[:%s]|{{pct}})*@)?(?:%s|(?:[%s]|{{pct}})*)(?::\\d*)?")
    :format(plain, in_brackets, plain)
  local rest = ("(?:/%s*)*"):format(char)
  local behind = ("(?:\\?(?:[/?:@%s%s]|{{pct}})*)?(?:#(?:[/?:@%s]|{{pct}})*)?"):format(plain, private, plain)
  local rooted = ("/(?:%s+%s)?"):format(char, rest)
  local whole = ("[A-Za-z][A-Za-z0-9+.-]*:(?:%s%s|%s|%s+%s|)%s")
    :format(authority, rest, rooted, char, rest, behind)
  local relative = ("(?:%s%s|%s|(?:[@%s]|{{pct}})+%s|)%s")
    :format(authority, rest, rooted, plain, rest, behind)
  return expression("^" .. whole .. "$"), expression("^" .. relative .. "$")
end

-- A host in brackets is an address of IPv6, or of a version to come.
local function host_fits(value)
  local host = value:match "^[^/?#]*//[^/?#]*%[([^%]]*)%]"
  return not host or host:find "^[vV]" ~= nil or formats.ipv6(host)
end

local is_uri, is_relative = address("", "")
formats.uri = function(value) return is_uri(value) and host_fits(value) end
formats["uri-reference"] = function(value)
  return (is_uri(value) or is_relative(value)) and host_fits(value)
end

local is_iri, is_relative_iri = address("{{iwide}}", "{{iprivate}}")
formats.iri = function(value) return is_iri(value) and host_fits(value) end
formats["iri-reference"] = function(value)
  return (is_iri(value) or is_relative_iri(value)) and host_fits(value)
end

parts.varchar = "(?:[A-Za-z0-9_]|{{pct}})"
parts.varspec = "{{varchar}}(?:\\.?{{varchar}})*(?::[1-9]\\d{0,3}|\\*)?"
formats["uri-template"] = expression("^(?:[!#$&'()*+,./0-9:;=?@A-Z\\[\\]_a-z~{{iwide}}{{iprivate}}-]|{{pct}}"
  .. "|\\{[+#./;?&]?{{varspec}}(?:,{{varspec}})*\\})*$")

-- ---- others -------------------------------------------------------------------------------------

formats.uuid = expression "^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
formats["json-pointer"] = expression "^(?:/(?:[^~/]|~[01])*)*$"
formats["relative-json-pointer"] = expression "^(?:0|[1-9]\\d*)(?:#|(?:/(?:[^~/]|~[01])*)*)$"

--- One that is right, but not matched here, is one all the same.
formats.regex = function(value)
  local match, mistake = regex.compile(value)
  return match ~= nil or mistake.sort ~= "syntax"
end

return formats
