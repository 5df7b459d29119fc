-- CSV: rows and rejects of any text, the same wherever pieces cut it; what is written is read
-- again.
local driver = require "spec.fuzz.driver"
local flow = require "orrery"

local FORMS = { {}, { separator = ";", quote = "'" }, { header = false }, { quote = "" },
  { columns = { "a", "b" } },
  { types = { a = "integer", b = "number", c = "boolean" } }, { max_row = 40 } }

local function read(text, form, size)
  local reader, rows, rejects = flow.rows.csv_reader(form), {}, {}
  for at = 1, #text + size, size do
    local some, bad = reader:read(at <= #text and text:sub(at, at + size - 1) or nil)
    table.move(some, 1, #some, #rows + 1, rows)
    table.move(bad or {}, 1, #(bad or {}), #rejects + 1, rejects)
  end
  return rows, rejects, reader:columns()
end

-- What is said of a line, and how much of it is shown, may depend on what was there to be seen.
local function lines(rejects)
  local list = {}
  for i, each in ipairs(rejects) do list[i] = each.line end
  return list
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

return {
  seeds = { "a,b,c\n1,2.5,true\n", "a,b\r\n\"x\",\"y\"\"z\"\r\n", "a\n\"1\n2\"\n3",
    "\xEF\xBB\xBFa;b\n1;2\n", "a,a\n1,2\n",
    "a,b\n1\n1,2,3\n\n", "a\n\"open\nx\ny\n", "a,b\n\"x\"y,1\nz,\"w\n" },
  words = { ",", ";", "\n", "\r\n", "\r", '"', '""', "'", "a", "b", "1", "-0", "1e999", "true", " ", "\0",
    "\xff", "é",
    "\xEF\xBB\xBF" },
  run = function(text)
    local form = FORMS[#text % #FORMS + 1]
    local ok, rows, rejects, columns = pcall(read, text, form, 64 << 10)
    if not ok then return driver.kind(rows) end
    local in_pieces, others, named = read(text, form, 3)
    assert(same({ rows, lines(rejects), columns }, { in_pieces, lines(others), named }),
      "pieces make a difference")
    for _, bad in ipairs(rejects) do driver.told(bad.reason) end
    if rejects[1] then return "rejects: " .. driver.kind(rejects[1].reason) end
    if not form.types and form.header ~= false and #rows > 0 then
      local names = {}
      for _, name in ipairs(columns) do names[name] = name end
      local all = form.columns and rows or table.move(rows, 1, #rows, 2, { names })
      local wrote, written = pcall(flow.rows.csv_text, all, columns, form.separator, form.quote)
      if not wrote then return "not written: " .. driver.kind(written) end
      assert(#read(written, form, 64 << 10) <= #rows, "there are more rows than were written")
    end
    return "rows: " .. math.min(#rows, 20)
  end,
}
