--- What outputs that are kept refer to: large values by their hashes, files of rows by their names.
local references = {}

--- Collects what a text refers to.
---@param text string
---@param pattern string with one capture
---@param into table<string, true>
function references.collect(text, pattern, into)
  for name in text:gmatch(pattern) do into[name] = true end
end

--- What the journal or the cache refer to, and the last row of the journal that was looked at. The
--- journal is the truth: what a node has put out stands there, and so does what no other table
--- shows.
---@param db orrery.Store
---@param mark string what stands before each reference; rows without it are not read
---@param pattern string with one capture
---@return table<string, true>
---@return integer last
function references.find(db, mark, pattern)
  local names, last = {}, 0
  repeat
    local rows = db:rows("journal_with", { text = mark, after = last, limit = 5000 })
    for _, row in ipairs(rows) do
      if row.records then references.collect(row.records, pattern, names) end
      last = row.id
    end
  until #rows == 0
  for row in db:each_row("cache_with", { text = mark }) do
    references.collect(row.output, pattern, names)
  end
  return names, last
end

return references
