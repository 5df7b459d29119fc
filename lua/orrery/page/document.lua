--- One HTML file that holds the page and the data it shows, and asks nobody for anything.
---
--- Its modules become one script: they are put one after the other, each behind those it imports,
--- without their `import` and `export`. So each import is a line of its own, and no two modules
--- have a name of the top level in common. A policy allows that script and that style sheet by
--- their hashes and nothing else. The data is JSON in an element that is no script; a `<` in it is
--- written as an escape, so that no text in it can end the element.
local core = require "orrery.core"
local page = require "orrery.page"

local document = {}

local FIRST, STYLE = "report.js", "page.css"

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

-- RFC 4648, of bytes in hexadecimal.
local function base64(hex)
  local digits = {}
  for three in (hex:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)):gmatch "..?.?" do
    local a, b, c = three:byte(1, 3)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    for i = 0, 3 do
      local digit = n >> (18 - i * 6) & 63
      digits[#digits + 1] = i <= #three and DIGITS:sub(digit + 1, digit + 1) or "="
    end
  end
  return table.concat(digits)
end

local function hash_of(text) return "'sha256-" .. base64(core.sha256(text)) .. "'" end

local function add_module(name, parts, seen)
  if seen[name] then return end
  seen[name] = true
  local lines = {}
  for line in (page.text(name) or error("the page has no file " .. name)):gmatch "([^\n]*)\n" do
    local imported = line:match '^import .-"%./([^"]+)";$'
    if imported then
      add_module(imported, parts, seen)
    else
      lines[#lines + 1] = (line:gsub("^export ", ""))
    end
  end
  parts[#parts + 1] = table.concat(lines, "\n")
end

--- The modules of the report as one script.
---@return string
function document.script()
  local parts = {}
  add_module(FIRST, parts, {})
  return "\n" .. table.concat(parts, "\n") .. "\n"
end

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }
local ESCAPES = { ["<"] = "\\u003c", [">"] = "\\u003e", ["&"] = "\\u0026" }

--- Makes the document.
---@param title string
---@param json string the data
---@return string html
function document.of(title, json)
  local script, style = document.script(), "\n" .. page.text(STYLE)
  local policy = ("default-src 'none'; script-src %s; style-src %s; base-uri 'none'; form-action 'none'")
    :format(hash_of(script), hash_of(style))
  return table.concat {
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
    '<meta http-equiv="Content-Security-Policy" content="', policy, '">\n',
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
    '<meta name="referrer" content="no-referrer">\n',
    "<title>", (title:gsub('[&<>"]', ENTITIES)), "</title>\n<style>", style, "</style>\n</head>\n<body>\n",
    "<noscript><p>This page shows a run by a script that it holds. Allow scripts for this file.</p>",
    "</noscript>\n",
    '<script type="application/json" id="data">', (json:gsub("[<>&]", ESCAPES)), "</script>\n",
    '<script type="module">', script, "</script>\n</body>\n</html>\n",
  }
end

return document
