-- reading.lua: what specs have called on the thread that reads; see spec/reads_spec.lua.
local reading = {}

--- A query that takes long.
function reading.slow(db, n)
  return db:query("WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?) "
    .. "SELECT count(*) AS n FROM c", n)[1].n
end

function reading.fault() return nil + 1 end

function reading.wrong(db) return db:query "SELECT * FROM nowhere" end

function reading.many(_, n) return ("x"):rep(n) end

function reading.bytes() return { text = "\255" } end

return reading
