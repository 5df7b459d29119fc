--- Streams of events (text/event-stream): what happens to a run, or to all, as the journals say it.
--- What a client has seen it says in `Last-Event-ID`, or in the query as `after`, and gets what
--- came after that.
local paced = require "orrery.serve.paced"
local uv = require "luv"

local events = {}

local QUIET = 15 -- seconds after which something is sent, so that a client that is gone is noticed

-- Where it is now, which a client remembers; it shows no event of it.
local function mark(place) return ("id: %s\n\n"):format(place) end

-- Sends pieces until the client leaves, is too slow, or there is nothing more to come.
local function run_stream(call, next_piece)
  local reads, place = call.host.reads, call.request.headers["last-event-id"] or call.query.after or ""
  local piece, open = next_piece(place), true -- first: a wrong place is a problem, and no stream
  local headers = { ["content-type"] = "text/event-stream", ["cache-control"] = "no-store" }
  for name, value in pairs(call.headers or {}) do headers[name] = value end
  local stream = call.request:stream(200, headers)
  stream:on_close(function() open = false end)
  local function is_open() return open end
  local sent_at = -math.huge
  while open do
    local now = uv.now() / 1000
    if piece.text ~= "" or now - sent_at >= QUIET then
      sent_at = now
      if not paced.write(stream, piece.text ~= "" and piece.text or mark(piece.place), is_open) then break end
    end
    if piece.gone then break end
    if not piece.more and open then reads:changed(piece.change, sent_at + QUIET - now) end
    if not open then return end
    local ok, found = pcall(next_piece, piece.place)
    if not ok then break end -- the client asks again, and is told why
    piece = found
  end
  stream:close()
end

--- What happens to one run, from its beginning on or from where the client says.
---@param call orrery.serve.Call
function events.run(call)
  local id = call.host.reads:value("orrery.serve.reads.asks", "which", call.params.id).id
  run_stream(call, function(place)
    return call.host.reads:value("orrery.serve.reads.streams", "run", id, place)
  end)
end

--- The log of a run, from its beginning on or from where the client says.
---@param call orrery.serve.Call
function events.logs(call)
  local id = call.host.reads:value("orrery.serve.reads.asks", "which", call.params.id).id
  run_stream(call, function(place)
    return call.host.reads:value("orrery.serve.reads.streams", "logs", id, place, call.query)
  end)
end

--- What happens to all runs, from now on or from where the client says.
---@param call orrery.serve.Call
function events.all(call)
  local wanted = { runs = call.query.runs, workflows = call.who.workflows }
  run_stream(call, function(place)
    return call.host.reads:value("orrery.serve.reads.streams", "all", place, wanted)
  end)
end

return events
