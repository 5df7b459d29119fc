-- An order that can be undone: when the parcel cannot be sent, the money goes back and the shelf is
-- free again, in that order. Each step has a function that undoes it; undoing has its own retries.
--   orrery run examples/saga.lua
--   orrery run examples/saga.lua --input stock:=0      fails, and is undone
local flow = require "orrery"

local shelf = { reserved = 0 } -- stands for the services that a real order would call

local function reserve(ctx)
  shelf.reserved = shelf.reserved + ctx.input.amount
  return { amount = ctx.input.amount }
end

local function release(ctx)
  shelf.reserved = shelf.reserved - ctx.output.amount
  return ("released %d"):format(ctx.output.amount)
end

local function charge(ctx, inputs)
  return { id = "payment-" .. ctx.idempotency_key:sub(1, 8), sum = inputs.reserve.amount * 12.5 }
end

-- The bank is busy at first: its retries are the compensation's own. Of a payment that was cut off
-- nobody knows whether it was made: then there is no output, and the bank finds it by its key.
local function refund(ctx)
  if ctx.attempt < 3 then flow.error { code = "busy", message = "the bank is busy", retryable = true } end
  local paid = ctx.output or { id = "payment-" .. ctx.idempotency_key:sub(1, 8), sum = 0 }
  return ("refunded %.2f of %s, because of %s"):format(paid.sum, paid.id, ctx.error.code)
end

local function ship(ctx)
  if ctx.input.stock < ctx.input.amount then
    flow.error { code = "no_stock", message = "there is nothing left to send" }
  end
  return "parcel-1"
end

return flow.saga("order", {
    input  = { amount = { type = "integer", default = 2 }, stock = { type = "integer", default = 5 } },
    output = { parcel = "${nodes.ship}", paid = "${nodes.charge.sum}" },
  })
  :step("reserve", reserve, release)
  :step("charge", charge, { run = refund, retry = { max = 5, delay = "20ms" } }, { timeout = "10s" })
  :step("ship", ship)
