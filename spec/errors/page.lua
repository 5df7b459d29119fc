-- docs/errors.md, from what the code can report and what is said of it.
local page = {}

page.PATH = "docs/errors.md"

local HEAD = [[
# Errors and mistakes

Every code that an error can have, and every kind of mistake that `orrery check` reports. An error is
`{ code, message, … }`; its text is `code: message`. `retry.on` and `retry.unless` compare codes. A handler
may raise codes of its own with [`flow.error`](lua-api.md#flowerror-and-error-values); those are not here.

This page is made from the code by `make errors`; what it says of each entry stands in `spec/errors/codes.lua`
and `spec/errors/mistakes.lua`.

## Error codes

Retried says whether another attempt of the node follows: "by policy" is as its [`retry`](semantics.md#retry)
says, and – means that it is no node's error but that of a run, a call or a command. `retryable = false` in an
error means no in any case. The last column has the rooms of the code, or the node types, that raise it.

| code | means | what to do | retried | from |
|---|---|---|---|---|
]]

local MISTAKES = [[

## Mistakes in a definition

`orrery check FILE` and `flow.check` report all of a definition at once, a sentence each, after the place:
`file:line: node "name": …`. `kind` in `orrery check --json` is the heading here. Mistakes are never retried:
what has one does not start. Where a message differs with the definition it has … here.
]]

local function sorted(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function cell(text) return (text:gsub("|", "\\|")) end

-- A message as code: in as many backquotes as it does not have itself.
local function quoted(text) return text:find "`" and ("`` %s ``"):format(text) or ("`%s`"):format(text) end

local function rooms_of(entry)
  local rooms = sorted(entry.rooms)
  for i, room in ipairs(rooms) do rooms[i] = "`" .. room .. "`" end
  return table.concat(rooms, " ")
end

local LACKS = "%s: the %s %q has no text; say in %s what it means and what to do, then run `make errors`"
local GONE = "%s: the %s %q is no longer in the code; remove its text, then run `make errors`"

--- What lacks a text, and texts for what is no longer there; each a sentence that says what to do.
--- @param found table<string, table>
--- @param texts table<string, table>
--- @param where string the file with the texts
--- @param what string "error code" or "kind of mistake"
--- @return string[]
function page.differences(found, texts, where, what)
  local list = {}
  for _, name in ipairs(sorted(found)) do
    if not texts[name] then
      list[#list + 1] = LACKS:format(found[name].places[1], what, name, where)
    end
  end
  for _, name in ipairs(sorted(texts)) do
    if not found[name] then
      list[#list + 1] = GONE:format(where, what, name)
    end
  end
  return list
end

--- The differences of all, in the order of the page.
--- @param codes table<string, table> of `spec.errors.found`
--- @param mistakes table<string, table>
--- @param texts {codes: table, mistakes: table}
--- @return string[]
function page.lacking(codes, mistakes, texts)
  local list = page.differences(codes, texts.codes, "spec/errors/codes.lua", "error code")
  local more = page.differences(mistakes, texts.mistakes, "spec/errors/mistakes.lua", "kind of mistake")
  return table.move(more, 1, #more, #list + 1, list)
end

--- The whole page.
--- @param codes table<string, table> of `spec.errors.found`
--- @param mistakes table<string, table>
--- @param texts {codes: table, mistakes: table}
--- @return string
function page.text(codes, mistakes, texts)
  local out = { HEAD }
  for _, name in ipairs(sorted(codes)) do
    local text = texts.codes[name] or { "", "", "" }
    out[#out + 1] = ("| `%s` | %s | %s | %s | %s |\n"):format(name, cell(text[1]), cell(text[2]), text[3],
      rooms_of(codes[name]))
  end
  out[#out + 1] = MISTAKES
  for _, name in ipairs(sorted(mistakes)) do
    local text = texts.mistakes[name] or { "", "" }
    out[#out + 1] = ("\n### %s\n\n%s %s From %s.\n"):format(name, text[1], text[2], rooms_of(mistakes[name]))
    local messages = sorted(mistakes[name].texts)
    if #messages > 0 then out[#out + 1] = "\n" end
    for _, message in ipairs(messages) do out[#out + 1] = "- " .. quoted(message) .. "\n" end
  end
  return table.concat(out)
end

return page
