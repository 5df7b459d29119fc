--- The page and its files, compressed for whoever takes them so.
local page = require "orrery.page"
local problem = require "orrery.serve.problem"

local files = {}

local function takes_gzip(request)
  local accepted = request.headers["accept-encoding"] or ""
  return accepted:find("gzip", 1, true) and not accepted:find "gzip%s*;%s*q=0"
end

local function send(call, name)
  local file = page.packed(name)
  if not file then problem.raise("not_found", ("the page has no file '%s'"):format(name:sub(1, 100))) end
  local packed = takes_gzip(call.request)
  local etag = packed and file.etag or file.etag:gsub('"$', '-plain"')
  -- It is asked again each time, by its etag, so that it is never another version's.
  local options = { type = file.type,
    headers = { etag = etag, ["cache-control"] = "no-cache", vary = "accept-encoding" } }
  if (call.request.headers["if-none-match"] or ""):find(etag, 1, true) then
    options.status = 304
    return "", options
  end
  if not packed then return page.text(name), options end
  options.headers["content-encoding"] = "gzip"
  return file.body, options
end

--- The page itself.
---@param call orrery.serve.Call
---@return string
---@return table options
function files.index(call) return send(call, "index.html") end

--- One of its files. Raises `not_found`.
---@param call orrery.serve.Call
---@return string
---@return table options
function files.file(call) return send(call, call.params.file) end

return files
