--- Apify: programs that fetch and read the web (actors), and the datasets that they fill. The API
--- is described at docs.apify.com/api/v2.
local flow = require "orrery"

local ENDED = { SUCCEEDED = true, FAILED = true, ABORTED = true, ["TIMED-OUT"] = true }
local PAGE = 1000 -- items

return flow.connector {
  name = "apify",
  base = "https://api.apify.com/v2",
  auth = { header = "Authorization", scheme = "Bearer" },
  key = flow.secret "APIFY_TOKEN",
  rate = "30/s",
  error = "error.message",
  operations = {
    start = {
      doc = "Starts an actor and does not wait for it. Outputs its run, { id, status, defaultDatasetId, … }.",
      path = "/acts/{actor}/runs",
      config = { actor = { type = "string", doc = '"user~name", or an id' }, input = "any?",
        memory = "integer?" },
      query = { "memory" },
      body = "input",
      result = "data",
    },
    state = {
      doc = "Says how far a run is, after at most a minute. Outputs it, { id, status, defaultDatasetId, … }.",
      path = "/actor-runs/{run_id}",
      config = { run_id = "string", waitForFinish = { type = "integer", default = 60, min = 0, max = 60 } },
      query = { "waitForFinish" },
      result = "data",
    },
    items = {
      doc = "Fetches the items of a dataset. Outputs a list.",
      path = "/datasets/{dataset}/items",
      config = { dataset = "string", clean = { type = "boolean", default = true } },
      query = { "clean" },
      paging = { query = { limit = PAGE }, next = function(page, number)
        local total = tonumber(page.headers["x-apify-pagination-total"]) or 0
        return number * PAGE < total and { offset = number * PAGE } or nil
      end },
    },
    run = {
      doc = "Runs an actor to its end and fetches what it has found. Outputs { run, items }. A run that "
        .. "does not "
        .. "succeed fails the node with \"actor_failed\". After a crash it goes on with the same run.",
      config = { actor = "string", input = "any?", memory = "integer?", max_items = "integer?" },
      errors = { "actor_failed" },
      examples = { [[apify.run { actor = "apify~web-scraper", input = { startUrls = { { url = "${input.url}" } } } }]] },
      run = function(_, config, api)
        local run = api.start { actor = config.actor, input = config.input or flow.json.object {},
          memory = config.memory }
        while not ENDED[run.status] do run = api.state { run_id = run.id, waitForFinish = 60 } end
        if run.status ~= "SUCCEEDED" then
          flow.error { code = "actor_failed", retryable = run.status == "TIMED-OUT", details = { run = run },
            message = ("apify.run: the run %s of %s ended as %s"):format(run.id, config.actor, run.status) }
        end
        return { run = run, items = api.items { dataset = run.defaultDatasetId, clean = true,
          max_items = config.max_items } }
      end,
    },
  },
}
