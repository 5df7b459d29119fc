--- What the server measures, for Prometheus and whatever reads its forms.
local metrics = {}

---@param call orrery.serve.Call
---@return string text
---@return table options
function metrics.show(call)
  local body, kind = call.host.metrics:text(call.request.headers.accept)
  return body, { type = kind }
end

return metrics
