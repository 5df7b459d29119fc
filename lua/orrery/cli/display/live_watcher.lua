--- The watcher of a run on a terminal that can move its cursor.

-- Frames of the live region move the cursor; what stands in them is clean by then.
local function draw(text) io.stderr:write(text) end

-- What handlers and programs print goes above the live region when both are on one terminal.
local function divert(region)
  local streams = { "stderr" }
  local is_shared = require("orrery.cli.display.term").is_tty(1)
  if is_shared then streams[2] = "stdout" end
  local restore = require("orrery.cli.display.programs").divert(streams,
    function(text) region:print(text) end)
  if not is_shared then return restore end
  local print_before, write_before = print, io.write
  -- luacheck: globals print io.write
  function print(...)
    local words = table.pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]) end
    region:print(table.concat(words, "\t") .. "\n")
  end
  function io.write(...)
    region:print(table.concat { ... })
    return io.stdout
  end
  return function()
    print, io.write = print_before, write_before
    restore()
  end
end

--- Watches a run by a live region.
---@param board table
---@param look table see `look_at` in `orrery.cli.run`
---@return table watcher
return function(board, look)
  local watch, live = require "orrery.cli.display.watch", require "orrery.cli.display.live"
  local size, close = live.size_of(2)
  local region = live.new { board = board, now = look.now, write = draw, size = size, paint = look.paint,
    sample = look.sample }
  local restore = divert(region)
  region:start()
  local watcher = watch.live(board, region)
  local finish = watcher.finish
  function watcher.finish(...)
    restore()
    finish(...)
    close()
  end
  return watcher
end
