--- Compares text with what was accepted before: spec/golden/<name>.
---
--- UPDATE_GOLDEN=1 accepts the new text. Such a run proves nothing: spec/support/run.lua says at
--- its end what was accepted, and fails. Where CI is set nothing is accepted at all.
local FOLDER = (debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "spec/golden") .. "/"

local golden = {
  --- The files that this run has written.
  ---@type string[]
  accepted = {},
}

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

local function accept(path, text)
  if (os.getenv "CI" or "") ~= "" then
    error("UPDATE_GOLDEN is refused where CI is set: texts are accepted by people who look at them", 0)
  end
  if read(path) == text then return end
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
  golden.accepted[#golden.accepted + 1] = path
end

---@param name string
---@param text string
local function compare(_, name, text)
  local path = FOLDER .. name
  if os.getenv "UPDATE_GOLDEN" == "1" then return accept(path, text) end
  local expected = read(path)
    or error(path .. " is missing; look at the text and accept it with UPDATE_GOLDEN=1", 0)
  require("luassert").equal(expected, text)
end

return setmetatable(golden, { __call = compare })
