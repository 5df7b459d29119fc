--- Modules that a searcher of the program's own gives, from packed assets or from memory: the text
--- that it hands to `load`, so that runs resume with it; or, where there is none to be seen, what
--- tells that it gives other code now.
local core = require "orrery.core"

local given = {}

local load, getinfo = load, debug.getinfo

local function bytes_of(fn)
  local ok, bytes = pcall(string.dump, fn, true)
  return ok and bytes or nil
end

-- Calls a searcher; texts: what it compiled.
local function ask(searcher, name)
  local hook, mask, count = debug.gethook()
  local texts = {}
  if hook ~= "external hook" then
    debug.sethook(function()
      if getinfo(2, "f").func ~= load then return end
      local _, text = debug.getlocal(2, 1)
      if type(text) == "string" then texts[#texts + 1] = text end
    end, "c")
  end
  local ok, loader, where = pcall(searcher, name)
  if hook ~= "external hook" then debug.sethook(hook, mask, count) end
  return ok and type(loader) == "function" and loader or nil, where, texts
end

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

local function is_made_of(text, loader)
  local chunk = load(text, "=given")
  return chunk ~= nil and bytes_of(chunk) == bytes_of(loader)
end

-- The text that a loader was compiled from: one of those, or what its name says.
local function text_of(loader, texts)
  local source = getinfo(loader, "S").source
  local kind = source:sub(1, 1)
  local named = kind == "@" and read(source:sub(2)) or kind ~= "@" and kind ~= "=" and source or nil
  if #texts == 1 then return texts[1] end
  for _, text in ipairs { named, table.unpack(texts) } do
    if is_made_of(text, loader) then return text end
  end
end

-- Another one where the loader's code, or a text that it keeps, is another.
local function mark_of(loader)
  local parts = { bytes_of(loader) }
  for i = 1, 255 do
    local name, value = debug.getupvalue(loader, i)
    if not name then break end
    if type(value) == "string" then parts[#parts + 1] = value end
  end
  return parts[1] and core.sha256(table.concat(parts, "\0")) or nil
end

--- What a searcher of the program's own gives for a module now: { name, path, text }, or with
--- `code`, a mark of it, in place of a text that is not known. Nil for a module that none gives,
--- and for one in C.
---@param name string
---@param ours function the searcher to be left out
---@return table|nil
function given.find(name, ours)
  if package.preload[name] ~= nil then return nil end
  for _, searcher in ipairs(package.searchers) do
    if type(searcher) == "function" and searcher ~= ours and getinfo(searcher, "S").what ~= "C" then
      local loader, where, texts = ask(searcher, name)
      if loader then
        local text = text_of(loader, texts)
        local code = not text and mark_of(loader) or nil
        local path = text and is_made_of(text, loader) and getinfo(loader, "S").source:match "^@(.*)"
          or type(where) == "string" and where or name
        if not text and not code then return nil end
        return { name = name, path = path, text = text, code = code, scanned = true }
      end
    end
  end
end

return given
