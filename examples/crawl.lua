-- A crawl of a web site, level by level: a few requests at a time and so many a second, failures
-- tried again, every page once, and a report of what was found and what was not. In a store it goes
-- on after a crash where it stood: pages that were fetched are not fetched again.
--   orrery run examples/crawl.lua --input start=http://localhost:8000/ --store crawl.db
local flow = require "orrery"

flow.pool("site", { max = 4, rate = "50/s", burst = 4 })

-- One level: all its pages, and the links on them.
local level = flow.workflow {
  name = "level",
  input = flow.schema { urls = "string[]" },
  output = "${nodes.links}",
}

level.fetch = flow.http.get { url = "${item}", each = "${input.urls}", each_failures = "100%", pool = "site",
  retry = "quick", timeout = "10s", limit = 4 << 20 }

-- Links of one document, in its order: absolute, without their fragment.
local function links_of(page)
  local found = {}
  if not (page.headers["content-type"] or ""):find("text/html", 1, true) then return found end
  for reference in page.body:gmatch '<a%s[^>]-href="([^"#]+)' do
    found[#found + 1] = flow.url.join(page.url, reference)
  end
  return found
end

level.links = { after = "fetch", run = function(ctx, inputs)
  local failed = {}
  for _, item in ipairs((ctx.errors.fetch or {}).items or {}) do failed[item.index] = item.error end
  local pages = {}
  for i, url in ipairs(ctx.input.urls) do
    local page = inputs.fetch[i]
    pages[i] = failed[i] and { url = url, error = failed[i].message, links = {} }
      or { url = url, bytes = #page.body, seconds = page.seconds, links = links_of(page) }
  end
  return pages
end }

local w = flow.workflow {
  name = "crawl",
  input = flow.schema { start = "string", depth = { type = "integer", default = 5 } },
  output = "${nodes.report}",
}

-- What is known so far, and the pages of the next level: those of the same origin that are new.
w.crawl = { loop = { ["until"] = "#output.frontier == 0 or output.depth >= input.depth", max = 100 },
  run = function(ctx)
    local before = ctx.previous or { frontier = { ctx.input.start }, pages = {}, depth = 0 }
    local pages, known, frontier = before.pages, {}, {}
    for _, page in ipairs(ctx:call(level, { urls = before.frontier })) do pages[#pages + 1] = page end
    for _, page in ipairs(pages) do known[page.url] = true end
    for _, page in ipairs(pages) do
      for _, url in ipairs(page.links) do
        if not known[url] and flow.url.origin(url) == flow.url.origin(ctx.input.start) then
          known[url] = true
          frontier[#frontier + 1] = url
        end
      end
    end
    return { frontier = frontier, pages = pages, depth = before.depth + 1 }
  end }

w.report = { after = "crawl", run = function(_, inputs)
  local report = { pages = 0, bytes = 0, levels = inputs.crawl.depth, broken = {} }
  local from = {}
  for _, page in ipairs(inputs.crawl.pages) do
    for _, url in ipairs(page.links) do from[url] = from[url] or page.url end
    if page.error then
      report.broken[#report.broken + 1] = { url = page.url, error = page.error, linked_from = from[page.url] }
    else
      report.pages, report.bytes = report.pages + 1, report.bytes + page.bytes
    end
  end
  return report
end }

return w
