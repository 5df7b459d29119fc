-- An idle runtime: the module loaded, a runtime made and stepped once.
-- usage: build/orrery bench/idle.lua

package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path
local graphs = require "graphs"
local flow = require "orrery"

local rt = flow.runtime()
rt:step(0)
print(("rss %.12g"):format(graphs.rss()))
