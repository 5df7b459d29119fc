-- corpus.lua: inputs in a file, a quoted one a line: spec/fuzz/corpus/TARGET has those that are
-- kept for good, $(BUILD)/fuzz/TARGET those that were found here.

local corpus = {}

---@param path string
---@return string[] inputs none where there is no such file
function corpus.read(path)
  local file = io.open(path, "rb")
  if not file then return {} end
  local text = file:read "a"
  file:close()
  return assert(load("return {" .. text .. "}", "=" .. path, "t", {}))()
end

---@param path string
---@param input string
function corpus.add(path, input)
  local file = assert(io.open(path, "ab"))
  -- every byte that is not printed as it is, so that the file is text
  local quoted = input:gsub('["\\]', "\\%0"):gsub("[%c\127-\255]", function(c)
    return ("\\%03d"):format(c:byte())
  end)
  file:write('"', quoted, '",\n')
  file:close()
end

return corpus
