-- `make nodes`: writes docs/nodes.md. Run by the command, which has the types.
package.path = "./?.lua;" .. package.path
local page = require "spec.nodes.page"

local file <close> = assert(io.open(page.PATH, "wb"))
file:write(page.text())
