-- site.lua: pages of text become pages of HTML, in a template and with an index before them
local flow = require "orrery"
local file = flow.file

local w = flow.workflow { name = "site", input = { from = "string", to = "string" },
  output = { pages = "${len(nodes.page)}" } }

-- ---- what a page is made of ---------------------------------------------------------------------

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function escape(text) return (text:gsub('[&<>"]', ESCAPES)) end

local function inline(text)
  text = escape(text):gsub("`(.-)`", "<code>%1</code>")
  text = text:gsub("%*%*(.-)%*%*", "<strong>%1</strong>"):gsub("%*(.-)%*", "<em>%1</em>")
  return (text:gsub("%[(.-)%]%((.-)%)", '<a href="%2">%1</a>'))
end

local function block(text)
  local code = text:match "^```%w*\n(.*)\n```$"
  if code then return "<pre>" .. escape(code) .. "</pre>" end
  local marks, heading = text:match "^(#+) +(.*)$"
  if marks then return ("<h%d>%s</h%d>"):format(#marks, inline(heading), #marks) end
  if not text:find "^%- " then return "<p>" .. inline(text) .. "</p>" end
  local items = ("\n" .. text):gsub("\n%- ([^\n]*)", function(item)
    return "\n<li>" .. inline(item) .. "</li>"
  end)
  return "<ul>" .. items .. "\n</ul>"
end

--- Blocks are parted by empty lines; those of a fence belong together.
local function html_of(text)
  local blocks, fence = {}, nil
  for one in (text .. "\n\n"):gmatch "(.-)\n\n+" do
    local begins = not fence and one:find "^```"
    fence = fence and fence .. "\n\n" .. one or begins and one
    if not fence then
      blocks[#blocks + 1] = block(one:match "^%s*(.-)%s*$")
    elseif fence:find "\n```$" then
      blocks[#blocks + 1], fence = block(fence), nil
    end
  end
  return table.concat(blocks, "\n")
end

local function fill(template, values)
  return (template:gsub("{{(%w+)}}", function(name) return values[name] end))
end

-- ---- the build ----------------------------------------------------------------------------------

w.template = file.read { "${input.from}/template.html" }
w.sources = file.find { "**/*.md", path = "${input.from}" }
w.sums = file.hash { "${item.path}", each = "nodes.sources" }

-- A page is made where it, its name or the template is not as in an earlier build, or this file.
w.page = {
  after = "sums", each = "nodes.sums", cache = { key = "${item.path} ${item.hash} ${nodes.template}" },
  run = function(ctx)
    local text = file.read(ctx.item.path)
    local name = ctx.item.path:sub(#ctx.input.from + 2):gsub("%.md$", ".html")
    if name == "index.html" then flow.error "index.md: the index is made of the other pages" end
    local title = text:match "^# +([^\n]+)" or name
    local root = ("../"):rep(select(2, name:gsub("/", "")))
    return { name = name, title = title, html = fill(ctx.nodes.template, {
      title = escape(title), root = root, content = html_of(text) }) }
  end,
}

w.index = { after = { "page", "template" }, cache = true, run = function(_, inputs)
  local lines = {}
  for i, page in ipairs(inputs.page) do
    lines[i] = ('<li><a href="%s">%s</a></li>'):format(escape(page.name), escape(page.title))
  end
  local list = "<ul>\n" .. table.concat(lines, "\n") .. "\n</ul>"
  return { name = "index.html", html = fill(inputs.template, { title = "Index", root = "", content = list }) }
end }

-- `site.put` is a node type of the program: it writes only what is not there already.
w.put = flow.site.put { each = "nodes.page", path = "${input.to}/${item.name}", content = "${item.html}" }
w.put_index = flow.site.put { path = "${input.to}/${nodes.index.name}", content = "${nodes.index.html}" }

-- What an earlier build has made and this one has not goes. Nothing else in the folder is touched.
w.before = flow.state.get { "pages", default = {} }
w.names = { after = "page", run = function(_, inputs)
  local names = {}
  for i, page in ipairs(inputs.page) do names[i] = page.name end
  return names
end }
w.stale = { after = { "before", "names" }, run = function(_, inputs)
  local wanted, stale = {}, {}
  for _, name in ipairs(inputs.names) do wanted[name] = true end
  for _, name in ipairs(inputs.before.value) do
    if not wanted[name] then stale[#stale + 1] = name end
  end
  return stale
end }
w.tidy = file.remove { "${input.to}/${item}", each = "nodes.stale" }
w.remember = flow.state.set { key = "pages", value = "${nodes.names}", after = "tidy" }

return w
