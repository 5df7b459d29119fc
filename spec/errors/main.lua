-- `make errors`: writes docs/errors.md, or says what lacks a text. Exit code 1 where something
-- does.
package.path = "./?.lua;" .. package.path
local found = require "spec.errors.found"
local page = require "spec.errors.page"
local texts = { codes = require "spec.errors.codes", mistakes = require "spec.errors.mistakes" }

local codes, mistakes = found.here()
local lacking = page.lacking(codes, mistakes, texts)
if #lacking > 0 then
  io.stderr:write(table.concat(lacking, "\n"), "\n")
  os.exit(1)
end
local file <close> = assert(io.open(page.PATH, "wb"))
file:write(page.text(codes, mistakes, texts))
