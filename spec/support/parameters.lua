-- Functions of C with more than six parameters: `lua5.4 spec/support/parameters.lua FILE…`. Finds
-- definitions, which begin in the first column as .clang-format lays them out. Exit code 1 where a
-- function has more; pass such a function a struct.
local MOST = 6

-- What declares no function, or holds parentheses and commas of its own.
local function without_comments(text)
  text = text:gsub("/%*.-%*/", function(comment) return (comment:gsub("[^\n]", "")) end)
  return (text:gsub("//[^\n]*", ""))
end

-- How many parameters a list "(int a, void (*f)(int, int))" has.
local function count(list)
  local inner = list:sub(2, -2)
  if inner:match "^%s*$" or inner:match "^%s*void%s*$" then return 0 end
  local _, commas = inner:gsub("%b()", ""):gsub(",", "")
  return commas + 1
end

local found = 0
for _, path in ipairs(arg) do
  local file = assert(io.open(path))
  local text = "\n" .. without_comments(file:read "a")
  file:close()
  -- a type, a name, parameters, and the body
  for at, name, list in text:gmatch "\n()%a[%w_%s%*]-([%a_][%w_]*)(%b())%s*{" do
    if count(list) > MOST then
      local _, line = text:sub(1, at - 1):gsub("\n", "")
      print(("%s:%d: %s has %d parameters; at most %d, so pass it a struct"):format(path, line, name,
        count(list), MOST))
      found = found + 1
    end
  end
end
os.exit(found == 0)
