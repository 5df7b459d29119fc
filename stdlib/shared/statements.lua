--- SQL in the config of a node: one statement, or several, with parameters and without templates.
local statements = {}

-- Values that are put into a statement's text would be read as SQL.
local function mistake(sql, field, mark)
  if type(sql) == "string" and sql:find("${", 1, true) then
    return ("%s takes no templates, because values in it would be read as SQL; write %s there and give "
      .. "params = { … }"):format(field, mark), field
  end
end

--- What is wrong with `sql` and `statements` of a config; nil where nothing is.
---@param config table
---@param mark string how the database writes a parameter: "?", "$1"
---@return string|nil message
---@return string|nil field
function statements.problem(config, mark)
  if (config.sql == nil) == (config.statements == nil) then
    return "give it one statement, sql, or several, statements", "sql"
  end
  local message, field = mistake(config.sql, "sql", mark)
  for i, statement in ipairs(type(config.statements) == "table" and config.statements or {}) do
    if message then break end
    if type(statement) ~= "table" or type(statement.sql) ~= "string" then
      return ("statements[%d]: expected { sql = …, params = … }"):format(i), "statements"
    end
    message, field = mistake(statement.sql, ("statements[%d].sql"):format(i), mark)
  end
  return message, field
end

return statements
