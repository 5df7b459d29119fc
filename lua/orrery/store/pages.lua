--- A named query of a store that gives its rows newest first, read a page at a time.

--- The rows of a query that takes `before` and `limit`, and gives the place `at` of each row.
---@param db orrery.Store
---@param query string
---@param asked table its parameters, with the page's `limit`; is changed
---@return fun(): table|nil row without `at`
return function(db, query, asked)
  asked.before = math.maxinteger
  local page, at = {}, 0
  return function()
    at = at + 1
    if not page[at] then
      page, at = db:rows(query, asked), 1
    end
    local row = page[at]
    if row then asked.before, row.at = row.at, nil end
    return row
  end
end
