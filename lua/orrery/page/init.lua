--- The page: its files, for a server that hands them out and for documents that hold them. They are
--- the HTML, CSS and modules of JavaScript that stand beside this file, as they are; the build puts
--- them into two modules, one with their texts and one with these compressed
--- (runtime/host/pack.lua).
local page = {}

local TYPES = {
  html = "text/html; charset=utf-8", css = "text/css; charset=utf-8", js = "text/javascript; charset=utf-8",
  svg = "image/svg+xml",
}

local function kept(kind) return require("orrery.page." .. kind) end

--- The names of the files.
---@return string[] sorted
function page.names()
  local names = {}
  for name in pairs(kept "plain") do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- The text of a file.
---@param name string such as "index.html"
---@return string|nil
function page.text(name) return kept "plain" [name] end

--- A file as it is sent.
---@param name string
---@return { type: string, etag: string, body: string }|nil body compressed by gzip
function page.packed(name)
  local file = kept "packed" [name]
  return file and { type = TYPES[name:match "[^.]+$"], etag = '"' .. file.etag .. '"', body = file.body }
end

return page
