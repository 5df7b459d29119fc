--- Hunter: addresses of people and companies, and whether mail reaches them. The API is described
--- at hunter.io/api-documentation/v2.
local flow = require "orrery"

local PENDING = 202 -- a verification that goes on
local PAUSE, TRIES = 5, 60

return flow.connector {
  name = "hunter",
  base = "https://api.hunter.io/v2",
  auth = { header = "X-API-KEY" },
  key = flow.secret "HUNTER_API_KEY",
  rate = "15/s",
  error = "errors.1.details",
  operations = {
    find = {
      doc = "Finds the most likely address of a person at a company. Outputs { email, score, domain, … }; "
        .. "email is "
        .. "missing where there is none.",
      path = "/email-finder",
      config = { domain = "string?", company = "string?", first_name = "string?", last_name = "string?",
        full_name = "string?" },
      query = { "domain", "company", "first_name", "last_name", "full_name" },
      result = "data",
      examples = { [[hunter.find { domain = "example.org", full_name = "${input.name}" }]] },
    },
    check = {
      doc = "Asks once whether an address takes mail. Outputs { status, score, … }, or nothing while "
        .. "Hunter is at it.",
      path = "/email-verifier",
      config = { email = "string" },
      query = { "email" },
      expect = { 200, PENDING },
      result = "data",
    },
    verify = {
      doc = "Says whether an address takes mail, when Hunter knows. Outputs { status, score, … }: status "
        .. "is valid, "
        .. "invalid, accept_all, webmail, disposable or unknown.",
      config = { email = "string" },
      errors = { "verification_timeout" },
      run = function(ctx, config, api)
        for _ = 1, TRIES do
          local found = api.check { email = config.email }
          if found and found.status then return found end
          ctx:sleep(PAUSE)
        end
        flow.error { code = "verification_timeout", retryable = true,
          message = ("hunter.verify: %s was still being verified after %d s"):format(config.email,
            PAUSE * TRIES) }
      end,
      examples = { [[hunter.verify { email = "${item.email}", each = "${nodes.found}" }]] },
    },
    search = {
      doc = "Lists the addresses that are known of a company. Outputs a list of { value, type, confidence, "
        .. "first_name, "
        .. "last_name, position, … }.",
      path = "/domain-search",
      config = { domain = "string?", company = "string?", type = { enum = { "personal", "generic" },
        optional = true } },
      query = { "domain", "company", "type" },
      paging = { items = "data.emails", query = { limit = 100 }, next = function(page, number)
        local total = page.json.meta and page.json.meta.results or 0
        return number * 100 < total and { offset = number * 100 } or nil
      end },
    },
  },
}
