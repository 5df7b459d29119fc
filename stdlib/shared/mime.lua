--- Mails as texts: addresses, headers, and bodies of several parts (RFC 5322, RFC 2045 to 2047).
local flow = require "orrery"
local uv = require "luv"

local mime = {}

local function config_error(message, ...)
  flow.error { code = "config_error", retryable = false, message = "mail.send: " .. message:format(...) }
end

-- ---- headers ------------------------------------------------------------------------------------

-- A line break in a value would begin a header of its own.
local function one_line(what, text)
  if text:find "[%c\x7f]" then config_error("%s has a line break or another control character", what) end
  if not utf8.len(text) then config_error("%s is not UTF-8", what) end
  return text
end

local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local out = {}
  for at = 1, #text, 3 do
    local a, b, c = text:byte(at, at + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for i = 0, 3 do
      local digit = bits >> (18 - 6 * i) & 63
      out[#out + 1] = (i < 2 or i == 2 and b or i == 3 and c) and BASE64:sub(digit + 1, digit + 1) or "="
    end
  end
  return table.concat(out)
end

-- Bytes of a text that fit an encoded word, which has at most 75 characters.
local WORD = 45

-- Words of RFC 2047, each of whole characters, folded into lines.
local function encoded_words(text)
  local words, from = {}, 1
  while from <= #text do
    local to = math.min(from + WORD, #text + 1)
    to = to <= #text and utf8.offset(text, 0, to) or to -- the next word's first character
    words[#words + 1] = "=?UTF-8?B?" .. base64(text:sub(from, to - 1)) .. "?="
    from = to
  end
  return table.concat(words, "\r\n ")
end

local LONGEST_LINE = 900 -- of the 998 that a line may have

-- What would be read as an encoded word is encoded itself.
local function unstructured(text)
  if text:find "[\x80-\xff]" or text:find("=?", 1, true)
    or #text > LONGEST_LINE then return encoded_words(text) end
  return text
end

--- An address: "a@b.c" or "Name <a@b.c>", as the address alone and as headers have it. Raises what
--- is
--- none.
---@param what string the key it stands in
---@param text string
---@return string address
---@return string shown
function mime.address(what, text)
  one_line(what, text)
  local name, address = text:match "^%s*(.-)%s*<([^<>]*)>%s*$"
  address = address or text:match "^%s*(.-)%s*$"
  -- quotes and spaces are allowed there by RFC 5321, and used by nobody but who means harm
  if not address:find "^[%w!#$%%&'*+/=?^_`{|}~.-]+@[%w.-]+$"
    and not address:find "^[%w!#$%%&'*+/=?^_`{|}~.-]+@%[[%x:.]+%]$" then
    config_error("%s: expected an address such as a@example.org or Name <a@example.org>, got %q", what, text)
  end
  name = name and name:match '^"(.*)"$' or name
  if not name or name == "" then return address, address end
  if name:find "[\x80-\xff]" or #name > LONGEST_LINE then return address, encoded_words(name) .. " <"
    .. address .. ">" end
  return address, '"' .. name:gsub('[\\"]', "\\%0") .. '" <' .. address .. ">"
end

local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

local function date_of(seconds)
  local t = os.date("!*t", seconds)
  return ("%s, %02d %s %d %02d:%02d:%02d +0000"):format(DAYS[t.wday], t.day, MONTHS[t.month], t.year, t.hour,
    t.min, t.sec)
end

-- Headers that are made here, so that a config names them in one way only.
local OURS = {}
for name in ("from to cc bcc reply-to subject date message-id mime-version content-type "
  .. "content-transfer-encoding sender")
  :gmatch "%S+" do
  OURS[name] = true
end

local function own_headers(given, lines)
  local names = {}
  for name in pairs(given or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    if not name:find "^[%w-]+$" or OURS[name:lower()] then
      config_error("headers: %q is no name of a header, or has a key of its own", name)
    end
    if type(given[name]) == "table" then config_error("headers: %s is a text", name) end
    lines[#lines + 1] = name .. ": " .. unstructured(one_line("headers: " .. name, tostring(given[name])))
  end
end

-- ---- parts --------------------------------------------------------------------------------------

-- Quoted-printable (RFC 2045, section 6.7), in lines of at most 76 characters.
local function quoted_printable(text)
  local lines = {}
  for line in (text:gsub("\r\n?", "\n") .. "\n"):gmatch "(.-)\n" do
    line = line:gsub("[^\x20-\x3c\x3e-\x7e\t]", function(c) return ("=%02X"):format(c:byte()) end)
      :gsub("[ \t]$", function(c) return ("=%02X"):format(c:byte()) end)
    while #line > 76 do
      local cut = 75
      if line:find("^=", cut) then cut = cut - 1 elseif line:find("^=", cut - 1) then cut = cut - 2 end
      lines[#lines + 1] = line:sub(1, cut) .. "="
      line = line:sub(cut + 1)
    end
    lines[#lines + 1] = line
  end
  if lines[#lines] == "" then lines[#lines] = nil end
  return table.concat(lines, "\r\n") .. "\r\n"
end

local function text_part(kind, text)
  return { head = ("Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: "
    .. "quoted-printable\r\n"):format(kind),
    body = { quoted_printable(text) } }
end

-- A name as a parameter: in quotes, or as RFC 2231 has it where they are not enough.
local function file_name(name)
  if not name:find '[\\"\x80-\xff]' then return ('filename="%s"'):format(name) end
  return "filename*=UTF-8''" .. flow.url.escape(name)
end

-- Encoded where it is sent, so that files are not held in memory.
local function attached(given, index, open)
  if type(given) ~= "table" or (given.from == nil) == (given.body == nil) then
    config_error("attachments[%d]: give from, a file, or body, a text", index)
  end
  local file = given.from and open(given.from)
  local name = one_line(("attachments[%d].name"):format(index),
    tostring(given.name or file and file.name or "attachment"))
  local kind = given.type or "application/octet-stream"
  if not kind:find "^[%w!#$&^_.+-]+/[%w!#$&^_.+-]+$" then
    config_error("attachments[%d]: %q is no type such as text/csv", index, kind)
  end
  local data = file and { fd = file.fd, size = file.size, base64 = true }
    or { text = tostring(given.body), base64 = true }
  return { head = ("Content-Type: %s\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: "
    .. "attachment;\r\n %s\r\n")
    :format(kind, file_name(name)), body = { data } }
end

-- 192 random bits: no text has them by chance, nor by intent.
local function new_boundary()
  return "=_" .. uv.random(24):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
end

local function combine(kind, parts)
  if #parts == 1 then return parts[1] end
  local boundary, body = new_boundary(), {}
  for _, part in ipairs(parts) do
    body[#body + 1] = "--" .. boundary .. "\r\n" .. part.head .. "\r\n"
    table.move(part.body, 1, #part.body, #body + 1, body)
    body[#body + 1] = "\r\n"
  end
  body[#body + 1] = "--" .. boundary .. "--\r\n"
  return { head = ('Content-Type: multipart/%s;\r\n boundary="%s"\r\n'):format(kind, boundary), body = body }
end

local function content_of(config, open)
  local texts = {}
  if config.text then texts[1] = text_part("plain", config.text) end
  if config.html then texts[#texts + 1] = text_part("html", config.html) end
  if #texts == 0 then texts[1] = text_part("plain", "") end
  local parts = { combine("alternative", texts) }
  for i, given in ipairs(config.attachments or {}) do parts[#parts + 1] = attached(given, i, open) end
  return combine("mixed", parts)
end

--- A whole message, as a body for `flow.transfer`: the texts and files one after another.
---@param config table subject, text, html, attachments, headers
---@param shown {from: string, to: string[], cc: string[], reply_to: string?} addresses as headers have them
---@param id string for Message-ID
---@param open fun(path: string): {fd: integer, size: integer, name: string}
---@return table body
function mime.message(config, shown, id, open)
  local lines = { "Date: " .. date_of(os.time()), "From: " .. shown.from, "Message-ID: <" .. id .. ">" }
  if #shown.to > 0 then lines[#lines + 1] = "To: " .. table.concat(shown.to, ",\r\n ") end
  if #shown.cc > 0 then lines[#lines + 1] = "Cc: " .. table.concat(shown.cc, ",\r\n ") end
  if shown.reply_to then lines[#lines + 1] = "Reply-To: " .. shown.reply_to end
  lines[#lines + 1] = "Subject: " .. unstructured(one_line("subject", config.subject))
  own_headers(config.headers, lines)
  lines[#lines + 1] = "MIME-Version: 1.0\r\n"
  local content = content_of(config, open)
  return table.move(content.body, 1, #content.body, 2, { table.concat(lines, "\r\n") .. content.head
    .. "\r\n" })
end

return mime
