--- Compares text with what was accepted before: spec/golden/<name>. UPDATE_GOLDEN=1 accepts the new text.
local FOLDER = (debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "spec/golden") .. "/"

---@param name string
---@param text string
return function(name, text)
  local path = FOLDER .. name
  if os.getenv "UPDATE_GOLDEN" == "1" then
    local out = assert(io.open(path, "w"))
    out:write(text)
    assert(out:close())
    return
  end
  local file = assert(io.open(path), path .. " is missing; look at the text and accept it with UPDATE_GOLDEN=1")
  local expected = file:read("a")
  file:close()
  require("luassert").equal(expected, text)
end
